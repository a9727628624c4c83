//! What EC2 answers when it refuses: an HTTP status, a code and a message. Codes and messages are EC2's own; where a
//! page gives only the code, the message is ours.
//!
//! Nothing here decides when a request is refused.

use std::borrow::Cow;

/// A refusal, as EC2 words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The HTTP status of the reply.
    pub status: u16,
    /// EC2's code, such as `InvalidAMIName.Duplicate`.
    pub code: Cow<'static, str>,
    /// The text for people.
    pub message: String,
}

impl ApiError {
    /// A refusal with its own status.
    pub fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    pub(crate) fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(crate) fn throttled() -> Self {
        Self::new(503, "RequestLimitExceeded", "Request limit exceeded.")
    }

    pub(crate) fn internal() -> Self {
        Self::new(500, "InternalError", "An internal error has occurred")
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "The service is unavailable. Please try again shortly.")
    }

    pub(crate) fn invalid_action(name: &str) -> Self {
        Self::client("InvalidAction", format!("The action {name} is not valid for this web service."))
    }

    pub(crate) fn dry_run() -> Self {
        Self::new(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
    }

    pub(crate) fn unauthorized(arn: &str, action: &str) -> Self {
        let message = format!(
            "You are not authorized to perform this operation. User: {arn} is not authorized to perform: \
             ec2:{action} because no identity-based policy allows the ec2:{action} action."
        );
        Self::new(403, "UnauthorizedOperation", message)
    }

    /// Systems Manager's way of saying it.
    pub(crate) fn access_denied(arn: &str, action: &str) -> Self {
        let message = format!(
            "User: {arn} is not authorized to perform: ssm:{action} because no identity-based policy allows the \
             ssm:{action} action"
        );
        Self::client("AccessDeniedException", message)
    }

    pub(crate) fn missing_parameter(name: &str) -> Self {
        Self::client("MissingParameter", format!("The request must contain the parameter {name}"))
    }

    pub(crate) fn invalid_value(value: &str, parameter: &str, expected: &str) -> Self {
        let message = format!("Value ({value}) for parameter {parameter} is invalid. {expected}");
        Self::client("InvalidParameterValue", message)
    }

    pub(crate) fn unsupported(what: &str) -> Self {
        Self::client("UnsupportedOperation", format!("The simulator does not support {what}."))
    }

    pub(crate) fn instance_not_found(ids: &[String]) -> Self {
        let message = match ids {
            [id] => format!("The instance ID '{id}' does not exist"),
            _ => format!("The instance IDs '{}' do not exist", ids.join(", ")),
        };
        Self::client("InvalidInstanceID.NotFound", message)
    }

    pub(crate) fn image_not_found(ids: &[String]) -> Self {
        let message = match ids {
            [id] => format!("The image id '[{id}]' does not exist"),
            _ => format!("The image ids '[{}]' do not exist", ids.join(", ")),
        };
        Self::client("InvalidAMIID.NotFound", message)
    }

    pub(crate) fn image_unavailable(id: &str) -> Self {
        Self::client("InvalidAMIID.Unavailable", format!("The image ID '{id}' is no longer available"))
    }

    pub(crate) fn snapshot_not_found(ids: &[String]) -> Self {
        let message = match ids {
            [id] => format!("The snapshot '{id}' does not exist."),
            _ => format!("The snapshots '{}' do not exist.", ids.join(", ")),
        };
        Self::client("InvalidSnapshot.NotFound", message)
    }

    pub(crate) fn launch_template_not_found(_ids: &[String]) -> Self {
        let message = "At least one of the launch templates specified in the request does not exist.";
        Self::client("InvalidLaunchTemplateId.NotFound", message)
    }

    pub(crate) fn launch_template_name_not_found(_names: &[String]) -> Self {
        let message = "At least one of the launch templates specified in the request does not exist.";
        Self::client("InvalidLaunchTemplateName.NotFoundException", message)
    }

    pub(crate) fn volume_not_found(ids: &[String]) -> Self {
        let message = match ids {
            [id] => format!("The volume '{id}' does not exist."),
            _ => format!("The volumes '{}' do not exist.", ids.join(", ")),
        };
        Self::client("InvalidVolume.NotFound", message)
    }
}
