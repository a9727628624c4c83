//! What is planned, and when.

mod limits;
mod pauses;
mod prunes;
mod taken;

use std::collections::BTreeMap;

use super::*;
use crate::decision::SkipReason;
use crate::fire::Planned;
use crate::fixture::{account_id, at, instance, job, job_id, minutes, policy, policy_set};
use crate::instance::InstanceState;
use crate::job::{Capturing, Finished, JobState, OfflineProof, Pending, StateName};
use crate::policy::Enabled;
use crate::schedule::Schedule;

/// Everything a plan depends on, at 02:00 on 22 November 2026: one policy, no jobs, a fresh listing of three instances.
struct World {
    now: Timestamp,
    policy_set: PolicySet,
    cursors: Cursors,
    jobs: OpenJobs,
    busy: BTreeSet<JobId>,
    accounts: BTreeMap<AccountName, AccountView>,
    pauses: Vec<Pause>,
    prune_cursors: BTreeMap<AccountName, Timestamp>,
    started_at: Timestamp,
    deletions: BTreeMap<DeletionId, Deletion>,
    busy_deletions: BTreeSet<DeletionId>,
    pruning: bool,
    jobs_max: usize,
    scope: Scope,
}

fn account() -> AccountName {
    "default".parse().unwrap()
}

fn name() -> PolicyName {
    "nightly".parse().unwrap()
}

impl World {
    fn new() -> Self {
        let policy = policy("nightly");
        let cursor = Cursor {
            policy: name(),
            account: account(),
            fingerprint: policy.schedule.fingerprint().to_owned(),
            planned_to: at("2026-11-22T02:00:00Z"),
            enabled: Enabled::Yes,
        };
        let now = at("2026-11-22T02:00:00Z");
        let instances = (1..=3).map(|n| (instance(n).id, instance(n))).collect();
        let view = AccountView {
            id: Some(account_id()),
            inventory: Some(Inventory { at: now, answered_at: now, instances }),
            ..AccountView::default()
        };
        // Pruned once a year, so that it is not in the way of what is tested here.
        let prune_schedule = Schedule::parse("30 3 1 1 *", "UTC").unwrap();
        let policy_set = PolicySet { prune_schedule, ..policy_set(vec![policy]) };
        let cursors = [Planned::new(cursor, &policy_set)].into_iter().collect();
        Self {
            now,
            policy_set,
            cursors,
            jobs: OpenJobs::default(),
            busy: BTreeSet::new(),
            accounts: BTreeMap::from([(account(), view)]),
            pauses: Vec::new(),
            prune_cursors: BTreeMap::from([(account(), now)]),
            started_at: now,
            deletions: BTreeMap::new(),
            busy_deletions: BTreeSet::new(),
            pruning: false,
            jobs_max: 64,
            scope: Scope::Everything,
        }
    }

    /// The fire of 02:00 is not planned yet.
    fn due() -> Self {
        let mut world = Self::new();
        world.change_cursor(|cursor| cursor.planned_to = at("2026-11-21T02:00:00Z"));
        world
    }

    fn change_cursor(&mut self, change: impl FnOnce(&mut Cursor)) {
        let mut cursor = self.cursors.get(&name(), &account()).unwrap().cursor().clone();
        change(&mut cursor);
        self.cursors.insert(Planned::new(cursor, &self.policy_set));
    }

    fn with_job(mut self, n: u8, change: impl FnOnce(&mut Job)) -> Self {
        let mut job = job(n, &self.policy_set.policies[&name()]);
        change(&mut job);
        self.jobs.insert(job);
        self
    }

    fn view(&mut self) -> &mut AccountView {
        self.accounts.get_mut(&account()).unwrap()
    }

    fn plan(&self) -> Plan {
        plan(&PlanInputs {
            now: self.now,
            policy_set: &self.policy_set,
            cursors: &self.cursors,
            jobs: &self.jobs,
            busy: &self.busy,
            accounts: &self.accounts,
            pauses: &self.pauses,
            prune_cursors: &self.prune_cursors,
            started_at: self.started_at,
            deletions: &self.deletions,
            busy_deletions: &self.busy_deletions,
            pruning: self.pruning,
            jobs_max: self.jobs_max,
            scope: &self.scope,
        })
    }

