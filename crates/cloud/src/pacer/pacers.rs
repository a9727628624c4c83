//! The pacers of a process: one for each account and region that is called.
//!
//! Two account names of a configuration may stand for one account, and a reload makes new connections to the same ones.
//! Whose buckets a connection draws from is known for certain only when STS has told whose its credentials are, which
//! the engine asks before anything else. Until then a connection has a pacer of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amikeep_domain::id::{AccountId, Region};

use crate::pacer::{Limits, Paced, Pacer, Timer};
use crate::port::{Action, Cloud};

/// Hands out pacers. Lives as long as the process, and longer than any connection.
#[derive(Debug)]
pub struct Pacers<T> {
    timer: T,
    known: Mutex<Known<T>>,
}

#[derive(Debug)]
struct Known<T> {
    pacers: BTreeMap<(AccountId, Region), Arc<Pacer<T>>>,
    closed: bool,
}

impl<T: Timer + Clone> Pacers<T> {
    /// None yet. All of them will follow `timer`.
    pub fn new(timer: T) -> Arc<Self> {
        Arc::new(Self { timer, known: Mutex::new(Known { pacers: BTreeMap::new(), closed: false }) })
    }

    /// Puts a pacer before `cloud`, which calls `region`: that of its account, as soon as that is known.
    pub fn pace<C: Cloud>(self: &Arc<Self>, cloud: C, region: Region) -> Paced<C, T> {
        let own = Arc::new(Pacer::new(&Limits::documented(), self.timer.clone()));
        let pacers = Arc::clone(self);
        let shared = Box::new(move |account: &AccountId| pacers.of(account, &region));
        Paced::new(cloud, own).with_shared(shared)
    }

    /// The pacer of one account in one region.
    pub fn of(&self, account: &AccountId, region: &Region) -> Arc<Pacer<T>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = known.closed;
        let pacer = known.pacers.entry((account.clone(), region.clone())).or_insert_with(|| {
            let pacer = Pacer::new(&Limits::documented(), self.timer.clone());
            if closed {
                pacer.close();
            }
            Arc::new(pacer)
        });
        Arc::clone(pacer)
    }

    /// How long calls have waited for room, by account, region and action.
    pub fn waited(&self) -> Vec<(AccountId, Region, Action, Duration)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let of_each = known.pacers.iter().flat_map(|((account, region), pacer)| {
            let waited = pacer.waited().into_iter();
            waited.map(|(action, waited)| (account.clone(), region.clone(), action, waited))
        });
        of_each.collect()
    }

    /// Closes every pacer: see [`Pacer::close`].
    pub fn close(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.closed = true;
        known.pacers.values().for_each(|pacer| pacer.close());
    }
}
