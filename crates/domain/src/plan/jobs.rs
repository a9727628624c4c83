//! The next step of every open job.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::class::Consistency;
use crate::decision::{
    Capture, Decision, Facts, JobError, Question, SkipReason, decide, start_within_passed, wait_until,
};
use crate::grade::Grade;
use crate::id::{AccountId, AccountName, InstanceId, JobId, Region};
use crate::image_name::ImageName;
use crate::instance::Instance;
use crate::job::{IntendedHold, Intent, Job, JobEvent, JobKey, JobState, Pending, Taken, Trigger};
use crate::pause::pause_at;
use crate::plan::observe::{Needs, may_read};
use crate::plan::room::Room;
use crate::plan::taken::{gather_look_up, gather_taken, plan_copies, plan_sets};
use crate::plan::{
    AccountView, Action, BATCH_MAX, FACTS_FRESH_FOR, GRADE_BATCH_MAX, POLL_BATCH_MAX, Plan, PlanInputs, Reading,
    RequestAction, Scope,
};
use crate::policy::{Policy, saturating_add};
use crate::tags;

/// The least and the most time between two looks at a pending image. Images take minutes to hours, so the wait grows
/// with the age of the image: EC2 asks pollers to begin late and to slow down.
const POLL_EVERY_MIN: SignedDuration = SignedDuration::from_secs(2);
const POLL_EVERY_MAX: SignedDuration = SignedDuration::from_secs(60);
/// A stalled image is looked at this often.
const POLL_STALLED_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// Images that are nearly due are looked at in the same call.
pub(super) const POLL_TOGETHER_WITHIN: SignedDuration = SignedDuration::from_secs(10);
/// For each image that is pending the others are looked at so much less often, up to [`POLL_EVERY_MAX`]. A call asks about
/// 200 images, so looks come to one call in ten seconds, however many images there are; a few are looked at as soon as
/// their age allows.
const POLL_SPREAD: SignedDuration = SignedDuration::from_millis(50);

/// What is gathered while walking over the jobs.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    /// The least time between two looks at an image.
    spread: BTreeMap<&'a AccountName, SignedDuration>,
    pub(super) look_ups: BTreeMap<&'a AccountName, Vec<JobId>>,
    /// Unknown outcomes of requests that have no name.
    pub(super) sets: BTreeMap<&'a AccountName, Vec<JobId>>,
    /// Snapshots that are being copied.
    pub(super) copies: BTreeMap<&'a AccountName, Vec<(Timestamp, JobId)>>,
    polls: BTreeMap<&'a AccountName, Vec<(Timestamp, JobId)>>,
    grades: BTreeMap<(&'a AccountName, Grade), Vec<JobId>>,
}

impl<'a> Gathered<'a> {
    fn count(&mut self, job: &'a Job) {
        if matches!(job.state, JobState::Pending(_)) {
            let least = self.spread.entry(&job.account_name).or_default();
            *least = (*least + POLL_SPREAD).min(POLL_EVERY_MAX);
        }
    }
}

pub(super) fn plan_jobs(inputs: &PlanInputs<'_>, needs: &mut Needs, plan: &mut Plan) {
    let (mut gathered, mut starts, mut pending) = (Gathered::default(), Starts::default(), Vec::new());
    let covered = covered_places(inputs);
    for (job, is_busy) in with_busy(inputs) {
        starts.count(inputs, job, is_busy);
        gathered.count(job);
        if is_busy {
            continue;
        }
        // An image that others left is watched to its end if it stands in the way; nothing is started for others.
        let under_way = matches!(
            job.state,
            JobState::Capturing(_) | JobState::Taken(_) | JobState::Pending(_) | JobState::Finishing(_)
        );
        let is_covered = inputs.scope.covers(job) || (under_way && covered.contains(&place_of(job)));
        if !is_covered {
            continue;
        }
        let view = match usable_account(inputs, job) {
            Ok(view) => view,
            Err(problem) => {
                plan_unusable(inputs, job, problem, needs, plan);
                continue;
            }
        };
        match &job.state {
            JobState::Queued { .. } | JobState::Preparing | JobState::Holding => starts.waiting.push(job),
            JobState::Capturing(_) => gather_look_up(inputs, job, view, &mut gathered, plan),
            JobState::Taken(taken) => gather_taken(inputs, job, taken, view, &mut gathered, plan),
            JobState::Pending(image) => pending.push((job, image, view)),
            JobState::Finishing(image) => {
                gathered.grades.entry((&job.account_name, image.grade)).or_default().push(job.id);
            }
            JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Skipped { .. } => {}
        }
    }
    for (job, image, view) in pending {
        gather_poll(inputs, job, image, view, &mut gathered, plan);
    }
    plan_starts(inputs, starts, needs, plan);
    plan_gathered(inputs, gathered, plan);
}

