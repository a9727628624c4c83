//! When retention is applied, and the next step of every deletion.

use super::*;
use crate::policy::AccountRules;
use crate::prune::{DELETION_FRESH_FOR, DeletionState, LeftSnapshot};

/// Pruned at half past every hour, last at half past one. It is half past two.
fn due() -> World {
    let mut world = World::new();
    world.policy_set.prune_schedule = Schedule::parse("30 * * * *", "UTC").unwrap();
    world.prune_cursors.insert(account(), at("2026-11-22T01:30:00Z"));
    world.now = at("2026-11-22T02:30:00Z");
    world
}

/// A second account, in which nothing fires.
fn with_second(mut world: World, view: AccountView) -> World {
    let name: AccountName = "second".parse().unwrap();
    let rules = AccountRules { expected_id: None, ..world.policy_set.accounts[&account()].clone() };
    world.policy_set.accounts.insert(name.clone(), rules);
    world.accounts.insert(name.clone(), view);
    world.prune_cursors.insert(name, at("2026-11-22T01:30:00Z"));
    world
}

fn known_view() -> AccountView {
    AccountView { id: Some("999988887777".parse().unwrap()), ..AccountView::default() }
}

fn deletion_id(n: u32) -> DeletionId {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    DeletionId::new(at("2026-11-22T01:30:00Z"), random)
}

fn deletion(n: u32, state: DeletionState) -> Deletion {
    Deletion {
        id: deletion_id(n),
        image: Some(format!("ami-{n:017}").parse().unwrap()),
        job: job_id(1),
        policy: name(),
        account: account_id(),
        account_name: account(),
        region: "eu-central-1".parse().unwrap(),
        instance: instance(1).id,
        snapshots: Vec::new(),
        reason: "no rule keeps it".to_owned(),
        planned_at: at("2026-11-22T02:00:00Z"),
        attempts: 0,
        state,
    }
}

fn planned() -> DeletionState {
    DeletionState::Planned { retry_at: None }
}

fn snapshots_left(retry_at: &str) -> DeletionState {
    let left = vec![LeftSnapshot { snapshot: "snap-00000000000000001".parse().unwrap(), error: None }];
    DeletionState::SnapshotsLeft { left, retry_at: at(retry_at) }
}

/// At the time of the ordinary world, in which no prune is due.
fn deleting(deletions: impl IntoIterator<Item = Deletion>) -> World {
    let mut world = World::new();
    world.deletions = deletions.into_iter().map(|deletion| (deletion.id, deletion)).collect();
    world
}

#[test]
fn a_prune_is_due_at_its_time_and_once() {
    let mut world = due();
    assert_eq!(world.actions(), ["prune default to 2026-11-22T02:30:00Z"]);
    world.now = at("2026-11-22T02:29:59Z");
    let plan = world.plan();
    assert!(plan.actions.is_empty());
    assert_eq!(plan.wake_at, Some(at("2026-11-22T02:30:00Z")));
    world.now = at("2026-11-22T02:30:00Z");
    world.prune_cursors.insert(account(), world.now);
    let plan = world.plan();
    assert!(plan.actions.is_empty());
    assert_eq!(plan.wake_at, Some(at("2026-11-22T03:30:00Z")));
}

#[test]
fn of_several_prunes_that_were_missed_one_is_made_up_for() {
    let mut world = due();
    world.prune_cursors.insert(account(), at("2026-11-18T01:30:00Z"));
    world.now = at("2026-11-22T02:45:00Z");
    assert_eq!(world.actions(), ["prune default to 2026-11-22T02:30:00Z"]);
}

#[test]
fn an_account_that_was_never_pruned_is_due_at_the_first_time_after_the_start() {
    let mut world = due();
    world.prune_cursors.clear();
    world.started_at = at("2026-11-22T02:10:00Z");
    world.now = at("2026-11-22T02:29:59Z");
    assert!(world.actions().is_empty());
    world.now = at("2026-11-22T02:30:00Z");
    assert_eq!(world.actions(), ["prune default to 2026-11-22T02:30:00Z"]);
}

#[test]
fn a_clock_that_was_set_back_a_little_waits_and_a_cursor_far_ahead_is_put_back() {
    let mut world = due();
    world.prune_cursors.insert(account(), at("2026-11-22T03:30:00Z"));
    assert!(world.actions().is_empty());
    world.prune_cursors.insert(account(), at("2027-11-22T03:30:00Z"));
    assert_eq!(world.actions(), ["prune default to 2026-11-22T02:30:00Z"]);
}

