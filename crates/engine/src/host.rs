//! What the engine asks of the machine that it runs on, for holding it still.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use amikeep_domain::freeze::Connection;
use amikeep_domain::id::InstanceId;
use amikeep_hold::apps::Secret;
use amikeep_hold::{GuardProgram, Protected};

/// A machine that instances are held still from, and that may be one of them.
pub trait Host: Debug + Send + Sync + 'static {
    /// How a guard is started that freezes mounts.
    fn guard(&self) -> GuardProgram;

    /// How a guard is started that runs commands.
    fn command_guard(&self) -> GuardProgram;

    /// What must go on while file systems are frozen, beside what every machine needs: ledger, program, configuration.
    fn protected(&self) -> Vec<Protected>;

    /// The instance that the firmware of this machine says it is. It is read at once and asks nobody.
    fn firmware_instance(&self) -> Option<InstanceId>;

    /// The instance that this machine is, whoever has to be asked, or why that cannot be told.
    fn instance(&self) -> Pin<Box<dyn Future<Output = Result<InstanceId, String>> + Send + '_>>;

    /// The address of an application, with its credentials, or why it cannot be had. The error must not quote it.
    fn address(&self, connection: &Connection) -> Result<Secret, String>;
}

/// A machine from which nothing is held still: each try is answered with the reason.
#[derive(Debug, Clone, Copy)]
pub struct NoHost;

impl Host for NoHost {
    fn guard(&self) -> GuardProgram {
        GuardProgram { program: "/nonexistent".into(), args: Vec::new() }
    }

    fn command_guard(&self) -> GuardProgram {
        self.guard()
    }

    fn protected(&self) -> Vec<Protected> {
        Vec::new()
    }

    fn firmware_instance(&self) -> Option<InstanceId> {
        None
    }

    fn instance(&self) -> Pin<Box<dyn Future<Output = Result<InstanceId, String>> + Send + '_>> {
        Box::pin(async { Err("nothing is held still from here".to_owned()) })
    }

    fn address(&self, _connection: &Connection) -> Result<Secret, String> {
        Err("nothing is held still from here".to_owned())
    }
}