/// Every open job, and whether an action is working on it. Both are in order, so nothing is searched for.
fn with_busy<'a>(inputs: &PlanInputs<'a>) -> impl Iterator<Item = (&'a Job, bool)> {
    let mut busy = inputs.busy.iter().peekable();
    inputs.jobs.iter().map(move |job| {
        while busy.next_if(|busy| **busy < job.id).is_some() {}
        (job, busy.next_if_eq(&&job.id).is_some())
    })
}

/// Where the jobs are that the engine is there for, if it is not there for all of them.
fn covered_places<'a>(inputs: &PlanInputs<'a>) -> BTreeSet<Place<'a>> {
    match inputs.scope {
        Scope::Everything => BTreeSet::new(),
        Scope::Requests(_) => inputs.jobs.iter().filter(|job| inputs.scope.covers(job)).map(place_of).collect(),
    }
}

/// Why the account of a job cannot be asked.
enum Unusable {
    /// It may be any moment: nobody has said yet whose credentials these are.
    Unknown,
    /// It is another one now, or none.
    Changed(String),
}

/// The account of a job, if it is still the one that the job was made for. Asking another account for the job's image
/// would find nothing and draw the wrong conclusion from it.
fn usable_account<'a>(inputs: &PlanInputs<'a>, job: &Job) -> Result<&'a AccountView, Unusable> {
    let name = &job.account_name;
    let (Some(rules), Some(view)) = (inputs.policy_set.accounts.get(name), inputs.accounts.get(name)) else {
        return Err(Unusable::Changed(format!("account {name} is not in the configuration")));
    };
    let Some(id) = &view.id else { return Err(Unusable::Unknown) };
    if *id == job.key.account && rules.region == job.key.region {
        return Ok(view);
    }
    Err(Unusable::Changed(format!(
        "account {name} was {} in {} and is now {id} in {}",
        job.key.account, job.key.region, rules.region
    )))
}

/// A job whose account cannot be asked still fails in time, and its image is still reported as overdue.
fn plan_unusable(inputs: &PlanInputs<'_>, job: &Job, problem: Unusable, needs: &mut Needs, plan: &mut Plan) {
    let problem = match problem {
        Unusable::Changed(problem) => problem,
        Unusable::Unknown => {
            needs.identity(&job.account_name);
            let last_error = inputs.accounts.get(&job.account_name).and_then(|view| view.last_error.clone());
            last_error.unwrap_or_else(|| format!("the credentials of account {} are being asked for", job.account_name))
        }
    };
    match &job.state {
        JobState::Queued { .. } | JobState::Preparing | JobState::Holding => {
            // Else it would run once the pause has ended and the account answers again.
            if ready_at(job) <= inputs.now && is_paused(inputs, job) {
                let event = JobEvent::Skipped(SkipReason::Paused);
                return plan.actions.push(Action::Record { job: job.id, event });
            }
            plan_late(inputs, job, &format!(": {problem}"), plan);
        }
        JobState::Taken(Taken { taken_at: since, stalled, .. })
        | JobState::Pending(Pending { accepted_at: since, stalled, .. }) => {
            plan_stalled(inputs, job, (*since, *stalled), plan);
        }
        _ => {}
    }
    plan.notes.push(format!("job {} waits: {problem}", job.id));
}

fn gather_poll<'a>(
    inputs: &PlanInputs<'_>,
    job: &'a Job,
    pending: &Pending,
    view: &AccountView,
    gathered: &mut Gathered<'a>,
    plan: &mut Plan,
) {
    // One job has one action in a plan: what is written down here is looked at in the next one.
    if plan_stalled(inputs, job, (pending.accepted_at, pending.stalled), plan) {
        return;
    }
    let last_look = view.looked_at.get(&job.id).copied().unwrap_or(pending.accepted_at);
    // A look in the future was at a clock that has been set back since.
    let spread = gathered.spread.get(&job.account_name).copied().unwrap_or_default();
    let wait = poll_every((pending.accepted_at, pending.stalled), last_look).max(spread);
    let due_at = if last_look <= inputs.now { saturating_add(last_look, wait) } else { inputs.now };
    gathered.polls.entry(&job.account_name).or_default().push((due_at, job.id));
}

