//! The decision: what to do with one instance, now. One pure function, asked by `explain`, by the planner, and again
//! on fresh facts right before the call to EC2.

mod hold;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::class::{AsgReboot, Class, Consistency, IfBlocked};
use crate::freeze::Freeze;
use crate::grade::Grade;
use crate::id::{ClassName, FreezeName};
use crate::instance::{CLASS_TAG, Hibernation, Instance, InstanceState, RootDevice};
use crate::policy::{Policy, StartWindow, saturating_add};

pub use crate::decision::hold::{HoldOrder, NotHeld, decide_not_held, decide_unfit, freeze_unproved};

/// Without a window of its own, a reboot that would start later than this after its time is blocked: nobody wants
/// last night's reboot at noon.
pub const REBOOT_LATE_MAX: SignedDuration = SignedDuration::from_hours(1);

/// What EC2 says of the instance.
#[derive(Debug, Clone, Copy)]
pub enum Facts<'a> {
    /// It is described.
    Seen(&'a Instance),
    /// A complete answer did not contain it.
    Gone,
}

/// All that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Every class, by name.
    pub classes: &'a BTreeMap<ClassName, Class>,
    /// Every freeze recipe, by name.
    pub freezes: &'a BTreeMap<FreezeName, Freeze>,
    /// The instance.
    pub facts: Facts<'a>,
    /// When it may start.
    pub window: StartWindow,
    /// The consistency an operator asked for, `backup --consistency`.
    pub asked: Option<Consistency>,
    /// The present moment.
    pub now: Timestamp,
}

/// Take the image, like this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The class that applies.
    pub class: ClassName,
    /// What the class or the operator asked for.
    pub asked: Consistency,
    /// What is done.
    pub mode: Consistency,
    /// The grade that this should reach.
    pub expected: Grade,
    /// Why.
    pub reason: Reason,
    /// The grade below which the job fails, since its class accepts nothing less.
    pub grade_min: Option<Grade>,
    /// How it is held still, in mode freeze.
    pub hold: Option<Box<HoldOrder>>,
}

/// Why the mode is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The class calls for it.
    Class(ClassName),
    /// The operator asked for it.
    Operator,
    /// The instance is stopped: there is nothing to reboot.
    Stopped,
    /// The instance is hibernated: its file systems are as a running instance left them.
    Hibernated,
    /// The class's mode is blocked, and it allows an image without a reboot instead.
    FellBack(Block),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(f, "class {class}"),
            Self::Operator => f.write_str("asked for by the operator"),
            Self::Stopped => f.write_str("the instance is stopped, so nothing needs a reboot"),
            Self::Hibernated => f.write_str("the instance is hibernated: its memory is on disk, files may be open"),
            Self::FellBack(block) => write!(f, "{block}, and the class falls back to no-reboot"),
        }
    }
}

/// What stands in the way of the class's mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Outside the class's reboot window.
    OutsideWindow {
        /// The window, as the configuration says it.
        window: String,
        /// When it opens next.
        opens_at: Option<Timestamp>,
    },
    /// No window, and more than [`REBOOT_LATE_MAX`] after its time.
    TooLate {
        /// How late it is.
        late: SignedDuration,
    },
    /// A member of an Auto Scaling group.
    AutoScalingGroup {
        /// The group.
        group: String,
    },
    /// The instance could not be held still.
    NotHeld {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutsideWindow { window, .. } => write!(f, "a reboot is allowed only within {window}"),
            Self::TooLate { late } => {
                write!(f, "a reboot would be {} min late, and at most 60 is allowed", late.as_mins())
            }
            Self::AutoScalingGroup { group } => {
                write!(f, "a reboot could make the Auto Scaling group {group} replace the instance")
            }
            Self::NotHeld { why } => write!(f, "the instance could not be held still: {why}"),
        }
    }
}

