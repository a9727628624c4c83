//! Freeze recipes: how an instance is held still while it is imaged, and what a hold turned out to be.
//!
//! It owns what counts as proof. A hold is told of by whoever held ([`Held`]); what an image is worth that was taken in
//! it follows from that and from the snapshots, in `judge` of the engine, by the rules of [`Held::grade_of`].

use std::fmt;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use crate::grade::Grade;
use crate::id::{FreezeName, InstanceId, VolumeId};

/// The longest that writes may stall where the file does not say.
pub const BUDGET_DEFAULT: SignedDuration = SignedDuration::from_secs(10);
/// The same through Systems Manager, whose round trips take seconds each.
pub const BUDGET_SSM_DEFAULT: SignedDuration = SignedDuration::from_secs(45);

/// A snapshot that EC2 says was begun further outside the hold than this was not taken in it, whatever was seen: clocks
/// of hosts that are kept in time differ by much less.
pub const START_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// How an instance is held still while it is imaged, `[freezes.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Its name.
    pub name: FreezeName,
    /// How the instance is reached.
    pub via: Via,
    /// The mount points to freeze, in this order; at least one unless own commands do it.
    pub mounts: Vec<PathBuf>,
    /// The EC2 device names of the volumes that hold what is frozen, where they are stated and not found out.
    pub devices: Vec<String>,
    /// The instance that this machine is, where it is stated and not found out.
    pub instance: Option<InstanceId>,
    /// The application that stands still first.
    pub application: Application,
    /// How MySQL and MariaDB are held.
    pub mysql_lock: MysqlLock,
    /// Where its credentials are found.
    pub connection: Option<Connection>,
    /// What runs before anything is locked: programs with their arguments.
    pub pre: Vec<Vec<String>>,
    /// What runs at the end, in reverse, whatever happened.
    pub post: Vec<Vec<String>>,
    /// What freezes, and what thaws, with [`Via::Command`].
    pub commands: Option<Commands>,
    /// The longest that one of the commands may take.
    pub command_limit: SignedDuration,
    /// The longest that writes may stall.
    pub budget: SignedDuration,
    /// How long to wait for the application's lock.
    pub lock_wait: SignedDuration,
    /// Which calls take the image.
    pub capture: CaptureBy,
}

impl Freeze {
    /// What a proved hold by this recipe gives the volumes that it holds.
    pub fn grade(&self) -> Grade {
        if self.application == Application::None { Grade::Filesystem } else { Grade::Application }
    }
}

/// The operator's own commands that freeze and thaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// Freezes; exit code 0 says that everything is frozen.
    pub freeze: Vec<String>,
    /// Thaws; exit code 0 says that everything was still frozen, and is thawed.
    pub thaw: Vec<String>,
}

/// How an instance is reached for a freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// It is this host.
    Local,
    /// Through AWS Systems Manager.
    Ssm,
    /// Through commands of the operator's own.
    Command,
}

impl Via {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Local, Self::Ssm, Self::Command];

    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Ssm => "ssm",
            Self::Command => "command",
        }
    }
}

/// An application that amikeep knows how to hold still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Application {
    /// None: the file systems alone are frozen.
    None,
    /// `MySQL` or `MariaDB`.
    Mysql,
    /// `PostgreSQL`.
    Postgresql,
    /// Redis.
    Redis,
}

impl Application {
    /// Every application.
    pub const ALL: [Self; 4] = [Self::None, Self::Mysql, Self::Postgresql, Self::Redis];

    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mysql => "mysql",
            Self::Postgresql => "postgresql",
            Self::Redis => "redis",
        }
    }
}

/// How `MySQL` and `MariaDB` are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MysqlLock {
    /// The lightest lock that covers tables of every engine.
    EveryEngine,
    /// The global read lock.
    ReadLock,
    /// No lock: right where every table is `InnoDB`.
    InnodbOnly,
    /// A replica: its applier is stopped and started again instead.
    Replication,
}

impl MysqlLock {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::EveryEngine, Self::ReadLock, Self::InnodbOnly, Self::Replication];

    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EveryEngine => "every-engine",
            Self::ReadLock => "read-lock",
            Self::InnodbOnly => "innodb-only",
            Self::Replication => "replication",
        }
    }
}

/// Where an application's credentials are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// In a systemd credential of this name.
    Credential(String),
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Env(String),
}

/// Which calls take the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaptureBy {
    /// `CreateImage`, and its snapshots are looked for.
    Image,
    /// `CreateSnapshots`, and `RegisterImage` after the thaw.
    Snapshots,
}