/// True if it is to be written down that the image is overdue: since when EC2 makes it, and whether that was said before.
pub(super) fn plan_stalled(
    inputs: &PlanInputs<'_>,
    job: &Job,
    (since, stalled): (Timestamp, bool),
    plan: &mut Plan,
) -> bool {
    let Some(intent) = job.intent.as_ref().filter(|_| !stalled) else { return false };
    let stalls_at = saturating_add(since, intent.deadline);
    if stalls_at <= inputs.now {
        plan.actions.push(Action::Record { job: job.id, event: JobEvent::Stalled });
        return true;
    }
    plan.wake_no_later_than(stalls_at);
    false
}

/// A quarter of the age, so that a look is never later than a fifth of the time the image takes.
pub(super) fn poll_every((since, stalled): (Timestamp, bool), now: Timestamp) -> SignedDuration {
    if stalled {
        return POLL_STALLED_EVERY;
    }
    (now.duration_since(since) / 4).clamp(POLL_EVERY_MIN, POLL_EVERY_MAX)
}

fn is_looking(inputs: &PlanInputs<'_>, account: &AccountName) -> bool {
    inputs.accounts.get(account).is_some_and(|view| view.reading.contains(&Reading::Images))
}

fn plan_gathered(inputs: &PlanInputs<'_>, gathered: Gathered<'_>, plan: &mut Plan) {
    for (account, jobs) in gathered.look_ups {
        if may_read(inputs, account, Reading::Names, plan) {
            let jobs = jobs.into_iter().take(BATCH_MAX).collect();
            plan.actions.push(Action::LookUpNames { account: account.clone(), jobs });
        }
    }
    plan_sets(inputs, gathered.sets, plan);
    plan_copies(inputs, gathered.copies, plan);
    for (account, mut polls) in gathered.polls {
        let Some(first_due_at) = polls.iter().map(|(due_at, _)| *due_at).min() else { continue };
        if inputs.now < first_due_at {
            plan.wake_no_later_than(first_due_at);
        } else if may_read(inputs, account, Reading::Images, plan) {
            polls.sort_unstable();
            let spread = gathered.spread.get(account).copied().unwrap_or_default();
            let until = saturating_add(inputs.now, POLL_TOGETHER_WITHIN.max(spread / 2));
            let due = polls.into_iter().filter(|(due_at, _)| *due_at <= until).take(POLL_BATCH_MAX);
            let jobs = due.map(|(_, job)| job).collect();
            plan.actions.push(Action::PollImages { account: account.clone(), jobs });
        }
    }
    for ((account, grade), jobs) in gathered.grades {
        // What the look that is under way finds ready joins those that are ready already. When it ends they go, whether
        // or not the next begins at once: they must not wait for ever.
        let may_wait = jobs.len() < GRADE_BATCH_MAX && is_looking(inputs, account);
        if !may_wait && may_read(inputs, account, Reading::Grades, plan) {
            let jobs = jobs.into_iter().take(GRADE_BATCH_MAX).collect();
            plan.actions.push(Action::WriteGrades { account: account.clone(), grade, jobs });
        }
    }
}

/// What has to do with starting jobs: those that wait for it, and what stands in their way.
#[derive(Default)]
struct Starts<'a> {
    waiting: Vec<&'a Job>,
    /// The jobs that others of the same instance must wait for.
    occupied: BTreeMap<Place<'a>, &'a Job>,
    taken: Vec<&'a Job>,
}

impl<'a> Starts<'a> {
    fn count(&mut self, inputs: &PlanInputs<'_>, job: &'a Job, is_busy: bool) {
        let occupies =
            is_busy || matches!(job.state, JobState::Capturing(_) | JobState::Taken(_) | JobState::Pending(_));
        if occupies && inputs.jobs.shares_instance(job) {
            self.occupied.insert(place_of(job), job);
        }
        let takes_room = match job.state {
            // One that cannot be asked about must not keep the room of others for ever.
            JobState::Capturing(_) => usable_account(inputs, job).is_ok(),
            JobState::Queued { .. } | JobState::Preparing | JobState::Holding => is_busy,
            _ => false,
        };
        if takes_room {
            self.taken.push(job);
        }
    }
}

