//! The accounts of `docs/freeze.md`, made by the very statements that are written there: each is enough, and none has a
//! privilege that is not needed.

use std::fs;

use amikeep_hold::apps::{AppError, Application, DataHost, DataPlaces, LockLimits, MysqlLock, Recorded, Secret};

use crate::bench::{PATIENCE, alone};
use crate::page::block;
use crate::server::mariadb::MariaDb;
use crate::server::place;
use crate::server::postgresql::Postgres;
use crate::server::redis::Redis;

const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: PATIENCE };

/// Whether this account is told where the data is.
fn is_told(application: Application, address: &Secret) -> bool {
    matches!(application.prepare(Some(address), PATIENCE).unwrap().data(DataHost::This), Ok(Some(DataPlaces::Here(_))))
}

fn hold(application: Application, address: &Secret) -> Result<Recorded, AppError> {
    let locked = application.prepare(Some(address), PATIENCE)?.lock(LIMITS)?;
    locked.ping()?;
    let recorded = locked.recorded().clone();
    locked.release()?;
    Ok(recorded)
}

fn is_refused(result: &Result<Recorded, AppError>) -> bool {
    matches!(result, Err(AppError::Refused { .. }))
}

#[test]
fn the_account_for_mariadb_is_enough_and_needs_each_of_its_privileges() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = MariaDb::on(&MariaDb::fill(place.path()), place.path(), "first", &[]).unwrap();
    server.ask(&block("sql mariadb"));
    let address = server.address("amikeep:PASSWORD");
    for lock in [MysqlLock::EveryEngine, MysqlLock::ReadLock, MysqlLock::InnodbOnly] {
        let recorded = hold(Application::Mysql(lock), &address).unwrap();
        let names: Vec<_> = recorded.facts().iter().map(|(name, _)| *name).collect();
        assert_eq!(&names[..5], ["server", "lock", "role", "binlog_file", "binlog_position"]);
    }
    assert!(is_told(Application::Mysql(MysqlLock::EveryEngine), &address));
    for privilege in ["RELOAD", "BINLOG MONITOR"] {
        server.ask(&format!("REVOKE {privilege} ON *.* FROM 'amikeep'@'localhost'"));
        let result = hold(Application::Mysql(MysqlLock::EveryEngine), &address);
        assert!(is_refused(&result), "{privilege}: {result:?}");
        server.ask(&format!("GRANT {privilege} ON *.* TO 'amikeep'@'localhost'"));
    }
    let result = hold(Application::Mysql(MysqlLock::EveryEngine), &server.address("amikeep:wrong%2Dsecret"));
    assert!(is_refused(&result) && !format!("{result:?}").contains("wrong"), "{result:?}");
}

#[test]
fn the_account_for_postgresql_is_enough_and_needs_its_role() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let data = Postgres::fill(place.path());
    let access = data.join("pg_hba.conf");
    fs::write(&access, "local all postgres trust\nlocal all amikeep scram-sha-256\n").unwrap();
    let server = Postgres::on(&data, place.path(), "first").unwrap();
    for statement in block("sql postgresql").lines() {
        server.ask(statement);
    }
    let address = server.address("amikeep:PASSWORD");
    let recorded = hold(Application::Postgresql, &address).unwrap();
    assert!(recorded.get("wal_lsn").is_some() && recorded.get("system_identifier").is_some(), "{recorded:?}");
    assert!(is_told(Application::Postgresql, &address));
    server.ask("REVOKE pg_read_all_settings FROM amikeep");
    assert!(!is_told(Application::Postgresql, &address), "it does without, and the image is worth less");
    server.ask("REVOKE pg_checkpoint FROM amikeep");
    let result = hold(Application::Postgresql, &address);
    assert!(is_refused(&result), "{result:?}");
    let result = hold(Application::Postgresql, &server.address("amikeep:wrong%2Dsecret"));
    assert!(is_refused(&result) && !format!("{result:?}").contains("wrong"), "{result:?}");
}

#[test]
fn the_account_for_redis_is_enough_and_needs_each_of_its_commands() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = Redis::on(place.path(), place.path(), "first", "--appendonly no").unwrap();
    assert_eq!(server.ask(&block("text redis")), "+OK");
    let address = server.address("amikeep:PASSWORD@");
    hold(Application::Redis, &address).unwrap();
    assert!(is_told(Application::Redis, &address));
    server.ask("ACL SETUSER amikeep -client|info");
    assert!(is_told(Application::Redis, &address), "where it sees us is told apart");
    server.ask("ACL SETUSER amikeep -config|get");
    assert!(!is_told(Application::Redis, &address), "it does without, and the image is worth less");
    for command in ["client|pause", "client|unpause", "info", "ping", "bgsave"] {
        server.ask(&format!("ACL SETUSER amikeep -{command}"));
        let result = hold(Application::Redis, &address);
        assert!(is_refused(&result), "{command}: {result:?}");
        server.ask("CLIENT UNPAUSE");
        server.ask(&format!("ACL SETUSER amikeep +{command}"));
    }
    hold(Application::Redis, &address).unwrap();
}

/// It repeats what it does not understand.
#[test]
fn a_redis_that_does_not_know_how_to_log_in_shows_no_password() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let options = "--appendonly no --rename-command AUTH LOGIN";
    let server = Redis::on(place.path(), place.path(), "first", options).unwrap();
    let result = hold(Application::Redis, &server.address("amikeep:hunter%322@"));
    let told = format!("{result:?}");
    assert!(is_refused(&result) && told.contains("AUTH") && !told.contains("hunter"), "{told}");
}