    /// The actions, each as one word and what it is about.
    fn actions(&self) -> Vec<String> {
        self.plan().actions.iter().map(describe).collect()
    }
}

fn describe(action: &Action) -> String {
    match action {
        Action::ObserveIdentity { account } => format!("identity {account}"),
        Action::ObserveInventory { account } => format!("inventory {account}"),
        Action::ObserveInstances { instances, .. } => format!("instances {}", instances.len()),
        Action::RecordCursor { cursor, reason } => format!("cursor {} {reason:?}", cursor.planned_to),
        Action::RecordFire(fire) => {
            format!("fire {:?} matched {}", fire.due.run.map(|it| it.scheduled_at), fire.matched.len())
        }
        Action::RequestImage(request) => format!("request {} {}", request.intent.name, request.intent.mode),
        Action::LookUpNames { jobs, .. } => format!("look up {}", jobs.len()),
        Action::LookUpSets { jobs, .. } => format!("look up sets {}", jobs.len()),
        Action::PollSnapshots { jobs, .. } => format!("poll snapshots {}", jobs.len()),
        Action::RegisterImage { account, .. } => format!("register in {account}"),
        Action::PollImages { jobs, .. } => format!("poll {}", jobs.len()),
        Action::WriteGrades { grade, jobs, .. } => format!("grade {grade} {}", jobs.len()),
        Action::Prune(prune) => {
            let accounts = prune.accounts.iter().map(|(account, to)| match to {
                Some(to) => format!("{account} to {to}"),
                None => account.to_string(),
            });
            format!("prune {}", accounts.collect::<Vec<_>>().join(", "))
        }
        Action::RetireImages { account, deletions } => format!("retire {} in {account}", deletions.len()),
        Action::DeleteSnapshots { account, deletions } => format!("snapshots of {} in {account}", deletions.len()),
        Action::Record { event, .. } => format!("record {}: {}", event.as_str(), event.detail()),
    }
}

fn pending(accepted_at: &str) -> JobState {
    let image = "ami-00000000000000001".parse().unwrap();
    JobState::Pending(Pending {
        image,
        accepted_at: at(accepted_at),
        stalled: false,
        offline: OfflineProof::NotApplicable,
    })
}

#[test]
fn a_due_fire_covers_the_instances_of_a_listing_that_is_no_older() {
    let mut world = World::due();
    assert_eq!(world.actions(), ["fire Some(2026-11-22T02:00:00Z) matched 3"]);
    world.view().inventory.as_mut().unwrap().at = at("2026-11-22T01:59:59Z");
    assert_eq!(world.actions(), ["inventory default"]);
}

#[test]
fn a_fire_is_not_planned_for_an_account_that_has_not_answered() {
    let mut world = World::due();
    world.view().id = None;
    assert_eq!(world.actions(), ["identity default"]);
    world.view().retry_at = Some(at("2026-11-22T02:00:05Z"));
    let plan = world.plan();
    assert!(plan.actions.is_empty());
    assert_eq!(plan.wake_at, Some(at("2026-11-22T02:00:05Z")));
    let waiting = "a fire of policy nightly in account default waits for the account's credentials to be accepted";
    assert_eq!(plan.notes, [waiting]);
}

#[test]
fn a_fire_that_can_no_longer_run_is_written_down_without_asking_ec2() {
    let mut world = World::due();
    *world.view() = AccountView { last_error: Some("denied".to_owned()), ..AccountView::default() };
    world.now = at("2026-11-22T09:00:00Z");
    let plan = world.plan();
    let [Action::RecordFire(fire)] = plan.actions.as_slice() else { panic!("{:?}", plan.actions) };
    assert_eq!((fire.due.run, fire.due.missed.map(|it| it.count)), (None, Some(1)));
    assert_eq!(fire.note.as_deref(), Some("denied"));
}

#[test]
fn terminated_instances_are_no_longer_covered() {
    let mut world = World::due();
    let inventory = world.view().inventory.as_mut().unwrap();
    inventory.instances.get_mut(&instance(2).id).unwrap().state = InstanceState::Terminated;
    assert_eq!(world.actions(), ["fire Some(2026-11-22T02:00:00Z) matched 2"]);
}