#[test]
fn there_is_one_prune_at_a_time() {
    let mut world = due();
    world.pruning = true;
    let plan = world.plan();
    assert!(plan.actions.is_empty());
    assert_eq!(plan.wake_at, Some(at("2026-11-22T03:30:00Z")));
}

#[test]
fn all_accounts_that_are_due_are_pruned_together() {
    let mut world = with_second(due(), known_view());
    assert_eq!(world.actions(), ["prune default to 2026-11-22T02:30:00Z, second to 2026-11-22T02:30:00Z"]);
    world.prune_cursors.insert(account(), world.now);
    assert_eq!(world.actions(), ["prune second to 2026-11-22T02:30:00Z"]);
}

#[test]
fn a_prune_waits_for_an_account_that_has_not_been_asked_yet() {
    let world = with_second(due(), AccountView::default());
    assert_eq!(world.actions(), ["identity second"]);
    let asked = AccountView { reading: [Reading::Identity].into(), ..AccountView::default() };
    assert!(with_second(due(), asked).actions().is_empty());
}

#[test]
fn an_account_whose_credentials_do_not_work_stops_no_other() {
    let denied = AccountView {
        last_error: Some("denied".to_owned()),
        retry_at: Some(at("2026-11-22T02:31:00Z")),
        ..AccountView::default()
    };
    let world = with_second(due(), denied);
    assert_eq!(world.actions(), ["prune default to 2026-11-22T02:30:00Z"]);
    assert_eq!(world.plan().wake_at, Some(at("2026-11-22T02:31:00Z")), "it is asked again by its own backoff");
}

#[test]
fn an_account_that_answers_with_errors_is_pruned_when_it_may_be_asked_again() {
    let mut world = due();
    world.view().retry_at = Some(at("2026-11-22T02:31:00Z"));
    let plan = world.plan();
    assert!(plan.actions.is_empty());
    assert_eq!(plan.wake_at, Some(at("2026-11-22T02:31:00Z")));
    world.now = at("2026-11-22T02:31:00Z");
    assert_eq!(world.actions(), ["prune default to 2026-11-22T02:30:00Z"]);
}

#[test]
fn an_account_whose_prune_failed_is_pruned_by_a_backoff_of_its_own() {
    let mut world = due();
    world.view().prune_retry_at = Some(at("2026-11-22T02:31:00Z"));
    let plan = world.plan();
    assert_eq!((plan.actions.len(), plan.wake_at), (0, Some(at("2026-11-22T02:31:00Z"))));
    // Deletions that were decided before, and all else, do not wait for it.
    world.deletions.insert(deletion_id(1), deletion(1, planned()));
    assert_eq!(world.actions(), ["retire 1 in default"]);
    world.deletions.clear();
    world.now = at("2026-11-22T02:31:00Z");
    assert_eq!(world.actions(), ["prune default to 2026-11-22T02:30:00Z"]);
}

#[test]
fn a_command_without_a_daemon_prunes_nothing_by_the_schedule() {
    let mut world = due();
    world.scope = Scope::Requests([request()].into());
    assert!(world.actions().is_empty());
}

#[test]
fn a_settled_world_prunes_nothing_and_wakes_for_the_next_prune() {
    let mut world = due();
    world.prune_cursors.insert(account(), world.now);
    for (n, state) in (1..).zip([
        DeletionState::Done { finished_at: world.now },
        DeletionState::Withdrawn { reason: "pinned".to_owned(), finished_at: world.now },
    ]) {
        world.deletions.insert(deletion_id(n), deletion(n, state));
    }
    let plan = world.plan();
    assert!(plan.actions.is_empty() && plan.notes.is_empty(), "{plan:?}");
    assert_eq!(plan.wake_at, Some(at("2026-11-22T03:30:00Z")));
}

#[test]
fn deletions_are_carried_out_account_by_account_and_not_all_at_once() {
    let mut world = deleting((1..=25).map(|n| deletion(n, planned())));
    assert_eq!(world.actions(), ["retire 20 in default"]);
    world = with_second(world, known_view());
    for n in 30..=31 {
        let other = Deletion {
            account: "999988887777".parse().unwrap(),
            account_name: "second".parse().unwrap(),
            ..deletion(n, planned())
        };
        world.deletions.insert(other.id, other);
    }
    world.prune_cursors.values_mut().for_each(|to| *to = at("2026-11-22T02:00:00Z"));
    assert_eq!(world.actions(), ["retire 20 in default", "retire 2 in second"]);
    world.view().reading.insert(Reading::Retiring);
    assert_eq!(world.actions(), ["retire 2 in second"]);
}

