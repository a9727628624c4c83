//! Where MySQL says that its data is, against what would be frozen.

use std::path::Path;

use amikeep_hold::apps::{DataHeld, DataHost, MysqlLock};

use crate::bench::{Bench, Fs};
use crate::product::{MYSQL, version};
use crate::proof::move_log;
use crate::server::directory_of;

fn is_held_by_both_alone(bench: &Bench, data: &Path, option: &str, what: &str, directory: &Path) {
    let server = (MYSQL.start)(data, bench.directory(), "server", &[option.to_owned()]).unwrap();
    let prepared = server.prepared(MysqlLock::EveryEngine).unwrap();
    let (places, mounts) = (prepared.data(DataHost::This).unwrap().unwrap(), bench.checked());
    assert_eq!(places.held_by(&mounts), DataHeld::Yes, "{places:?}");
    let DataHeld::No(outside) = places.held_by(&mounts[..1]) else { panic!("{places:?}") };
    let told: Vec<_> = outside.iter().map(|it| (it.what, it.path.as_path(), it.mount.as_path())).collect();
    assert_eq!(told, [(what, directory, bench.mount(1))]);
}

#[test]
fn whatever_mysql_keeps_on_a_volume_that_is_not_named_is_found() {
    let Some(bench) = Bench::with(&[Fs::Xfs, Fs::Ext4]) else { return };
    let data = (MYSQL.fill)(bench.mount(0));
    let other = directory_of("mysql", &bench.mount(1).join("other"));
    let option = |name: &str| format!("--{name}={}", other.display());
    let binlog = format!("--log-bin={}", other.join("binlog").display());
    is_held_by_both_alone(&bench, &data, &binlog, "the binary log", &other);
    if (8, 0, 21) <= version() {
        is_held_by_both_alone(&bench, &data, &option("innodb-directories"), "tablespaces of InnoDB", &other);
    }
    move_log(&data, &other);
    is_held_by_both_alone(&bench, &data, &option("innodb-log-group-home-dir"), "the log of InnoDB", &other);
}