#[test]
fn a_policy_that_is_switched_off_is_noted_once() {
    let mut world = World::new();
    world.policy_set.policies.get_mut(&name()).unwrap().enabled = Enabled::No;
    assert_eq!(world.actions(), ["cursor 2026-11-22T02:00:00Z None"]);
    let [Action::RecordCursor { cursor, .. }] = &world.plan().actions[..] else { panic!() };
    assert_eq!(cursor.enabled, Enabled::No);
    world.change_cursor(|cursor| cursor.enabled = Enabled::No);
    assert!(world.actions().is_empty());
}

#[test]
fn a_settled_world_plans_nothing_and_wakes_for_the_next_fire() {
    let plan = World::new().plan();
    assert!(plan.actions.is_empty());
    assert_eq!(plan.wake_at, Some(at("2026-11-23T02:00:00Z")));
}

#[test]
fn a_job_whose_time_has_come_is_requested_with_everything_fixed() {
    let mut world = World::new().with_job(1, |_| {});
    let tags = &mut world.view().inventory.as_mut().unwrap().instances.get_mut(&instance(1).id).unwrap().tags;
    tags.insert("CostCenter".to_owned(), "42".to_owned());
    tags.insert("amikeep:owner".to_owned(), "somebody-else".to_owned());
    let plan = world.plan();
    let [Action::RequestImage(request)] = plan.actions.as_slice() else { panic!("{:?}", plan.actions) };
    assert_eq!(request.intent.name.as_str(), "amikeep-test-nightly-i-00000000000000001-20261122T020000Z");
    let tags: Vec<String> = request.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let job = job_id(1);
    assert_eq!(
        tags,
        [
            "CostCenter=42",
            "Name=i-00000000000000001 2026-11-22T02:00:00Z",
            "amikeep:class=production-database",
            "amikeep:instance=i-00000000000000001",
            &format!("amikeep:job={job}"),
            "amikeep:mode=reboot",
            "amikeep:owner=test",
            "amikeep:policy=nightly",
            "amikeep:scheduled-at=2026-11-22T02:00:00Z",
        ]
    );
}

#[test]
fn a_job_waits_for_its_time_and_for_its_retry() {
    let world = World::new().with_job(1, |job| job.window.start_at = at("2026-11-22T02:07:00Z"));
    assert_eq!((world.actions().len(), world.plan().wake_at), (0, Some(at("2026-11-22T02:07:00Z"))));
    let retry_at = Some(at("2026-11-22T02:03:00Z"));
    let world = World::new().with_job(1, |job| job.state = JobState::Queued { retry_at, waiting_for: None });
    assert_eq!((world.actions().len(), world.plan().wake_at), (0, retry_at));
}

#[test]
fn decisions_are_taken_on_fresh_facts() {
    let mut world = World::new().with_job(1, |_| {});
    world.now = at("2026-11-22T02:00:31Z");
    assert_eq!(world.actions(), ["instances 1"]);
    let seen = SeenFacts { at: world.now, instance: None };
    world.view().facts.insert(instance(1).id, seen);
    assert_eq!(world.actions(), ["record skipped: vanished"]);
}

#[test]
fn a_job_found_in_preparing_had_sent_nothing_and_goes_on() {
    let world = World::new().with_job(1, |job| job.state = JobState::Preparing);
    assert_eq!(world.actions(), ["request amikeep-test-nightly-i-00000000000000001-20261122T020000Z reboot"]);
}

#[test]
fn a_job_found_in_capturing_is_looked_up_and_never_sent_again_blindly() {
    let capturing = Capturing { unknown_since: None, name_in_use: false };
    let mut world = World::new().with_job(1, |job| job.state = JobState::Capturing(capturing));
    assert_eq!(world.actions(), ["look up 1"]);
    let now = world.now;
    world.view().looked_at.insert(job_id(1), now);
    let plan = world.plan();
    assert!(plan.actions.is_empty());
    assert_eq!(plan.wake_at, Some(at("2026-11-22T02:00:05Z")));
}

