//! The model of one of EC2's buckets, and the queue before it: plain numbers, with the moment as an argument.
//!
//! Owns the rules that the module above argues for. It must never wait or ask for the time.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pacer::WAIT_MAX;
use crate::pacer::limits::Limit;

/// Tokens of the capacity that are left alone.
pub(crate) const SPARE_TOKENS: f64 = 1.0;
/// The part of the refill that is left alone.
pub(crate) const SPARE_REFILL: f64 = 0.01;
/// What a throttled call leaves of the share.
pub(crate) const SHARE_KEPT: f64 = 0.8;
/// A throttled call that comes so long after the one before it, while the whole limit is assumed, is put down to a few
/// calls of somebody else and not to somebody who takes a share.
pub(crate) const STRAY_AFTER: Duration = Duration::from_mins(1);
/// The share never falls below this: enough calls remain to notice that the others have stopped, and the jobs that the
/// engine has under way are still served within [`WAIT_MAX`].
pub(crate) const SHARE_MIN: f64 = 0.25;
/// How long the share would take to grow from nothing to the whole. Twice as fast would be throttled twice as often
/// while somebody else uses the bucket; half as fast would leave a bucket that is ours again unused for longer.
pub(crate) const SHARE_GROWS_FOR: Duration = Duration::from_mins(10);

/// A call that was sent so long ago has reached EC2, whether or not it has been answered: an image may take longer to be
/// answered than a request takes to arrive.
pub(crate) const ARRIVES_WITHIN: Duration = Duration::from_secs(1);

/// Below this a missing part of a token is an error of rounding. Without it, a wait that was computed to be long enough
/// could end a billionth too early, and be followed by one of no time at all.
const ROUNDING: f64 = 1e-6;

/// Names a place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// What a place in the queue is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The tokens are taken and the place is gone: send.
    Now,
    /// Not before this moment, as far as is known now.
    Wait {
        /// The moment.
        until: Duration,
    },
    /// Too far away; the place is gone.
    Refused {
        /// How far.
        wait: Duration,
    },
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    calls: u32,
    joined_at: Duration,
}

/// The last throttled call that was news.
#[derive(Debug)]
struct Emptied {
    at: Duration,
    /// Whether a call that was sent later has succeeded.
    is_over: bool,
}

/// Calls whose tokens are taken here, and perhaps not yet at EC2.
#[derive(Debug)]
struct OnTheWay {
    ticket: Ticket,
    calls: u32,
    /// From then on they are taken to have arrived.
    until: Duration,
}

#[derive(Debug)]
pub(crate) struct Bucket {
    limit: Limit,
    /// The part of the limit that is assumed to be there for us.
    share: f64,
    tokens: f64,
    refreshed_at: Duration,
    emptied: Option<Emptied>,
    queue: VecDeque<Waiting>,
    on_the_way: Vec<OnTheWay>,
    next_ticket: u64,
}

impl Bucket {
    pub(crate) fn new(limit: Limit, now: Duration) -> Self {
        let empty = Self {
            limit,
            share: 1.0,
            tokens: 0.0,
            refreshed_at: now,
            emptied: None,
            queue: VecDeque::new(),
            on_the_way: Vec::new(),
            next_ticket: 0,
        };
        Self { tokens: empty.capacity(), ..empty }
    }

    pub(crate) fn set_limit(&mut self, limit: Limit, now: Duration) {
        self.refresh(now);
        self.limit = limit;
        self.tokens = self.tokens.min(self.capacity());
    }

    /// Takes a place at the end of the queue, for `calls` calls at once.
    pub(crate) fn join(&mut self, now: Duration, calls: u32) -> Ticket {
        self.refresh(now);
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.queue.push_back(Waiting { ticket, calls, joined_at: now });
        ticket
    }

    /// Asks whether it is this place's turn. Tokens for everybody ahead are kept back, so it does not matter who asks
    /// first.
    pub(crate) fn turn(&mut self, now: Duration, ticket: Ticket) -> Turn {
        self.refresh(now);
        let Some(index) = self.queue.iter().position(|waiting| waiting.ticket == ticket) else { return Turn::Now };
        let ahead: f64 = self.queue.iter().take(index).map(|waiting| f64::from(waiting.calls)).sum();
        let (n_calls, joined_at) = (self.queue[index].calls, self.queue[index].joined_at);
        let calls = f64::from(n_calls);
        // More calls than the bucket ever holds go when it is full, and leave a debt.
        let missing = ahead + calls.min(self.capacity()) - self.tokens;
        if missing <= ROUNDING {
            self.queue.remove(index);
            self.tokens -= calls;
            // Nobody waits longer than this before a call is made, so a turn that was forgotten holds nothing for ever.
            self.on_the_way.push(OnTheWay { ticket, calls: n_calls, until: now.saturating_add(WAIT_MAX) });
            return Turn::Now;
        }
        let wait = Duration::try_from_secs_f64(missing / self.refill_per_s()).unwrap_or(Duration::MAX);
        let until = now.saturating_add(wait);
        if joined_at.saturating_add(WAIT_MAX) < until {
            self.queue.remove(index);
            return Turn::Refused { wait };
        }
        Turn::Wait { until }
    }

