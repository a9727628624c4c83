//! Looking for the snapshots of an image while everything is frozen.
//!
//! A snapshot is there whether or not EC2's reply to the request has come, so looks begin before it: the way of the reply and
//! the way of the look overlap, and writes stand still for nearly one latency less. Each look is one request, and the only
//! loop within a hold: it is bounded by the budget.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
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
use crate::task::hold::capture::Budget;

/// How often EC2 is asked for the snapshots. Each look costs a request; a longer wait would lengthen the stall by it.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// When the first look is sent if EC2 has not replied by then. The request has to be there first: a look that overtakes it
/// is one for nothing.
const FIRST_LOOK_AFTER: Duration = Duration::from_millis(50);

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

/// EC2's reply and what the looks beside it came to, each with the time at which it was known. A refusal ends the looks.
pub(super) async fn side_by_side<T>(
    call: impl Future<Output = Result<T, CloudError>>,
    looks: impl Future<Output = Result<String, String>>,
    answered: &Notify,
    now: impl Fn() -> Timestamp,
) -> ((Result<T, CloudError>, Timestamp), (Result<String, String>, Timestamp)) {
    let mut call = pin!(async { (call.await, now()) });
    let mut looks = pin!(async { (looks.await, now()) });
    tokio::select! {
        biased;
        reply = &mut call => {
            if reply.0.is_err() {
                return (reply, (Err("EC2 did not say that it takes the image".to_owned()), now()));
            }
            answered.notify_one();
            (reply, looks.await)
        }
        seen = &mut looks => match call.await {
            reply @ (Err(_), _) => (reply, (Err("EC2 did not say that it takes the image".to_owned()), now())),
            reply => (reply, seen),
        }
    }
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

    fn all() -> String {
        "all".to_owned()
    }

    async fn run(
        call: impl Future<Output = Result<(), CloudError>>,
        looks: impl Future<Output = Result<String, String>>,
        answered: &Notify,
    ) -> (bool, bool) {
        let ((reply, _), (seen, _)) = side_by_side(call, looks, answered, || Timestamp::UNIX_EPOCH).await;
        (reply.is_ok(), seen.is_ok())
    }

    #[tokio::test]
    async fn looks_do_not_wait_for_the_reply() {
        let (sent, received) = oneshot::channel();
        // The reply comes only after everything was seen.
        let call = async move { received.await.map_err(|_| unreachable!()) };
        let looks = async move {
            sent.send(()).unwrap();
            Ok(all())
        };
        assert_eq!(run(call, looks, &Notify::new()).await, (true, true));
    }

    #[tokio::test]
    async fn a_reply_is_followed_by_a_look_at_once_and_the_next_one_waits_again() {
        let answered = Notify::new();
        let looks = async {
            pause(FOR_EVER, &answered).await;
            let next = timeout(Duration::from_millis(1), pause(FOR_EVER, &answered)).await;
            assert!(next.is_err(), "one look is sent for the reply");
            Ok(all())
        };
        assert_eq!(run(ready(Ok(())), looks, &answered).await, (true, true));
    }

    #[tokio::test]
    async fn a_refusal_ends_the_looks_and_proves_nothing() {
        assert_eq!(run(ready(refusal()), pending(), &Notify::new()).await, (false, false));
        let (sent, received) = oneshot::channel::<()>();
        let late = async move {
            let _ = received.await;
            refusal()
        };
        let looks = async move {
            sent.send(()).unwrap();
            Ok(all())
        };
        assert_eq!(run(late, looks, &Notify::new()).await, (false, false), "what was seen first proves nothing either");
    }
}