#[test]
fn images_and_snapshots_are_separate_calls() {
    let world = deleting([deletion(1, planned()), deletion(2, snapshots_left("2026-11-22T01:59:00Z"))]);
    assert_eq!(world.actions(), ["retire 1 in default", "snapshots of 1 in default"]);
}

#[test]
fn a_deletion_waits_until_its_time() {
    let world = deleting([deletion(1, snapshots_left("2026-11-22T02:05:00Z"))]);
    let plan = world.plan();
    assert!(plan.actions.is_empty());
    assert_eq!(plan.wake_at, Some(at("2026-11-22T02:05:00Z")));
    // A wait of more than a day was computed by a clock that has been set back since.
    let world = deleting([deletion(1, snapshots_left("2026-11-23T02:00:01Z"))]);
    assert_eq!(world.actions(), ["snapshots of 1 in default"]);
}

#[test]
fn a_deletion_that_is_being_worked_on_is_left_alone() {
    let mut world = deleting([deletion(1, planned()), deletion(2, planned())]);
    world.busy_deletions.insert(deletion_id(1));
    assert_eq!(world.actions(), ["retire 1 in default"]);
    world.busy_deletions.insert(deletion_id(2));
    assert!(world.actions().is_empty());
}

#[test]
fn a_deletion_goes_on_whoever_asked_for_it() {
    let mut world = deleting([deletion(1, planned())]);
    world.scope = Scope::Requests(BTreeSet::new());
    assert_eq!(world.actions(), ["retire 1 in default"]);
}

#[test]
fn nothing_is_deleted_in_another_account_or_region_than_the_image_is_in() {
    let moved = |world: &mut World| world.view().id = Some("999988887777".parse().unwrap());
    let region = |world: &mut World| {
        world.policy_set.accounts.get_mut(&account()).unwrap().region = "us-east-1".parse().unwrap();
    };
    let unconfigured = |world: &mut World| world.policy_set.accounts.clear();
    let changes: [&dyn Fn(&mut World); 3] = [&moved, &region, &unconfigured];
    for change in changes {
        let mut world = deleting([deletion(1, planned()), deletion(2, snapshots_left("2026-11-22T01:59:00Z"))]);
        change(&mut world);
        let plan = world.plan();
        assert!(plan.actions.is_empty(), "{:?}", plan.actions);
        assert_eq!(plan.notes.len(), 2);
        assert!(
            plan.notes[0].contains("no account of the configuration is 111122223333 in eu-central-1"),
            "{:?}",
            plan.notes
        );
    }
}

#[test]
fn a_deletion_goes_on_by_another_name_of_its_account() {
    let mut world = deleting([deletion(1, planned())]);
    let name: AccountName = "renamed".parse().unwrap();
    let rules = world.policy_set.accounts.remove(&account()).unwrap();
    world.policy_set.accounts.insert(name.clone(), rules.clone());
    world.accounts.insert(name.clone(), AccountView::default());
    world.policy_set.policies.clear();
    world.cursors = Cursors::default();
    assert_eq!(world.actions(), ["identity renamed"], "it may be the account");
    world.accounts.insert(name.clone(), AccountView { id: Some(account_id()), ..AccountView::default() });
    assert_eq!(world.actions(), ["retire 1 in renamed"]);
    // Where both names stand for it, its own is taken.
    world.policy_set.accounts.insert(account(), rules);
    world.accounts.insert("a-third".parse().unwrap(), world.accounts[&name].clone());
    assert_eq!(world.actions(), ["retire 1 in default"]);
}

#[test]
fn a_decision_is_not_given_up_without_a_look_however_long_its_account_is_gone() {
    let mut world = deleting([deletion(1, planned()), deletion(2, snapshots_left("2026-11-22T01:59:00Z"))]);
    world.now = at("2026-11-22T02:00:00Z") + DELETION_FRESH_FOR * 50;
    *world.view() = AccountView::default();
    assert_eq!(world.actions(), ["identity default"], "nobody has asked yet whose credentials these are");
    world.policy_set.accounts.clear();
    let actions = world.actions();
    assert!(!actions.iter().any(|it| it.contains("delet") || it.contains("retire")), "{actions:?}");
    let waits = world.plan().notes.into_iter().filter(|note| note.contains("the deletion of")).count();
    assert_eq!(waits, 2, "both wait for their account to come back");
}

#[test]
fn deletions_of_an_account_that_has_not_answered_yet_ask_it() {
    let mut world = deleting([deletion(1, planned())]);
    *world.view() = AccountView::default();
    assert_eq!(world.actions(), ["identity default"]);
}