/// Why a job goes no further without having failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The instance is being terminated, or was.
    Terminated,
    /// The instance is not there any more.
    Vanished,
    /// Another image of the instance was pending for as long as this one could have started.
    Overlapped,
    /// An operator had paused its policy or its instance.
    Paused,
    /// An operator cancelled it before its image was asked for.
    Cancelled,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Terminated, Self::Vanished, Self::Overlapped, Self::Paused, Self::Cancelled];

    /// The word that history shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminated => "terminated",
            Self::Vanished => "vanished",
            Self::Overlapped => "overlapped",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a job waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// The instance is between states.
    Transitional(InstanceState),
    /// The mode is blocked and the class says `wait`.
    Blocked(Block),
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transitional(state) => write!(f, "the instance is {state}"),
            Self::Blocked(block) => block.fmt(f),
        }
    }
}

/// Why a job failed, what it means and what to do, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// A word to search for: EC2's code, or one of amikeep's in lower case.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub next_step: String,
}

impl JobError {
    /// From its three parts.
    pub fn new(code: impl Into<String>, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), next_step: next_step.into() }
    }
}

/// What to do with an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Image it.
    Capture(Capture),
    /// Ask again at `until`, or when facts change.
    Wait {
        /// When the answer can be another one, where that is known.
        until: Option<Timestamp>,
        /// Why.
        reason: WaitReason,
    },
    /// Nothing to image.
    Skip(SkipReason),
    /// It cannot or must not be done.
    Fail(JobError),
}

/// Decides, in the order of the contract: an instance that is gone is skipped, one that cannot be imaged fails, one
/// between states waits, a stopped one needs no reboot, and else the class's mode applies unless it is blocked.
pub fn decide(question: &Question<'_>) -> Decision {
    let instance = match question.facts {
        Facts::Gone => return Decision::Skip(SkipReason::Vanished),
        Facts::Seen(instance) => instance,
    };
    if matches!(instance.state, InstanceState::Terminated | InstanceState::ShuttingDown) {
        return Decision::Skip(SkipReason::Terminated);
    }
    if instance.root_device == RootDevice::InstanceStore {
        return Decision::Fail(instance_store_root(instance));
    }
    let class = match resolve_class(question.policy, question.classes, instance) {
        Ok(class) => class,
        Err(error) => return Decision::Fail(error),
    };
    if question.window.start_by < question.now {
        return Decision::Fail(too_late(question, instance, class));
    }
    match instance.state {
        InstanceState::Pending | InstanceState::Stopping => {
            Decision::Wait { until: None, reason: WaitReason::Transitional(instance.state) }
        }
        InstanceState::Stopped => Decision::Capture(capture_stopped(question, class, instance)),
        _ => decide_running(question, class, instance),
    }
}

/// The class that applies to an instance: its own tag where the policy allows that class, else the policy's. A tag that
/// is unknown or not allowed is an error and never a guess, since whoever may tag could otherwise cause reboots or
/// weaken a class.
pub fn resolve_class<'a>(
    policy: &Policy,
    classes: &'a BTreeMap<ClassName, Class>,
    instance: &Instance,
) -> Result<&'a Class, JobError> {
    let known = || classes.keys().map(ClassName::as_str).collect::<Vec<_>>().join(", ");
    let Some(tag) = instance.tags.get(CLASS_TAG) else {
        return classes.get(&policy.class).ok_or_else(|| {
            JobError::new(
                "class_unknown",
                format!("policy {} names class {}, which does not exist", policy.name, policy.class),
                format!("name one of: {}", known()),
            )
        });
    };
    let class = tag.parse().ok().and_then(|name: ClassName| classes.get(&name)).ok_or_else(|| {
        JobError::new(
            "class_tag_unknown",
            format!("the tag {CLASS_TAG} of {} says `{tag}`, which is no class", instance.id),
            format!("set the tag to one of: {}; or remove it", known()),
        )
    })?;
    if class.name != policy.class && !policy.class_tag_allows.contains(&class.name) {
        return Err(JobError::new(
            "class_tag_not_allowed",
            format!(
                "the tag {CLASS_TAG} of {} asks for class {tag}, which policy {} does not allow",
                instance.id, policy.name
            ),
            format!("remove the tag, or add \"{tag}\" to class_tag_allows of policy {}", policy.name),
        ));
    }
    Ok(class)
}