#[test]
fn nothing_is_sent_for_an_instance_while_an_image_of_it_is_pending() {
    let mut world = World::new().with_job(1, |job| job.state = pending("2026-11-22T01:59:59Z")).with_job(2, |job| {
        job.key.instance = instance(1).id;
        job.key.scheduled_at = at("2026-11-22T01:00:00Z");
    });
    let waits = world.actions();
    assert!(waits.len() == 1 && waits[0].starts_with("record waiting: the image of job"), "{waits:?}");
    // It is told once.
    let Action::Record { event: JobEvent::Waiting { reason }, job } = &world.plan().actions[0] else { panic!() };
    let waiting = JobState::Queued { retry_at: None, waiting_for: Some(reason.clone()) };
    world.jobs.get_mut(*job).unwrap().state = waiting;
    assert!(world.actions().is_empty(), "{:?}", world.actions());
    world.now = at("2026-11-22T08:00:00.001Z");
    let actions = world.actions();
    assert!(actions.contains(&format!("record skipped: {}", SkipReason::Overlapped.as_str())), "{actions:?}");
}

#[test]
fn of_two_jobs_for_one_instance_the_older_goes_first() {
    let world = World::new().with_job(1, |_| {}).with_job(2, |job| job.key.instance = instance(1).id);
    let requests = world.plan().actions.into_iter().filter(|action| matches!(action, Action::RequestImage(_)));
    let jobs: Vec<JobId> =
        requests.map(|action| if let Action::RequestImage(it) = action { it.job } else { panic!() }).collect();
    assert_eq!(jobs, [job_id(1)]);
}

#[test]
fn no_more_jobs_start_than_there_is_room_for() {
    let mut world = World::new().with_job(1, |_| {}).with_job(2, |_| {}).with_job(3, |_| {});
    world.jobs_max = 2;
    assert_eq!(world.actions().len(), 2);
    world.busy.insert(job_id(1));
    assert_eq!(world.actions().len(), 1);
    // Waiting for EC2 is free.
    world.busy.clear();
    world.jobs.get_mut(job_id(1)).unwrap().state = pending("2026-11-22T02:00:00Z");
    assert_eq!(world.actions().len(), 2);
}

#[test]
fn waves_of_two_accounts_run_side_by_side() {
    let other: AccountId = "444455556666".parse().unwrap();
    let mut world = World::new();
    for n in 1..=3 {
        world = world.with_job(n, |_| {});
    }
    for n in 4..=6 {
        world = world.with_job(n, |job| {
            job.key.account = other.clone();
            job.account_name = "other".parse().unwrap();
            job.key.instance = instance(u32::from(n) - 3).id;
        });
    }
    let view = AccountView { id: Some(other), ..world.view().clone() };
    world.accounts.insert("other".parse().unwrap(), view);
    let rules = world.policy_set.accounts[&account()].clone();
    world.policy_set.accounts.insert("other".parse().unwrap(), rules);
    let requests = |world: &World| {
        let mut accounts: Vec<String> = Vec::new();
        for action in world.plan().actions {
            if let Action::RequestImage(request) = action {
                accounts.push(request.account.to_string());
            }
        }
        accounts
    };
    world.jobs_max = 2;
    assert_eq!(requests(&world), ["default", "other"]);
    // The older wave has taken all the room before the other was due.
    world.busy.extend([job_id(1), job_id(2)]);
    assert!(requests(&world).is_empty());
    world.busy.remove(&job_id(1));
    world.jobs.remove(job_id(1));
    assert_eq!(requests(&world), ["other"]);
    // An account that does not answer keeps no room from the other.
    let away = world.accounts.get_mut(&"other".parse::<AccountName>().unwrap()).unwrap();
    (away.inventory, away.retry_at) = (None, Some(at("2026-11-22T02:01:00Z")));
    assert_eq!(requests(&world), ["default"]);
}

#[test]
fn the_more_images_are_pending_the_less_often_each_is_looked_at() {
    for (images, first_look) in [(1, "2026-11-22T02:00:02Z"), (200, "2026-11-22T02:00:10Z")] {
        let mut world = World::new();
        for n in 1..=images {
            world = world.with_job(n, |job| job.state = pending("2026-11-22T02:00:00Z"));
        }
        let plan = world.plan();
        assert!(plan.actions.is_empty());
        assert_eq!(plan.wake_at, Some(at(first_look)), "{images}");
        world.now = at(first_look);
        assert_eq!(world.actions(), [format!("poll {images}")]);
    }
}

