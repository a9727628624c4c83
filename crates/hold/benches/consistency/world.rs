//! Servers and writers on the volumes of a cell, and how an image is taken of them.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use amikeep_hold::apps::{Application, LockLimits, MysqlLock};
use amikeep_hold::{Guard, HoldReport};
use rustix::event::poll;
use rustix::process::Signal;
use rustix::time::Timespec;

use crate::bench::{Bench, PATIENCE, said, some_time, unmount};
use crate::cell::{Cell, FROZEN_GAP, Mode};
use crate::client::Client;
use crate::files;
use crate::server::directory_of;
use crate::server::mariadb::MariaDb;
use crate::server::postgresql::{Postgres, move_log};
use crate::server::redis::Redis;

/// Three servers with their data on one volume and their logs on another, if there is one.
const VOLUME_BYTES: u64 = 640 * 1024 * 1024;

/// `MyISAM` takes tens of thousands of rows a second; the volumes are small.
const MYISAM_PACE: Duration = Duration::from_millis(1);

const REDIS_OPTIONS: &str = "--appendonly yes --appendfsync everysec";

const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: Duration::from_mins(1) };

/// Before each image writes flow for a time that is drawn anew, evenly between these. It is longer than the rhythms that
/// matter: Redis flushes each second.
const WRITES_FOR_MS: (u64, u64) = (100, 1300);

/// The servers on one set of mounts.
struct Servers {
    mariadb: MariaDb,
    postgres: Postgres,
    redis: Redis,
}

impl Servers {
    /// Starts them on what is mounted there, all at once.
    fn start(mounts: &[PathBuf], place: &Path) -> Self {
        thread::scope(|scope| {
            let mariadb = scope.spawn(|| mariadb_on(mounts, place, "first").unwrap());
            let postgres = scope.spawn(|| postgres_on(mounts, place, "first").unwrap());
            let redis = redis_on(mounts, place, "first").unwrap();
            Self { mariadb: mariadb.join().unwrap(), postgres: postgres.join().unwrap(), redis }
        })
    }

    /// Asks them to end in good order, one after another.
    fn shut_down(self) {
        self.mariadb.server.shut_down(Signal::TERM);
        self.postgres.server.shut_down(Signal::INT);
        self.redis.server.shut_down(Signal::TERM);
    }
}

/// `MariaDB` on these mounts; an error is what it says when it does not start.
pub(crate) fn mariadb_on(mounts: &[PathBuf], place: &Path, name: &str) -> Result<MariaDb, String> {
    let log = mounts.get(1).map(|mount| mount.join("mariadb-log"));
    let options: Vec<String> = log.iter().map(|log| format!("--innodb-log-group-home-dir={}", log.display())).collect();
    MariaDb::on(&mounts[0].join("mariadb/data"), place, &format!("{name}-mariadb"), &options)
}

/// The same of PostgreSQL.
pub(crate) fn postgres_on(mounts: &[PathBuf], place: &Path, name: &str) -> Result<Postgres, String> {
    let data = mounts[0].join("postgresql/data");
    move_log(&data, mounts);
    Postgres::on(&data, place, &format!("{name}-postgresql"))
}

/// The same of Redis.
pub(crate) fn redis_on(mounts: &[PathBuf], place: &Path, name: &str) -> Result<Redis, String> {
    Redis::on(&mounts[0].join("redis"), place, &format!("{name}-redis"), REDIS_OPTIONS)
}

/// What every cell of so many volumes begins with: file systems with servers' directories and empty tables, in files
/// that are never written to again.
#[derive(Debug)]
pub(crate) struct Beginning {
    cell: Cell,
}

