//! Waits before each call until EC2's request limits have room for it, so that a wave is as fast as the limits allow and
//! hardly ever throttled.
//!
//! EC2 gives each account and region one token bucket per action ("Request throttling for the Amazon EC2 API"). A
//! [`Pacer`] keeps a model of these buckets, and [`Paced`] puts it in front of any [`Cloud`](crate::Cloud). It must never
//! send, repeat or reorder a call: what is throttled all the same goes back to the caller. It reads no clock but its
//! [`Timer`].
//!
//! # Why hardly anything is throttled while we are alone
//!
//! The model holds one token less than EC2's bucket ([`SPARE_TOKENS`]) and refills a hundredth slower
//! ([`SPARE_REFILL`]). Within any time `t` it lets `capacity - 1 + 0.99 · refill · t` calls go, and EC2 accepts
//! `capacity + refill · t`. What is left covers a clock that runs wrong by less than 1 %, a call now and then by somebody
//! else, and calls that overtake each other on the way by up to one token's time. It costs a wave that is twice the burst
//! 3 %, and a long one 1 %.
//!
//! A call that has its turn is not at EC2 yet: what is written down before it, and the way, take their time. A bucket that
//! is full there stays full until the call arrives, and refills from then on; a model that refilled from the turn on would
//! be ahead by what the bucket could not hold, which after a burst was one call in fifty for every 200 ms of delay. So a
//! call fills the model as if it were still in it until it was answered, or for [`ARRIVES_WITHIN`] after it was sent: then
//! a bucket that is full here is full there, and one that is not full refills alike.
//!
//! # Why it converges while we are not alone
//!
//! Consoles, scripts and services of AWS draw from the same buckets, and a limit may be another than the documented one.
//! So the model assumes only a *share* of the limit, which scales capacity and refill alike. A throttled call empties the
//! model; calls that were on their way at that moment say nothing new and count once. That is all while the whole limit is
//! assumed and it happens no more than once in a while ([`STRAY_AFTER`]): somebody else made a few calls, or EC2 refills
//! its bucket in steps of a second, and an empty model makes up for either. Otherwise the refill is not what we thought,
//! since model and bucket were both empty before, and a fifth of the share goes ([`SHARE_KEPT`]), down to [`SHARE_MIN`].
//! From the first call on that was sent afterwards and succeeded, the share grows with time at an even rate, from nothing
//! to the whole in [`SHARE_GROWS_FOR`]. Without such a success it does not grow: an outage that lasts all night is not met
//! with a full burst by every retry.
//!
//! Let `a` be the share that is really there. Above `a` EC2's bucket drains, a call is throttled, and the share falls;
//! below `a` it grows again while EC2's bucket stores what we leave. The share thus swings between `x` and `0.8 · x`
//! around `a`, and since the stored tokens are used above `a`, next to nothing is lost. A swing takes
//! `0.2 · x · SHARE_GROWS_FOR`, a minute for half a bucket, and costs about one throttled call: for `CreateImage` one in
//! 150. Once the others stop, the whole limit is in use again within some minutes.
//!
//! # Order, and reads beside writes
//!
//! Each action has a bucket of its own, at EC2 and here, so listings never take a token of `CreateImage`. Who waits for
//! the same action is served in the order of asking; nobody can take the token of somebody who asked earlier.
//!
//! # Paging
//!
//! A verb that lists takes its turn for one call. When it has answered, the further pages are charged from the number of
//! entries, as if they had been fetched all at once, which errs on the safe side. That leaves an empty bucket at worst and
//! no debt: EC2 never lends, so there were tokens for every page of a listing that succeeded. Calls that an adapter adds
//! on its own are not seen: a repeated read, or the description of an instance type that is met for the first time. Their
//! buckets are large, and a throttle teaches.

mod bucket;
mod limits;
mod paced;
mod pacers;

pub use limits::{Limit, Limits};
pub use paced::Paced;
pub use pacers::Pacers;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{CloudError, CloudErrorKind};
use crate::pacer::bucket::{Bucket, Ticket, Turn};
use crate::port::Action;

#[cfg(doc)]
use crate::pacer::bucket::{
    ARRIVES_WITHIN, SHARE_GROWS_FOR, SHARE_KEPT, SHARE_MIN, SPARE_REFILL, SPARE_TOKENS, STRAY_AFTER,
};

