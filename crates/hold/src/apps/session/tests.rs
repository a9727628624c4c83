//! A lock ends on every path, on a server that notes what it is told.

use std::sync::{Arc, Mutex};

use super::*;

const LONG: Duration = Duration::from_mins(1);
const LIMITS: LockLimits = LockLimits { wait: LONG, hold: LONG };

#[derive(Clone, Default)]
struct Notes {
    said: Arc<Mutex<Vec<&'static str>>>,
    refuses: Option<&'static str>,
}

impl Notes {
    fn note(&self, what: &'static str) -> Result<(), AppError> {
        self.said.lock().unwrap().push(what);
        if self.refuses == Some(what) {
            return Err(AppError::Refused { doing: what, answer: "no".into() });
        }
        Ok(())
    }

    /// Once something was said so often.
    fn wait_for(&self, what: &str, times: usize) {
        while self.said.lock().unwrap().iter().filter(|said| **said == what).count() < times {
            thread::yield_now();
        }
    }

    fn all(&self) -> Vec<&'static str> {
        self.said.lock().unwrap().clone()
    }

    fn prepared(&self) -> Prepared {
        let (orders, received) = channel();
        let server = Box::new(self.clone());
        start("test", move || serve(server, &received)).unwrap();
        Prepared { thread: Thread(Some(orders)), server: "notes".into() }
    }
}

impl Server for Notes {
    fn describe(&self) -> String {
        "notes".into()
    }

    fn data(&mut self, _: DataHost) -> Result<DataPlaces, AppError> {
        self.note("data").map(|()| DataPlaces::Unknown(String::new()))
    }

    fn lock(&mut self, _: LockLimits) -> Result<Recorded, AppError> {
        self.note("lock").map(|()| Recorded::default())
    }

    fn ping(&mut self) -> Result<(), AppError> {
        self.note("ping")
    }

    fn release(&mut self) -> Result<(), AppError> {
        self.note("release")
    }
}

#[test]
fn a_lock_is_released_once_when_it_is_told_so() {
    let notes = Notes::default();
    let locked = notes.prepared().lock(LIMITS).unwrap();
    locked.ping().unwrap();
    assert!(locked.release().unwrap().stall < LONG);
    assert_eq!(notes.all(), ["lock", "ping", "release"]);
}

#[test]
fn a_lock_that_is_dropped_is_released_before_the_drop_returns() {
    let notes = Notes::default();
    drop(notes.prepared().lock(LIMITS).unwrap());
    assert_eq!(notes.all(), ["lock", "release"]);
}

#[test]
fn a_lock_is_let_go_when_its_time_is_over_and_whoever_comes_later_hears_of_it() {
    let notes = Notes::default();
    let locked = notes.prepared().lock(LockLimits { hold: Duration::from_millis(20), ..LIMITS }).unwrap();
    notes.wait_for("release", 1);
    assert!(matches!(locked.ping(), Err(AppError::Expired { .. })));
    assert!(matches!(locked.release(), Err(AppError::Expired { .. })));
    assert_eq!(notes.all(), ["lock", "release"]);
}

#[test]
fn a_release_that_failed_when_the_time_was_over_is_told_later() {
    let notes = Notes { refuses: Some("release"), ..Notes::default() };
    let locked = notes.prepared().lock(LockLimits { hold: Duration::from_millis(20), ..LIMITS }).unwrap();
    notes.wait_for("release", 1);
    assert!(matches!(locked.release(), Err(AppError::Refused { .. })));
}

#[test]
fn a_lock_that_was_refused_is_not_released() {
    let notes = Notes { refuses: Some("lock"), ..Notes::default() };
    assert!(matches!(notes.prepared().lock(LIMITS), Err(AppError::Refused { .. })));
    assert_eq!(notes.all(), ["lock"]);
}

#[test]
fn where_there_is_no_application_everything_succeeds_and_nothing_is_recorded() {
    let locked = Application::None.prepare(None, LONG).unwrap().lock(LIMITS).unwrap();
    locked.ping().unwrap();
    assert_eq!(locked.recorded().facts(), []);
    locked.release().unwrap();
}

#[test]
fn an_application_without_an_address_is_refused() {
    let error = Application::Redis.prepare(None, LONG).unwrap_err();
    assert!(matches!(error, AppError::Address { .. }), "{error}");
}
