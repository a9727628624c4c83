//! What could not be thawed although its hold is over: it is tried again until it is thawed, and told until then.
//!
//! What is left is in the ledger, in the rows of `holds`; here is only when it is tried next. So is a hold of which this
//! process could not write down that it was over, since the ledger failed or its task panicked. It must never be tried while
//! its instance is held still for another image: that would thaw what the other hold froze.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use amikeep_domain::id::InstanceId;
use amikeep_domain::policy::saturating_add;
use amikeep_ledger::LedgerError;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedMutexGuard;

/// The wait before the first new try, doubled from here up to [`RETRY_MAX`]: users may be waiting for a write.
const RETRY_MIN: SignedDuration = SignedDuration::from_secs(5);
/// A host that is away for hours is asked no more often than this, and is thawed soon after it is back.
const RETRY_MAX: SignedDuration = SignedDuration::from_mins(5);

/// When what is left is tried again.
#[derive(Debug, Default)]
pub(crate) struct LeftHolds {
    due_at: Option<Timestamp>,
    tries: u32,
    is_under_way: bool,
    /// Something was left since the look began that is under way, which may not have seen it.
    is_wanted_again: bool,
    left: Vec<String>,
}

impl LeftHolds {
    /// Something is left that was not before.
    pub(crate) fn add(&mut self, left: Vec<String>, now: Timestamp) {
        if left.is_empty() {
            return;
        }
        self.left.extend(left);
        self.tries = 0;
        self.due_at = Some(saturating_add(now, RETRY_MIN));
        self.is_wanted_again = self.is_under_way;
    }

    /// A hold is over that is still on record: it is looked at soon.
    pub(crate) fn look_soon(&mut self, now: Timestamp) {
        let soon = saturating_add(now, RETRY_MIN);
        self.due_at = Some(self.due_at.map_or(soon, |at| at.min(soon)));
        self.is_wanted_again = self.is_under_way;
    }

    /// Whether it is tried now. It counts as under way from then on.
    pub(crate) fn begin(&mut self, now: Timestamp) -> bool {
        // One that is further off than the longest wait was computed by a clock that has been set back.
        let is_due = self.due_at.is_some_and(|at| at <= now || saturating_add(now, RETRY_MAX) < at);
        let begins = is_due && !self.is_under_way;
        self.is_under_way |= begins;
        begins
    }

    /// Takes in what is left by now.
    pub(crate) fn take(&mut self, result: Result<Vec<String>, LedgerError>, now: Timestamp) -> Result<(), LedgerError> {
        self.is_under_way = false;
        let is_wanted_again = std::mem::take(&mut self.is_wanted_again);
        let doubled = RETRY_MIN * (1 << self.tries.min(6));
        self.tries += 1;
        self.due_at = Some(saturating_add(now, doubled.min(RETRY_MAX)));
        self.left = result?;
        if self.left.is_empty() {
            *self = Self::default();
        }
        if is_wanted_again {
            self.look_soon(now);
        }
        Ok(())
    }

    pub(crate) fn panicked(&mut self, now: Timestamp) {
        (self.is_under_way, self.is_wanted_again) = (false, false);
        self.due_at = Some(saturating_add(now, RETRY_MAX));
    }

    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        self.due_at.filter(|_| !self.is_under_way)
    }

    /// What may be frozen, for people.
    pub(crate) fn left(&self) -> &[String] {
        &self.left
    }
}

/// Whose turn it is with an instance: a hold's, or that of whoever thaws what an earlier one left.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    of: Mutex<BTreeMap<InstanceId, Arc<tokio::sync::Mutex<()>>>>,
    left: Mutex<Vec<String>>,
    is_unsettled: AtomicBool,
}

/// A hold that is under way. Dropped before it is told that the hold is settled, it has its record looked at.
pub(crate) struct UnderWay<'a>(Option<&'a Turns>);

impl UnderWay<'_> {
    /// The ledger knows that it is over, and what it left.
    pub(crate) fn settled(mut self) {
        self.0 = None;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(turns) = self.0 {
            turns.note_unsettled();
        }
    }
}

