//! PostgreSQL on a frozen file system: a second server on the image has every row that was acknowledged, and no more to do
//! than after any crash.

use std::path::PathBuf;
use std::time::Duration;

use amikeep_hold::apps::LockLimits;

use crate::bench::{Bench, Fs, PATIENCE, alone, some_time};
use crate::client::Client;
use crate::server::place;
use crate::server::postgresql::{Postgres, move_log};

const LIMITS: LockLimits = LockLimits { wait: PATIENCE, hold: Duration::from_mins(1) };

/// What a second server found.
#[derive(Debug)]
struct Found {
    acknowledged: u64,
    rows: u64,
    /// Anything that is not as it should be in the table and its index.
    damage: String,
    /// What the server had to say that goes beyond recovery from a crash.
    complaints: Vec<String>,
}

impl Found {
    fn is_whole(&self) -> bool {
        self.acknowledged <= self.rows && self.damage.is_empty() && self.complaints.is_empty()
    }
}

/// Data on the first file system, and the write-ahead log on the last; one or two of them.
struct Setup {
    bench: Bench,
    server: Postgres,
    client: Client,
}

impl Setup {
    fn on(kinds: &[Fs]) -> Option<Self> {
        let bench = Bench::with(kinds)?;
        let data = Postgres::fill(bench.mount(0));
        move_log(&data, &bench.mounts);
        let server = Postgres::on(&data, bench.directory(), "first").unwrap();
        server.ask("CREATE EXTENSION amcheck");
        server.make_table();
        let client = server.client(0);
        Some(Self { bench, server, client })
    }

    fn image(&self) -> (u64, Vec<String>) {
        let acknowledged = self.client.now();
        (acknowledged, (0..self.bench.mounts.len()).map(|number| self.bench.copy_of(number)).collect())
    }

    /// An image as the product makes it.
    fn held_image(&self) -> (u64, Vec<String>) {
        let prepared = self.server.prepared().unwrap();
        let guard = self.bench.guard();
        let locked = prepared.lock(LIMITS).unwrap();
        let hold = guard.freeze(LIMITS.hold, some_time()).unwrap();
        locked.ping().unwrap();
        let image = self.image();
        assert!(hold.thaw().proves_hold());
        locked.release().unwrap();
        self.client.waits_for(20);
        image
    }

    /// Starts a second server on an image, and looks what it has.
    fn look_at(&self, (acknowledged, copies): (u64, Vec<String>)) -> Found {
        let mounts: Vec<PathBuf> = copies.iter().map(|copy| self.bench.mount_copy(copy)).collect();
        let data = mounts[0].join("data");
        move_log(&data, &mounts);
        let second = Postgres::on(&data, self.bench.directory(), "second").unwrap();
        // Without a gap: the last number is how many there are.
        let rows = second.ask("SELECT CASE WHEN max(n) = count(*) THEN max(n) ELSE 0 END FROM kept").parse().unwrap();
        second.ask("SELECT bt_index_check('kept_pkey', true)");
        let damage = second.ask("SELECT * FROM verify_heapam('kept')");
        let log = second.server.said();
        let is_complaint = |line: &&str| ["PANIC:", "ERROR:", "WARNING:"].iter().any(|word| line.contains(word));
        let complaints = log.lines().filter(is_complaint).map(str::to_owned).collect();
        drop(second);
        for copy in &copies {
            self.bench.discard_copy(copy);
        }
        Found { acknowledged, rows, damage, complaints }
    }
}

#[test]
fn every_acknowledged_row_is_in_the_image_of_postgresql_and_nothing_is_damaged() {
    let Some(setup) = Setup::on(&[Fs::Xfs]) else { return };
    for _ in 0..3 {
        let found = setup.look_at(setup.held_image());
        assert!(found.is_whole(), "{found:?}");
    }
    // What is lost without a freeze is no property of amikeep, and so is told and not asserted.
    let Found { acknowledged, rows, .. } = setup.look_at(setup.image());
    eprintln!("report: postgresql, no freeze: {acknowledged} rows acknowledged, {rows} rows found");
}

#[test]
fn every_acknowledged_row_is_in_the_image_of_postgresql_with_data_and_log_on_two_volumes() {
    let Some(setup) = Setup::on(&[Fs::Xfs, Fs::Ext4]) else { return };
    for _ in 0..3 {
        let found = setup.look_at(setup.held_image());
        assert!(found.is_whole(), "{found:?}");
    }
}

#[test]
fn a_checkpoint_is_made_and_the_position_in_the_log_recorded() {
    let Some(_alone) = alone() else { return };
    let place = place();
    let server = Postgres::on(&Postgres::fill(place.path()), place.path(), "first").unwrap();
    server.make_table();
    let client = server.client(0);
    let checkpoint = "SELECT checkpoint_lsn FROM pg_control_checkpoint()";
    let before = server.ask(checkpoint);
    let acknowledged = server.ask("SELECT pg_current_wal_insert_lsn()");
    let locked = server.prepared().unwrap().lock(LIMITS).unwrap();
    locked.ping().unwrap();
    let recorded = locked.recorded().clone();
    locked.release().unwrap();
    client.waits_for(20);
    assert_ne!(server.ask(checkpoint), before, "no checkpoint was made");
    let names: Vec<_> = recorded.facts().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["server", "role", "lock", "wal_lsn", "timeline", "system_identifier"]);
    let lsn = recorded.get("wal_lsn").unwrap();
    assert_eq!(server.ask(&format!("SELECT '{lsn}'::pg_lsn >= '{acknowledged}'::pg_lsn")), "t");
}
