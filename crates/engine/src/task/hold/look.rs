//! Looking for the snapshots of an image while everything is frozen.
//!
//! A snapshot is there whether or not EC2's reply to the request has come, so looks begin before it and do not wait for it:
//! whichever way tells first of the last snapshot ends the hold. Each look is one request, and the only loop within a hold: it
//! is bounded by the budget.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use amikeep_cloud::{Action, Cloud, CloudError, CloudErrorKind, SeenSnapshot, SnapshotQuery, SnapshotState};
use amikeep_domain::id::{JobId, SnapshotId, VolumeId};
use amikeep_domain::instance::AttachedVolume;
use amikeep_domain::plan::RequestAction;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::context::Context;
use crate::hold::holder::Frozen;
use crate::task::hold::capture::{Budget, Earlier};

/// How often EC2 is asked for the snapshots. Each look costs a request; a longer wait would lengthen the stall by it.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// When the first look is sent if EC2 has not replied by then. The request has to be there first: a look that overtakes it
/// is one for nothing.
const FIRST_LOOK_AFTER: Duration = Duration::from_millis(50);

/// How long looks go on after a reply that was lost: what EC2 did is seen by then as a rule, and a request that never
/// arrived would be looked for in vain until the budget.
const LOOKS_AFTER_LOSS_MAX: Duration = Duration::from_millis(500);

/// Why snapshots that were seen prove nothing.
pub(super) const NOT_TAKEN: &str = "EC2 did not say that it takes the image";

/// What is looked for, and for how long.
pub(super) struct Look<'a> {
    pub(super) job: JobId,
    pub(super) action: &'a RequestAction,
    /// Snapshots of an earlier image of the same job.
    pub(super) known: &'a BTreeSet<SnapshotId>,
    pub(super) frozen: &'a Frozen,
    pub(super) budget: Budget,
}

impl Look<'_> {
    /// Looks until a snapshot of every expected volume is there, as long as everything is frozen. Says which were seen, or
    /// why they were not. Once EC2 has `answered`, the next look is not waited for.
    pub(super) async fn until_seen<C: Cloud>(&self, ctx: &Context<C>, answered: &Notify) -> Result<String, String> {
        let mut why = "no snapshot was seen".to_owned();
        pause(FIRST_LOOK_AFTER.min(self.budget.left()), answered).await;
        loop {
            let left = self.budget.left();
            if left.is_zero() || self.frozen.ended().is_some() {
                return Err(why);
            }
            let job = self.job;
            let ask = |cloud: Arc<C>| async move { cloud.observe_snapshots(SnapshotQuery::Job(job)).await };
            match timeout(left, ctx.call(&self.action.account, Action::DescribeSnapshots, ask)).await {
                Ok(Ok(snapshots)) => match missing(self.action, self.known, &snapshots) {
                    Ok(seen) => return Ok(seen),
                    Err(missing) => why = missing,
                },
                Ok(Err(error)) if error.kind == CloudErrorKind::Denied => {
                    return Err(format!("EC2 does not show the snapshots: {}", error.message));
                }
                Ok(Err(error)) => why = format!("EC2 did not show the snapshots: {}: {}", error.code, error.message),
                Err(_elapsed) => return Err("EC2 did not show the snapshots in time".to_owned()),
            }
            pause(LOOK_EVERY.min(self.budget.left()), answered).await;
        }
    }
}

async fn pause(length: Duration, answered: &Notify) {
    // Either is a reason to go on.
    let _ = timeout(length, answered.notified()).await;
}

/// A result, and when it was known.
type At<T> = (T, Timestamp);

/// There is nothing more to wait for while everything stands still.
pub(super) struct Over<T> {
    /// EC2's reply, unless it is still on its way.
    pub(super) reply: Option<At<Result<T, CloudError>>>,
    /// What was seen and when, or why nothing is proved.
    pub(super) seen: Result<At<String>, String>,
}

/// Waits until the looks are over, or EC2's reply says that they are in vain. The reply itself is waited for only where it is
/// needed.
pub(super) async fn side_by_side<T>(
    mut call: Pin<&mut impl Future<Output = At<Result<T, CloudError>>>>,
    looks: impl Future<Output = At<Result<String, String>>>,
    answered: &Notify,
    earlier: Earlier,
    budget: Budget,
) -> Over<T> {
    let of = |(seen, at): At<Result<String, String>>| seen.map(|seen| (seen, at));
    let not_taken = || Err(NOT_TAKEN.to_owned());
    let mut looks = pin!(looks);
    let reply = tokio::select! {
        biased;
        reply = call.as_mut() => reply,
        seen = &mut looks => {
            if earlier == Earlier::Nothing || seen.0.is_err() {
                return Over { reply: None, seen: of(seen) };
            }
            let reply = timeout(budget.left(), call).await.ok();
            let is_taken = reply.as_ref().is_some_and(|(reply, _)| reply.is_ok());
            return Over { reply, seen: if is_taken { of(seen) } else { not_taken() } };
        }
    };
    answered.notify_one();
    let seen = match &reply.0 {
        Ok(_) => of(looks.await),
        Err(error) if error.kind == CloudErrorKind::OutcomeUnknown && earlier == Earlier::Nothing => {
            timeout(LOOKS_AFTER_LOSS_MAX, looks).await.map_or_else(|_| not_taken(), of)
        }
        Err(_) => not_taken(),
    };
    Over { reply: Some(reply), seen }
}