    /// Gives a place back; nothing if it is gone already.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        self.queue.retain(|waiting| waiting.ticket != ticket);
    }

    /// The call is sent now that this place had its turn for.
    pub(crate) fn sent(&mut self, now: Duration, ticket: Ticket) {
        for call in self.on_the_way.iter_mut().filter(|call| call.ticket == ticket) {
            call.until = call.until.min(now.saturating_add(ARRIVES_WITHIN));
        }
    }

    /// The call was answered, or is not made at all.
    pub(crate) fn arrived(&mut self, now: Duration, ticket: Ticket) {
        self.refresh(now);
        self.on_the_way.retain(|call| call.ticket != ticket);
    }

    /// Takes calls into account that had no turn and were accepted. There were tokens for them, so none are owed.
    pub(crate) fn charge(&mut self, now: Duration, calls: u32) {
        self.refresh(now);
        self.tokens = (self.tokens - f64::from(calls)).max(self.tokens.min(0.0));
    }

    /// Calls that another process made so long ago; the oldest first. The bucket was full before them, as far as is known.
    pub(crate) fn recall(&mut self, now: Duration, ages: &[Duration]) {
        self.refresh(now);
        let mut tokens = self.capacity();
        for (n, age) in ages.iter().enumerate() {
            let next = ages.get(n + 1).copied().unwrap_or_default();
            let refilled = age.saturating_sub(next).as_secs_f64() * self.refill_per_s();
            tokens = ((tokens - 1.0).max(0.0) + refilled).min(self.capacity());
        }
        self.tokens = self.tokens.min(tokens);
    }

    /// A call that was sent at `sent_at` was throttled: the bucket is empty, and unless this happens once in a while, less
    /// of it is ours than we thought.
    pub(crate) fn throttled(&mut self, now: Duration, sent_at: Duration) {
        self.refresh(now);
        if self.emptied.as_ref().is_some_and(|last| sent_at <= last.at) {
            // It was on its way when the last one was noticed.
            return;
        }
        let long_ago = |last: &Emptied| last.is_over && last.at.saturating_add(STRAY_AFTER) <= now;
        if self.share < 1.0 || !self.emptied.as_ref().is_none_or(long_ago) {
            self.share = (self.share * SHARE_KEPT).max(SHARE_MIN);
        }
        self.tokens = self.tokens.min(0.0);
        self.emptied = Some(Emptied { at: now, is_over: false });
    }

    /// A call that was sent at `sent_at` succeeded.
    pub(crate) fn succeeded(&mut self, now: Duration, sent_at: Duration) {
        self.refresh(now);
        if let Some(last) = &mut self.emptied {
            last.is_over |= last.at < sent_at;
        }
    }

    fn capacity(&self) -> f64 {
        ((self.limit.capacity - SPARE_TOKENS) * self.share).max(1.0)
    }

    fn refill_per_s(&self) -> f64 {
        self.limit.refill_per_s * (1.0 - SPARE_REFILL) * self.share
    }

    /// Brings tokens and share up to date. The tokens of the time that has passed are counted with the share at its
    /// beginning, which is the smaller one.
    ///
    /// A bucket that is full at EC2 stays so until a call arrives, whatever was taken from it here. So what is on its way
    /// fills the model as if it were still in it.
    fn refresh(&mut self, now: Duration) {
        if now < self.refreshed_at {
            self.set_back(now);
        }
        let passed = now.saturating_sub(self.refreshed_at).as_secs_f64();
        self.refreshed_at = now;
        let on_the_way: f64 = self.on_the_way.iter().map(|call| f64::from(call.calls)).sum();
        let room = (self.capacity() - on_the_way - self.tokens).max(0.0);
        self.tokens += (passed * self.refill_per_s()).min(room);
        self.on_the_way.retain(|call| now < call.until);
        if self.emptied.as_ref().is_some_and(|last| last.is_over) {
            self.share = (self.share + passed / SHARE_GROWS_FOR.as_secs_f64()).min(1.0);
        }
        self.tokens = self.tokens.min(self.capacity());
    }

    /// The clock was set back: what lies in its future now would hold everything up until it comes again.
    fn set_back(&mut self, now: Duration) {
        self.refreshed_at = now;
        if let Some(last) = &mut self.emptied {
            last.at = last.at.min(now);
        }
        for waiting in &mut self.queue {
            waiting.joined_at = waiting.joined_at.min(now);
        }
        for call in &mut self.on_the_way {
            call.until = call.until.min(now.saturating_add(WAIT_MAX));
        }
    }
}

#[cfg(test)]
mod tests;