#[test]
fn grades_wait_for_the_look_that_is_under_way_and_no_longer() {
    let finished = Finished {
        image: "ami-00000000000000001".parse().unwrap(),
        captured_at: at("2026-11-22T01:00:05Z"),
        grade: Grade::Crash,
        evidence: None,
        volumes: Vec::new(),
    };
    let mut world = World::new().with_job(1, |job| job.state = JobState::Finishing(finished)).with_job(2, |job| {
        job.state = pending("2026-11-22T02:00:00Z");
    });
    world.view().reading.insert(Reading::Images);
    assert!(world.actions().is_empty());
    world.view().reading.clear();
    // Another look is due at once, and the grade goes all the same.
    world.now = at("2026-11-22T02:00:02Z");
    assert_eq!(world.actions(), ["poll 1", "grade crash 1"]);
}

#[test]
fn a_job_that_found_no_room_in_time_says_so() {
    let mut world = World::new().with_job(1, |_| {});
    (world.jobs_max, world.now) = (0, at("2026-11-22T08:00:01Z"));
    let actions = world.actions();
    assert!(actions[0].contains("max_concurrent_jobs"), "{actions:?}");
}

#[test]
fn looks_at_an_image_slow_down_with_its_age() {
    let mut world = World::new().with_job(1, |job| job.state = pending("2026-11-22T02:00:00Z"));
    let mut looks = Vec::new();
    while world.now < at("2026-11-22T02:12:24Z") {
        let plan = world.plan();
        if plan.actions.is_empty() {
            world.now = plan.wake_at.unwrap();
        } else {
            looks.push(world.now);
            let now = world.now;
            world.view().looked_at.insert(job_id(1), now);
        }
    }
    let gaps: Vec<i64> = looks.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect();
    assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]), "{gaps:?}");
    // An image that takes the published 12.4 minutes costs this many questions, shared by all images of the account.
    assert_eq!(looks.len(), 27, "{gaps:?}");
}

#[test]
fn an_overdue_image_is_reported_once_by_itself_and_stays_watched() {
    let mut world = World::new().with_job(1, |job| {
        job.state = pending("2026-11-21T02:00:00Z");
        job.intent = Some(intent());
    });
    // Two actions about one job would be carried out side by side, and the ledger would refuse the slower one.
    assert_eq!(world.actions(), ["record stalled: "]);
    let JobState::Pending(pending) = &mut world.jobs.get_mut(job_id(1)).unwrap().state else { panic!() };
    pending.stalled = true;
    assert_eq!(world.actions(), ["poll 1"]);
}

fn intent() -> Intent {
    Intent {
        name: "amikeep-test".parse().unwrap(),
        asked: crate::class::Consistency::NoReboot,
        mode: crate::class::Consistency::NoReboot,
        reason: String::new(),
        expected: Grade::Crash,
        grade_min: None,
        volumes: Vec::new(),
        instance_store_disks: None,
        launched_at: at("2026-01-01T00:00:00Z"),
        deadline: minutes(24 * 60),
        hold: None,
        registration: None,
        recorded_at: at("2026-11-21T02:00:00Z"),
    }
}

#[test]
fn images_of_one_account_are_looked_at_together() {
    let mut world = World::new();
    for n in 1..=250 {
        world = world.with_job(n, |job| job.state = pending("2026-11-22T01:00:00Z"));
    }
    assert_eq!(world.actions(), ["poll 250"]);
}

#[test]
fn grades_are_written_together() {
    let captured_at = at("2026-11-22T02:00:00Z");
    let image: crate::id::ImageId = "ami-00000000000000001".parse().unwrap();
    let finished = |grade| Finished { image: image.clone(), captured_at, grade, evidence: None, volumes: Vec::new() };
    let world = World::new()
        .with_job(1, |job| job.state = JobState::Finishing(finished(Grade::Crash)))
        .with_job(2, |job| job.state = JobState::Finishing(finished(Grade::Crash)))
        .with_job(3, |job| job.state = JobState::Finishing(finished(Grade::Clean)));
    assert_eq!(world.actions(), ["grade crash 2", "grade clean 1"]);
}

