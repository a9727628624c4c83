//! The next step to take after an error of EC2: the half of a message that makes it useful.

use amikeep_cloud::{CloudError, CloudErrorKind};

/// Who comes back to what failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    /// The engine, by itself.
    Engine,
    /// Nobody but the person who asked.
    Person,
}

/// What a person should do about this error of a job, to which the engine comes back by itself.
pub fn next_step(error: &CloudError) -> String {
    advise(error, Retry::Engine)
}

/// What a person should do about this error of a command that asks once and ends.
pub fn next_step_once(error: &CloudError) -> String {
    advise(error, Retry::Person)
}

fn advise(error: &CloudError, retry: Retry) -> String {
    if let Some(known) = by_code(&error.code) {
        return known.to_owned();
    }
    match (error.kind, retry) {
        (CloudErrorKind::Throttled, Retry::Engine) => {
            "nothing: it is tried again; if it lasts, ask AWS for a higher request limit"
        }
        (CloudErrorKind::Throttled, Retry::Person) => {
            "try again in a minute; if it lasts, ask AWS for a higher request limit"
        }
        (CloudErrorKind::Busy, Retry::Engine) => "nothing: it is tried again when EC2 has finished what it is doing",
        (CloudErrorKind::Busy, Retry::Person) => "try again when EC2 has finished what it is doing",
        (CloudErrorKind::NotFound, _) => "check the id and the region of the account",
        (CloudErrorKind::NameInUse, _) => "see whose image has this name; remove it if it is not needed",
        (CloudErrorKind::InUse, _) => "see which image uses the snapshot, and deregister it if it is not needed",
        (CloudErrorKind::WrongState, Retry::Engine) => {
            "nothing: it is tried again when the instance is running or stopped"
        }
        (CloudErrorKind::WrongState, Retry::Person) => "try again when the instance is running or stopped",
        (CloudErrorKind::Denied, _) => {
            return format!(
                "allow ec2:{} for amikeep's user or role; `amikeep check --online` lists what is missing",
                error.action
            );
        }
        (CloudErrorKind::Credentials, _) => {
            "check the credentials of the account: profile, role_arn, instance role, and the clock of this host"
        }
        (CloudErrorKind::Invalid, _) => "see the message; if it names a limit, raise it or remove what is not needed",
        (CloudErrorKind::Unavailable | CloudErrorKind::OutcomeUnknown, Retry::Engine) => {
            "check the network path to the endpoint of EC2; it is tried again"
        }
        (CloudErrorKind::Unavailable | CloudErrorKind::OutcomeUnknown, Retry::Person) => {
            "check the network path to the endpoint of EC2, then try again"
        }
        (CloudErrorKind::DryRunSucceeded, _) => "nothing",
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

#[cfg(test)]
mod tests {
    use amikeep_cloud::Action;

    use super::*;

    #[test]
    fn only_of_what_the_engine_does_it_is_said_that_it_is_tried_again() {
        for kind in
            [CloudErrorKind::Throttled, CloudErrorKind::Busy, CloudErrorKind::WrongState, CloudErrorKind::Unavailable]
        {
            let (code, message) = ("Some".to_owned(), "words".to_owned());
            let error = CloudError { action: Action::DescribeInstances, kind, code, message, request_id: None };
            assert!(next_step(&error).contains("it is tried again"), "{kind:?}");
            let once = next_step_once(&error);
            assert!(once.contains("try again") && !once.contains("it is tried again"), "{once}");
        }
    }
}
