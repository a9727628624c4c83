//! The life of a deletion: every state and every event.

use expect_test::expect;

use super::*;
use crate::decision::JobError;

/// The deletion of the image of a row, just decided.
pub(super) fn planned(row: &KnownImage) -> Deletion {
    Deletion {
        id: "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10".parse().unwrap(),
        image: Some(row.image.clone()),
        job: row.job,
        policy: row.policy.clone(),
        account: row.account.clone(),
        account_name: row.account_name.clone(),
        region: row.region.clone(),
        instance: row.instance.clone(),
        snapshots: row.snapshots.clone(),
        reason: "no rule keeps it".to_owned(),
        planned_at: at("2026-11-22T02:30:00Z"),
        attempts: 0,
        state: DeletionState::Planned { retry_at: None },
    }
}

fn deletion(state: DeletionState) -> Deletion {
    Deletion { state, ..planned(&image(18, at("2026-11-18T02:00:05Z")).known) }
}

fn error(message: &str) -> JobError {
    JobError::new("InvalidSnapshot.InUse", message, "wait")
}

fn left(error: Option<JobError>) -> Vec<LeftSnapshot> {
    vec![LeftSnapshot { snapshot: snapshot_id(18), error }]
}

const RETRY_AT: &str = "2026-11-22T02:40:00Z";

fn states() -> Vec<DeletionState> {
    let finished_at = at("2026-11-22T02:31:00Z");
    vec![
        DeletionState::Planned { retry_at: None },
        DeletionState::SnapshotsLeft { left: left(None), retry_at: at("2026-11-22T02:32:00Z") },
        DeletionState::Done { finished_at },
        DeletionState::Refused { error: error("denied"), finished_at },
        DeletionState::Withdrawn { reason: "pinned".to_owned(), finished_at },
    ]
}

fn events() -> Vec<DeletionEvent> {
    let retry_at = at(RETRY_AT);
    vec![
        DeletionEvent::Deferred { retry_at, reason: "throttled".to_owned() },
        DeletionEvent::Deregistered { left: left(None), retry_at },
        DeletionEvent::Deregistered { left: Vec::new(), retry_at },
        DeletionEvent::SnapshotsChecked { left: left(Some(error("in use by ami-1"))), retry_at },
        DeletionEvent::SnapshotsChecked { left: Vec::new(), retry_at },
        DeletionEvent::Refused(error("denied")),
        DeletionEvent::Withdrawn { reason: "it was pinned".to_owned() },
    ]
}

