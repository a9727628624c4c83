//! How many requests were sent, and how they ended: each page of a listing and each attempt of a read that is repeated.
//!
//! It rides along with every call of the clients that it is given to; calls that fetch credentials are out of its sight. It
//! must never make a call fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use amikeep_cloud::{Action, CloudErrorKind, classify};
use aws_sdk_ec2::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_types::config_bag::{Storable, StoreReplace};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallEnd {
    /// It was answered as asked.
    Ok,
    /// It was refused because of too many requests.
    Throttled,
    /// It was refused for another reason, or the answer cannot be used.
    Error,
    /// There was no answer.
    NoAnswer,
}

impl CallEnd {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Throttled => "throttled",
            Self::Error => "error",
            Self::NoAnswer => "no-answer",
        }
    }
}

/// Requests by action and end. Clones count together, and outlive the connections that they were given to.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<(String, CallEnd), u64>>>);

impl Calls {
    /// All so far, by the name that AWS has for the action.
    pub fn counts(&self) -> BTreeMap<(String, CallEnd), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, action: &str, end: CallEnd) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((action.to_owned(), end)).or_default() += 1;
    }
}

/// Whether this attempt was sent: one that fails for want of credentials is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent(bool);

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "amikeep calls"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(Sent(true));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if config.load::<Sent>() == Some(&Sent(true)) {
            let end = match (context.response(), context.output_or_error()) {
                (Some(_), Some(Ok(_))) => CallEnd::Ok,
                (Some(response), _) => refused(response),
                (None, _) => CallEnd::NoAnswer,
            };
            self.count(config.load::<Metadata>().map_or("unknown", Metadata::name), end);
        }
        config.interceptor_state().store_put(Sent(false));
        Ok(())
    }
}

fn refused(response: &HttpResponse) -> CallEnd {
    let body = response.body().bytes().and_then(|body| std::str::from_utf8(body).ok()).unwrap_or_default();
    let code = code_in(body).unwrap_or_default();
    // What says that there were too many requests says so whatever was asked.
    match classify(Action::DescribeInstances, response.status().as_u16(), code) {
        CloudErrorKind::Throttled => CallEnd::Throttled,
        _ => CallEnd::Error,
    }
}

/// The code of an error: of EC2 and STS in XML, of the others in JSON, there as the end of a name with a namespace.
fn code_in(body: &str) -> Option<&str> {
    let between = |start: &str, end: char| Some(body.split_once(start)?.1.split_once(end)?.0.trim());
    let of_json = || between("\"__type\":\"", '"').map(|name| name.rsplit_once('#').map_or(name, |(_, code)| code));
    between("<Code>", '<').or_else(of_json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_the_answers_of_every_service() {
        for (body, code) in [
            ("<Response><Errors><Error><Code>RequestLimitExceeded</Code>", Some("RequestLimitExceeded")),
            ("<ErrorResponse><Error><Type>Sender</Type><Code>\nThrottling\n</Code>", Some("Throttling")),
            (r#"{"__type":"com.amazonaws.ssm#ThrottlingException","message":"x"}"#, Some("ThrottlingException")),
            (r#"{"__type":"InvalidInstanceId"}"#, Some("InvalidInstanceId")),
            ("<html>busy</html>", None),
            ("<Code>Thro", None),
            ("", None),
        ] {
            assert_eq!(code_in(body), code, "{body}");
        }
    }
}
