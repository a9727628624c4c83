//! Decisions about a hold: how, and what follows if it cannot be had or proved nothing.

use jiff::Timestamp;

use crate::class::IfBlocked;
use crate::decision::{Block, JobError, Reason, WaitReason, wait_until};
use crate::freeze::Freeze;
use crate::id::{ClassName, ImageId};
use crate::policy::StartWindow;

/// A hold that was decided: how, and what becomes of a freeze that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOrder {
    /// The recipe.
    pub freeze: Freeze,
    /// What follows if the instance cannot be held still.
    pub if_blocked: IfBlocked,
}

/// What follows if an instance cannot be held still, before anything was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotHeld {
    /// The image is taken without, for this reason.
    FallBack(Reason),
    /// It is tried again at this time.
    Wait {
        /// When.
        retry_at: Timestamp,
        /// Why.
        reason: WaitReason,
    },
    /// The job fails.
    Fail(JobError),
}

/// Decides what follows if `class` cannot be held still, because of `why`.
pub fn decide_not_held(
    order: &HoldOrder,
    class: &ClassName,
    window: StartWindow,
    why: &str,
    now: Timestamp,
) -> NotHeld {
    let block = Block::NotHeld { why: why.to_owned() };
    let reason = || WaitReason::Blocked(block.clone());
    let retry_at = wait_until(None, &reason(), now);
    match order.if_blocked {
        IfBlocked::NoReboot => NotHeld::FallBack(Reason::FellBack(block)),
        IfBlocked::Wait if retry_at <= window.start_by => NotHeld::Wait { retry_at, reason: reason() },
        IfBlocked::Wait | IfBlocked::Fail => NotHeld::Fail(JobError::new(
            "freeze_failed",
            format!("{block}; class {class} asks for a freeze"),
            format!("see what is in the way with `amikeep hold --freeze {} --test`", order.freeze.name),
        )),
    }
}

/// Decides what follows if `CreateSnapshots` and `RegisterImage` cannot make an image of an instance, because of `why`. It
/// does not become another instance by waiting, so waiting is not tried; and `CreateImage` in a hold is another capture than
/// the one that was asked for, so it is not taken instead.
pub fn decide_unfit(order: &HoldOrder, class: &ClassName, why: &str) -> NotHeld {
    let block = Block::NotHeld { why: why.to_owned() };
    match order.if_blocked {
        IfBlocked::NoReboot => NotHeld::FallBack(Reason::FellBack(block)),
        IfBlocked::Wait | IfBlocked::Fail => NotHeld::Fail(JobError::new(
            "capture_unfit",
            format!("{block}; class {class} asks for a freeze"),
            format!("set `capture = \"image\"` in [freezes.{}]: then CreateImage takes the image", order.freeze.name),
        )),
    }
}

/// The error of an image that was taken in a hold which proved nothing.
pub fn freeze_unproved(image: &ImageId, why: &str) -> JobError {
    JobError::new(
        "freeze_unproved",
        format!("the freeze of {image} is not proved: {why}"),
        "the image is as after a power cut, and stays until a newer one succeeds; the events of the job say what happened. \
         Run `amikeep backup` to take another",
    )
}
