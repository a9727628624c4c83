//! The machine that amikeep runs on: which instance it is, what must not stand still on it, where secrets are, and how a
//! guard is started.
//!
//! A guard is this very program, started by one of two words that are no commands and that no help shows.

use std::ffi::OsStr;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;

use amikeep_domain::freeze::Connection;
use amikeep_domain::id::InstanceId;
use amikeep_engine::Host;
use amikeep_hold::apps::Secret;
use amikeep_hold::{GuardProgram, Protected, SYS, instance_of_firmware};

/// Starts a guard of mounts.
const MOUNT_GUARD: &str = "__guard";
/// Starts a guard of commands.
const COMMAND_GUARD: &str = "__command-guard";
/// The file that runs, also after an upgrade has replaced it.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Runs a guard if that is what this process was started for. It must be called before anything else.
pub(crate) fn run_guard() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let word = args.next()?;
    if word == OsStr::new(MOUNT_GUARD) {
        return Some(amikeep_hold::guard::main());
    }
    (word == OsStr::new(COMMAND_GUARD)).then(|| amikeep_hold::command::main(args))
}

/// This machine.
#[derive(Debug)]
pub(crate) struct LocalHost {
    database: PathBuf,
}

impl LocalHost {
    /// With the ledger at this path.
    pub(crate) fn new(database: &Path) -> Self {
        Self { database: database.to_owned() }
    }
}

impl Host for LocalHost {
    fn guard(&self) -> GuardProgram {
        GuardProgram { program: THIS_PROGRAM.into(), args: vec![MOUNT_GUARD.into()] }
    }

    fn command_guard(&self) -> GuardProgram {
        GuardProgram { program: THIS_PROGRAM.into(), args: vec![COMMAND_GUARD.into()] }
    }

    fn protected(&self) -> Vec<Protected> {
        let log = fs::read_link("/proc/self/fd/2").ok().filter(|path| path.is_absolute() && path.exists());
        let program = std::env::current_exe().ok();
        let parts = [("the ledger", Some(self.database.clone())), ("amikeep itself", program), ("the log", log)];
        parts.into_iter().filter_map(|(what, path)| Some(Protected::new(what, path?))).collect()
    }

    fn firmware_instance(&self) -> Option<InstanceId> {
        instance_of_firmware(Path::new(SYS))?.parse().ok()
    }

    fn instance(&self) -> Pin<Box<dyn Future<Output = Result<InstanceId, String>> + Send + '_>> {
        Box::pin(async {
            let is_disabled = std::env::var_os("AWS_EC2_METADATA_DISABLED").is_some_and(|it| it == "true");
            match self.firmware_instance() {
                Some(instance) => Ok(instance),
                None if is_disabled => Err("AWS_EC2_METADATA_DISABLED switches the metadata service off".to_owned()),
                None => amikeep_cloud_aws::instance_of_metadata().await,
            }
        })
    }

    fn address(&self, connection: &Connection) -> Result<Secret, String> {
        let text = match connection {
            Connection::Credential(name) => read(&credential(name)?)?,
            Connection::File(path) => read(path)?,
            Connection::Env(name) => std::env::var_os(name)
                .and_then(|value| value.into_string().ok())
                .ok_or_else(|| format!("the environment variable {name} is not set"))?,
        };
        Ok(Secret::new(text.trim()))
    }
}

/// A credential has a plain name; a path would be a way out of the directory that systemd made for it.
fn credential(name: &str) -> Result<PathBuf, String> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
        .ok_or_else(|| format!("there is no credential {name}: add LoadCredential={name}:… to the unit"))?;
    if name.contains('/') || name == ".." {
        return Err(format!("`{name}` is not the name of a credential"));
    }
    Ok(Path::new(&directory).join(name))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> LocalHost {
        LocalHost::new(Path::new("/nowhere/amikeep.db"))
    }

    #[test]
    fn an_address_is_read_from_its_file_without_the_end_of_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url");
        fs::write(&path, "redis://127.0.0.1\n").unwrap();
        let secret = host().address(&Connection::File(path)).unwrap();
        assert!(secret == Secret::new("redis://127.0.0.1"));
        let error = host().address(&Connection::File("/nowhere/url".into())).unwrap_err();
        assert!(error.starts_with("/nowhere/url cannot be read"), "{error}");
    }

    #[test]
    fn a_credential_or_variable_that_is_not_there_is_named() {
        let error = host().address(&Connection::Credential("db-url".to_owned())).unwrap_err();
        assert!(error.contains("LoadCredential=db-url"), "{error}");
        let error = host().address(&Connection::Env("AMIKEEP_NO_SUCH".to_owned())).unwrap_err();
        assert_eq!(error, "the environment variable AMIKEEP_NO_SUCH is not set");
    }

    #[test]
    fn ledger_and_program_must_go_on() {
        let protected = host().protected();
        assert!(protected.iter().any(|it| it.path == Path::new("/nowhere/amikeep.db")));
        assert!(protected.iter().any(|it| it.what == "amikeep itself"));
    }
}