/// The longest wait for a turn; a call whose turn is further away is refused at once.
///
/// Upwards it is bounded by the engine, which ends every call after 90 s, the wait included, and takes a change that was
/// ended for one with an unknown outcome. A change is one attempt of at most 20 s, so this leaves 10 s.
///
/// Downwards it is bounded by what a refusal costs. A refused job goes back to its queue, and its place in the engine
/// is taken by the next job of the same wave, which is refused as quickly: with too short a wait the engine walks through
/// ten thousand jobs and writes each down three times, only to learn the same of all. So the 64 jobs that the engine has
/// under way by default should wait and not be refused. At full pace the last of them waits 13 s, at half of it 26 s, and
/// at the least share 52 s. Only an engine with more jobs under way meets refusals, and then one for each job and retry.
pub const WAIT_MAX: Duration = Duration::from_mins(1);

/// Whoever waits looks again at least this often: the share grows and falls, those ahead give up, and pacers are closed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tells how time passes, and waits.
///
/// Moments are durations since a beginning that the timer chooses. They should come from a clock that nobody sets: over
/// tokio, keep an `Instant` from the start, tell `elapsed()`, and wait with `sleep_until(start + moment)`. A clock that
/// is set back all the same costs nothing but the refill of the time in between.
pub trait Timer: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Duration;

    /// Returns at `moment` or later.
    fn sleep_until(&self, moment: Duration) -> impl Future<Output = ()> + Send;
}

/// What is known of the request limits of one account in one region.
///
/// Everything that calls this account and region in this process must share one pacer, in an `Arc`, whatever policy or
/// account name it does so for; and a pacer should outlive a reload, or the next wave begins with a burst that EC2's
/// buckets no longer have: [`Pacers`] sees to both. Two pacers for one account still get along, as two hosts do: each
/// finds its share.
///
/// It begins with full buckets, less what it is told of a process before it ([`recall`](Self::recall)).
#[derive(Debug)]
pub struct Pacer<T> {
    timer: T,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    buckets: BTreeMap<Action, Bucket>,
    /// How long calls have waited for their turns.
    waited: BTreeMap<Action, Duration>,
    closed: bool,
}

impl<T: Timer> Pacer<T> {
    /// A pacer with full buckets of these sizes.
    pub fn new(limits: &Limits, timer: T) -> Self {
        let now = timer.now();
        let buckets = limits.iter().map(|(action, limit)| (action, Bucket::new(limit, now))).collect();
        Self { timer, state: Mutex::new(State { buckets, waited: BTreeMap::new(), closed: false }) }
    }

    /// Takes other limits, such as those that Service Quotas told. What is in the buckets, and what was learned from
    /// throttled calls, stays; an action that `limits` does not name stays as it is.
    pub fn set_limits(&self, limits: &Limits) {
        let now = self.timer.now();
        let mut state = self.state();
        for (action, limit) in limits.iter() {
            state.buckets.entry(action).or_insert_with(|| Bucket::new(limit, now)).set_limit(limit, now);
        }
    }

    /// Takes into account calls that a process before this one made, by their ages: EC2's buckets outlive processes. Calls
    /// that this one has made already are not forgotten for it.
    pub fn recall(&self, action: Action, mut ages: Vec<Duration>) {
        let now = self.timer.now();
        ages.sort_unstable_by(|one, other| other.cmp(one));
        if let Some(bucket) = self.state().buckets.get_mut(&action) {
            bucket.recall(now, &ages);
        }
    }

    /// Refuses whoever waits, within a second, and whoever would have to wait from now on: for a shutdown, which should
    /// let calls under way end and not send those that have not begun. A call that need not wait still goes.
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// Waits for room for `calls` calls; returns when the first may be sent.
    ///
    /// A future that is dropped while it waits gives its turn to those behind it. Once it has returned, the tokens are
    /// spent, whether or not a call is made.
    async fn turn(&self, action: Action, calls: u32) -> Result<Taken, CloudError> {
        let _waiting = Waiting { pacer: self, action, since: self.timer.now() };
        let Some(place) = self.join(action, calls) else { return Ok(Taken { at: self.timer.now(), ticket: None }) };
        loop {
            let now = self.timer.now();
            let until = match place.look(now) {
                Turn::Now => return Ok(Taken { at: now, ticket: Some(place.ticket) }),
                Turn::Refused { wait } => return Err(refused(action, wait)),
                Turn::Wait { .. } if self.state().closed => return Err(closed(action)),
                Turn::Wait { until } => until,
            };
            self.timer.sleep_until(until.min(now.saturating_add(LOOK_EVERY))).await;
        }
    }

