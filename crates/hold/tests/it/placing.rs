//! Where databases say that their data is, against what would be frozen: a log on a volume that is not named is found. So is
//! another server that says the same.

use std::os::unix::fs::symlink;
use std::path::Path;

use amikeep_hold::CheckedMount;
use amikeep_hold::apps::{Application, DataHeld, DataHere, DataHost, DataPlaces, Link, MysqlLock, Prepared, Secret};

use crate::bench::{Bench, Fs, PATIENCE, said};
use crate::server::mariadb::MariaDb;
use crate::server::postgresql::{Postgres, move_log};
use crate::server::redis::Redis;
use crate::server::{directory_of, free_port};

/// Held by both file systems, and not by the first alone: what is on the second is named, with its mount.
fn is_held_by_both_alone(prepared: &Prepared, bench: &Bench, what: &str, directory: &Path) {
    let mounts: Vec<CheckedMount> = bench.checked();
    let places = prepared.data(DataHost::This).unwrap().unwrap();
    assert_eq!(places.held_by(&mounts), DataHeld::Yes, "{places:?}");
    let DataHeld::No(outside) = places.held_by(&mounts[..1]) else { panic!("{places:?}") };
    let told: Vec<_> = outside.iter().map(|it| (it.what, it.path.as_path(), it.mount.as_path())).collect();
    assert_eq!(told, [(what, directory, bench.mount(1))]);
}

#[test]
fn a_log_of_mariadb_on_a_volume_that_is_not_named_is_found() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let data = MariaDb::fill(bench.mount(0));
    let log = directory_of("mysql", &bench.mount(1).join("log"));
    for (option, what) in [
        (format!("--innodb-log-group-home-dir={}", log.display()), "the log of InnoDB"),
        (format!("--log-bin={}", log.join("binlog").display()), "the binary log"),
    ] {
        if what == "the log of InnoDB" {
            said(&format!("mv {} {}", data.join("ib_logfile0").display(), log.display()));
        } else {
            said(&format!("mv {} {}", log.join("ib_logfile0").display(), data.display()));
        }
        let server = MariaDb::on(&data, bench.directory(), "server", &[option]).unwrap();
        is_held_by_both_alone(&server.prepared(MysqlLock::EveryEngine).unwrap(), &bench, what, &log);
    }
    // A schema on another disk is a link in the data directory.
    let server = MariaDb::on(&data, bench.directory(), "server", &[]).unwrap();
    let prepared = server.prepared(MysqlLock::EveryEngine).unwrap();
    assert_eq!(prepared.data(DataHost::This).unwrap().unwrap().held_by(&bench.checked()[..1]), DataHeld::Yes);
    symlink(&log, data.join("archive")).unwrap();
    is_held_by_both_alone(&prepared, &bench, "the data", &log);
}

#[test]
fn a_log_or_a_tablespace_of_postgresql_on_a_volume_that_is_not_named_is_found() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let data = Postgres::fill(bench.mount(0));
    let server = Postgres::on(&data, bench.directory(), "server").unwrap();
    let prepared = server.prepared().unwrap();
    assert_eq!(prepared.data(DataHost::This).unwrap().unwrap().held_by(&bench.checked()[..1]), DataHeld::Yes);
    let space = directory_of("postgres", &bench.mount(1).join("space"));
    server.ask(&format!("CREATE TABLESPACE space LOCATION '{}'", space.display()));
    is_held_by_both_alone(&prepared, &bench, "a tablespace", &space);
    server.ask("DROP TABLESPACE space");
    drop((prepared, server));
    move_log(&data, &bench.mounts);
    let server = Postgres::on(&data, bench.directory(), "server").unwrap();
    is_held_by_both_alone(&server.prepared().unwrap(), &bench, "the data", &bench.mount(1).join("log"));
}

