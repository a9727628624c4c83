//! What is in an image: file systems as they are, after the replay of their log, and what second servers find.

use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench::{Bench, Fs, options_of, said, unmount};
use crate::files;
use crate::server::mariadb::{self, MariaDb};
use crate::server::postgresql::{self, Postgres};
use crate::server::redis::Redis;
use crate::world::{NUMBERS_EACH, Servers};

/// What was acknowledged when the image was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) image: u64,
    pub(crate) innodb: u64,
    pub(crate) myisam: u64,
    pub(crate) postgres: u64,
    pub(crate) redis: u64,
    pub(crate) files: u64,
}

/// What became of one writer's data.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    /// The server does not start or says that something is wrong.
    needs_repair: bool,
    /// Acknowledged rows that are not there.
    lost: u64,
    acknowledged: u64,
}

impl Kept {
    /// What was not found is lost; what was written and not yet acknowledged may be there too.
    fn of(acknowledged: u64, found: Option<u64>, is_sound: bool) -> Self {
        Self { needs_repair: !is_sound, lost: acknowledged.saturating_sub(found.unwrap_or(0)), acknowledged }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}", u8::from(self.needs_repair), self.lost, self.acknowledged)
    }
}

/// One image. A file system counts if it is one on any volume.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four columns, each of which is yes or no")]
pub(crate) struct Line {
    dirty_log: bool,
    found_before: bool,
    unmountable: bool,
    found_after: bool,
    innodb: Kept,
    myisam: Kept,
    postgres: Kept,
    redis: Kept,
    files: Kept,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for flag in [self.dirty_log, self.found_before, self.unmountable, self.found_after] {
            write!(f, "{}\t", u8::from(flag))?;
        }
        let Self { innodb, myisam, postgres, redis, files, .. } = self;
        write!(f, "{innodb}\t{myisam}\t{postgres}\t{redis}\t{files}")
    }
}

impl Line {
    /// The columns. `before` and `after` are what the checker found before and after the replay of the log; of each writer
    /// follow whether it needs repair, how many acknowledged rows are lost, and how many were acknowledged.
    pub(crate) const HEAD: &str = "dirty-log\tbefore\tunmountable\tafter\t\
        innodb-repair\tinnodb-lost\tinnodb-acknowledged\tmyisam-repair\tmyisam-lost\tmyisam-acknowledged\t\
        postgresql-repair\tpostgresql-lost\tpostgresql-acknowledged\tredis-repair\tredis-lost\tredis-acknowledged\t\
        files-repair\tfiles-lost\tfiles-acknowledged";

    /// Looks, and puts the copies away.
    pub(crate) fn of(bench: &Bench, fs: Fs, written: &Written, copies: &[String]) -> Self {
        let mut line = Self::default();
        let mut mounts = Vec::new();
        for copy in copies {
            let image = bench.image(copy);
            line.dirty_log |= has_dirty_log(fs, &image);
            line.found_before |= !is_clean(fs, &image);
            let Some(place) = attach(bench, copy) else {
                line.unmountable = true;
                continue;
            };
            unmount(&place);
            line.found_after |= !is_clean(fs, &image);
            mount(bench, copy);
            mounts.push(place);
        }
        if line.unmountable {
            line.count_all_as_lost(written);
        } else {
            line.look_at_data(bench, written, &mounts);
        }
        for copy in copies {
            bench.discard_copy(copy);
        }
        line
    }

    fn count_all_as_lost(&mut self, written: &Written) {
        self.innodb = Kept::of(written.innodb, None, false);
        self.myisam = Kept::of(written.myisam, None, false);
        self.postgres = Kept::of(written.postgres, None, false);
        self.redis = Kept::of(written.redis, None, false);
        self.files = Kept::of(written.files, None, false);
    }

