//! The application of a freeze, as the domain names it and as the crate `hold` holds it.

use std::time::Duration;

use amikeep_domain::freeze::{Application, Connection, Freeze, MysqlLock, Via};
use amikeep_domain::grade::Grade;
use amikeep_hold::CheckedMount;
use amikeep_hold::apps::{self, DataHeld, DataHere, DataHost, DataPlaces, LockLimits, Locked, Prepared};

use crate::host::Host;

/// How long connecting may take, with everything that can be found out before anything is locked.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What stands in the history of a hold by commands.
const STATED: &str =
    "that the commands freeze all data of the server to which `connection` leads is what the configuration says";

/// The application of a freeze.
pub(crate) fn application(freeze: &Freeze) -> apps::Application {
    match freeze.application {
        Application::None => apps::Application::None,
        Application::Mysql => apps::Application::Mysql(match freeze.mysql_lock {
            MysqlLock::EveryEngine => apps::MysqlLock::EveryEngine,
            MysqlLock::ReadLock => apps::MysqlLock::ReadLock,
            MysqlLock::InnodbOnly => apps::MysqlLock::InnodbOnly,
            MysqlLock::Replication => apps::MysqlLock::Replication,
        }),
        Application::Postgresql => apps::Application::Postgresql,
        Application::Redis => apps::Application::Redis,
    }
}

/// Connects, and makes sure that it can be held still.
pub(crate) fn connect(host: &dyn Host, freeze: &Freeze) -> Result<Prepared, String> {
    let address = match (freeze.application, &freeze.connection) {
        (Application::None, _) | (_, None) => None,
        (_, Some(connection)) => Some(host.address(connection)?),
    };
    application(freeze).prepare(address.as_ref(), CONNECT_MAX).map_err(|error| chain(&error))
}

/// Whether the data of an application will stand still with these mounts of this machine. What commands hold is not seen
/// from here, and is what the operator says.
pub(crate) fn data_held(app: &Prepared, freeze: &Freeze, mounts: &[CheckedMount]) -> Result<DataHeld, String> {
    if freeze.via != Via::Local {
        return Ok(DataHeld::Yes);
    }
    let places = app.data(DataHost::This).map_err(|error| chain(&error))?;
    Ok(places.map_or(DataHeld::Yes, |places| places.held_by(mounts)))
}

/// Where the data of an application is on another machine, for its guard to look, if there is an application; or why it
/// cannot be told.
pub(crate) fn data_there(app: &Prepared) -> Result<Result<Option<DataHere>, String>, String> {
    match app.data(DataHost::Another).map_err(|error| chain(&error))? {
        None => Ok(Ok(None)),
        Some(DataPlaces::Here(here)) => Ok(Ok(Some(here))),
        Some(DataPlaces::Unknown(why)) => Ok(Err(why)),
    }
}

/// What an image can be worth at the most: with an application no more than file systems, unless all of its data is known
/// to stand still with it; and why, if it is less than the recipe says. Data that is known to be elsewhere is an error, and so
/// is that of another server than the one that would be locked.
pub(crate) fn worth(freeze: &Freeze, data: DataHeld) -> Result<Worth, String> {
    match data {
        DataHeld::Yes if freeze.via == Via::Command && freeze.application != Application::None => {
            Ok(Worth { grade: freeze.grade(), doubt: Some(STATED.to_owned()) })
        }
        DataHeld::Yes => Ok(Worth { grade: freeze.grade(), doubt: None }),
        DataHeld::No(outside) => {
            let told: Vec<String> = outside.iter().map(ToString::to_string).collect();
            Err(format!("data of {} would not be frozen: {}", freeze.application.as_str(), told.join("; ")))
        }
        DataHeld::OfAnother(data) => Err(format!(
            "`connection` leads to another {} than the one that works in `{}`, and the lock would be on the wrong one: \
             correct the address",
            freeze.application.as_str(),
            data.display()
        )),
        DataHeld::Unknown(why) => {
            let app = freeze.application.as_str();
            let doubt =
                format!("it cannot be told whether what is frozen is all data of the {app} that is locked: {why}");
            Ok(Worth { grade: Grade::Filesystem, doubt: Some(doubt) })
        }
    }
}

/// What a proved hold gives the volumes that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Worth {
    pub(crate) grade: Grade,
    /// Why it is less than the recipe says, or no more than what the recipe says.
    pub(crate) doubt: Option<String>,
}

/// Makes it stand still. Dropped, it is let go.
pub(crate) fn lock(app: Prepared, freeze: &Freeze) -> Result<Locked, String> {
    let (wait, hold) = (freeze.lock_wait.unsigned_abs(), freeze.budget.unsigned_abs());
    app.lock(LockLimits { wait, hold }).map_err(|error| chain(&error))
}

/// Still there, right before the capture.
pub(crate) fn ping(app: &Locked) -> Result<(), String> {
    app.ping().map_err(|error| chain(&error))
}

/// Lets it go on. An answer also says that it was ours until then.
pub(crate) fn release(app: Locked) -> Result<(), String> {
    app.release().map(|_| ()).map_err(|error| chain(&error))
}

/// Where it stands, for the job.
pub(crate) fn position(app: &Locked) -> Vec<(String, String)> {
    app.recorded().facts().iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The connection by which a replica is told to go on, if a crash would leave it stopped.
pub(crate) fn stopped_replica(freeze: &Freeze) -> Option<Connection> {
    freeze.connection.clone().filter(|_| application(freeze).outlives_us())
}

/// Starts a replica again whose applier a hold had stopped; says what was done.
pub(crate) fn start_replica(host: &dyn Host, connection: &Connection) -> Result<String, String> {
    let address = host.address(connection)?;
    let replica = apps::Application::Mysql(apps::MysqlLock::Replication);
    match replica.start_again(&address, CONNECT_MAX) {
        Ok(true) => Ok("the replica had been stopped, and goes on".to_owned()),
        Ok(false) => Ok("the replica was running".to_owned()),
        Err(error) => Err(format!("the replica could not be started again: {}", chain(&error))),
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::facts::tests::freeze;

    #[test]
    fn an_image_is_worth_what_is_known_of_its_data() {
        let of = |via, data| worth(&Freeze { via, application: Application::Mysql, ..freeze() }, data);
        let known = of(Via::Local, DataHeld::Yes).unwrap();
        assert_eq!((known.grade, known.doubt), (Grade::Application, None));
        let stated = of(Via::Command, DataHeld::Yes).unwrap();
        assert_eq!(
            (stated.grade, stated.doubt.as_deref()),
            (Grade::Application, Some(STATED)),
            "it is told, and counts"
        );
        let dark = of(Via::Ssm, DataHeld::Unknown("it is dark".to_owned())).unwrap();
        assert!(dark.grade == Grade::Filesystem && dark.doubt.unwrap().ends_with("it is dark"));
        let wrong = of(Via::Ssm, DataHeld::OfAnother("/data".into())).unwrap_err();
        assert!(wrong.starts_with("`connection` leads to another mysql than the one that works in `/data`"), "{wrong}");
        let without = worth(&freeze(), DataHeld::Yes).unwrap();
        assert_eq!((without.grade, without.doubt), (Grade::Filesystem, None), "nobody is locked");
    }
}
