//! Commands that Systems Manager runs on an instance.
//!
//! What a command did is told only after it has ended, an agent that died looks like one that works, and a command that
//! nobody waits for any more can still be delivered. Whoever sends one has to be ready for each of these.

use std::fmt;
use std::time::Duration;

use amikeep_domain::id::InstanceId;
use jiff::Timestamp;

/// The shortest `TimeoutSeconds` that `SendCommand` takes.
pub const DELIVERY_FOR_MIN: Duration = Duration::from_secs(30);
/// The exit code that tells the agent to reboot the instance, which no command of ours may end with.
pub const REBOOT_EXIT_CODE: i32 = 194;

/// A command for one instance, run by the shell of its agent as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRequest {
    /// The instance.
    pub instance: InstanceId,
    /// The script. Everybody who may read commands of the account can read it: no secret may be in it.
    pub script: String,
    /// How long it may wait for its delivery; not shorter than [`DELIVERY_FOR_MIN`].
    pub delivered_within: Duration,
    /// How long it may run. The agent kills it then.
    pub runs_for_max: Duration,
    /// A sentence for the console, at most 100 characters.
    pub comment: String,
}

/// The id of a command, as `SendCommand` gave it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(String);

impl CommandId {
    /// Systems Manager's own text; none if it is not the 36 characters of a UUID.
    pub fn new(text: &str) -> Option<Self> {
        let is_uuid = text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_uuid.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a command is on its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandState {
    /// Not delivered yet, or running: `Pending`, `InProgress`, `Delayed`, `Cancelling`. It cannot be told whether the agent
    /// is alive.
    Underway,
    /// It has run to its end: `Success` or `Failed`.
    Ended(CommandOutput),
    /// It has not run to its end, and it cannot be told how far it came: `TimedOut`, `Cancelled` and what else is final.
    GivenUp {
        /// Systems Manager's `StatusDetails`.
        details: String,
    },
}

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// The exit code of its script.
    pub exit_code: i32,
    /// At most 24,000 characters.
    pub stdout: String,
    /// At most 8,000 characters.
    pub stderr: String,
}

/// What Systems Manager knows of the agent on an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenAgent {
    /// Whether it is `Online`. An agent that died some minutes ago still is.
    pub is_online: bool,
    /// When it was last heard of.
    pub last_ping_at: Option<Timestamp>,
    /// Its version.
    pub version: String,
    /// `Linux`, `Windows` or `MacOS`.
    pub platform: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_command_is_a_uuid() {
        assert!(CommandId::new("0831e1a8-a1ac-4257-a1fd-c831bEXAMPLE").is_none());
        assert!(CommandId::new("0831e1a8-a1ac-4257-a1fd-c831b48fa1c0").is_some());
        assert!(CommandId::new("").is_none());
    }
}
