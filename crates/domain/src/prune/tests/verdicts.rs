//! What becomes of images, guard by guard.

use expect_test::expect;

use super::*;

#[test]
fn what_no_rule_keeps_goes_with_its_reason() {
    expect![[r#"
        #22 keep: last 1/2
        #21 keep: last 2/2
        #20 delete: no rule keeps it
        #19 delete: no rule keeps it
    "#]]
    .assert_eq(&World::new("last=2").with_nights(4).table());
}

#[test]
fn what_somebody_wants_or_uses_stays() {
    let mut world = World::new("last=1").with_nights(6);
    world.listed(21).tags.insert(tags::PIN.to_owned(), String::new());
    world.uses.insert(image_id(20), Usage::InUse { by: vec!["i-0a".to_owned(), "lt-0b".to_owned()] });
    world.uses.insert(image_id(19), Usage::Unknown { why: "denied".to_owned() });
    world.row(22).grade = Some(Grade::Crash);
    world.row(21).grade = Some(Grade::Crash);
    world.row(20).grade = None;
    world.row(19).grade = None;
    expect![[r#"
        #22 keep: last 1/1
        #21 held: pinned
        #20 held: in-use (i-0a, lt-0b)
        #19 held: in-use-unknown (denied)
        #18 held: newest-of-grade
        #17 delete: no rule keeps it
    "#]]
    .assert_eq(&world.table());
}

/// The row may still say that it is pinned, or that it is not: EC2's answer is younger.
#[test]
fn a_pin_is_read_from_ec2_and_from_the_ledger_only_where_ec2_has_no_image_any_more() {
    let mut world = World::new("last=1").with_nights(2);
    world.row(21).pinned = true;
    assert_eq!(world.goes(), [21]);
    world.deregister(21);
    world.now = at("2027-11-22T02:30:00Z");
    assert_eq!(world.held_by(21), "held: pinned");
}

#[test]
fn what_was_not_asked_about_counts_as_in_use() {
    let world = World::new("last=1").with_nights(3);
    let plan = world.plan_with(Some(&BTreeMap::new()));
    let lines: Vec<String> = plan.images.iter().map(verdict).collect();
    let unasked = "held: in-use-unknown (it was not asked)";
    assert_eq!(lines, ["keep: last 1/1", unasked, unasked]);
}

#[test]
fn only_what_would_go_is_asked_about() {
    let mut world = World::new("last=1").with_nights(5);
    world.listed(21).tags.insert(tags::PIN.to_owned(), String::new());
    world.listed(20).tags.clear();
    world.deregister(19);
    world.now = at("2026-12-22T02:30:00Z");
    assert_eq!(world.answers().keys().map(number).collect::<Vec<_>>(), [18]);
    assert_eq!(world.goes(), [18, 19], "nothing can be launched from an image that EC2 does not have");
}

#[test]
fn of_a_policy_that_is_gone_nothing_goes() {
    let mut world = World::new("last=1").with_nights(2);
    world.policy_set.policies.clear();
    expect![[r#"
        #22 held: policy-gone
        #21 held: policy-gone
    "#]]
    .assert_eq(&world.table());
}

#[test]
fn of_a_policy_that_no_longer_covers_the_account_nothing_goes() {
    let mut world = World::new("last=1").with_nights(2);
    world.policy().accounts = vec!["other".parse().unwrap()];
    assert_eq!(world.held_by(21), "held: policy-gone");
}

#[test]
fn where_an_accounts_name_stands_for_another_account_now_nothing_goes() {
    let mut world = World::new("last=1").with_nights(2);
    world.account_ids.insert(account_name(), "999988887777".parse().unwrap());
    assert_eq!(world.held_by(21), "held: policy-gone");
    world.account_ids.clear();
    assert_eq!(world.held_by(21), "held: policy-gone");
}

#[test]
fn a_policy_that_is_disabled_is_pruned_as_before() {
    let mut world = World::new("last=1").with_nights(2);
    world.policy().enabled = crate::policy::Enabled::No;
    assert_eq!(world.goes(), [21]);
}

#[test]
fn what_is_paused_is_not_deleted() {
    let mut world = World::new("last=1").with_nights(2);
    for (scope, held) in [
        (PauseScope::All, "held: paused (all policies paused)"),
        (PauseScope::Policy(name("nightly")), "held: paused (policy nightly paused)"),
        (PauseScope::Instance(instance_id(1)), "held: paused (instance i-00000000000000001 paused)"),
    ] {
        world.pauses = vec![pause(scope)];
        assert_eq!(world.held_by(21), held);
    }
    for scope in [PauseScope::Policy(name("weekly")), PauseScope::Instance(instance_id(2))] {
        world.pauses = vec![pause(scope)];
        assert_eq!(world.goes(), [21]);
    }
    world.pauses = vec![Pause { until: Some(world.now), ..pause(PauseScope::All) }];
    assert_eq!(world.goes(), [21], "a pause that has ended holds nothing");
}

#[test]
fn a_clock_that_makes_no_sense_deletes_nothing() {
    let mut world = World::new("last=1").with_nights(2);
    world.clock = Clock::Unsound { why: "EC2 says 2026".to_owned() };
    assert_eq!(world.held_by(21), "held: clock (EC2 says 2026)");
}

/// Also if nobody notices that it is: no count rule looks at the clock, and `within` is measured from the newest image.
#[test]
fn a_clock_a_year_ahead_deletes_nothing_more() {
    for keep in ["last=3", "daily=2", "within=48h", "within_weekly=90d", "hourly=1,monthly=12"] {
        let mut world = World::new(keep).with_nights(20);
        let today = world.goes();
        world.now = at("2027-11-22T02:30:00Z");
        assert_eq!(world.goes(), today, "{keep}");
    }
}

#[test]
fn an_image_from_the_future_stops_its_series() {
    let mut world = World::new("last=1").with_nights(3);
    world.now = at("2026-11-22T01:00:00Z");
    expect![[r#"
        #22 held: from-the-future
        #21 keep: last 1/1
        #20 held: future-in-series (ami-00000000000000022)
    "#]]
    .assert_eq(&world.table());
}

#[test]
fn an_image_without_a_time_in_the_ledger_has_that_of_ec2() {
    let mut world = World::new("last=1").with_nights(3);
    world.row(22).captured_at = None;
    world.listed(22).created_at = Some(at("2026-11-01T00:00:00Z"));
    assert_eq!(world.goes(), [20, 22]);
}

#[test]
fn what_is_not_finished_is_left_alone_and_does_not_count() {
    let mut world = World::new("last=2").with_nights(5);
    // The image of 22 is being made, that of 21 is not graded yet, and 20 is only not written down as available.
    world.row(22).state = KnownState::Pending;
    world.listed(22).state = ListedState::Pending;
    world.open_jobs = [job_of_image(22), job_of_image(21)].into();
    world.row(21).counts = false;
    world.row(20).state = KnownState::Pending;
    expect![[r#"
        #20 keep: last 1/2
        #19 keep: last 2/2
        #18 delete: no rule keeps it
        #22 held: unfinished
        #21 held: unfinished
    "#]]
    .assert_eq(&world.table());
}

#[test]
fn what_is_being_deleted_counts_no_more_and_is_not_deleted_twice() {
    let mut world = World::new("last=2").with_nights(4);
    world.row(22).state = KnownState::Going;
    world.row(19).state = KnownState::Going;
    expect![[r#"
        #21 keep: last 1/2
        #20 keep: last 2/2
        #19 delete: its deletion is under way
        #22 delete: its deletion is under way
    "#]]
    .assert_eq(&world.table());
    assert!(world.goes().is_empty());
}

#[test]
fn a_disabled_image_is_left_alone_and_does_not_count() {
    let mut world = World::new("last=1").with_nights(3);
    world.listed(22).state = ListedState::Disabled;
    expect![[r#"
        #21 keep: last 1/1
        #20 delete: no rule keeps it
        #22 held: not-proved (somebody has disabled it)
    "#]]
    .assert_eq(&world.table());
}

#[test]
fn failed_images_go_once_a_newer_one_has_succeeded() {
    let mut world = World::new("last=1").with_nights(5);
    world.row(22).counts = false;
    for n in [22, 20, 19] {
        world.row(n).counts = false;
        world.row(n).state = KnownState::Failed;
    }
    // EC2 reports 20 as failed; 19 came after all, and its job had given up; 22 has no newer image.
    world.listed(20).state = ListedState::Failed;
    expect![[r#"
        #21 keep: last 1/1
        #18 delete: no rule keeps it
        #22 held: no-newer-success
        #20 delete: it failed, and ami-00000000000000021 is newer and succeeded
        #19 delete: it failed, and ami-00000000000000021 is newer and succeeded
    "#]]
    .assert_eq(&world.table());
}

#[test]
fn a_failed_image_that_ec2_has_forgotten_leaves_its_snapshots_to_be_deleted() {
    let mut world = World::new("last=1").with_nights(2);
    let row = world.row(21);
    (row.counts, row.state, row.snapshots) = (false, KnownState::Failed, Vec::new());
    world.deregister(21);
    assert_eq!(world.snapshots_that_go_with(21), [snapshot_id(21)], "the snapshot itself says what it was made for");
}

#[test]
fn what_ec2_reports_as_failed_counts_no_more() {
    let mut world = World::new("last=1").with_nights(3);
    world.listed(22).state = ListedState::Failed;
    assert_eq!(world.goes(), [20]);
    assert_eq!(world.held_by(22), "held: no-newer-success");
}

#[test]
fn the_snapshots_of_an_image_that_somebody_deregistered_are_left_for_a_week() {
    let mut world = World::new("last=1").with_nights(3);
    world.deregister(21);
    world.row(21).state = KnownState::Missing;
    world.row(21).last_seen_at = at("2026-11-22T01:30:00Z");
    world.row(21).missing_since = Some(at("2026-11-22T01:30:00Z"));
    assert_eq!(world.held_by(21), "held: missing (until 2026-11-29T01:30:00Z)");
    world.now = at("2026-11-29T01:29:59Z");
    assert_eq!(world.held_by(21), "held: missing (until 2026-11-29T01:30:00Z)");
    world.now = at("2026-11-29T01:30:00Z");
    assert_eq!(world.snapshots_that_go_with(21), [snapshot_id(21)]);
    expect![[r#"
        #22 keep: last 1/1
        #20 delete: no rule keeps it
        #21 delete: somebody else deregistered it after 2026-11-22T01:30:00Z, and its snapshots are left
    "#]]
    .assert_eq(&world.table());
}

#[test]
fn the_snapshots_of_the_newest_image_are_left_until_a_newer_one_has_succeeded() {
    let mut world = World::new("last=1").with_nights(3);
    world.deregister(22);
    world.now = at("2027-11-22T02:30:00Z");
    assert_eq!(world.held_by(22), "held: no-newer-success");
    assert_eq!(world.goes(), [20], "the next one is the newest now");
}

/// The daemon was down for a month, and sees only now that an image is gone.
#[test]
fn the_week_of_an_absence_begins_when_it_is_first_noticed() {
    let mut world = World::new("last=1").with_nights(3);
    world.deregister(21);
    world.row(21).missing_since = None;
    world.now = at("2026-12-22T02:30:00Z");
    assert_eq!(world.held_by(21), "held: missing (until 2026-12-29T02:30:00Z)");
}

#[test]
fn an_image_that_was_restored_counts_again() {
    let mut world = World::new("last=2").with_nights(3);
    world.row(22).state = KnownState::Missing;
    assert_eq!(world.goes(), [20]);
}

/// Two volumes, and the operator wants to have the data of one of them.
#[test]
fn a_pinned_snapshot_holds_its_image() {
    let mut world = World::new("last=1").with_nights(3);
    let snapshot = world.listing.snapshots.get_mut(&snapshot_id(21)).unwrap();
    snapshot.tags.insert(tags::PIN.to_owned(), String::new());
    assert_eq!(world.held_by(21), "held: pinned");
    world.deregister(21);
    world.now = at("2027-11-22T02:30:00Z");
    assert_eq!(world.held_by(21), "held: pinned");
}

#[test]
fn a_keep_that_was_edited_to_almost_nothing_stops_at_max_deletes() {
    let mut world = World::new("last=1").with_nights(22);
    world.policy().max_deletes = Some(10);
    assert!(world.goes().is_empty());
    assert_eq!(world.held_by(5), "held: max-deletes");
    let over = world.plan().over_limit;
    assert_eq!(over.len(), 1);
    assert_eq!(over[0].1.to_string(), "21 would be deleted after 0 in the last 24 hours, and max_deletes is 10");
    world.policy().max_deletes = Some(21);
    assert_eq!(world.goes().len(), 21, "as many as the limit go");
    world.day_counts.insert(name("nightly"), DayCounts { deleted: 1, succeeded: 0 });
    assert!(world.goes().is_empty(), "what went today counts");
}

#[test]
fn without_a_max_deletes_it_is_twenty_and_two_for_each_success() {
    let mut world = World::new("last=1").with_nights(22);
    assert!(world.goes().is_empty());
    world.day_counts.insert(name("nightly"), DayCounts { deleted: 1, succeeded: 1 });
    assert_eq!(world.goes().len(), 21);
}

#[test]
fn what_an_operator_released_goes_and_the_rest_is_counted_alone() {
    let mut world = World::new("last=1").with_nights(10);
    world.policy().max_deletes = Some(0);
    world.released.images = [image_id(14), image_id(15), image_id(22)].into();
    assert_eq!(world.goes(), [14, 15], "a release takes no other guard or rule away");
    world.listed(15).tags.insert(tags::PIN.to_owned(), String::new());
    assert_eq!(world.goes(), [14]);
    world.policy().max_deletes = Some(7);
    assert_eq!(world.goes().len(), 8);
}

#[test]
fn a_limit_of_one_policy_is_not_used_up_by_another() {
    let mut world = World::new("last=1").with_nights(3);
    let weekly = Policy { max_deletes: Some(0), keep: "last=1".parse().unwrap(), ..policy("weekly") };
    world.policy_set.policies.insert(weekly.name.clone(), weekly);
    for n in 1..=3 {
        world.add(image_of(n, at(&format!("2026-11-0{n}T02:00:05Z")), &name("weekly"), &instance_id(1)));
    }
    assert_eq!(world.goes(), [20, 21]);
    assert_eq!(world.held_by(1), "held: max-deletes");
    assert_eq!(world.held_by(2), "held: max-deletes");
}

#[test]
fn a_prune_of_one_policy_looks_at_no_other() {
    let mut world = World::new("last=1").with_nights(2);
    world.add(image_of(1, at("2026-11-01T02:00:05Z"), &name("weekly"), &instance_id(1)));
    world.only = Some(name("nightly"));
    let plan = world.plan_with(None);
    assert_eq!(plan.images.iter().map(|it| number(&it.known.image)).collect::<Vec<_>>(), [22, 21]);
    assert!(plan.unknown.is_empty());
}

#[test]
fn each_series_is_planned_alone() {
    let mut world = World::new("last=1").with_nights(2);
    world.add(image_of(1, at("2026-11-01T02:00:05Z"), &name("nightly"), &instance_id(2)));
    assert_eq!(world.goes(), [21], "the only image of an instance is its newest");
}

/// What satisfied it is not known any more, so nothing less than the most that a class can ask for is enough.
#[test]
fn of_a_class_that_is_gone_the_newest_clean_image_is_held() {
    let mut world = World::new("last=1").with_nights(4);
    for (n, grade) in [(22, Grade::Crash), (21, Grade::Application), (20, Grade::Clean), (19, Grade::Offline)] {
        let row = world.row(n);
        (row.class, row.grade) = ("forgotten".parse().unwrap(), Some(grade));
    }
    assert_eq!(world.goes(), [19, 21]);
    assert_eq!(world.held_by(20), "held: newest-of-grade");
}