/// The snapshots of all expected volumes, or the first volume without one.
pub(super) fn missing(
    action: &RequestAction,
    known: &BTreeSet<SnapshotId>,
    seen: &[SeenSnapshot],
) -> Result<String, String> {
    let is_good = |it: &&SeenSnapshot| it.state != SnapshotState::Unusable && !known.contains(&it.id);
    let by_volume: BTreeMap<&VolumeId, &SeenSnapshot> =
        seen.iter().filter(is_good).filter_map(|it| Some((it.volume.as_ref()?, it))).collect();
    let one = |volume: &AttachedVolume| {
        let snapshot = by_volume.get(&volume.volume).map(|it| it.id.to_string());
        snapshot.ok_or_else(|| format!("no snapshot of {} was seen", volume.volume))
    };
    let found: Result<Vec<String>, String> = action.intent.volumes.iter().map(one).collect();
    found.map(|found| found.join(", "))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use amikeep_hold::Moment;
    use tokio::sync::oneshot;

    use super::*;

    /// Longer than a test may take.
    const FOR_EVER: Duration = Duration::from_hours(1);

    fn refusal() -> Result<(), CloudError> {
        Err(CloudError {
            action: Action::CreateImage,
            kind: CloudErrorKind::Throttled,
            code: "RequestLimitExceeded".to_owned(),
            message: String::new(),
            request_id: None,
        })
    }

    fn lost() -> Result<(), CloudError> {
        refusal().map_err(|error| CloudError { kind: CloudErrorKind::OutcomeUnknown, ..error })
    }

    /// Everything was seen.
    fn all() -> At<Result<String, String>> {
        (Ok("all".to_owned()), Timestamp::UNIX_EPOCH)
    }

    /// Whether there was a reply that takes the image, if there was any, and whether something is proved.
    async fn run(
        call: impl Future<Output = Result<(), CloudError>>,
        looks: impl Future<Output = At<Result<String, String>>>,
        answered: &Notify,
        earlier: Earlier,
    ) -> (Option<bool>, bool) {
        let call = pin!(async { (call.await, Timestamp::UNIX_EPOCH) });
        let budget = Budget { began: Moment::now(), whole: FOR_EVER };
        let over = side_by_side(call, looks, answered, earlier, budget).await;
        (over.reply.map(|(reply, _)| reply.is_ok()), over.seen.is_ok())
    }

    #[tokio::test]
    async fn what_is_seen_does_not_wait_for_the_reply() {
        let told = run(pending(), async { all() }, &Notify::new(), Earlier::Nothing).await;
        assert_eq!(told, (None, true), "EC2 never replies");
    }

    #[tokio::test]
    async fn where_an_earlier_request_may_arrive_the_reply_is_needed() {
        let (sent, received) = oneshot::channel();
        // The reply comes only after everything was seen.
        let call = async move { received.await.map_err(|_| unreachable!()) };
        let looks = async move {
            sent.send(()).unwrap();
            all()
        };
        assert_eq!(run(call, looks, &Notify::new(), Earlier::MayArrive).await, (Some(true), true));
        let late = async {
            tokio::task::yield_now().await;
            lost()
        };
        assert_eq!(run(late, async { all() }, &Notify::new(), Earlier::MayArrive).await, (Some(false), false));
    }

    #[tokio::test]
    async fn a_reply_is_followed_by_a_look_at_once_and_the_next_one_waits_again() {
        let answered = Notify::new();
        let looks = async {
            pause(FOR_EVER, &answered).await;
            let next = timeout(Duration::from_millis(1), pause(FOR_EVER, &answered)).await;
            assert!(next.is_err(), "one look is sent for the reply");
            all()
        };
        assert_eq!(run(ready(Ok(())), looks, &answered, Earlier::Nothing).await, (Some(true), true));
    }

    #[tokio::test]
    async fn a_refusal_ends_the_looks_and_proves_nothing() {
        assert_eq!(run(ready(refusal()), pending(), &Notify::new(), Earlier::Nothing).await, (Some(false), false));
    }

    #[tokio::test]
    async fn a_reply_that_is_lost_is_followed_by_a_few_looks() {
        let answered = Notify::new();
        let looks = async {
            pause(FOR_EVER, &answered).await;
            all()
        };
        assert_eq!(run(ready(lost()), looks, &answered, Earlier::Nothing).await, (Some(false), true), "one sees it");
        assert_eq!(run(ready(lost()), pending(), &Notify::new(), Earlier::Nothing).await, (Some(false), false));
        let told = run(ready(lost()), async { all() }, &Notify::new(), Earlier::MayArrive).await;
        assert_eq!(told, (Some(false), false), "they may be those of the earlier request");
    }
}