impl CaptureBy {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Image, Self::Snapshots];

    /// The word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Snapshots => "snapshots",
        }
    }
}

/// What may be frozen and whatever must be run at the end, written down before any of it is begun, so that whoever comes
/// after a crash can undo it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRecord {
    /// The recipe.
    pub freeze: FreezeName,
    /// The boot of the host that holds, as the kernel names it.
    pub boot_id: String,
    /// The guard that is to freeze; none before it runs.
    pub guard: Option<GuardStamp>,
    /// What it may freeze, in order. Empty where commands freeze.
    pub mounts: Vec<RecordedMount>,
    /// The command that thaws; none where a guard freezes, or before the command that freezes is run.
    pub thaw: Option<Vec<String>>,
    /// The commands to run at the end, in the order of the file.
    pub post: Vec<Vec<String>>,
    /// The connection to a replica whose applier stays stopped until it is told to go on.
    pub stopped_replica: Option<Connection>,
    /// The longest that one command may take.
    pub command_limit: SignedDuration,
    /// What commands are told, as environment variables.
    pub facts: Vec<(String, String)>,
    /// What may still be frozen now that the hold is over, and what undoes it; empty as long as the hold is under way.
    pub left: Vec<LeftFrozen>,
}

impl HoldRecord {
    /// The same once its hold is over, its commands after it have run, and this could not be thawed.
    #[must_use]
    pub fn left_behind(mut self, left: Vec<LeftFrozen>) -> Self {
        self.post.clear();
        self.left = left;
        self
    }
}

/// What may still be frozen although its hold is over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftFrozen {
    /// What it is, and why, in words that begin a sentence.
    pub what: String,
    /// The command that undoes it, for people.
    pub run: String,
}

impl fmt::Display for LeftFrozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: run `{}`", self.what, self.run)
    }
}

/// A guard's process: its number, and the kernel's tick at which it started, which no other process of that number shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardStamp {
    /// Its number.
    pub pid: u32,
    /// When it started, in ticks since the boot.
    pub started: u64,
}

/// A mount that may be frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedMount {
    /// Where it is mounted.
    pub path: PathBuf,
    /// The device number of its file system.
    pub major: u32,
    /// The minor part of it.
    pub minor: u32,
}

/// What a hold was, told after its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The recipe.
    pub freeze: FreezeName,
    /// The grade that volumes of it deserve if it is proved.
    pub grade: Grade,
    /// Whether it is proved that everything stood still from before the capture was sent until every snapshot was seen.
    pub proof: Proof,
    /// Every mount, in the order of freezing.
    pub mounts: Vec<HeldMount>,
    /// The volumes that hold what was frozen.
    pub volumes: Vec<VolumeId>,
    /// From here on all stood still together.
    pub held_from: Option<Timestamp>,
    /// Until here.
    pub held_until: Option<Timestamp>,
    /// The longest for which writes can have stood still; none if nothing was frozen.
    pub stall: Option<SignedDuration>,
    /// How long the application was locked.
    pub locked: Option<SignedDuration>,
    /// Where the application stood, in its own words.
    pub position: Vec<(String, String)>,
}

/// Whether a hold is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It is.
    Proved,
    /// It is not, and why.
    Unproved {
        /// In words that follow "the freeze is not proved:".
        why: String,
    },
}

/// What one try to hold an instance still came to, in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldSeen {
    /// The recipe.
    pub freeze: FreezeName,
    /// The application that it holds still.
    pub application: Application,
    /// How it ended.
    pub outcome: HoldOutcome,
    /// The longest for which writes can have stood still; none if nothing was frozen.
    pub stall: Option<SignedDuration>,
    /// How long the application was locked; none if it was not.
    pub locked: Option<SignedDuration>,
}

/// How a try to hold an instance still ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldOutcome {
    /// It is proved that everything stood still.
    Proved,
    /// The capture was sent, and that is not proved.
    Unproved,
    /// It did not come about, and nothing was sent.
    NotHeld,
}

impl HoldOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Proved, Self::Unproved, Self::NotHeld];

    /// The word in figures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Unproved => "unproved",
            Self::NotHeld => "not-held",
        }
    }
}

/// What became of one mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMount {
    /// Where it is mounted.
    pub path: PathBuf,
    /// `xfs`, `ext4` and so on; empty where nobody said.
    pub fs_type: String,
    /// The options of the file system.
    pub options: String,
    /// From the start of its freeze to the end of its thaw; none if it was not frozen.
    pub stall: Option<SignedDuration>,
    /// How it ended, in words.
    pub end: String,
}