fn decide_running(question: &Question<'_>, class: &Class, instance: &Instance) -> Decision {
    let asked = question.asked.unwrap_or(class.consistency);
    if !class.allows(asked) {
        return Decision::Fail(JobError::new(
            "consistency_not_allowed",
            format!("class {} is never imaged without a reboot", class.name),
            "leave out --consistency, or give the instance another class",
        ));
    }
    match asked {
        Consistency::NoReboot => Decision::Capture(capture(question, class, Consistency::NoReboot)),
        Consistency::Freeze => decide_freeze(question, class),
        Consistency::Reboot => match reboot_block(question, class, instance) {
            None => Decision::Capture(capture(question, class, Consistency::Reboot)),
            Some(block) => decide_blocked(question, class, block),
        },
    }
}

/// A freeze is never refused for the hour: it costs a stall and no downtime. What can be in its way is found where it is
/// tried.
fn decide_freeze(question: &Question<'_>, class: &Class) -> Decision {
    let name = &class.name;
    let Some(freeze) = &class.freeze else {
        return Decision::Fail(JobError::new(
            "freeze_missing",
            format!("class {name} does not say how an instance is held still"),
            format!("add `freeze = \"NAME\"` to [classes.{name}] and a table [freezes.NAME]"),
        ));
    };
    let Some(freeze) = question.freezes.get(freeze) else {
        return Decision::Fail(JobError::new(
            "freeze_missing",
            format!("class {name} names the freeze {freeze}, which does not exist"),
            format!("add a table [freezes.{freeze}]"),
        ));
    };
    let if_blocked =
        if class.may_weaken() || class.if_blocked != IfBlocked::NoReboot { class.if_blocked } else { IfBlocked::Fail };
    let grade_min = (if_blocked != IfBlocked::NoReboot).then(|| freeze.grade());
    let hold = Some(Box::new(HoldOrder { freeze: freeze.clone(), if_blocked }));
    let expected = freeze.grade();
    Decision::Capture(Capture { expected, grade_min, hold, ..capture(question, class, Consistency::Freeze) })
}

fn decide_blocked(question: &Question<'_>, class: &Class, block: Block) -> Decision {
    match class.if_blocked {
        IfBlocked::NoReboot if class.may_weaken() => {
            let reason = Reason::FellBack(block);
            Decision::Capture(Capture { reason, ..capture(question, class, Consistency::NoReboot) })
        }
        IfBlocked::Wait => {
            let until = match &block {
                Block::OutsideWindow { opens_at, .. } => *opens_at,
                Block::TooLate { .. } | Block::AutoScalingGroup { .. } | Block::NotHeld { .. } => None,
            };
            Decision::Wait { until, reason: WaitReason::Blocked(block) }
        }
        IfBlocked::Fail | IfBlocked::NoReboot => Decision::Fail(JobError::new(
            "reboot_blocked",
            format!("{block}; class {} asks for a reboot", class.name),
            blocked_next_step(&block, class),
        )),
    }
}

fn blocked_next_step(block: &Block, class: &Class) -> String {
    let name = &class.name;
    match block {
        Block::OutsideWindow { .. } => format!(
            "schedule the policy inside the window, widen reboot_window of class {name}, or set its if_blocked to \"wait\""
        ),
        Block::TooLate { .. } => {
            format!("run `amikeep backup` at a convenient time, or give class {name} a reboot_window")
        }
        Block::AutoScalingGroup { .. } => format!(
            "give the instance a class without a reboot, or set reboot_in_asg = true in class {name} if the group tolerates it"
        ),
        Block::NotHeld { .. } => {
            format!("see what is in the way with `amikeep hold`, or change if_blocked of class {name}")
        }
    }
}