    fn look_at_data(&mut self, bench: &Bench, written: &Written, mounts: &[PathBuf]) {
        let found = files::found(mounts.last().unwrap(), written.image);
        self.files = Kept::of(written.files, Some(found), true);
        let servers = Servers::start(mounts, bench.directory(), "second");
        let mariadb = servers.mariadb.as_ref().ok();
        self.innodb = of_mariadb(mariadb, "InnoDB", written.image, written.innodb);
        self.myisam = of_mariadb(mariadb, "MyISAM", written.image, written.myisam);
        self.postgres = of_postgres(servers.postgres.as_ref().ok(), written);
        self.redis = of_redis(servers.redis.as_ref().ok(), written);
    }
}

fn of_mariadb(server: Option<&MariaDb>, engine: &str, image: u64, acknowledged: u64) -> Kept {
    let Some(server) = server else { return Kept::of(acknowledged, None, false) };
    let (from, to) = (image * NUMBERS_EACH, image * NUMBERS_EACH + acknowledged);
    let question = format!("SELECT COUNT(*) FROM kept.{engine} WHERE {from} < n AND n <= {to}");
    let is_sound = server.check(engine) == "OK";
    let found = mariadb::try_ask(&server.socket, &question).and_then(|found| found.parse().ok());
    Kept::of(acknowledged, found, is_sound && found.is_some())
}

fn of_postgres(server: Option<&Postgres>, written: &Written) -> Kept {
    let Some(server) = server else { return Kept::of(written.postgres, None, false) };
    let ask = |question: &str| postgresql::try_ask(&server.socket, question);
    let (from, to) = (written.image * NUMBERS_EACH, written.image * NUMBERS_EACH + written.postgres);
    let found = ask(&format!("SELECT count(*) FROM kept WHERE {from} < n AND n <= {to}"));
    let found = found.and_then(|found| found.parse().ok());
    let index = ask("SELECT bt_index_check('kept_pkey', true)");
    let table = ask("SELECT * FROM verify_heapam('kept')");
    let is_sound = index.is_some() && table.is_some_and(|damage| damage.is_empty());
    Kept::of(written.postgres, found, is_sound && found.is_some())
}

/// A cut-off last record is left out by Redis itself, which says so: that is repair too.
fn of_redis(server: Option<&Redis>, written: &Written) -> Kept {
    let Some(server) = server else { return Kept::of(written.redis, None, false) };
    let found = server.count(&format!("n{}", written.image));
    Kept::of(written.redis, Some(found), !server.server.said().contains("truncat"))
}

/// Mounts a copy, which replays its log; none if it cannot be mounted. The janitor finds it in its folder.
fn attach(bench: &Bench, copy: &str) -> Option<PathBuf> {
    let folder = bench.directory().join(copy);
    fs::create_dir_all(folder.join("mnt")).unwrap();
    let device = said(&format!("losetup --find --show {}", bench.image(copy).display()));
    symlink(device.trim(), folder.join("loop")).unwrap();
    mount(bench, copy).then(|| folder.join("mnt"))
}

fn mount(bench: &Bench, copy: &str) -> bool {
    let folder = bench.directory().join(copy);
    let mut mount = Command::new("mount");
    mount.arg("-o").arg(options_of(&bench.image(copy))).arg(fs::read_link(folder.join("loop")).unwrap());
    mount.arg(folder.join("mnt")).stderr(Stdio::null()).status().unwrap().success()
}

/// Whether the file system must replay its log before it is whole.
fn has_dirty_log(fs: Fs, image: &Path) -> bool {
    match fs {
        // It can also fail to make head or tail of a log that was being written; that one is not clean either.
        Fs::Xfs => {
            let mut print = Command::new("xfs_logprint");
            let output = print.args(["-f", "-t"]).arg(image).stdin(Stdio::null()).output().unwrap();
            !String::from_utf8_lossy(&output.stdout).contains("<CLEAN>")
        }
        Fs::Ext4 => said(&format!("dumpe2fs -h {}", image.display())).contains("needs_recovery"),
    }
}

/// What the file system's own checker says, without changing anything.
fn is_clean(fs: Fs, image: &Path) -> bool {
    let (program, flags) = match fs {
        Fs::Xfs => ("xfs_repair", "-fn"),
        Fs::Ext4 => ("e2fsck", "-fn"),
    };
    let mut check = Command::new(program);
    check.arg(flags).arg(image).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    check.status().unwrap().success()
}
