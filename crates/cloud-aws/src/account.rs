//! What is to be known of an account before it can be called: where, and as whom.
//!
//! Holds no secret: credentials are found by the SDK, and stay there.

use amikeep_domain::id::{AccountId, Owner, Region};

/// One account in one region: `[accounts.…]` of the configuration, in plain types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsAccount {
    /// The region whose instances are backed up.
    pub region: Region,
    /// Whose images these are. A permission that is tied to the tag `amikeep:owner` can only be asked about with it.
    pub owner: Owner,
    /// By which name the sessions of an assumed role appear in `CloudTrail`.
    pub session_name: String,
    /// The profile of the shared configuration files. It alone is used: neither the environment nor the role of this
    /// machine stands in for a profile, since they may belong to another account.
    pub profile: Option<String>,
    /// The role to assume, with the credentials that are found first.
    pub role_arn: Option<String>,
    /// What the trust policy of the role asks for as `sts:ExternalId`.
    pub external_id: Option<String>,
    /// Where EC2 and STS answer, instead of the region's own endpoints.
    pub endpoint_url: Option<String>,
    /// The only account that these credentials may belong to. It is handed on, and compared by who asks.
    pub expected_account: Option<AccountId>,
}

/// Why an account cannot be used as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// An external id is a condition on assuming a role, so without a role it would silently do nothing.
    #[error("`external_id` is given without `role_arn`: it has a meaning only when a role is assumed")]
    ExternalIdWithoutRole,
    /// The session name is not one that STS accepts.
    #[error("`{name}` is not a session name: 2 to 64 letters, digits and _ + = , . @ - are allowed")]
    SessionName {
        /// The name that was given.
        name: String,
    },
}

impl AwsAccount {
    /// Refuses what STS would refuse later, or would ignore.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
        let name = &self.session_name;
        if !(2..=64).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(ConnectError::SessionName { name: name.clone() });
        }
        match (&self.external_id, &self.role_arn) {
            (Some(_), None) => Err(ConnectError::ExternalIdWithoutRole),
            _ => Ok(()),
        }
    }

    /// Where credentials are looked for, in words that fit after "tried".
    pub(crate) fn credentials_tried(&self) -> String {
        match &self.profile {
            Some(profile) => format!("the profile `{profile}`"),
            None => "the environment, the shared configuration files, a web identity token, and the roles of the \
                     container and of the instance"
                .to_owned(),
        }
    }

    /// What to do when there are none.
    pub(crate) fn credentials_advice(&self) -> &'static str {
        match self.profile {
            Some(_) => {
                "Check that the shared configuration files of the user amikeep runs as have this profile, with credentials"
            }
            None => "Give this machine an instance role, or name a `profile` for the account",
        }
    }
}
