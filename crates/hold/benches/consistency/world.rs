//! Servers and writers on the volumes of a cell, and how an image is taken of them.

use std::path::{Path, PathBuf};
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
use crate::look::{Line, Written};
use crate::server::directory_of;
use crate::server::mariadb::MariaDb;
use crate::server::postgresql::{Postgres, move_log};
use crate::server::redis::Redis;

/// Three servers with their data on one volume and their logs on another, if there is one.
const VOLUME_BYTES: u64 = 1024 * 1024 * 1024;

/// What each image's rows are numbered beyond.
pub(crate) const NUMBERS_EACH: u64 = 10_000_000;

/// `MyISAM` takes tens of thousands of rows a second; the volumes are small.
const MYISAM_PACE: Duration = Duration::from_millis(1);

const REDIS_OPTIONS: &str = "--appendonly yes --appendfsync everysec";

const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: Duration::from_mins(1) };

/// The servers on one set of mounts; none for one that did not start.
pub(crate) struct Servers {
    pub(crate) mariadb: Result<MariaDb, String>,
    pub(crate) postgres: Result<Postgres, String>,
    pub(crate) redis: Result<Redis, String>,
}

impl Servers {
    /// Starts them on what is mounted there.
    pub(crate) fn start(mounts: &[PathBuf], place: &Path, name: &str) -> Self {
        let data = mounts[0].join("postgresql/data");
        move_log(&data, mounts);
        let log = mounts.get(1).map(|mount| mount.join("mariadb-log"));
        let options: Vec<String> =
            log.iter().map(|log| format!("--innodb-log-group-home-dir={}", log.display())).collect();
        Self {
            mariadb: MariaDb::on(&mounts[0].join("mariadb/data"), place, &format!("{name}-mariadb"), &options),
            postgres: Postgres::on(&data, place, &format!("{name}-postgresql")),
            redis: Redis::on(&mounts[0].join("redis"), place, &format!("{name}-redis"), REDIS_OPTIONS),
        }
    }
}

/// Who writes while an image is taken.
struct Writers {
    innodb: Client,
    myisam: Client,
    postgres: Client,
    redis: Client,
    files: Client,
}

impl Writers {
    fn written(&self, image: u64) -> Written {
        Written {
            image,
            innodb: self.innodb.now(),
            myisam: self.myisam.now(),
            postgres: self.postgres.now(),
            redis: self.redis.now(),
            files: self.files.now(),
        }
    }

    fn stop(self) {
        for client in [self.innodb, self.myisam, self.postgres, self.redis, self.files] {
            client.stop();
        }
    }
}

/// A cell at work.
pub(crate) struct World {
    cell: Cell,
    pub(crate) bench: Bench,
    servers: Option<Servers>,
    images: u64,
}

impl World {
    /// None where nothing can be mounted.
    pub(crate) fn new(cell: Cell) -> Option<Self> {
        let bench = Bench::of_size(VOLUME_BYTES, &vec![cell.fs; cell.volumes])?;
        let (first, last) = (bench.mount(0), bench.mounts.last().unwrap());
        let data = MariaDb::fill(&first.join("mariadb"));
        if 1 < cell.volumes {
            let log = directory_of("mysql", &last.join("mariadb-log"));
            said(&format!("mv {} {}", data.join("ib_logfile0").display(), log.display()));
        }
        Postgres::fill(&first.join("postgresql"));
        std::fs::create_dir(first.join("redis")).unwrap();
        let servers = Servers::start(&bench.mounts, bench.directory(), "first");
        let mariadb = servers.mariadb.as_ref().unwrap();
        for engine in ["InnoDB", "MyISAM"] {
            mariadb.make_table(engine);
        }
        let postgres = servers.postgres.as_ref().unwrap();
        postgres.make_table();
        postgres.ask("CREATE EXTENSION amcheck");
        Some(Self { cell, bench, servers: Some(servers), images: 0 })
    }

    /// One image of the running writers, and what is in it.
    pub(crate) fn image_and_look(&mut self) -> Line {
        self.images += 1;
        let writers = self.writers();
        // Not always the same moment of the databases' own rhythms.
        wait(Duration::from_millis(100 + self.images * 37 % 400));
        let (written, copies) = match self.cell.mode {
            Mode::Shutdown => self.shut_down_and_copy(writers),
            Mode::NoReboot(gap) => {
                let written = writers.written(self.images);
                let copies = self.copies(gap);
                writers.stop();
                (written, copies)
            }
            Mode::Freeze => self.freeze_and_copy(writers, &[]),
            Mode::FreezeLock => {
                let all = [Application::Mysql(MysqlLock::EveryEngine), Application::Postgresql, Application::Redis];
                self.freeze_and_copy(writers, &all)
            }
        };
        Line::of(&self.bench, self.cell.fs, &written, &copies)
    }

