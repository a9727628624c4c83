//! Who calls: access keys, roles and what an account is denied. A signature is never checked, only whose key it names.
//!
//! Rules: `GetCallerIdentity` and `AssumeRole` of STS, and "Error codes for the Amazon EC2 API".

use std::collections::{BTreeMap, BTreeSet};

use amikeep_domain::id::AccountId;
use jiff::{SignedDuration, Timestamp};

use crate::clock::later;
use crate::error::ApiError;
use crate::reply::{CallerIdentity, RoleSession};
use crate::request::Action;
use crate::rng::Rng;

/// The services of the simulator, which refuse bad credentials differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// EC2.
    Ec2,
    /// STS.
    Sts,
    /// Systems Manager.
    Ssm,
    /// Service Quotas.
    ServiceQuotas,
}

/// A role that `AssumeRole` can hand out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `arn:aws:iam::123456789012:role/name`.
    pub arn: String,
    /// The account it belongs to.
    pub account: AccountId,
    /// What the caller must give, if anything.
    pub external_id: Option<String>,
}

#[derive(Debug, Clone)]
struct AccessKey {
    identity: CallerIdentity,
    session: Option<Session>,
}

#[derive(Debug, Clone)]
struct Session {
    token: String,
    expires_at: Timestamp,
}

/// Keys, roles and denials.
#[derive(Debug, Clone, Default)]
pub(crate) struct Iam {
    keys: BTreeMap<String, AccessKey>,
    roles: Vec<Role>,
    denied: BTreeMap<AccountId, BTreeSet<Action>>,
}

/// The access key that every account of a world has.
pub fn access_key_id(account: &AccountId) -> String {
    format!("AKIASIM0{account}")
}

/// The user behind [`access_key_id`].
pub fn default_identity(account: &AccountId) -> CallerIdentity {
    CallerIdentity {
        account: account.clone(),
        arn: format!("arn:aws:iam::{account}:user/backup"),
        user_id: format!("AIDASIM0{account}"),
    }
}

impl Iam {
    pub(crate) fn add_account(&mut self, account: &AccountId) {
        let key = AccessKey { identity: default_identity(account), session: None };
        self.keys.entry(access_key_id(account)).or_insert(key);
    }

    pub(crate) fn add_role(&mut self, role: Role) {
        self.roles.push(role);
    }

    pub(crate) fn deny(&mut self, account: &AccountId, action: Action) {
        self.denied.entry(account.clone()).or_default().insert(action);
    }

    pub(crate) fn allow(&mut self, account: &AccountId, action: Action) {
        self.denied.entry(account.clone()).or_default().remove(&action);
    }

    pub(crate) fn is_denied(&self, account: &AccountId, action: Action) -> bool {
        self.denied.get(account).is_some_and(|denied| denied.contains(&action))
    }

    /// Ends a key: a session expires, a key without one is no longer known.
    pub(crate) fn expire(&mut self, key_id: &str, now: Timestamp) {
        match self.keys.get_mut(key_id) {
            Some(AccessKey { session: Some(session), .. }) => session.expires_at = now,
            _ => {
                self.keys.remove(key_id);
            }
        }
    }

    pub(crate) fn authenticate(
        &self,
        service: Service,
        key_id: &str,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<CallerIdentity, ApiError> {
        let unknown = || match service {
            Service::Ec2 => {
                ApiError::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
            }
            Service::Sts => {
                ApiError::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
            }
            Service::Ssm | Service::ServiceQuotas => {
                let message = "The security token included in the request is invalid.";
                ApiError::client("UnrecognizedClientException", message)
            }
        };
        let key = self.keys.get(key_id).ok_or_else(unknown)?;
        if let Some(session) = &key.session {
            if token != Some(session.token.as_str()) {
                return Err(unknown());
            }
            if session.expires_at <= now {
                return Err(match service {
                    Service::Ec2 => ApiError::client("RequestExpired", "Request has expired."),
                    Service::Sts => {
                        ApiError::new(403, "ExpiredToken", "The security token included in the request is expired")
                    }
                    Service::Ssm | Service::ServiceQuotas => {
                        let message = "The security token included in the request is expired";
                        ApiError::client("ExpiredTokenException", message)
                    }
                });
            }
        }
        Ok(key.identity.clone())
    }

    pub(crate) fn assume_role(
        &mut self,
        caller: &CallerIdentity,
        wanted: &WantedRole<'_>,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<RoleSession, ApiError> {
        wanted.check()?;
        let role = self.roles.iter().find(|role| {
            role.arn == wanted.arn && (role.external_id.is_none() || role.external_id.as_deref() == wanted.external_id)
        });
        let denied = self.is_denied(&caller.account, Action::AssumeRole);
        let Some(role) = role.filter(|_| !denied) else {
            let (arn, wanted) = (&caller.arn, wanted.arn);
            let message = format!("User: {arn} is not authorized to perform: sts:AssumeRole on resource: {wanted}");
            return Err(ApiError::new(403, "AccessDenied", message));
        };
        let name = role.arn.rsplit('/').next().unwrap_or_default();
        let session = RoleSession {
            access_key_id: format!("ASIA{:016X}", rng.next()),
            secret_access_key: format!("{:016x}{:016x}", rng.next(), rng.next()),
            session_token: format!("{:016x}{:016x}", rng.next(), rng.next()),
            expires_at: later(now, SignedDuration::from_secs(wanted.duration_seconds)),
            identity: CallerIdentity {
                account: role.account.clone(),
                arn: format!("arn:aws:sts::{}:assumed-role/{name}/{}", role.account, wanted.session_name),
                user_id: format!("AROASIM0{}:{}", role.account, wanted.session_name),
            },
        };
        let key = AccessKey {
            identity: session.identity.clone(),
            session: Some(Session { token: session.session_token.clone(), expires_at: session.expires_at }),
        };
        self.keys.insert(session.access_key_id.clone(), key);
        Ok(session)
    }
}

/// The parameters of `AssumeRole`.
pub(crate) struct WantedRole<'a> {
    pub(crate) arn: &'a str,
    pub(crate) session_name: &'a str,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) duration_seconds: i64,
}

impl WantedRole<'_> {
    fn check(&self) -> Result<(), ApiError> {
        let refused = |what: String| Err(ApiError::client("ValidationError", what));
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=64).contains(&self.session_name.len()) || !self.session_name.chars().all(allowed) {
            return refused(format!("Value '{}' at 'roleSessionName' failed to satisfy constraint", self.session_name));
        }
        if !(900..=43_200).contains(&self.duration_seconds) {
            return refused(format!(
                "Value '{}' at 'durationSeconds' failed to satisfy constraint",
                self.duration_seconds
            ));
        }
        Ok(())
    }
}
