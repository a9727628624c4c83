//! What goes wrong, as data: which call is struck, and how.

use crate::error::ApiError;
use crate::request::{Action, Request};
use crate::rng::Rng;
use crate::world::paging::page_number;

/// What happens to a struck call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultOutcome {
    /// `RequestLimitExceeded`, and nothing is done.
    Throttle,
    /// This refusal, and nothing is done.
    Error(ApiError),
    /// It is done, and the answer is this refusal all the same: what an unlucky 5xx can mean.
    ErrorAfterEffect(ApiError),
    /// It is done, and the connection is cut before the answer.
    LostReplyAfterEffect,
    /// The connection is cut before anything is done.
    LostBeforeEffect,
    /// It is done, and the answer is status 200 with the first half of its body; then the connection is cut. A call that
    /// is refused gets its refusal whole.
    CutInBody,
    /// No answer ever comes, and nothing is done.
    Hang,
    /// No answer ever comes, and it is done.
    HangAfterEffect,
    /// Status 200 with a page of HTML, as broken proxies send; nothing is done.
    Garbage,
}

impl FaultOutcome {
    /// `InternalError` with status 500, and nothing is done.
    pub fn internal_error() -> Self {
        Self::Error(ApiError::internal())
    }

    /// `InternalError` with status 500, although it is done.
    pub fn internal_error_after_effect() -> Self {
        Self::ErrorAfterEffect(ApiError::internal())
    }

    /// `ServiceUnavailable` with status 503, and nothing is done.
    pub fn service_unavailable() -> Self {
        Self::Error(ApiError::unavailable())
    }

    /// `ServiceUnavailable` with status 503, although it is done.
    pub fn service_unavailable_after_effect() -> Self {
        Self::ErrorAfterEffect(ApiError::unavailable())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    Nth(u32),
    FirstTimes(u32),
    Always,
    PerMille(u16),
}

/// One thing that goes wrong. Dry runs are never struck and do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    on: Action,
    subject: Option<String>,
    /// Only calls for this page of a listing.
    page: Option<u32>,
    trigger: Trigger,
    outcome: FaultOutcome,
    /// Calls seen so far that it could have struck.
    seen: u32,
}

impl Fault {
    /// Strikes the first call of `action`, once.
    pub fn on(action: Action, outcome: FaultOutcome) -> Self {
        Self { on: action, subject: None, page: None, trigger: Trigger::Nth(1), outcome, seen: 0 }
    }

    /// Strikes only the `nth` matching call, counted from 1 and from when the fault is planned.
    #[must_use]
    pub fn nth(self, nth: u32) -> Self {
        Self { trigger: Trigger::Nth(nth), ..self }
    }

    /// Strikes the first `times` matching calls.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { trigger: Trigger::FirstTimes(times), ..self }
    }

    /// Strikes every matching call.
    #[must_use]
    pub fn always(self) -> Self {
        Self { trigger: Trigger::Always, ..self }
    }

    /// Strikes that many of a thousand matching calls, drawn from the world's seed.
    #[must_use]
    pub fn per_mille(self, per_mille: u16) -> Self {
        Self { trigger: Trigger::PerMille(per_mille), ..self }
    }

    /// Only calls that name this instance, image, snapshot, volume or image name.
    #[must_use]
    pub fn touching(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// Only calls for the `page`th page of a listing, counted from 1: those whose token was given with the page before.
    #[must_use]
    pub fn page(self, page: u32) -> Self {
        Self { page: Some(page), ..self }
    }

    fn concerns(&self, request: &Request) -> bool {
        self.on == request.action()
            && self.page.is_none_or(|page| request.query().is_some_and(|query| page_number(query) == page))
            && self.subject.as_ref().is_none_or(|subject| request.subjects().contains(&subject.as_str()))
    }

    fn strikes(&mut self, rng: &mut Rng) -> bool {
        self.seen += 1;
        match self.trigger {
            Trigger::Nth(nth) => self.seen == nth,
            Trigger::FirstTimes(times) => self.seen <= times,
            Trigger::Always => true,
            Trigger::PerMille(per_mille) => rng.next() % 1000 < u64::from(per_mille),
        }
    }
}

/// Everything that is planned to go wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultPlan(Vec<Fault>);

impl FaultPlan {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The outcome that strikes `request`: of several faults the one planned first. All of them count the call.
    pub(crate) fn strike(&mut self, request: &Request, rng: &mut Rng) -> Option<FaultOutcome> {
        let mut struck = None;
        for fault in self.0.iter_mut().filter(|fault| fault.concerns(request)) {
            if fault.strikes(rng) && struck.is_none() {
                struck = Some(fault.outcome.clone());
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deregister(id: &str) -> Request {
        Request::DeregisterImage { image_id: id.to_owned(), delete_snapshots: false }
    }

    #[test]
    fn a_fault_strikes_the_nth_call_on_its_subject_only() {
        let (mut plan, mut rng) = (FaultPlan::default(), Rng::new(0));
        plan.add(Fault::on(Action::DeregisterImage, FaultOutcome::Hang).touching("ami-2").nth(2));
        let mut struck = |request: &Request| plan.strike(request, &mut rng).is_some();
        assert!(!struck(&deregister("ami-2")));
        assert!(!struck(&deregister("ami-1")));
        assert!(!struck(&Request::DeleteSnapshot { snapshot_id: "ami-2".into() }));
        assert!(struck(&deregister("ami-2")));
        assert!(!struck(&deregister("ami-2")));
    }

    #[test]
    fn of_two_faults_the_first_planned_wins_and_both_count() {
        let (mut plan, mut rng) = (FaultPlan::default(), Rng::new(0));
        plan.add(Fault::on(Action::DeregisterImage, FaultOutcome::Throttle).times(1));
        plan.add(Fault::on(Action::DeregisterImage, FaultOutcome::Garbage).nth(2));
        assert_eq!(plan.strike(&deregister("ami-1"), &mut rng), Some(FaultOutcome::Throttle));
        assert_eq!(plan.strike(&deregister("ami-1"), &mut rng), Some(FaultOutcome::Garbage));
        assert_eq!(plan.strike(&deregister("ami-1"), &mut rng), None);
    }
}
