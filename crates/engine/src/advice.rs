//! The next step to take after an error of EC2: the half of a message that makes it useful.

use amikeep_cloud::{CloudError, CloudErrorKind};

/// What a person should do about this error.
pub fn next_step(error: &CloudError) -> String {
    if let Some(known) = by_code(&error.code) {
        return known.to_owned();
    }
    match error.kind {
        CloudErrorKind::Throttled => "nothing: it is tried again; if it lasts, ask AWS for a higher request limit",
        CloudErrorKind::Busy => "nothing: it is tried again when EC2 has finished what it is doing",
        CloudErrorKind::NotFound => "check the id and the region of the account",
        CloudErrorKind::NameInUse => "see whose image has this name; remove it if it is not needed",
        CloudErrorKind::WrongState => "nothing: it is tried again when the instance is running or stopped",
        CloudErrorKind::Denied => {
            return format!(
                "allow ec2:{} for amikeep's user or role; `amikeep check --online` lists what is missing",
                error.action
            );
        }
        CloudErrorKind::Credentials => {
            "check the credentials of the account: profile, role_arn, instance role, and the clock of this host"
        }
        CloudErrorKind::Invalid => "see the message; if it names a limit, raise it or remove what is not needed",
        CloudErrorKind::Unavailable | CloudErrorKind::OutcomeUnknown => {
            "check the network path to the endpoint of EC2; it is tried again"
        }
        CloudErrorKind::DryRunSucceeded => "nothing",
    }
    .to_owned()
}

fn by_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "SnapshotLimitExceeded" => "delete snapshots that are not needed, or ask AWS for a higher limit of snapshots",
        "TagPolicyViolation" => "set `tags` of the policy as the tag policy of your organisation asks",
        "TagLimitExceeded" => "lower the number of `tags` and `copy_tags` of the policy",
        "CustomerKeyHasBeenRevoked" => "restore amikeep's access to the KMS key of the volume",
        "OperationNotPermitted" => "see the message: EC2 forbids this for the instance",
        "RequestExpired" => "set the clock of this host: it is off by more than 15 minutes",
        "ExpiredToken" | "ExpiredTokenException" => {
            "renew the credentials; a role or instance profile renews them by itself"
        }
        "no-credentials" => "give the account a profile or role_arn, or run amikeep with an instance role",
        _ => return None,
    })
}
