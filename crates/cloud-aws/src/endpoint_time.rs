//! What time it is at the endpoint, as the `Date` header of its last answer says.
//!
//! It rides along with every call of the clients that it is given to; calls that fetch credentials are out of its sight.
//! It is a convenience for whoever compares clocks, and must never make a call fail: an answer without a date that can
//! be read leaves the time of the answer before it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The time of the last answer. Clones note and read the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct EndpointTime(Arc<Mutex<Option<Timestamp>>>);

impl EndpointTime {
    /// `None` before the first answer with a date.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, date: Option<&str>) {
        // HTTP's date is one of the forms of RFC 2822, with `GMT` for its zone.
        if let Some(Ok(at)) = date.map(|date| DateTimeParser::new().parse_timestamp(date)) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        }
    }
}

impl Intercept for EndpointTime {
    fn name(&self) -> &'static str {
        "amikeep endpoint time"
    }

    /// Right after the head of the answer, so that it is known for refusals and for answers that are cut as well.
    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.note(context.response().headers().get("date"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_that_cannot_be_read_leaves_the_one_before_it() {
        let time = EndpointTime::default();
        time.note(None);
        assert_eq!(time.last(), None);
        let noon = "2026-11-22T12:00:00Z".parse().ok();
        for date in [
            Some("Sun, 22 Nov 2026 12:00:00 GMT"),
            None,
            Some(""),
            Some("yesterday"),
            Some("Mon, 22 Nov 2026 13:00:00 GMT"),
            Some("Sun, 31 Feb 2026 13:00:00 GMT"),
            Some("Sun, 22 Nov 2026 25:00:00 GMT"),
        ] {
            time.note(date);
            assert_eq!(time.last(), noon, "{date:?}");
        }
    }

    #[test]
    fn a_later_answer_may_tell_an_earlier_time() {
        let time = EndpointTime::default();
        time.note(Some("Sun, 22 Nov 2026 12:00:00 GMT"));
        time.clone().note(Some("Sat, 21 Nov 2026 12:00:00 GMT"));
        assert_eq!(time.last(), "2026-11-21T12:00:00Z".parse().ok());
    }
}
