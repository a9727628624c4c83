//! Errors, classified once, by EC2's own codes.
//!
//! Nothing is modelled in EC2: an error is a code and a message. The table of codes is here and nowhere else, so that
//! the simulator in process, the real adapter and the tests cannot disagree.

use std::fmt;

use crate::port::Action;

/// What an error means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloudErrorKind {
    /// Refused because of too many requests; for certain nothing was done.
    Throttled,
    /// Refused for now: a limit on concurrent work, or a resource between states. For certain nothing was done.
    Busy,
    /// The resource does not exist, or is not visible yet.
    NotFound,
    /// The image name is in use.
    NameInUse,
    /// The resource is in a state in which this cannot be done.
    WrongState,
    /// The credentials do not allow it.
    Denied,
    /// There are no valid credentials: none found, expired, unknown, or the clock is off.
    Credentials,
    /// The request itself is wrong, or a limit of the account is reached: trying again does not help.
    Invalid,
    /// The endpoint could not be reached, or failed, and for certain nothing was done.
    Unavailable,
    /// The request may or may not have been carried out. Not a failure: the outcome must be looked up.
    OutcomeUnknown,
    /// A `DryRun` request would have succeeded.
    DryRunSucceeded,
}

impl CloudErrorKind {
    /// Whether trying again later can help without anybody's doing.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Busy | Self::Unavailable | Self::OutcomeUnknown)
    }
}

/// An error of one call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CloudError {
    /// What was asked.
    pub action: Action,
    /// What it means.
    pub kind: CloudErrorKind,
    /// EC2's code, or a lower-case word of amikeep's where there was no answer: `timeout`, `connect`, `no-credentials`.
    pub code: String,
    /// EC2's message. Never holds credentials.
    pub message: String,
    /// EC2's id for the request, for a question to AWS Support.
    pub request_id: Option<String>,
}

impl CloudError {
    /// An error that EC2 answered, classified by its code and HTTP status.
    pub fn from_answer(action: Action, status: u16, code: &str, message: &str) -> Self {
        // EC2 documents `IncorrectInstanceState` and answers CreateImage with this text instead, as users report.
        let wrong_state = action == Action::CreateImage && message.contains("is not in state");
        let kind = if wrong_state { CloudErrorKind::WrongState } else { classify(action, status, code) };
        Self { action, kind, code: code.to_owned(), message: message.to_owned(), request_id: None }
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}: {}", self.action, self.code, self.message)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// Whether the action changes anything at EC2. After a 5xx or a timeout, a change may have been made.
pub fn is_mutation(action: Action) -> bool {
    matches!(action, Action::CreateImage | Action::CreateTags)
}

/// The meaning of an error code. Sources: "Error codes for the Amazon EC2 API" in the API Reference, and for the
/// throttling codes the retry tables of the AWS SDKs.
pub fn classify(action: Action, status: u16, code: &str) -> CloudErrorKind {
    use CloudErrorKind as Kind;
    match code {
        "RequestLimitExceeded"
        | "EC2ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "SlowDown"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "ThrottledException"
        | "PriorRequestNotComplete" => Kind::Throttled,
        "ConcurrentCreateImageNoRebootLimitExceeded"
        | "ConcurrentSnapshotLimitExceeded"
        | "SnapshotCreationPerVolumeRateExceeded"
        | "PendingSnapshotLimitExceeded"
        | "ConcurrentTagAccess"
        | "IncorrectState"
        | "InvalidAMIID.Unavailable" => Kind::Busy,
        "InvalidAMIName.Duplicate" => Kind::NameInUse,
        "IncorrectInstanceState" => Kind::WrongState,
        "UnauthorizedOperation"
        | "AccessDenied"
        | "AccessDeniedException"
        | "OptInRequired"
        | "Blocked"
        | "PendingVerification" => Kind::Denied,
        "AuthFailure"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "UnrecognizedClientException"
        | "IncompleteSignature" => Kind::Credentials,
        "DryRunOperation" => Kind::DryRunSucceeded,
        code if code.ends_with(".NotFound") => Kind::NotFound,
        _ if status < 500 => Kind::Invalid,
        // A 5xx without a code of the table tells nothing about the effect of a change.
        _ if is_mutation(action) => Kind::OutcomeUnknown,
        _ => Kind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_error_is_an_unknown_outcome_for_changes_alone() {
        for code in ["InternalError", "ServiceUnavailable", "Unavailable", ""] {
            assert_eq!(classify(Action::CreateImage, 500, code), CloudErrorKind::OutcomeUnknown, "{code}");
            assert_eq!(classify(Action::DescribeImages, 503, code), CloudErrorKind::Unavailable, "{code}");
        }
    }

    #[test]
    fn throttling_is_certain_although_its_status_is_503() {
        assert_eq!(classify(Action::CreateImage, 503, "RequestLimitExceeded"), CloudErrorKind::Throttled);
    }

    #[test]
    fn an_instance_between_states_is_told_by_its_message() {
        let message =
            "Invalid value 'i-00000000000000001' for instanceId. Instance is not in state 'running' or 'stopped'.";
        let error = CloudError::from_answer(Action::CreateImage, 400, "InvalidParameterValue", message);
        assert_eq!(error.kind, CloudErrorKind::WrongState);
    }

    #[test]
    fn codes_have_their_documented_meaning() {
        use CloudErrorKind as Kind;
        for (code, want) in [
            ("InvalidAMIName.Duplicate", Kind::NameInUse),
            ("InvalidInstanceID.NotFound", Kind::NotFound),
            ("IncorrectInstanceState", Kind::WrongState),
            ("SnapshotCreationPerVolumeRateExceeded", Kind::Busy),
            ("UnauthorizedOperation", Kind::Denied),
            ("RequestExpired", Kind::Credentials),
            ("InvalidParameterValue", Kind::Invalid),
            ("SnapshotLimitExceeded", Kind::Invalid),
            ("DryRunOperation", Kind::DryRunSucceeded),
        ] {
            assert_eq!(classify(Action::CreateImage, 400, code), want, "{code}");
        }
    }
}
