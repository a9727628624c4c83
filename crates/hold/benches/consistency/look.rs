//! What is in an image: file systems as they are, after the replay of their log, and what second servers find.

use std::fmt;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::bench::{Bench, Fs, options_of, said, unmount};
use crate::files;
use crate::server::mariadb;
use crate::server::postgresql;
use crate::world::{Copies, Written, mariadb_on, postgres_on, redis_on};

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
#[expect(clippy::struct_excessive_bools, reason = "five columns, each of which is yes or no")]
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
    log_first: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for flag in [self.dirty_log, self.found_before, self.unmountable, self.found_after] {
            write!(f, "{}\t", u8::from(flag))?;
        }
        let Self { innodb, myisam, postgres, redis, files, .. } = self;
        write!(f, "{innodb}\t{myisam}\t{postgres}\t{redis}\t{files}\t{}", u8::from(self.log_first))
    }
}

impl Line {
    /// The columns. `before` and `after` are what the checker found before and after the replay of the log; of each writer
    /// follow whether it needs repair, how many acknowledged rows are lost, and how many were acknowledged. `log-first` is
    /// whether the volume with the logs was copied before the one with the data.
    pub(crate) const HEAD: &str = "dirty-log\tbefore\tunmountable\tafter\t\
        innodb-repair\tinnodb-lost\tinnodb-acknowledged\tmyisam-repair\tmyisam-lost\tmyisam-acknowledged\t\
        postgresql-repair\tpostgresql-lost\tpostgresql-acknowledged\tredis-repair\tredis-lost\tredis-acknowledged\t\
        files-repair\tfiles-lost\tfiles-acknowledged\tlog-first";

    /// Looks, and puts the copies away.
    pub(crate) fn of(bench: &Bench, fs: Fs, written: &Written, copies: &Copies) -> Self {
        let looks = thread::scope(|scope| {
            let looks: Vec<_> =
                copies.names.iter().map(|copy| scope.spawn(|| FileSystem::of(bench, fs, copy))).collect();
            looks.into_iter().map(|look| look.join().unwrap()).collect::<Vec<_>>()
        });
        let mut line = Self {
            dirty_log: looks.iter().any(|look| look.dirty_log),
            found_before: looks.iter().any(|look| look.found_before),
            unmountable: looks.iter().any(|look| look.mount.is_none()),
            found_after: looks.iter().any(|look| look.found_after),
            log_first: copies.log_first,
            ..Self::default()
        };
        let mounts: Option<Vec<PathBuf>> = looks.into_iter().map(|look| look.mount).collect();
        match mounts {
            Some(mounts) => line.look_at_data(bench.directory(), written, &mounts),
            None => line.count_all_as_lost(written),
        }
        for copy in &copies.names {
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

    /// The servers are independent of each other, and each is looked at by itself.
    fn look_at_data(&mut self, place: &Path, written: &Written, mounts: &[PathBuf]) {
        thread::scope(|scope| {
            let mariadb = scope.spawn(|| of_mariadb(mounts, place, written));
            let postgres = scope.spawn(|| of_postgres(mounts, place, written));
            self.redis = of_redis(mounts, place, written);
            self.files = Kept::of(written.files, Some(files::found(mounts.last().unwrap())), true);
            (self.innodb, self.myisam) = mariadb.join().unwrap();
            self.postgres = postgres.join().unwrap();
        });
    }
}

/// What is known of one volume's file system.
struct FileSystem {
    dirty_log: bool,
    found_before: bool,
    found_after: bool,
    /// None if it cannot be mounted.
    mount: Option<PathBuf>,
}

impl FileSystem {
    /// As it is, then after its log was replayed; it is left mounted.
    fn of(bench: &Bench, fs: Fs, copy: &str) -> Self {
        let (image, device) = (bench.image(copy), attach(bench, copy));
        let (dirty_log, found_before) = (has_dirty_log(fs, &image, &device), !is_clean(fs, &image));
        let place = bench.directory().join(copy).join("mnt");
        if !mount(bench, copy) {
            return Self { dirty_log, found_before, found_after: false, mount: None };
        }
        unmount(&place);
        let found_after = !is_clean(fs, &image);
        let mount = mount(bench, copy).then_some(place);
        Self { dirty_log, found_before, found_after, mount }
    }
}

/// Its two engines. A server that does not start needs repair, and has lost everything.
fn of_mariadb(mounts: &[PathBuf], place: &Path, written: &Written) -> (Kept, Kept) {
    let Ok(server) = mariadb_on(mounts, place, "second") else {
        return (Kept::of(written.innodb, None, false), Kept::of(written.myisam, None, false));
    };
    let of_engine = |engine: &str, acknowledged: u64| {
        let question = format!("SELECT COUNT(*) FROM kept.{engine} WHERE n <= {acknowledged}");
        let is_sound = server.check(engine) == "OK";
        let found = mariadb::try_ask(&server.socket, &question).and_then(|found| found.parse().ok());
        Kept::of(acknowledged, found, is_sound && found.is_some())
    };
    (of_engine("InnoDB", written.innodb), of_engine("MyISAM", written.myisam))
}

fn of_postgres(mounts: &[PathBuf], place: &Path, written: &Written) -> Kept {
    let acknowledged = written.postgres;
    let Ok(server) = postgres_on(mounts, place, "second") else { return Kept::of(acknowledged, None, false) };
    let ask = |question: &str| postgresql::try_ask(&server.socket, question);
    let found = ask(&format!("SELECT count(*) FROM kept WHERE n <= {acknowledged}"));
    let found = found.and_then(|found| found.parse().ok());
    let index = ask("SELECT bt_index_check('kept_pkey', true)");
    let table = ask("SELECT * FROM verify_heapam('kept')");
    let is_sound = index.is_some() && table.is_some_and(|damage| damage.is_empty());
    Kept::of(acknowledged, found, is_sound && found.is_some())
}

/// A cut-off last record is left out by Redis itself, which says so: that is repair too.
fn of_redis(mounts: &[PathBuf], place: &Path, written: &Written) -> Kept {
    let Ok(server) = redis_on(mounts, place, "second") else { return Kept::of(written.redis, None, false) };
    Kept::of(written.redis, Some(server.count("n")), !server.server.said().contains("truncat"))
}

/// The device of a copy, not mounted. The janitor finds it in its folder.
fn attach(bench: &Bench, copy: &str) -> PathBuf {
    let folder = bench.directory().join(copy);
    fs::create_dir_all(folder.join("mnt")).unwrap();
    let device = PathBuf::from(said(&format!("losetup --find --show {}", bench.image(copy).display())).trim());
    symlink(&device, folder.join("loop")).unwrap();
    device
}

/// Mounts a copy, which replays its log; false if it cannot be mounted.
fn mount(bench: &Bench, copy: &str) -> bool {
    let folder = bench.directory().join(copy);
    let mut mount = Command::new("mount");
    mount.arg("-o").arg(options_of(&bench.image(copy))).arg(fs::read_link(folder.join("loop")).unwrap());
    mount.arg(folder.join("mnt")).stderr(Stdio::null()).status().unwrap().success()
}

/// Whether the file system must replay its log before it is whole.
fn has_dirty_log(fs: Fs, image: &Path, device: &Path) -> bool {
    match fs {
        // It takes a file for a log and nothing else, so it is given the device. It can also fail to make head or tail of
        // a log that was being written; that one is not clean either.
        Fs::Xfs => {
            let mut print = Command::new("xfs_logprint");
            let output = print.arg("-t").arg(device).stdin(Stdio::null()).output().unwrap();
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
