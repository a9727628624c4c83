//! The parent's end of the conversation with a guard that runs commands: the thread that listens to it.
//!
//! It owns that a guard which dies is answered by a thaw. It must never take a guard that is silent for one that has thawed.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::command::thaw::{ThawOutcome, run_thaw};
use crate::hooks::Hook;
use crate::moment::Moment;
use crate::wire::Cause;

/// When the command that thaws was begun and had ended, why it was run, and how it ended.
pub(super) type Outcome = (Cause, Moment, Moment, ThawOutcome);

/// What is known of a guard.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) is_ready: bool,
    pub(super) outcome: Option<Outcome>,
    is_armed: bool,
    is_gone: bool,
    thawing: Option<(Cause, Moment)>,
}

impl State {
    fn is_over(&self) -> bool {
        self.is_gone && (!self.is_armed || self.outcome.is_some())
    }
}

/// One guard, seen from its parent.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    changed: Condvar,
    child: Mutex<Child>,
    pid: u32,
}

impl Watch {
    pub(super) fn start(
        child: Child,
        answers: ChildStdout,
        thaw: Hook,
        facts: Vec<(String, String)>,
    ) -> io::Result<Arc<Self>> {
        let pid = child.id();
        let watch = Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), child: Mutex::new(child), pid });
        let listener = Arc::clone(&watch);
        thread::Builder::new().name("hold".into()).spawn(move || listener.listen(answers, &thaw, &facts))?;
        Ok(watch)
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// From here on its death is answered by a thaw. False if it is dead already: then nobody would ever thaw.
    pub(super) fn arm(&self) -> bool {
        let mut state = self.state();
        if state.is_gone {
            let now = Moment::now();
            // Nothing was to be frozen from there on, and nothing is.
            state.outcome.get_or_insert((Cause::GuardDied, now, now, ThawOutcome::WasNotFrozen));
        }
        state.is_armed = !state.is_gone;
        state.is_armed
    }

    /// Why everything is being thawed, or was.
    pub(super) fn ended(&self) -> Option<Cause> {
        let state = self.state();
        state.thawing.map(|(cause, _)| cause).or(state.outcome.as_ref().map(|(cause, ..)| *cause))
    }

    pub(super) fn outcome(&self) -> Outcome {
        let now = Moment::now();
        let silent = || (Cause::GuardSilent, now, now, ThawOutcome::Failed("was not seen to end".to_owned()));
        self.state().outcome.clone().unwrap_or_else(silent)
    }

    /// Waits until `enough` is true; false when `limit` came first, or it will never be since the guard is gone and has
    /// nothing left to do.
    pub(super) fn wait(&self, limit: Duration, enough: impl Fn(&State) -> bool) -> bool {
        let waits = |state: &mut State| !enough(state) && !state.is_over();
        let waited = self.changed.wait_timeout_while(self.state(), limit, waits);
        enough(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Whether the guard is gone, and nothing that it had to do is still to be done for it.
    pub(super) fn is_over(&self) -> bool {
        self.state().is_over()
    }

    /// Kills a guard that does not answer; the thread that listens sees its end, and thaws.
    pub(super) fn force(&self, limit: Duration) {
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
        self.wait(limit, |state| state.outcome.is_some());
    }

    pub(super) fn is_gone(state: &State) -> bool {
        state.is_gone
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the guard has ended. One that ended while something may be frozen, and did not say that it thawed it, has its
    /// work done here.
    fn listen(&self, answers: ChildStdout, thaw: &Hook, facts: &[(String, String)]) {
        for line in BufReader::new(answers).lines() {
            let Ok(line) = line else { break };
            self.hear(&line);
        }
        let died = {
            let mut state = self.state();
            state.is_gone = true;
            state.is_armed && state.outcome.is_none()
        };
        self.changed.notify_all();
        if died {
            let began = Moment::now();
            self.state().thawing.get_or_insert((Cause::GuardDied, began));
            let outcome = run_thaw(thaw, facts);
            self.state().outcome = Some((Cause::GuardDied, began, Moment::now(), outcome));
            self.changed.notify_all();
        }
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }

    fn hear(&self, line: &str) {
        let mut state = self.state();
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next().and_then(cause_of), words.next(), words.next()) {
            (Some("ready"), ..) => state.is_ready = true,
            (Some("thawing"), Some(cause), ..) => state.thawing = Some((cause, Moment::now())),
            (Some("thawed"), Some(cause), how, words) => {
                let began = state.thawing.map_or_else(Moment::now, |(_, began)| began);
                let outcome = match how {
                    Some("ok") => ThawOutcome::Thawed,
                    Some("not-frozen") => ThawOutcome::WasNotFrozen,
                    _ => ThawOutcome::Failed(words.unwrap_or_default().to_owned()),
                };
                state.outcome = Some((cause, began, Moment::now(), outcome));
            }
            _ => {}
        }
        drop(state);
        self.changed.notify_all();
    }
}

fn cause_of(word: &str) -> Option<Cause> {
    [("told", Cause::Told), ("budget", Cause::Budget), ("parent", Cause::ParentGone)]
        .into_iter()
        .find_map(|(name, cause)| (name == word).then_some(cause))
}