    /// How long calls of each action have waited for room, all together. Those that wait now are not in it yet.
    pub fn waited(&self) -> BTreeMap<Action, Duration> {
        self.state().waited.clone()
    }

    /// A place at the end of the queue; none for an action without a limit.
    fn join(&self, action: Action, calls: u32) -> Option<Place<'_, T>> {
        let now = self.timer.now();
        let ticket = self.state().buckets.get_mut(&action)?.join(now, calls);
        Some(Place { pacer: self, action, ticket })
    }

    /// The call is sent now that had this turn.
    fn sent(&self, action: Action, turn: Taken) {
        let now = self.timer.now();
        if let (Some(bucket), Some(ticket)) = (self.state().buckets.get_mut(&action), turn.ticket) {
            bucket.sent(now, ticket);
        }
    }

    /// The call that had this turn is not made.
    fn give_up(&self, action: Action, turn: Taken) {
        let now = self.timer.now();
        if let (Some(bucket), Some(ticket)) = (self.state().buckets.get_mut(&action), turn.ticket) {
            bucket.arrived(now, ticket);
        }
    }

    /// Takes `calls` calls into account that were made without a turn.
    fn charge(&self, action: Action, calls: u32) {
        let now = self.timer.now();
        if let Some(bucket) = self.state().buckets.get_mut(&action) {
            bucket.charge(now, calls);
        }
    }

    /// Learns from the answer to the call that had this turn. It was on its way from its turn on: its token was gone then.
    ///
    /// Only a success says that there was a token: an error may have been found before EC2 looked at the bucket. A throttle
    /// counts for the action that was throttled, which need not be the one that the turn was for.
    fn learn<V>(&self, action: Action, turn: Taken, answer: &Result<V, CloudError>) {
        self.give_up(action, turn);
        let (now, sent_at) = (self.timer.now(), turn.at);
        let mut state = self.state();
        match answer {
            Ok(_) => {
                if let Some(bucket) = state.buckets.get_mut(&action) {
                    bucket.succeeded(now, sent_at);
                }
            }
            Err(error) if error.kind == CloudErrorKind::Throttled => {
                if let Some(bucket) = state.buckets.get_mut(&error.action) {
                    bucket.throttled(now, sent_at);
                }
            }
            Err(_) => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every step leaves the buckets whole, so a panic elsewhere does not spoil them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn that was had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    at: Duration,
    /// None where there is no limit.
    ticket: Option<Ticket>,
}

/// A wait, which counts when it is over, however it ends.
struct Waiting<'a, T: Timer> {
    pacer: &'a Pacer<T>,
    action: Action,
    since: Duration,
}

impl<T: Timer> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let waited = self.pacer.timer.now().saturating_sub(self.since);
        *self.pacer.state().waited.entry(self.action).or_default() += waited;
    }
}

/// A place in the queue of one action, given back when it is dropped.
struct Place<'a, T: Timer> {
    pacer: &'a Pacer<T>,
    action: Action,
    ticket: Ticket,
}

impl<T: Timer> Place<'_, T> {
    fn look(&self, now: Duration) -> Turn {
        self.pacer.state().buckets.get_mut(&self.action).map_or(Turn::Now, |bucket| bucket.turn(now, self.ticket))
    }
}

impl<T: Timer> Drop for Place<'_, T> {
    fn drop(&mut self) {
        if let Some(bucket) = self.pacer.state().buckets.get_mut(&self.action) {
            bucket.leave(self.ticket);
        }
    }
}

fn refused(action: Action, wait: Duration) -> CloudError {
    let message = format!(
        "not sent: EC2's request limit has room for another {action} in {} s, and {} s are the longest wait",
        wait.as_secs(),
        WAIT_MAX.as_secs()
    );
    CloudError { action, kind: CloudErrorKind::Throttled, code: "paced".to_owned(), message, request_id: None }
}

fn closed(action: Action) -> CloudError {
    let message = "not sent: it was waiting for room in EC2's request limit when amikeep was told to stop".to_owned();
    CloudError { action, kind: CloudErrorKind::Throttled, code: "paced".to_owned(), message, request_id: None }
}

#[cfg(test)]
mod tests;