#[test]
fn the_directory_of_redis_on_a_volume_that_is_not_named_is_found() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let data = bench.mount(1).join("redis");
    std::fs::create_dir(&data).unwrap();
    let server = Redis::on(&data, bench.directory(), "server", "--appendonly yes").unwrap();
    is_held_by_both_alone(&server.prepared(), &bench, "the data", &data);
}

/// What a server tells of itself that is reached by an address.
fn told(application: Application, address: &str) -> (Prepared, DataHere) {
    let prepared = application.prepare(Some(&Secret::new(address)), PATIENCE).unwrap();
    match prepared.data(DataHost::This).unwrap() {
        Some(DataPlaces::Here(here)) => (prepared, here),
        other => panic!("{other:?}"),
    }
}

/// The second server says that its data is where that of the first is, as one in a container or on another machine does.
fn is_told_from_another(bench: &Bench, application: Application, addresses: [&str; 2]) {
    let [(_first, first), (_second, second)] = addresses.map(|address| told(application, address));
    let (mounts, data) = (bench.checked(), first.places[0].path.clone());
    let lie = DataPlaces::Here(DataHere { places: first.places.clone(), link: second.link });
    assert_eq!(lie.held_by(&mounts), DataHeld::OfAnother(data));
    assert_eq!(DataPlaces::Here(first).held_by(&mounts), DataHeld::Yes);
}

#[test]
fn a_server_that_names_the_same_directories_is_told_from_the_one_that_works_in_them() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let (ports, place) = ([free_port(), free_port()], bench.directory());
    let servers: Vec<Redis> = (0..2)
        .map(|n| {
            let options = format!("--appendonly yes --bind 127.0.0.1 --port {}", ports[n]);
            Redis::on(bench.mount(n), place, &format!("redis-{n}"), &options).unwrap()
        })
        .collect();
    let addresses = ports.map(|port| format!("redis://127.0.0.1:{port}"));
    is_told_from_another(&bench, Application::Redis, addresses.each_ref().map(String::as_str));
    // Where it will not say how it sees us, what we see ourselves does, where nothing translates addresses.
    servers[0].ask("ACL SETUSER default -client|info");
    let (_prepared, here) = told(Application::Redis, &addresses[0]);
    assert!(matches!(here.link, Link::Tcp { is_told: false, .. }), "{here:?}");
    assert_eq!(DataPlaces::Here(here).held_by(&bench.checked()), DataHeld::Yes);
    drop(servers);

    let listen =
        |port: u16| ["--skip-networking=0".into(), "--bind-address=127.0.0.1".into(), format!("--port={port}")];
    let _servers = [0, 1].map(|n| {
        let data = MariaDb::fill(bench.mount(n));
        MariaDb::on(&data, place, &format!("mariadb-{n}"), &listen(ports[n])).unwrap()
    });
    let addresses = ports.map(|port| format!("mysql://root@127.0.0.1:{port}/"));
    let application = Application::Mysql(MysqlLock::EveryEngine);
    is_told_from_another(&bench, application, addresses.each_ref().map(String::as_str));
}

#[test]
fn a_standby_is_told_from_its_primary() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let (ports, place) = ([free_port(), free_port()], bench.directory());
    // A standby takes no fewer connections than the primary that it was copied from.
    let listen = ["listen_addresses=127.0.0.1".to_owned(), "max_connections=100".to_owned()];
    let data = [0, 1].map(|n| directory_of("postgres", &bench.mount(n).join("data")));
    Postgres::fill(bench.mount(0));
    // A copy has the same identifier of its system, and as a standby it says the same of itself.
    said(&format!("cp -a {}/. {}", data[0].display(), data[1].display()));
    std::fs::write(data[1].join("standby.signal"), "").unwrap();
    let _servers = [0, 1].map(|n| Postgres::with(&data[n], place, &format!("pg-{n}"), ports[n], &listen).unwrap());
    let addresses = ports.map(|port| format!("postgresql://postgres@127.0.0.1:{port}/postgres"));
    is_told_from_another(&bench, Application::Postgresql, addresses.each_ref().map(String::as_str));
}