impl Turns {
    /// Begins a hold.
    pub(crate) fn under_way(&self) -> UnderWay<'_> {
        UnderWay(Some(self))
    }

    /// A hold may be over that is still on record.
    pub(crate) fn note_unsettled(&self) {
        self.is_unsettled.store(true, Ordering::SeqCst);
    }

    /// Whether there may be such a hold, since this was asked last.
    pub(crate) fn take_unsettled(&self) -> bool {
        self.is_unsettled.swap(false, Ordering::SeqCst)
    }

    /// Waits for it. It ends when what is handed out is dropped.
    pub(crate) async fn wait(&self, instance: &InstanceId) -> OwnedMutexGuard<()> {
        self.turn(instance).lock_owned().await
    }

    /// Takes it, if nobody has it.
    pub(crate) fn try_take(&self, instance: &InstanceId) -> Option<OwnedMutexGuard<()>> {
        self.turn(instance).try_lock_owned().ok()
    }

    /// A hold left something behind: what may be frozen, for people.
    pub(crate) fn note_left(&self, left: impl Iterator<Item = String>) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
    }

    /// What holds left behind since this was asked last.
    pub(crate) fn take_left(&self) -> Vec<String> {
        std::mem::take(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn turn(&self, instance: &InstanceId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| 1 < Arc::strong_count(turn));
        Arc::clone(turns.entry(instance.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_left_is_tried_again_less_and_less_often_until_it_is_not_left() {
        let mut holds = LeftHolds::default();
        assert!(!holds.begin(at(0)), "nothing is left");
        holds.add(Vec::new(), at(0));
        assert!(!holds.begin(at(100)), "still nothing");
        holds.add(vec!["x".to_owned()], at(0));
        let mut tried = Vec::new();
        for second in 0..1_200 {
            if holds.begin(at(second)) {
                assert!(!holds.begin(at(second)), "it is under way");
                tried.push(second);
                holds.take(Ok(vec!["x".to_owned()]), at(second)).unwrap();
            }
        }
        assert_eq!(tried, [5, 10, 20, 40, 80, 160, 320, 620, 920]);
        assert!(holds.begin(at(-1_000)), "the clock was set back");
        holds.take(Ok(Vec::new()), at(-1_000)).unwrap();
        assert_eq!((holds.due_at(), holds.left().len()), (None, 0));
    }

    #[test]
    fn a_hold_that_nobody_settled_is_looked_at_soon_and_again_if_the_ledger_fails() {
        let turns = Turns::default();
        turns.under_way().settled();
        assert!(!turns.take_unsettled());
        drop(turns.under_way());
        assert!(turns.take_unsettled() && !turns.take_unsettled());
        let mut holds = LeftHolds::default();
        holds.look_soon(at(0));
        assert!(!holds.begin(at(4)) && holds.begin(at(5)));
        holds.take(Err(LedgerError::Missing { path: "db".into() }), at(5)).unwrap_err();
        assert!(!holds.begin(at(9)) && holds.begin(at(10)));
        holds.take(Ok(Vec::new()), at(10)).unwrap();
        assert_eq!(holds.due_at(), None);
    }

    /// The look that is under way may have passed it already, and says that nothing is left.
    #[test]
    fn what_is_left_while_a_look_is_under_way_is_looked_at_after_it() {
        for is_told in [true, false] {
            let mut holds = LeftHolds::default();
            holds.add(vec!["x".to_owned()], at(0));
            assert!(holds.begin(at(5)));
            if is_told {
                holds.add(vec!["y".to_owned()], at(5));
            } else {
                holds.look_soon(at(5));
            }
            holds.take(Ok(Vec::new()), at(6)).unwrap();
            assert!(!holds.begin(at(10)) && holds.begin(at(11)), "{is_told}");
            holds.take(Ok(Vec::new()), at(12)).unwrap();
            assert_eq!(holds.due_at(), None);
        }
    }

    #[tokio::test]
    async fn an_instance_is_held_or_thawed_and_never_both() {
        let turns = Turns::default();
        let (one, other) = ("i-00000001".parse().unwrap(), "i-00000002".parse().unwrap());
        let hold = turns.wait(&one).await;
        assert!(turns.try_take(&one).is_none());
        assert!(turns.try_take(&other).is_some());
        drop(hold);
        assert!(turns.try_take(&one).is_some());
    }
}