impl Held {
    /// Why the hold proves nothing, if so.
    pub fn doubt(&self) -> Option<&str> {
        match &self.proof {
            Proof::Proved => None,
            Proof::Unproved { why } => Some(why),
        }
    }

    /// The grade of one volume, whose snapshot EC2 says was begun at `started_at`.
    ///
    /// That it was seen while everything stood still is what proves it; EC2's clock can only take that back. A volume that
    /// holds nothing that was frozen is as a running machine left it.
    pub fn grade_of(&self, volume: &VolumeId, started_at: Option<Timestamp>) -> Grade {
        let is_held = self.proof == Proof::Proved && self.volumes.contains(volume);
        if is_held && started_at.is_none_or(|at| self.covers(at)) { self.grade } else { Grade::Crash }
    }

    /// Whether a moment of EC2's clock lies in the hold for certain, as far as two clocks can be compared. The request was
    /// sent when everything stood still, so nothing of it can have begun before; what has to be certain is the end.
    pub fn surely_covers(&self, at: Timestamp) -> bool {
        self.covers(at) && self.held_until.is_some_and(|until| START_TOLERANCE <= until.duration_since(at))
    }

    /// Whether a moment of EC2's clock lies in the hold, as far as two clocks can be compared.
    pub fn covers(&self, at: Timestamp) -> bool {
        let (Some(from), Some(until)) = (self.held_from, self.held_until) else { return false };
        from.duration_since(at) <= START_TOLERANCE && at.duration_since(until) <= START_TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::at;

    fn held() -> Held {
        Held {
            freeze: "db".parse().unwrap(),
            grade: Grade::Filesystem,
            proof: Proof::Proved,
            mounts: Vec::new(),
            volumes: vec!["vol-00000001".parse().unwrap()],
            held_from: Some(at("2026-11-22T02:00:10Z")),
            held_until: Some(at("2026-11-22T02:00:12Z")),
            stall: None,
            locked: None,
            position: Vec::new(),
        }
    }

    #[test]
    fn two_seconds_outside_the_hold_are_still_inside() {
        let volume = "vol-00000001".parse().unwrap();
        for (started_at, want) in [
            ("2026-11-22T02:00:07.999Z", Grade::Crash),
            ("2026-11-22T02:00:08Z", Grade::Filesystem),
            ("2026-11-22T02:00:11Z", Grade::Filesystem),
            ("2026-11-22T02:00:14Z", Grade::Filesystem),
            ("2026-11-22T02:00:14.001Z", Grade::Crash),
        ] {
            assert_eq!(held().grade_of(&volume, Some(at(started_at))), want, "{started_at}");
        }
        // Without the permission to see start times, what was seen is all there is.
        assert_eq!(held().grade_of(&volume, None), Grade::Filesystem);
    }

    #[test]
    fn what_was_not_seen_in_time_counts_only_if_no_clock_can_be_wrong_enough() {
        let held = Held { held_until: Some(at("2026-11-22T02:00:20Z")), ..held() };
        for (started_at, want) in [
            ("2026-11-22T02:00:07Z", false),
            ("2026-11-22T02:00:10Z", true),
            ("2026-11-22T02:00:18Z", true),
            ("2026-11-22T02:00:18.001Z", false),
            ("2026-11-22T02:00:21Z", false),
        ] {
            assert_eq!(held.surely_covers(at(started_at)), want, "{started_at}");
        }
        assert!(!Held { held_until: None, ..held }.surely_covers(at("2026-11-22T02:00:10Z")));
    }

    #[test]
    fn a_volume_that_was_not_held_and_a_hold_that_is_not_proved_are_crash() {
        let (root, data) = ("vol-00000002".parse().unwrap(), "vol-00000001".parse().unwrap());
        let inside = Some(at("2026-11-22T02:00:11Z"));
        assert_eq!(held().grade_of(&root, inside), Grade::Crash);
        let unproved = Held { proof: Proof::Unproved { why: "the budget was used up".to_owned() }, ..held() };
        assert_eq!(unproved.grade_of(&data, inside), Grade::Crash);
        assert_eq!(unproved.doubt(), Some("the budget was used up"));
        // Nobody knows when it was held.
        assert_eq!(Held { held_until: None, ..held() }.grade_of(&data, inside), Grade::Crash);
    }
}
