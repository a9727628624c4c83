//! What time it is at the endpoint, as the `Date` header of its last answer says.
//!
//! It rides along with every call of the clients that it is given to; calls that fetch credentials are out of its sight.
//! It is a convenience for whoever compares clocks, and must never make a call fail: an answer without a date that can
//! be read leaves the time of the answer before it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// The time of the last answer. Clones note and read the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct EndpointTime(Arc<Mutex<Option<Answered>>>);

#[derive(Debug, Clone, Copy)]
struct Answered {
    at: Timestamp,
    /// How far the host's clock was ahead then.
    ahead: Option<SignedDuration>,
}

impl EndpointTime {
    /// `None` before the first answer with a date.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        Some(self.answered()?.at)
    }

    /// How far the host's clock was ahead at that time.
    pub(crate) fn ahead(&self) -> Option<SignedDuration> {
        self.answered()?.ahead
    }

    fn answered(&self) -> Option<Answered> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, date: Option<&str>, host: Option<Timestamp>) {
        // HTTP's date is one of the forms of RFC 2822, with `GMT` for its zone.
        if let Some(Ok(at)) = date.map(|date| DateTimeParser::new().parse_timestamp(date)) {
            // A date is cut off at whole seconds.
            let ahead = host.map(|host| SignedDuration::from_secs(host.as_second() - at.as_second()));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Answered { at, ahead });
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
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let host = components.time_source().and_then(|clock| Timestamp::try_from(clock.now()).ok());
        self.note(context.response().headers().get("date"), host);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_that_cannot_be_read_leaves_the_one_before_it() {
        let time = EndpointTime::default();
        time.note(None, None);
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
            time.note(date, None);
            assert_eq!(time.last(), noon, "{date:?}");
        }
    }

    #[test]
    fn a_later_answer_may_tell_an_earlier_time() {
        let time = EndpointTime::default();
        let host = "2026-11-21T12:00:03.9Z".parse().ok();
        time.note(Some("Sun, 22 Nov 2026 12:00:00 GMT"), host);
        assert_eq!(time.ahead(), Some(SignedDuration::from_secs(3 - 24 * 3600)));
        time.clone().note(Some("Sat, 21 Nov 2026 12:00:00 GMT"), host);
        assert_eq!(time.last(), "2026-11-21T12:00:00Z".parse().ok());
        assert_eq!(time.ahead(), Some(SignedDuration::from_secs(3)));
    }
}
