//! Reads the errors of the SDK, once, into the classes of the port.
//!
//! What EC2 answered is classified by its code, in `amikeep_cloud`. Here is decided what it means that there was no
//! answer, which depends on how far the request came (see `call.rs`), and what is wrong when there are no credentials.
//! No message may hold a secret.

use std::error::Error;

use amikeep_cloud::{Action, CloudError, CloudErrorKind, is_mutation};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ConnectorError, ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

use crate::call::{Call, Reached};

/// The longest message that is passed on, in characters. EC2's own are a sentence or two, and they are stored and shown.
const MESSAGE_LEN_MAX: usize = 500;

/// Some refusals carry the evaluated policies, encoded, in a thousand characters and more. The part cannot be shortened
/// and still be decoded; by the request id the event is found in `CloudTrail`.
const ENCODED_PART: &str = " Encoded authorization failure message:";

impl Call<'_> {
    /// What an error of the SDK means for this call.
    pub(crate) fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> CloudError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(refusal) = find::<CredentialsError>(error) {
            return self.without_credentials(refusal);
        }
        match error {
            SdkError::ServiceError(answer) => self.answered(answer.err().meta(), answer.raw()),
            SdkError::ResponseError(answer) => {
                let status = answer.raw().status().as_u16();
                self.unreadable(&format!("HTTP status {status}: {}", root_cause(error)), answer.raw().request_id())
            }
            SdkError::TimeoutError(_) => self.unanswered("timeout", error),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => self.unanswered("timeout", error),
            SdkError::DispatchFailure(_) => self.unanswered("connection", error),
            _ => self.unprepared(error),
        }
    }

    /// An answer that says nothing amikeep can rely on.
    pub(crate) fn unreadable(&self, message: &str, request_id: Option<&str>) -> CloudError {
        let message = format!("the answer cannot be used: {message}");
        let request_id = request_id.map(str::to_owned);
        CloudError { request_id, ..self.error(self.lost(), "bad-answer", &message) }
    }

    fn answered(&self, meta: &ErrorMetadata, raw: &HttpResponse) -> CloudError {
        let status = raw.status().as_u16();
        let request_id = raw.request_id().or_else(|| request_id_in(raw.body().bytes()?));
        let Some(code) = meta.code() else {
            return self.unreadable(&format!("HTTP status {status} without a code"), request_id);
        };
        let mut message = presentable(meta.message().unwrap_or_default());
        if code == "AuthFailure" {
            let region = &self.account.region;
            message =
                format!("{message} (the answer is the same for a region that the account has not enabled: {region})");
        }
        let mut error = CloudError::from_answer(self.action, status, code, &message);
        // STS is asked for nothing but credentials, so an answer of it that is not in the table is about them.
        if is_about_credentials(self.action) && error.kind == CloudErrorKind::Invalid {
            error.kind = CloudErrorKind::Credentials;
        }
        error.request_id = request_id.map(str::to_owned);
        error
    }

    fn unanswered(&self, code: &str, error: &(dyn Error + 'static)) -> CloudError {
        match (self.watch.reached(), code) {
            (Reached::Sent, "timeout") => self.error(self.lost(), code, "there was no answer in time"),
            (Reached::Sent, _) => self.error(self.lost(), code, &causes(error)),
            (Reached::Connecting, _) => self.error(CloudErrorKind::Unavailable, "connect", &self.unreachable(error)),
            (Reached::Preparing, "timeout") => {
                self.error(CloudErrorKind::Unavailable, code, "it took too long to find credentials")
            }
            (Reached::Preparing, _) => self.unprepared(error),
        }
    }

    /// A request that could not even be made. The errors in between are left out, since one shows the request.
    fn unprepared(&self, error: &(dyn Error + 'static)) -> CloudError {
        let hint = match &self.account.endpoint_url {
            Some(_) => "; `endpoint_url` has to be an address such as http://127.0.0.1:8000",
            None => "",
        };
        let message = format!("the request could not be made: {}{hint}", root_cause(error));
        self.error(CloudErrorKind::Invalid, "invalid-request", &message)
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> String {
        let message = causes(error);
        if self.account.endpoint_url.is_some() {
            return format!("the configured endpoint_url cannot be reached: {message}");
        }
        format!("AWS in region {} cannot be reached: {message}{}", self.account.region, region_hint(&message))
    }

    /// What it means that a request may have arrived and that nobody knows what became of it.
    fn lost(&self) -> CloudErrorKind {
        if is_mutation(self.action) { CloudErrorKind::OutcomeUnknown } else { CloudErrorKind::Unavailable }
    }

    fn without_credentials(&self, refusal: &CredentialsError) -> CloudError {
        if let Some(error) = find::<SdkError<AssumeRoleError, HttpResponse>>(refusal) {
            return self.assuming_a_role().failed(error);
        }
        if let Some(error) = find::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>(refusal) {
            return self.assuming_a_role().failed(error);
        }
        let tried = self.account.credentials_tried();
        match refusal {
            CredentialsError::CredentialsNotLoaded(_) => {
                let advice = self.account.credentials_advice();
                let message = format!("no AWS credentials were found; tried {tried}. {advice}");
                self.error(CloudErrorKind::Credentials, "no-credentials", &message)
            }
            CredentialsError::ProviderTimedOut(_) => {
                let message = format!("it took too long to find credentials; tried {tried}");
                self.error(CloudErrorKind::Unavailable, "timeout", &message)
            }
            refusal => {
                let message = format!("{}; tried {tried}", causes(refusal));
                self.error(CloudErrorKind::Credentials, "bad-credentials", &message)
            }
        }
    }

    /// The call within this one that fetches credentials. Its own progress was not watched, which matters to changes
    /// alone.
    fn assuming_a_role(&self) -> Call<'_> {
        let call = Call::new(Action::AssumeRole, self.account);
        call.watch.assume_sent();
        call
    }

    fn error(&self, kind: CloudErrorKind, code: &str, message: &str) -> CloudError {
        let (code, message) = (code.to_owned(), presentable(message));
        CloudError { action: self.action, kind, code, message, request_id: None }
    }
}

/// Whether a request was refused for a parameter that the endpoint does not know, and for this one. With a status that
/// leaves open what was done, it was not refused.
pub(crate) fn is_unknown_parameter(error: &CloudError, parameter: &str) -> bool {
    error.kind == CloudErrorKind::Invalid && error.code == "UnknownParameter" && error.message.contains(parameter)
}

fn is_about_credentials(action: Action) -> bool {
    matches!(action, Action::GetCallerIdentity | Action::AssumeRole)
}

/// A region that does not exist has an endpoint whose name does not resolve, and no better error.
fn region_hint(message: &str) -> &'static str {
    if message.contains("dns error") { ". Does a region of this name exist?" } else { "" }
}

