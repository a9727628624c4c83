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
    /// A snapshot cannot be deleted, since an image uses it.
    InUse,
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
        let images = matches!(action, Action::CreateImage | Action::CreateSnapshots);
        let wrong_state = images && message.contains("is not in state");
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
    matches!(
        action,
        Action::CreateImage
            | Action::CreateTags
            | Action::DeleteTags
            | Action::DeregisterImage
            | Action::DeleteSnapshot
            | Action::CreateSnapshots
            | Action::RegisterImage
            | Action::SendCommand
            | Action::CancelCommand
    )
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
        // Of an image that is to go it says that it has gone; elsewhere, that it is not in the right state for now.
        "InvalidAMIID.Unavailable" if action == Action::DeregisterImage => Kind::NotFound,
        "ConcurrentCreateImageNoRebootLimitExceeded"
        | "ConcurrentSnapshotLimitExceeded"
        | "SnapshotCreationPerVolumeRateExceeded"
        | "PendingSnapshotLimitExceeded"
        | "ConcurrentTagAccess"
        | "IncorrectState"
        | "InvalidAMIID.Unavailable" => Kind::Busy,
        "InvalidAMIName.Duplicate" => Kind::NameInUse,
        "InvalidSnapshot.InUse" => Kind::InUse,
        // The second is of Systems Manager: no agent, one that is not registered, or an instance that does not run.
        "IncorrectInstanceState" | "InvalidInstanceId" => Kind::WrongState,
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
        "InvocationDoesNotExist" | "InvalidCommandId" => Kind::NotFound,
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

    #[test]
    fn a_server_error_of_anything_that_deletes_is_an_unknown_outcome() {
        for action in [Action::DeregisterImage, Action::DeleteSnapshot, Action::DeleteTags] {
            assert_eq!(classify(action, 500, "InternalError"), CloudErrorKind::OutcomeUnknown, "{action}");
            assert_eq!(classify(action, 503, "RequestLimitExceeded"), CloudErrorKind::Throttled, "{action}");
        }
    }

    #[test]
    fn every_action_but_the_known_ones_changes_nothing() {
        let changes: Vec<&str> =
            Action::ALL.into_iter().filter(|action| is_mutation(*action)).map(Action::as_str).collect();
        let ec2 = ["CreateImage", "CreateTags", "DeleteTags", "DeregisterImage", "DeleteSnapshot"];
        assert_eq!(changes[..5], ec2);
        assert_eq!(changes[5..], ["CreateSnapshots", "RegisterImage", "SendCommand", "CancelCommand"]);
    }

    #[test]
    fn an_image_that_is_unavailable_is_gone_to_who_deregisters_it_and_busy_to_others() {
        let code = "InvalidAMIID.Unavailable";
        assert_eq!(classify(Action::DeregisterImage, 400, code), CloudErrorKind::NotFound);
        assert_eq!(classify(Action::DescribeImages, 400, code), CloudErrorKind::Busy);
        assert_eq!(classify(Action::DeregisterImage, 400, "InvalidAMIID.NotFound"), CloudErrorKind::NotFound);
    }

    #[test]
    fn a_snapshot_that_an_image_uses_is_in_use_and_trying_again_does_not_help() {
        let kind = classify(Action::DeleteSnapshot, 400, "InvalidSnapshot.InUse");
        assert_eq!(kind, CloudErrorKind::InUse);
        assert!(!kind.is_transient());
    }

    #[test]
    fn a_protected_image_is_refused_in_ec2s_own_words() {
        let message = "Deregistration protection is enabled";
        let error = CloudError::from_answer(Action::DeregisterImage, 400, "OperationNotPermitted", message);
        assert_eq!(error.kind, CloudErrorKind::Invalid);
        assert_eq!(error.to_string(), format!("DeregisterImage failed: OperationNotPermitted: {message}"));
    }
}
