//! The accounts of `docs/freeze.md` for MySQL, and the ways to log in with them.

use amikeep_hold::apps::{AppError, Application, DataHost, DataPlaces, LockLimits, MysqlLock, Recorded, Secret};

use crate::bench::{PATIENCE, alone};
use crate::certificates::Certificates;
use crate::page::block;
use crate::product::{MYSQL, version};
use crate::proof;
use crate::server::{free_port, place};

const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: PATIENCE };

fn hold(lock: MysqlLock, address: &Secret) -> Result<Recorded, AppError> {
    let locked = Application::Mysql(lock).prepare(Some(address), PATIENCE)?.lock(LIMITS)?;
    locked.ping()?;
    let recorded = locked.recorded().clone();
    locked.release()?;
    Ok(recorded)
}

/// The documented statements of this version, and the privilege of the lock.
fn account() -> (String, &'static str) {
    if version() < (8, 0, 23) {
        (block("sql mysql-before-8.0.23"), "RELOAD")
    } else {
        (block("sql mysql"), "FLUSH_TABLES")
    }
}

#[test]
fn the_account_for_mysql_is_enough_and_needs_each_of_its_privileges() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = proof::lone_server(&MYSQL, place.path());
    let (statements, of_the_lock) = account();
    server.ask(&statements);
    let address = server.address("amikeep:PASSWORD");
    for lock in [MysqlLock::EveryEngine, MysqlLock::ReadLock] {
        let recorded = hold(lock, &address).unwrap();
        let names: Vec<_> = recorded.facts().iter().map(|(name, _)| *name).collect();
        assert_eq!(&names[..5], ["server", "lock", "role", "binlog_file", "binlog_position"]);
    }
    let prepared = Application::Mysql(MysqlLock::EveryEngine).prepare(Some(&address), PATIENCE).unwrap();
    assert!(matches!(prepared.data(DataHost::This), Ok(Some(DataPlaces::Here(_)))));
    for privilege in [of_the_lock, "REPLICATION CLIENT"] {
        server.ask(&format!("REVOKE {privilege} ON *.* FROM 'amikeep'@'localhost'"));
        let result = hold(MysqlLock::EveryEngine, &address);
        assert!(matches!(result, Err(AppError::Refused { .. })), "{privilege}: {result:?}");
        server.ask(&format!("GRANT {privilege} ON *.* TO 'amikeep'@'localhost'"));
    }
    let result = hold(MysqlLock::EveryEngine, &server.address("amikeep:wrong%2Dsecret"));
    assert!(matches!(result, Err(AppError::Refused { .. })) && !format!("{result:?}").contains("wrong"), "{result:?}");
    // Without a lock, InnoDB's log alone is flushed, which is another privilege.
    server.ask("GRANT RELOAD ON *.* TO 'amikeep'@'localhost'");
    hold(MysqlLock::InnodbOnly, &address).unwrap();
    if of_the_lock != "RELOAD" {
        server.ask("REVOKE RELOAD ON *.* FROM 'amikeep'@'localhost'");
        let result = hold(MysqlLock::InnodbOnly, &address);
        assert!(matches!(result, Err(AppError::Refused { .. })), "{result:?}");
    }
}

/// Refused, and in words that show no password.
fn is_refused(result: &Result<Recorded, AppError>, words: &str) {
    let error = result.as_ref().unwrap_err();
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let told = format!("{error}: {source} {error:?}");
    assert!(told.contains(words) && !told.contains("PASSWORD"), "{told}");
}

/// `caching_sha2_password` sends the password itself the first time, and so takes TLS; a socket has that, too.
#[test]
fn mysql_is_logged_in_to_over_tls_on_a_socket_and_over_tcp() {
    let Some(_alone) = alone() else { return };
    if version() < (8, 0, 23) {
        println!("before MySQL 8 accounts log in by mysql_native_password");
        return;
    }
    let place = place();
    let own = Certificates::made_in(&place.path().join("own"), "mysql");
    let other = Certificates::made_in(&place.path().join("other"), "mysql");
    let port = free_port();
    let options = [
        "--skip-networking=0".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--port={port}"),
        format!("--ssl-cert={}", own.certificate.display()),
        format!("--ssl-key={}", own.key.display()),
    ];
    let data = (MYSQL.fill)(place.path());
    let server = (MYSQL.start)(&data, place.path(), "first", &options).unwrap();
    // Anew each time: after one login the server remembers enough for one without TLS.
    let anew = || {
        server.ask("DROP USER IF EXISTS 'amikeep'@'%'; CREATE USER 'amikeep'@'%' IDENTIFIED BY 'PASSWORD'");
        server.ask("GRANT FLUSH_TABLES, REPLICATION CLIENT ON *.* TO 'amikeep'@'%'");
    };
    let ask = |place: String, query: String| {
        anew();
        hold(MysqlLock::EveryEngine, &Secret::new(format!("mysql://amikeep:PASSWORD@{place}/?{query}")))
    };
    let tcp = |host: &str| format!("{host}:{port}");
    let by = |mode: &str, certificates: &Certificates| {
        format!("ssl-mode={mode}&ssl-ca={}", certificates.authority.display())
    };
    let socket = format!("socket={}", server.socket.display());
    ask("localhost".to_owned(), socket.clone()).unwrap();
    ask(tcp("127.0.0.1"), String::new()).unwrap();
    ask(tcp("localhost"), by("VERIFY_IDENTITY", &own)).unwrap();
    ask(tcp("127.0.0.1"), by("VERIFY_CA", &own)).unwrap();
    is_refused(&ask(tcp("localhost"), by("VERIFY_IDENTITY", &other)), "UnknownIssuer");
    is_refused(&ask(tcp("127.0.0.1"), by("VERIFY_IDENTITY", &own)), "not valid for name");
    let words = "takes an encrypted connection";
    is_refused(&ask("localhost".to_owned(), format!("{socket}&ssl-mode=DISABLED")), words);
    is_refused(&ask(tcp("127.0.0.1"), "ssl-mode=DISABLED".to_owned()), words);
}

/// The certificates that MySQL makes for itself at its first start.
#[test]
fn the_certificate_that_mysql_made_for_itself_is_one_by_the_authority_in_its_directory() {
    let Some(_alone) = alone() else { return };
    if version() < (8, 0, 23) {
        println!("the way to log in takes no TLS");
        return;
    }
    let place = place();
    let data = (MYSQL.fill)(place.path());
    let server = (MYSQL.start)(&data, place.path(), "first", &[]).unwrap();
    server.ask(&account().0);
    let query = format!("socket={}&ssl-ca={}", server.socket.display(), data.join("ca.pem").display());
    hold(MysqlLock::EveryEngine, &Secret::new(format!("mysql://amikeep:PASSWORD@localhost/?{query}"))).unwrap();
}