/// A message as it may be stored and shown: its first line, without the part that only a machine can read, and not too
/// long. What follows the first line of a refused signature is the signed request, session token included.
fn presentable(message: &str) -> String {
    let line = message.trim().lines().next().unwrap_or_default();
    let line = line.split(ENCODED_PART).next().unwrap_or_default().trim_end();
    if line.chars().count() <= MESSAGE_LEN_MAX {
        return line.to_owned();
    }
    line.chars().take(MESSAGE_LEN_MAX).chain(['…']).collect()
}

/// The errors under an error, outermost first, as one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // The SDK's own layer says no more than "io error".
        if !cause.is::<ConnectorError>() && texts.last() != Some(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

/// The innermost error.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

/// The first error of a type under an error.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

/// The request id of an error document, for endpoints that do not send it as a header.
fn request_id_in(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    ["RequestID", "RequestId"].into_iter().find_map(|tag| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        let (id, _) = rest.split_once('<')?;
        Some(id.trim()).filter(|id| !id.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_signature_does_not_tell_the_session_token() {
        let message = "The request signature we calculated does not match.\n\nThe Canonical String for this request \
                       should have been\n'POST\n/\n\nx-amz-security-token:IQoJb3JpZ2lu'";
        assert_eq!(presentable(message), "The request signature we calculated does not match.");
    }

    #[test]
    fn what_only_a_machine_can_read_is_left_out() {
        let message = "You are not authorized to perform this operation. Encoded authorization failure message: abc-_9";
        assert_eq!(presentable(message), "You are not authorized to perform this operation.");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = presentable(&"ü".repeat(MESSAGE_LEN_MAX + 1));
        assert_eq!(message.chars().count(), MESSAGE_LEN_MAX + 1);
        assert!(message.ends_with('…'));
    }

    #[test]
    fn a_name_that_does_not_resolve_brings_up_the_region() {
        assert!(region_hint("client error (Connect): dns error: no such host").contains("region"));
        assert_eq!(region_hint("client error (Connect): tcp connect error: Connection refused"), "");
    }
}
