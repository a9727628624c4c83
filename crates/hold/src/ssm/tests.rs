//! What the holder makes of every answer, and of none.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::apps::{DataPlace, Link};

/// No less than what the plan says.
const NO_LESS: Duration = Duration::MAX;

type Answered = Result<ShellOutput, ShellError>;

/// Says what it was told to say, and keeps what was sent.
#[derive(Debug, Default)]
struct Fake {
    answers: Mutex<VecDeque<Answered>>,
    sent: Mutex<Vec<String>>,
}

impl Shell for Fake {
    fn run(&self, script: &str, _: Duration) -> Answered {
        let word = |name: &str| {
            let line = script.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_matches('\'').to_owned()
        };
        self.sent.lock().unwrap().push(format!("{} until {}", word("ACTION="), word("NOT_AFTER=")));
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| unknown("nothing left to say"))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where what was not said could stand")]
fn said(exit_code: i32, lines: &str) -> Answered {
    Ok(ShellOutput { exit_code, stdout: format!("amikeep-guard 1\n{lines}") })
}

fn unknown(why: &str) -> Answered {
    Err(ShellError::Unknown { why: why.to_owned() })
}

fn now() -> Timestamp {
    "2026-11-22T01:00:00Z".parse().unwrap()
}

fn looked(seconds_ahead: i64) -> Answered {
    said(0, &format!("mount 1 8:16 xfs rw\nclock {}\n", now().as_second() + seconds_ahead))
}

fn plan() -> RemotePlan {
    RemotePlan {
        run: "run-1".to_owned(),
        mounts: vec!["/srv/db".into()],
        budget: Duration::from_secs(45),
        budget_from: BudgetFrom::Freeze,
        data: Vec::new(),
        link: None,
        pre: Vec::new(),
        post: Vec::new(),
        command_limit: Duration::from_secs(10),
        facts: Vec::new(),
        base: None,
    }
}

fn shell(answers: impl IntoIterator<Item = Answered>) -> Arc<Fake> {
    Arc::new(Fake { answers: Mutex::new(answers.into_iter().collect()), sent: Mutex::default() })
}

fn prepared(shell: &Arc<Fake>) -> RemoteHolder {
    RemoteHolder::prepare(Arc::clone(shell) as Arc<dyn Shell>, plan(), now()).unwrap()
}

fn sent(shell: &Fake) -> Vec<String> {
    shell.sent.lock().unwrap().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn a_hold_that_the_thaw_found_frozen_is_proved() {
    let shell = shell([looked(0), said(0, "frozen 90 100 103\n"), said(0, "thawed 100 103 250\n")]);
    let holder = prepared(&shell);
    assert_eq!(holder.mounts()[0].path, std::path::Path::new("/srv/db"));
    let hold = holder.freeze(NO_LESS, now()).unwrap();
    assert_eq!(hold.ended(), None);
    let report = hold.thaw();
    assert_eq!((report.cause, report.doubt, report.is_left_frozen), (Cause::Told, None, false));
    assert_eq!(report.stall, Some(Duration::from_millis(1_510)));
    assert!(now() <= report.held_from.unwrap() && report.held_from <= report.held_until);
    assert_eq!(sent(&shell), ["check", "freeze", "thaw"]);
}

#[test]
fn a_freeze_is_refused_after_a_time_by_the_clock_there() {
    let shell = shell([looked(100), said(0, "frozen 90 100 103\n"), said(0, "thawed 1 2 3\n")]);
    drop(prepared(&shell).freeze(NO_LESS, now()).unwrap().thaw());
    let until: i64 = shell.sent.lock().unwrap()[1].rsplit(' ').next().unwrap().parse().unwrap();
    let ahead = until - now().as_second();
    assert!((144..=146).contains(&ahead), "the budget and what that clock is ahead: {ahead}");
}

#[test]
fn a_hold_that_thawed_itself_proves_nothing() {
    for answer in [said(46, "thawed 1 2 3\nwhy budget\n"), said(47, "why no such hold\n")] {
        let shell = shell([looked(0), said(0, "frozen 90 100 103\n"), answer]);
        let report = prepared(&shell).freeze(NO_LESS, now()).unwrap().thaw();
        assert!(report.doubt.is_some() && report.held_from.is_none() && !report.is_left_frozen, "{report:?}");
    }
}

#[test]
fn a_thaw_without_an_answer_is_sent_once_more_and_then_left_to_the_watchdog() {
    let frozen = || said(0, "frozen 90 100 103\n");
    let shell_1 = shell([looked(0), frozen(), unknown("lost"), said(0, "thawed 1 2 3\n")]);
    assert_eq!(prepared(&shell_1).freeze(NO_LESS, now()).unwrap().thaw().doubt, None);
    let shell_2 = shell([looked(0), frozen(), unknown("lost"), unknown("lost again")]);
    let report = prepared(&shell_2).freeze(NO_LESS, now()).unwrap().thaw();
    assert!(report.is_left_frozen && report.doubt.unwrap().contains("lost again"));
    assert_eq!(sent(&shell_2), ["check", "freeze", "thaw", "thaw"]);
}

#[test]
fn a_freeze_without_an_answer_is_thawed_and_one_that_was_refused_is_not() {
    let lost = shell([looked(0), unknown("lost"), said(47, "why no such hold\n")]);
    let report = prepared(&lost).freeze(NO_LESS, now()).unwrap_err();
    assert!(report.doubt.as_ref().unwrap().contains("lost") && !report.is_left_frozen, "{report:?}");
    assert_eq!(sent(&lost), ["check", "freeze", "thaw"]);
    for answer in [
        Err(ShellError::Refused { why: "no agent".to_owned() }),
        said(42, "why too late\n"),
        said(44, "why /srv/db could not be frozen\n"),
    ] {
        let shell = shell([looked(0), answer]);
        let report = prepared(&shell).freeze(NO_LESS, now()).unwrap_err();
        assert!(report.doubt.is_some() && !report.is_left_frozen, "{report:?}");
        assert_eq!(sent(&shell), ["check", "freeze"], "there is nothing to thaw");
    }
    let stuck = shell([looked(0), said(45, "why still frozen: /srv/db\n"), said(49, "why still frozen: /srv/db\n")]);
    assert!(prepared(&stuck).freeze(NO_LESS, now()).unwrap_err().is_left_frozen);
}

#[test]
fn a_hold_that_is_dropped_is_thawed() {
    let shell = shell([looked(0), said(0, "frozen 90 100 103\n"), said(0, "thawed 1 2 3\n")]);
    drop(prepared(&shell).freeze(NO_LESS, now()).unwrap());
    let until = Moment::now() + Duration::from_secs(30);
    while sent(&shell).len() < 3 {
        assert!(Moment::now() < until, "nobody thawed");
        std::thread::yield_now();
    }
    assert_eq!(sent(&shell)[2], "thaw");
}

#[test]
fn what_cannot_be_held_still_is_refused_before_anything_freezes() {
    let refusal = |plan: RemotePlan, answer: Answered| {
        let shell = shell([answer]);
        RemoteHolder::prepare(shell as Arc<dyn Shell>, plan, now()).unwrap_err().to_string()
    };
    let refused = refusal(plan(), said(41, "why refused /srv/db protected by /var\n"));
    assert!(refused.contains("protected by /var"), "{refused}");
    assert!(refusal(plan(), looked(301)).contains("clock"));
    let no_guard = Ok(ShellOutput { exit_code: 127, stdout: "sh: not found".to_owned() });
    assert!(refusal(plan(), no_guard).contains("127"));
    let slow = RemotePlan { budget: Duration::from_secs(1), ..plan() };
    let refused = refusal(slow, looked(0));
    assert!(refused.contains("make `budget` at least"), "{refused}");
}

#[test]
fn data_that_is_elsewhere_there_is_named_and_what_is_missing_is_not_known() {
    let place = |what, path: &str| DataPlace { what, path: path.into() };
    let data = vec![place("the data", "/srv/db"), place("the log", "/log")];
    let held = |lines: &str| {
        let answer = said(0, &format!("mount 1 8:16 xfs rw\n{lines}clock {}\n", now().as_second()));
        let plan = RemotePlan { data: data.clone(), ..plan() };
        RemoteHolder::prepare(shell([answer]) as Arc<dyn Shell>, plan, now()).unwrap().data().clone()
    };
    assert_eq!(held("data 1 held\ndata 2 held\n"), DataHeld::Yes);
    let DataHeld::No(outside) = held("data 1 missing\ndata 2 outside /mnt\n") else { panic!("it is elsewhere") };
    assert!(outside[0].to_string().starts_with("the log is in `/log`, which is on `/mnt`: add"), "{outside:?}");
    assert!(matches!(held("data 1 held\ndata 2 missing\n"), DataHeld::Unknown(why) if why.contains("`/log`")));
    assert!(matches!(held(""), DataHeld::Unknown(_)), "no guard that says nothing is believed");
}

#[test]
fn data_of_another_server_than_the_one_that_is_locked_is_told_from_what_is_not_known() {
    let data = vec![DataPlace { what: "the data", path: "/srv/db".into() }];
    let held = |link: Link, lines: &str| {
        let answer = said(0, &format!("mount 1 8:16 xfs rw\n{lines}clock {}\n", now().as_second()));
        let plan = RemotePlan { data: data.clone(), link: Some(link), ..plan() };
        RemoteHolder::prepare(shell([answer]) as Arc<dyn Shell>, plan, now()).unwrap().data().clone()
    };
    let tcp = |is_told| Link::Tcp { clients: vec!["10.0.3.9:51234".parse().unwrap()], is_told };
    let is_unknown = |held: DataHeld, word: &str| matches!(held, DataHeld::Unknown(why) if why.contains(word));
    for is_told in [true, false] {
        assert_eq!(held(tcp(is_told), "data 1 held\nserver ours\n"), DataHeld::Yes);
        assert!(is_unknown(held(tcp(is_told), "data 1 held\nserver unknown there is no grep\n"), "there is no grep"));
        assert!(
            is_unknown(held(tcp(is_told), "data 1 held\n"), "did not say"),
            "no guard that says nothing is believed"
        );
        assert!(is_unknown(held(tcp(is_told), "data 1 missing\nserver ours\n"), "no such directory"));
    }
    assert_eq!(held(tcp(true), "data 1 held\nserver another\n"), DataHeld::OfAnother("/srv/db".into()));
    assert!(is_unknown(held(tcp(false), "data 1 held\nserver another\n"), "how the server sees this host"));
    assert!(is_unknown(held(Link::Untold("a pooler".to_owned()), "data 1 held\nserver ours\n"), "a pooler"));
}

#[test]
fn a_budget_that_a_lock_has_used_up_is_not_spent_on_a_freeze() {
    let shell = shell([looked(0)]);
    let report = prepared(&shell).freeze(Duration::from_secs(1), now()).unwrap_err();
    assert!(report.doubt.as_ref().unwrap().contains("cannot be had in the budget of 1000 ms"), "{report:?}");
    assert!(!report.is_left_frozen);
    assert_eq!(sent(&shell), ["check"]);
}