impl Beginning {
    /// Makes it, with servers that are shut down in good order.
    pub(crate) fn make(bench: &mut Bench, cell: Cell) -> Self {
        for number in 0..cell.volumes {
            bench.add(number, cell.fs, VOLUME_BYTES);
        }
        let (first, last) = (bench.mount(0), bench.mount(cell.volumes - 1));
        let data = MariaDb::fill(&first.join("mariadb"));
        if 1 < cell.volumes {
            let log = directory_of("mysql", &last.join("mariadb-log"));
            said(&format!("mv {} {}", data.join("ib_logfile0").display(), log.display()));
        }
        Postgres::fill(&first.join("postgresql"));
        std::fs::create_dir(first.join("redis")).unwrap();
        let servers = Servers::start(&bench.mounts, bench.directory());
        for engine in ["InnoDB", "MyISAM"] {
            servers.mariadb.make_table(engine);
        }
        servers.postgres.make_table();
        servers.postgres.ask("CREATE EXTENSION amcheck");
        servers.shut_down();
        let beginning = Self { cell };
        for number in 0..cell.volumes {
            bench.detach(&number.to_string());
            let (from, to) = (bench.image(&number.to_string()), bench.image(&beginning.file(number)));
            std::fs::rename(from, to).unwrap();
        }
        bench.mounts.clear();
        beginning
    }

    fn file(&self, number: usize) -> String {
        format!("begin-{:?}-{}-{number}", self.cell.fs, self.cell.volumes)
    }

    /// Whether a cell can begin with this.
    pub(crate) fn is_of(&self, cell: Cell) -> bool {
        self.cell.fs == cell.fs && self.cell.volumes == cell.volumes
    }
}

/// What was acknowledged when an image was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) innodb: u64,
    pub(crate) myisam: u64,
    pub(crate) postgres: u64,
    pub(crate) redis: u64,
    pub(crate) files: u64,
}

/// Who writes while images are taken.
struct Writers {
    innodb: Client,
    myisam: Client,
    postgres: Client,
    redis: Client,
    files: Client,
}

impl Writers {
    fn start(servers: &Servers, mounts: &[PathBuf]) -> Self {
        Self {
            innodb: servers.mariadb.client("InnoDB", 0, Duration::ZERO),
            myisam: servers.mariadb.client("MyISAM", 0, MYISAM_PACE),
            postgres: servers.postgres.client(0),
            redis: servers.redis.client("n"),
            files: files::client(mounts.last().unwrap()),
        }
    }

    fn written(&self) -> Written {
        Written {
            innodb: self.innodb.now(),
            myisam: self.myisam.now(),
            postgres: self.postgres.now(),
            redis: self.redis.now(),
            files: self.files.now(),
        }
    }

    fn all(&self) -> [&Client; 5] {
        [&self.innodb, &self.myisam, &self.postgres, &self.redis, &self.files]
    }

    fn stop(self) {
        for client in [self.innodb, self.myisam, self.postgres, self.redis, self.files] {
            client.stop();
        }
    }
}

/// The copies of an image's volumes.
#[derive(Debug)]
pub(crate) struct Copies {
    /// In the order of the volumes.
    pub(crate) names: Vec<String>,
    /// Whether the volume with the logs was copied before the one with the data.
    pub(crate) log_first: bool,
}

/// A cell at work: servers that run, and writers that pause while nobody takes an image.
pub(crate) struct World<'a> {
    cell: Cell,
    bench: &'a mut Bench,
    /// None when they were shut down for an image.
    at_work: Option<(Servers, Writers)>,
}

impl<'a> World<'a> {
    pub(crate) fn start(bench: &'a mut Bench, beginning: &Beginning, cell: Cell) -> Self {
        for number in 0..cell.volumes {
            let name = number.to_string();
            bench.copy_file(&beginning.file(number), &name);
            std::fs::create_dir_all(bench.directory().join(&name).join("mnt")).unwrap();
            let mount = bench.attach(&name, &bench.image(&name), "rw");
            bench.mounts.push(mount);
        }
        let servers = Servers::start(&bench.mounts, bench.directory());
        let writers = Writers::start(&servers, &bench.mounts);
        Self { cell, bench, at_work: Some((servers, writers)) }
    }

    pub(crate) fn bench(&self) -> &Bench {
        self.bench
    }

    /// Whether another image can be taken.
    pub(crate) fn is_at_work(&self) -> bool {
        self.at_work.is_some()
    }