fn reboot_block(question: &Question<'_>, class: &Class, instance: &Instance) -> Option<Block> {
    if let (Some(group), AsgReboot::Blocked) = (instance.auto_scaling_group(), class.reboot_in_asg) {
        return Some(Block::AutoScalingGroup { group: group.to_owned() });
    }
    let Some(window) = &class.reboot_window else {
        let late = question.now.duration_since(question.window.start_at);
        return (REBOOT_LATE_MAX < late).then_some(Block::TooLate { late });
    };
    let timezone = question.policy.schedule.timezone();
    (!window.is_open(question.now, timezone)).then(|| Block::OutsideWindow {
        window: window.to_string(),
        opens_at: window.next_opening(question.now, timezone),
    })
}

fn capture(question: &Question<'_>, class: &Class, mode: Consistency) -> Capture {
    let reason = if question.asked.is_some() { Reason::Operator } else { Reason::Class(class.name.clone()) };
    let asked = question.asked.unwrap_or(class.consistency);
    let expected = if mode == Consistency::Reboot { Grade::Clean } else { Grade::Crash };
    Capture { class: class.name.clone(), asked, mode, expected, reason, grade_min: None, hold: None }
}

/// A stopped instance has no open files. Should it be started before its snapshots appear, the image is no better than
/// one without a reboot, and a class that never accepts that fails the job.
fn capture_stopped(question: &Question<'_>, class: &Class, instance: &Instance) -> Capture {
    let hibernated = instance.hibernation == Hibernation::Hibernated;
    let (expected, reason) =
        if hibernated { (Grade::Crash, Reason::Hibernated) } else { (Grade::Offline, Reason::Stopped) };
    let strict = class.consistency != Consistency::NoReboot && class.if_blocked != IfBlocked::NoReboot;
    let grade_min = (strict && !hibernated).then(|| class.required_grade());
    Capture { expected, reason, grade_min, ..capture(question, class, Consistency::NoReboot) }
}

fn instance_store_root(instance: &Instance) -> JobError {
    JobError::new(
        "instance_store_root",
        format!("the root of {} is on the instance store, and CreateImage needs an EBS root", instance.id),
        "exclude the instance from the policy; images of it can only be bundled on the instance itself",
    )
}

fn too_late(question: &Question<'_>, instance: &Instance, class: &Class) -> JobError {
    let waited_for = match instance.state {
        InstanceState::Pending | InstanceState::Stopping => format!(": the instance is {}", instance.state),
        InstanceState::Running if question.asked.unwrap_or(class.consistency) == Consistency::Reboot => {
            reboot_block(question, class, instance).map(|block| format!(": {block}")).unwrap_or_default()
        }
        _ => String::new(),
    };
    start_within_passed(question.window, &waited_for)
}

/// The error of a job that could not start in time; `waited_for` is empty or begins with a colon.
pub fn start_within_passed(window: StartWindow, waited_for: &str) -> JobError {
    JobError::new(
        "start_within_passed",
        format!("no capture may begin after {}{waited_for}", window.start_by),
        "see the events of the job for what it waited for; run `amikeep backup` now, or raise start_within of the policy",
    )
}

/// The first moment at which a waiting job should be looked at again. Instances change state within minutes; what else
/// blocks a reboot is rarely taken back before the next night.
pub fn wait_until(until: Option<Timestamp>, reason: &WaitReason, now: Timestamp) -> Timestamp {
    let again_after = match reason {
        WaitReason::Transitional(_) => SignedDuration::from_secs(30),
        WaitReason::Blocked(_) => SignedDuration::from_mins(10),
    };
    until.unwrap_or_else(|| saturating_add(now, again_after))
}

#[cfg(test)]
mod tests;