/// Jobs that wait for their turn, oldest first, as far as the share of their account and region goes. One instance has one
/// image in the making at a time: another request would fail, and a reboot would kill the image that is pending.
fn plan_starts<'a>(inputs: &PlanInputs<'a>, starts: Starts<'a>, needs: &mut Needs, plan: &mut Plan) {
    let Starts { waiting, occupied, taken } = starts;
    let mut ready: Vec<&Job> = waiting.into_iter().filter(|job| may_start(inputs, job, &occupied, plan)).collect();
    let mut room = Room::new(inputs.jobs_max, taken, ready.iter().copied().filter(|job| is_read(inputs, job)));
    // Without room it does not matter who is first, and ten thousand may wait for it.
    if room.is_left() {
        ready.sort_unstable_by_key(|job| (job.window.start_at, job.id));
    }
    let mut started: BTreeMap<Place<'_>, &Job> = BTreeMap::new();
    for job in ready {
        if let Some(other) = started.get(&place_of(job)) {
            plan_overlapped(inputs, job, other, plan);
        } else if !room.has_for(job) {
            // A job that ends makes room and wakes the engine; a job that can no longer start must not wait for that.
            plan_late(inputs, job, ": all the room of max_concurrent_jobs was taken", plan);
        } else if plan_start(inputs, job, needs, plan) {
            room.take(job);
            started.insert(place_of(job), job);
        }
    }
}

/// Whether the job may start now as far as it goes by itself. If not, what is to be written down of it is planned.
fn may_start(inputs: &PlanInputs<'_>, job: &Job, occupied: &BTreeMap<Place<'_>, &Job>, plan: &mut Plan) -> bool {
    let ready_at = ready_at(job);
    if inputs.now < ready_at {
        plan.wake_no_later_than(ready_at);
    } else if is_paused(inputs, job) {
        let event = JobEvent::Skipped(SkipReason::Paused);
        plan.actions.push(Action::Record { job: job.id, event });
    } else if let Some(other) = occupied.get(&place_of(job)) {
        plan_overlapped(inputs, job, other, plan);
    } else {
        return true;
    }
    false
}

/// Whether the account of the job answers: one that does not must not keep room from the others.
fn is_read(inputs: &PlanInputs<'_>, job: &Job) -> bool {
    inputs.accounts.get(&job.account_name).is_some_and(|view| view.retry_at.is_none())
}

/// Whether a pause covers the job: by its nominal time, or because it would start now. What an operator asked for by hand
/// is not stopped by a pause.
fn is_paused(inputs: &PlanInputs<'_>, job: &Job) -> bool {
    let is_paused = |at| pause_at(inputs.pauses, &job.key.policy, Some(&job.key.instance), at).is_some();
    job.trigger != Trigger::Manual && (is_paused(job.key.scheduled_at) || is_paused(inputs.now))
}

/// An instance, wherever the configuration names its account: two names may stand for one account.
type Place<'a> = (&'a InstanceId, &'a AccountId, &'a Region);

fn place_of(job: &Job) -> Place<'_> {
    (&job.key.instance, &job.key.account, &job.key.region)
}

fn ready_at(job: &Job) -> Timestamp {
    match &job.state {
        JobState::Queued { retry_at: Some(retry_at), .. } => job.window.start_at.max(*retry_at),
        _ => job.window.start_at,
    }
}

fn plan_overlapped(inputs: &PlanInputs<'_>, job: &Job, other: &Job, plan: &mut Plan) {
    if job.window.start_by < inputs.now {
        let event = JobEvent::Skipped(SkipReason::Overlapped);
        plan.actions.push(Action::Record { job: job.id, event });
    } else {
        plan.wake_no_later_than(just_after(job.window.start_by));
        let reason = format!("the image of job {} of the same instance must be finished first", other.id);
        let known = matches!(&job.state, JobState::Queued { waiting_for: Some(known), .. } if *known == reason);
        if !known && matches!(job.state, JobState::Queued { .. }) && !inputs.busy.contains(&other.id) {
            plan.actions.push(Action::Record { job: job.id, event: JobEvent::Waiting { reason } });
        }
    }
}

fn plan_late(inputs: &PlanInputs<'_>, job: &Job, waited_for: &str, plan: &mut Plan) {
    if job.window.start_by < inputs.now {
        let event = JobEvent::Failed(start_within_passed(job.window, waited_for));
        plan.actions.push(Action::Record { job: job.id, event });
    } else {
        plan.wake_no_later_than(just_after(job.window.start_by));
    }
}

