//! Connections with TLS to servers that take no others: the authority that is named is asked, and the name of the server.

use std::fs;

use amikeep_hold::apps::{AppError, Application, LockLimits, MysqlLock, Secret};

use crate::bench::{PATIENCE, alone};
use crate::certificates::Certificates;
use crate::server::mariadb::MariaDb;
use crate::server::postgresql::Postgres;
use crate::server::redis::Redis;
use crate::server::{free_port, place};

const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: PATIENCE };

fn hold(application: Application, address: String) -> Result<(), AppError> {
    let locked = application.prepare(Some(&Secret::new(address)), PATIENCE)?.lock(LIMITS)?;
    locked.ping()?;
    locked.release().map(|_| ())
}

/// Refused, and in words that show no password.
fn is_refused(result: &Result<(), AppError>, words: &str) {
    let error = result.as_ref().unwrap_err();
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let told = format!("{error}: {source} {error:?}");
    assert!(told.contains(words) && !told.contains("PASSWORD"), "{told}");
}

#[test]
fn mariadb_is_held_over_tls_if_the_authority_that_is_named_made_its_certificate() {
    let Some(_alone) = alone() else { return };
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
    let server = MariaDb::on(&MariaDb::fill(place.path()), place.path(), "first", &options).unwrap();
    server.ask("CREATE USER 'amikeep'@'%' IDENTIFIED BY 'PASSWORD' REQUIRE SSL");
    server.ask("GRANT RELOAD, BINLOG MONITOR ON *.* TO 'amikeep'@'%'");
    let ask = |host: &str, query: String| {
        let address = format!("mysql://amikeep:PASSWORD@{host}:{port}/?{query}");
        hold(Application::Mysql(MysqlLock::EveryEngine), address)
    };
    let by = |mode: &str, certificates: &Certificates| {
        format!("ssl-mode={mode}&ssl-ca={}", certificates.authority.display())
    };
    ask("localhost", by("VERIFY_IDENTITY", &own)).unwrap();
    ask("127.0.0.1", by("VERIFY_CA", &own)).unwrap();
    ask("127.0.0.1", "ssl-mode=REQUIRED".to_owned()).unwrap();
    is_refused(&ask("localhost", by("VERIFY_IDENTITY", &other)), "UnknownIssuer");
    is_refused(&ask("localhost", by("VERIFY_CA", &other)), "UnknownIssuer");
    is_refused(&ask("localhost", by("REQUIRED", &other)), "UnknownIssuer");
    is_refused(&ask("127.0.0.1", by("VERIFY_IDENTITY", &own)), "not valid for name");
    is_refused(&ask("127.0.0.1", "ssl-mode=DISABLED".to_owned()), "Access denied");
}

#[test]
fn postgresql_is_held_over_tls_if_the_authority_that_is_named_made_its_certificate() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let own = Certificates::made_in(&place.path().join("own"), "postgres");
    let other = Certificates::made_in(&place.path().join("other"), "postgres");
    let port = free_port();
    let data = Postgres::fill(place.path());
    let access = "local all postgres trust\nhostssl all amikeep 127.0.0.1/32 scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), access).unwrap();
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", own.certificate.display()),
        format!("ssl_key_file={}", own.key.display()),
    ];
    let server = Postgres::with(&data, place.path(), "first", port, &settings).unwrap();
    server.ask("CREATE ROLE amikeep LOGIN PASSWORD 'PASSWORD'");
    server.ask("GRANT pg_checkpoint TO amikeep");
    let ask = |host: &str, query: String| {
        let address = format!("postgresql://amikeep:PASSWORD@{host}:{port}/postgres?{query}");
        hold(Application::Postgresql, address)
    };
    let by = |mode: &str, certificates: &Certificates| {
        format!("sslmode={mode}&sslrootcert={}", certificates.authority.display())
    };
    ask("localhost", by("verify-full", &own)).unwrap();
    ask("127.0.0.1", by("verify-ca", &own)).unwrap();
    ask("127.0.0.1", "sslmode=require".to_owned()).unwrap();
    is_refused(&ask("localhost", by("verify-full", &other)), "UnknownIssuer");
    is_refused(&ask("localhost", by("verify-ca", &other)), "UnknownIssuer");
    is_refused(&ask("localhost", by("require", &other)), "UnknownIssuer");
    is_refused(&ask("127.0.0.1", by("verify-full", &own)), "not valid for name");
    is_refused(&ask("127.0.0.1", "sslmode=disable".to_owned()), "no pg_hba.conf entry");
}

/// Redis asks for a certificate of amikeep's own unless it is told not to.
#[test]
fn redis_is_held_over_tls_by_a_known_authority_and_with_a_certificate_of_our_own() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let own = Certificates::made_in(&place.path().join("own"), "root");
    let other = Certificates::made_in(&place.path().join("other"), "root");
    let port = free_port();
    let options = format!(
        "--appendonly yes --bind 127.0.0.1 --tls-port {port} --tls-cert-file {} --tls-key-file {} --tls-ca-cert-file {}",
        own.certificate.display(),
        own.key.display(),
        own.authority.display()
    );
    let server = Redis::on(place.path(), place.path(), "first", &options).unwrap();
    server.ask("ACL SETUSER amikeep on >PASSWORD +@all");
    let ask = |host: &str, query: String| {
        hold(Application::Redis, format!("rediss://amikeep:PASSWORD@{host}:{port}/?{query}"))
    };
    let by = |authority: &Certificates, own: &Certificates| {
        let (ca, certificate, key) = (&authority.authority, &own.certificate, &own.key);
        format!("ssl_ca_certs={}&ssl_certfile={}&ssl_keyfile={}", ca.display(), certificate.display(), key.display())
    };
    ask("localhost", by(&own, &own)).unwrap();
    is_refused(&ask("localhost", by(&other, &own)), "UnknownIssuer");
    is_refused(&ask("127.0.0.1", by(&own, &own)), "not valid for name");
    is_refused(&ask("localhost", format!("ssl_ca_certs={}", own.authority.display())), "CertificateRequired");
    is_refused(&ask("localhost", "ssl_ca_certs=/not/there".to_owned()), "ssl_ca_certs");
    is_refused(&ask("localhost", by(&own, &other)), "alert");
    server.ask("CONFIG SET tls-auth-clients no");
    ask("localhost", format!("ssl_ca_certs={}", own.authority.display())).unwrap();
    // The authorities that the host knows have not made this one.
    is_refused(&ask("localhost", String::new()), "UnknownIssuer");
    let plain = hold(Application::Redis, format!("redis://amikeep:PASSWORD@127.0.0.1:{port}"));
    is_refused(&plain, "");
}