    /// One image of the running writers: what was acknowledged before it, and the copies of the volumes.
    pub(crate) fn image(&mut self) -> (Written, Copies) {
        self.each_writer(Client::go_on);
        let (least, most) = WRITES_FOR_MS;
        wait(Duration::from_millis(least + drawn_below(most - least)));
        let image = match self.cell.mode {
            Mode::Shutdown => self.shut_down_and_copy(),
            Mode::NoReboot(gap) => {
                let written = self.at_work().1.written();
                (written, self.copies(gap))
            }
            Mode::Freeze => self.freeze_and_copy(&[]),
            Mode::FreezeLock => {
                let all = [Application::Mysql(MysqlLock::EveryEngine), Application::Postgresql, Application::Redis];
                self.freeze_and_copy(&all)
            }
        };
        self.each_writer(Client::pause);
        image
    }

    fn each_writer(&self, act: impl Fn(&Client)) {
        self.at_work.iter().flat_map(|(_, writers)| writers.all()).for_each(act);
    }

    fn at_work(&self) -> &(Servers, Writers) {
        self.at_work.as_ref().unwrap()
    }

    /// Copies of the volumes, in their order, which are made in an order that is drawn: EC2 promises none.
    fn copies(&self, gap: Duration) -> Copies {
        let volumes = self.bench.mounts.len();
        let log_first = 1 < volumes && drawn_below(2) == 1;
        let mut numbers: Vec<usize> = (0..volumes).collect();
        if log_first {
            numbers.reverse();
        }
        let copy = |(nth, number)| {
            if 0 < nth {
                wait(gap);
            }
            self.bench.copy_of(number)
        };
        let mut names: Vec<String> = numbers.into_iter().enumerate().map(copy).collect();
        names.sort_unstable();
        Copies { names, log_first }
    }

    /// As a reboot does: services are asked to end while they are written to, and file systems unmounted.
    fn shut_down_and_copy(&mut self) -> (Written, Copies) {
        let (servers, writers) = self.at_work.take().unwrap();
        servers.shut_down();
        // Nothing can be acknowledged any more but by the one that has no server.
        let mut written = writers.written();
        written.files = writers.files.stop();
        for mount in &self.bench.mounts {
            unmount(mount);
        }
        (written, self.copies(Duration::ZERO))
    }

    /// As amikeep does: applications in order, freeze, the question whether the locks are still held, copies, thaw.
    fn freeze_and_copy(&self, applications: &[Application]) -> (Written, Copies) {
        let (servers, writers) = self.at_work();
        let addresses =
            [servers.mariadb.address("root"), servers.postgres.address("postgres"), servers.redis.address("")];
        let prepare = |(application, address): (&Application, _)| application.prepare(Some(address), PATIENCE).unwrap();
        let prepared: Vec<_> = applications.iter().zip(&addresses).map(prepare).collect();
        let guard: Guard = self.bench.guard();
        let locked: Vec<_> = prepared.into_iter().map(|prepared| prepared.lock(LIMITS).unwrap()).collect();
        let hold = guard.freeze(LIMITS.hold, some_time()).unwrap();
        for locked in &locked {
            locked.ping().unwrap();
        }
        let written = writers.written();
        let copies = self.copies(FROZEN_GAP);
        let report: HoldReport = hold.thaw();
        assert!(report.proves_hold(), "{report:?}");
        for locked in locked {
            locked.release().unwrap();
        }
        (written, copies)
    }

    /// Ends everything and puts the volumes away.
    pub(crate) fn end(self) {
        if let Some((servers, writers)) = self.at_work {
            writers.stop();
            drop(servers);
        }
        for number in 0..self.cell.volumes {
            self.bench.discard_copy(&number.to_string());
        }
        self.bench.mounts.clear();
    }
}

fn drawn_below(limit: u64) -> u64 {
    RandomState::new().hash_one(()) % limit
}

fn wait(length: Duration) {
    let length =
        Timespec { tv_sec: i64::try_from(length.as_secs()).unwrap(), tv_nsec: i64::from(length.subsec_nanos()) };
    // A signal ends it early, which is then noticed elsewhere.
    let _ = poll(&mut [], Some(&length));
}