fn just_after(at: Timestamp) -> Timestamp {
    saturating_add(at, SignedDuration::from_nanos(1))
}

/// Plans the next step of a job whose turn it is; true if it takes room.
fn plan_start(inputs: &PlanInputs<'_>, job: &Job, needs: &mut Needs, plan: &mut Plan) -> bool {
    let Some(policy) = inputs.policy_set.policies.get(&job.key.policy) else {
        let event = JobEvent::Failed(policy_gone(&job.key));
        plan.actions.push(Action::Record { job: job.id, event });
        return false;
    };
    let Some(view) = inputs.accounts.get(&job.account_name) else { return false };
    let Some(facts) = fresh_facts(view, &job.key.instance, inputs.now) else {
        needs.instance(&job.account_name, &job.key.instance);
        let last_error = view.last_error.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
        plan_late(inputs, job, &last_error, plan);
        return false;
    };
    let question = Question {
        policy,
        classes: &inputs.policy_set.classes,
        freezes: &inputs.policy_set.freezes,
        facts,
        window: job.window,
        asked: job.asked,
        now: inputs.now,
    };
    let (event, takes_room) = match (decide(&question), facts) {
        (Decision::Capture(capture), Facts::Seen(instance)) => {
            let request = request_action(inputs, job, policy, capture, instance);
            plan.actions.push(Action::RequestImage(Box::new(request)));
            return true;
        }
        (Decision::Capture(_), Facts::Gone) => return false,
        (Decision::Wait { until, reason }, _) => {
            // Never past the end of the window: there the decision says what was waited for in vain.
            let retry_at = wait_until(until, &reason, inputs.now).min(just_after(job.window.start_by));
            (JobEvent::Deferred { retry_at, reason: reason.to_string() }, false)
        }
        (Decision::Skip(reason), _) => (JobEvent::Skipped(reason), false),
        (Decision::Fail(error), _) => (JobEvent::Failed(error), false),
    };
    plan.actions.push(Action::Record { job: job.id, event });
    takes_room
}

fn policy_gone(key: &JobKey) -> JobError {
    JobError::new(
        "policy_gone",
        format!("policy {} was removed from the configuration before its backup of {} began", key.policy, key.instance),
        "nothing, if that was meant; else put the policy back, and it runs at its next time",
    )
}

fn fresh_facts<'a>(view: &'a AccountView, instance: &InstanceId, now: Timestamp) -> Option<Facts<'a>> {
    let fresh = |at: Timestamp| now.duration_since(at).abs() <= FACTS_FRESH_FOR;
    if let Some(seen) = view.facts.get(instance).filter(|seen| fresh(seen.at)) {
        return Some(seen.instance.as_ref().map_or(Facts::Gone, Facts::Seen));
    }
    let inventory = view.inventory.as_ref().filter(|inventory| fresh(inventory.answered_at))?;
    Some(inventory.instances.get(instance).map_or(Facts::Gone, Facts::Seen))
}

fn request_action(
    inputs: &PlanInputs<'_>,
    job: &Job,
    policy: &Policy,
    capture: Capture,
    instance: &Instance,
) -> RequestAction {
    let key = &job.key;
    let owner = &inputs.policy_set.owner;
    let name = ImageName::for_backup(owner, &key.policy, &key.instance, key.scheduled_at, job.number);
    let mode: Consistency = capture.mode;
    let identity = tags::Identity {
        owner,
        instance: &key.instance,
        job: job.id,
        scheduled_at: key.scheduled_at,
        class: &capture.class,
        mode,
    };
    let tags = tags::for_image(&identity, policy, instance);
    let intent = Intent {
        name,
        asked: capture.asked,
        mode,
        reason: capture.reason.to_string(),
        expected: capture.expected,
        grade_min: capture.grade_min,
        volumes: instance.volumes.clone(),
        instance_store_disks: instance.instance_store_disks,
        launched_at: instance.launched_at,
        deadline: policy.deadline,
        hold: capture.hold.as_ref().map(|order| IntendedHold {
            freeze: order.freeze.name.clone(),
            mounts: order.freeze.mounts.clone(),
            budget: order.freeze.budget,
        }),
        // Only a hold finds out whether the instance allows it, before anything stands still.
        registration: None,
        recorded_at: inputs.now,
    };
    RequestAction {
        job: job.id,
        key: key.clone(),
        account: job.account_name.clone(),
        class: capture.class,
        intent,
        tags,
        hold: capture.hold,
    }
}