    fn servers(&self) -> (&MariaDb, &Postgres, &Redis) {
        let servers = self.servers.as_ref().unwrap();
        (servers.mariadb.as_ref().unwrap(), servers.postgres.as_ref().unwrap(), servers.redis.as_ref().unwrap())
    }

    fn writers(&self) -> Writers {
        let (mariadb, postgres, redis) = self.servers();
        // What earlier images were about is not needed any longer, and the volumes are small.
        mariadb.ask("TRUNCATE TABLE kept.InnoDB; TRUNCATE TABLE kept.MyISAM");
        postgres.ask("TRUNCATE TABLE kept");
        let beyond = self.images * NUMBERS_EACH;
        Writers {
            innodb: mariadb.client("InnoDB", beyond, Duration::ZERO),
            myisam: mariadb.client("MyISAM", beyond, MYISAM_PACE),
            postgres: postgres.client(beyond),
            redis: redis.client(&format!("n{}", self.images)),
            files: files::client(self.bench.mounts.last().unwrap(), self.images),
        }
    }

    fn copies(&self, gap: Duration) -> Vec<String> {
        let copy = |number| {
            if 0 < number {
                wait(gap);
            }
            self.bench.copy_of(number)
        };
        (0..self.bench.mounts.len()).map(copy).collect()
    }

    /// As a reboot does: services are asked to end while they are written to, and file systems unmounted.
    fn shut_down_and_copy(&mut self, writers: Writers) -> (Written, Vec<String>) {
        let servers = self.servers.take().unwrap();
        servers.mariadb.unwrap().server.shut_down(Signal::TERM);
        servers.postgres.unwrap().server.shut_down(Signal::INT);
        servers.redis.unwrap().server.shut_down(Signal::TERM);
        // Nothing can be acknowledged any more but by the one that has no server.
        let mut written = writers.written(self.images);
        written.files = writers.files.stop();
        let devices: Vec<String> = self.bench.mounts.iter().map(|mount| device_of(mount)).collect();
        for mount in &self.bench.mounts {
            unmount(mount);
        }
        let copies = self.copies(Duration::ZERO);
        for (mount, device) in self.bench.mounts.iter().zip(devices) {
            said(&format!("mount {device} {}", mount.display()));
        }
        self.servers = Some(Servers::start(&self.bench.mounts, self.bench.directory(), "first"));
        (written, copies)
    }

    /// As amikeep does: applications in order, freeze, the question whether the locks are still held, copies, thaw.
    fn freeze_and_copy(&self, writers: Writers, applications: &[Application]) -> (Written, Vec<String>) {
        let (mariadb, postgres, redis) = self.servers();
        let addresses = [mariadb.address("root"), postgres.address("postgres"), redis.address("")];
        let prepare = |(application, address): (&Application, _)| application.prepare(Some(address), PATIENCE).unwrap();
        let prepared: Vec<_> = applications.iter().zip(&addresses).map(prepare).collect();
        let guard: Guard = self.bench.guard();
        let locked: Vec<_> = prepared.into_iter().map(|prepared| prepared.lock(LIMITS).unwrap()).collect();
        let hold = guard.freeze(LIMITS.hold, some_time()).unwrap();
        for locked in &locked {
            locked.ping().unwrap();
        }
        let written = writers.written(self.images);
        let copies = self.copies(FROZEN_GAP);
        let report: HoldReport = hold.thaw();
        assert!(report.proves_hold(), "{report:?}");
        for locked in locked {
            locked.release().unwrap();
        }
        writers.stop();
        (written, copies)
    }
}

fn device_of(mount: &Path) -> String {
    said(&format!("findmnt --noheadings --output SOURCE --target {}", mount.display())).trim().to_owned()
}

fn wait(length: Duration) {
    let length =
        Timespec { tv_sec: i64::try_from(length.as_secs()).unwrap(), tv_nsec: i64::from(length.subsec_nanos()) };
    poll(&mut [], Some(&length)).unwrap();
}