#[test]
fn every_event_in_every_state_is_decided() {
    let at = at("2026-11-22T02:35:00Z");
    let rows = events().into_iter().map(|event| {
        let cells = states().into_iter().filter_map(|state| {
            let from = state.name();
            let next = deletion(state).apply(&event, at).ok()?;
            assert_eq!(next.attempts, 1);
            assert_eq!(next.due_at().is_none(), next.state.name().is_terminal());
            let due = next.due_at().map_or(String::new(), |due_at| format!(" at {due_at:.0}"));
            Some(format!("{from} -> {}{due}", next.state.name()))
        });
        let cells: Vec<String> = cells.collect();
        format!("{:18} ({}): {}\n", event.as_str(), event.detail(), cells.join(", "))
    });
    expect![[r#"
        deletion-deferred  (throttled; again at 2026-11-22T02:40:00Z): planned -> planned at 2026-11-22T02:40:00Z, snapshots-left -> snapshots-left at 2026-11-22T02:40:00Z
        deregistered       (snap-00000000000000018 is to be seen gone): planned -> snapshots-left at 2026-11-22T02:40:00Z
        deregistered       (it had no snapshot left): planned -> done
        snapshots-left     (snap-00000000000000018: InvalidSnapshot.InUse: in use by ami-1): snapshots-left -> snapshots-left at 2026-11-22T02:40:00Z
        deleted            (nothing of it is left): snapshots-left -> done
        deletion-refused   (InvalidSnapshot.InUse: denied): planned -> refused
        deletion-withdrawn (it was pinned): planned -> withdrawn
    "#]]
    .assert_eq(&rows.collect::<String>());
}

#[test]
fn an_illegal_event_names_state_and_event() {
    let event = DeletionEvent::Withdrawn { reason: "late".to_owned() };
    let state = DeletionState::SnapshotsLeft { left: left(None), retry_at: at(RETRY_AT) };
    let error = deletion(state).apply(&event, at(RETRY_AT)).unwrap_err();
    assert_eq!(error.to_string(), "`deletion-withdrawn` cannot follow `snapshots-left`");
}

#[test]
fn snapshots_without_an_image_can_be_let_alone_as_long_as_any_is_there() {
    let event = DeletionEvent::Withdrawn { reason: "pinned".to_owned() };
    let state = DeletionState::SnapshotsLeft { left: left(None), retry_at: at(RETRY_AT) };
    let withdrawn = Deletion { image: None, ..deletion(state) }.apply(&event, at(RETRY_AT)).unwrap();
    assert_eq!(withdrawn.state.name(), DeletionStateName::Withdrawn);
}

#[test]
fn a_deletion_is_due_at_once_and_then_when_it_says() {
    let due = states().into_iter().map(|state| (state.name(), deletion(state).due_at().map(|it| it.to_string())));
    let due: Vec<_> = due.map(|(name, at)| format!("{name}: {}", at.unwrap_or("never".to_owned()))).collect();
    assert_eq!(
        due,
        [
            "planned: 2026-11-22T02:30:00Z",
            "snapshots-left: 2026-11-22T02:32:00Z",
            "done: never",
            "refused: never",
            "withdrawn: never"
        ]
    );
}

#[test]
fn a_deferral_keeps_what_is_left() {
    let before = states().swap_remove(1);
    let deferred = DeletionEvent::Deferred { retry_at: at(RETRY_AT), reason: "throttled".to_owned() };
    let after = deletion(before).apply(&deferred, at(RETRY_AT)).unwrap();
    assert_eq!(after.state, DeletionState::SnapshotsLeft { left: left(None), retry_at: at(RETRY_AT) });
}

#[test]
fn a_look_that_found_nothing_new_is_not_told_again() {
    let check = |left| DeletionEvent::SnapshotsChecked { left, retry_at: at(RETRY_AT) };
    let before = |left| DeletionState::SnapshotsLeft { left, retry_at: at(RETRY_AT) };
    let in_use = || left(Some(error("in use")));
    assert!(!check(left(None)).is_notable(&before(left(None))));
    assert!(!check(in_use()).is_notable(&before(in_use())));
    assert!(check(in_use()).is_notable(&before(left(None))), "now it is known why");
    assert!(check(Vec::new()).is_notable(&before(in_use())), "it is over");
    let planned = DeletionState::Planned { retry_at: None };
    assert!(events().iter().all(|event| event.is_notable(&planned)));
}

/// EC2 puts another text into every refusal ("Encoded authorization failure message: ...").
#[test]
fn the_same_refusal_in_other_words_is_not_told_again() {
    let before = DeletionState::SnapshotsLeft { left: left(Some(error("request 1"))), retry_at: at(RETRY_AT) };
    let checked = DeletionEvent::SnapshotsChecked { left: left(Some(error("request 2"))), retry_at: at(RETRY_AT) };
    assert!(!checked.is_notable(&before));
    let other = JobError { code: "UnauthorizedOperation".to_owned(), ..error("request 3") };
    let other = DeletionEvent::SnapshotsChecked { left: left(Some(other)), retry_at: at(RETRY_AT) };
    assert!(other.is_notable(&before));
}

#[test]
fn snapshots_without_an_image_go_at_the_first_step() {
    let now = at("2026-11-22T02:31:00Z");
    let checked = DeletionEvent::SnapshotsChecked { left: Vec::new(), retry_at: now };
    let alone = Deletion { image: None, ..deletion(DeletionState::Planned { retry_at: None }) };
    assert_eq!(alone.clone().apply(&checked, now).unwrap().state, DeletionState::Done { finished_at: now });
    assert_eq!(alone.what(), snapshot_id(18).to_string());
    // An image is deregistered first: EC2 deletes no snapshot that it uses.
    assert!(deletion(DeletionState::Planned { retry_at: None }).apply(&checked, now).is_err());
}
