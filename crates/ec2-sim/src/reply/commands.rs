//! What Systems Manager tells.

use amikeep_domain::id::InstanceId;
use jiff::Timestamp;

/// What `GetCommandInvocation` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationView {
    /// The command.
    pub command_id: String,
    /// The instance.
    pub instance_id: InstanceId,
    /// `InProgress`, `Success` and others.
    pub status: &'static str,
    /// `StatusDetails`, which tells more.
    pub details: &'static str,
    /// The exit code, or -1.
    pub response_code: i32,
    /// Empty until the command has ended.
    pub stdout: String,
    /// Empty until the command has ended.
    pub stderr: String,
}

/// One line of `DescribeInstanceInformation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    /// The instance.
    pub instance_id: InstanceId,
    /// When it was last heard of.
    pub last_ping_at: Timestamp,
}