#[test]
fn a_job_is_never_asked_about_in_another_account() {
    let mut world = World::new().with_job(1, |job| job.state = pending("2026-11-22T01:00:00Z"));
    world.view().id = Some("999988887777".parse().unwrap());
    let plan = world.plan();
    assert!(plan.actions.is_empty(), "{:?}", plan.actions);
    assert!(plan.notes[0].contains("was 111122223333"), "{:?}", plan.notes);
    // Nor in another region, where images of the same names may be.
    let mut world = World::new().with_job(1, |job| job.state = pending("2026-11-22T01:00:00Z"));
    world.policy_set.accounts.get_mut(&account()).unwrap().region = "eu-north-1".parse().unwrap();
    let plan = world.plan();
    assert!(plan.actions.is_empty() && plan.notes[0].ends_with("is now 111122223333 in eu-north-1"), "{plan:?}");
}

#[test]
fn an_overdue_image_is_reported_although_its_account_does_not_answer() {
    let mut world = World::new().with_job(1, |job| {
        job.state = pending("2026-11-21T02:00:00Z");
        job.intent = Some(intent());
    });
    world.view().id = None;
    assert!(world.actions().contains(&"record stalled: ".to_owned()), "{:?}", world.actions());
}

#[test]
fn a_job_whose_account_does_not_answer_waits_until_its_time_has_passed() {
    let mut world = World::new().with_job(1, |_| {});
    world.view().id = None;
    assert_eq!(world.actions(), ["identity default"]);
    world.now = at("2026-11-22T08:00:00.001Z");
    let failed = world.actions().into_iter().find(|it| it.starts_with("record failed")).unwrap();
    assert!(failed.starts_with("record failed: start_within_passed"), "{failed}");
}

#[test]
fn a_command_without_a_daemon_plans_its_own_request_alone() {
    let mut world = World::due().with_job(1, |_| {}).with_job(2, |job| job.request = Some(request()));
    world.scope = Scope::Requests([request()].into());
    assert_eq!(world.actions(), ["request amikeep-test-nightly-i-00000000000000002-20261122T020000Z reboot"]);
}

#[test]
fn a_command_without_a_daemon_looks_at_no_image_of_others_but_the_one_in_its_way() {
    let own = |job: &mut Job| job.request = Some(request());
    let world = |instance_of_other: u8| {
        let mut world = World::new().with_job(1, own).with_job(2, |job| {
            job.key.instance = instance(u32::from(instance_of_other)).id;
            job.key.scheduled_at = at("2026-11-22T01:00:00Z");
            job.state = pending("2026-11-22T01:00:00Z");
        });
        world.scope = Scope::Requests([request()].into());
        world.actions()
    };
    assert!(world(1).contains(&"poll 1".to_owned()), "{:?}", world(1));
    assert_eq!(world(2), ["request amikeep-test-nightly-i-00000000000000001-20261122T020000Z reboot"]);
    // Another job for the same instance has not asked for anything yet.
    let mut world = World::new().with_job(1, own).with_job(2, |job| {
        job.key.instance = instance(1).id;
        job.key.scheduled_at = at("2026-11-22T01:00:00Z");
    });
    world.scope = Scope::Requests([request()].into());
    assert_eq!(world.actions(), ["request amikeep-test-nightly-i-00000000000000001-20261122T020000Z reboot"]);
}

fn request() -> RequestId {
    RequestId::new(at("2026-11-22T02:00:00Z"), [7; 10])
}

#[test]
fn a_job_of_a_policy_that_is_gone_fails_before_it_sends_anything() {
    let mut world = World::new().with_job(1, |_| {});
    world.policy_set.policies.clear();
    let actions = world.actions();
    assert!(actions.iter().any(|it| it.starts_with("record failed: policy_gone")), "{actions:?}");
}

#[test]
fn a_job_that_is_being_worked_on_is_left_alone() {
    for state in [JobState::Preparing, JobState::Capturing(Capturing { unknown_since: None, name_in_use: false })] {
        let mut world = World::new().with_job(1, |job| job.state = state.clone());
        world.busy.insert(job_id(1));
        assert!(world.actions().is_empty(), "{}", StateName::as_str(state.name()));
    }
}
