//! A machine that is held still and is none: commands that freeze and thaw a file, and guards of a few lines of shell that
//! die when they should not.
//!
//! The holder, its hooks and the recovery are the real ones, and so are all processes. What is simulated is the machine: it
//! is frozen while the file `frozen` is there. The point in time of each snapshot is compared with that file by the
//! simulated EC2 itself, so what a snapshot really holds is known without asking amikeep.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use amikeep_domain::class::IfBlocked;
use amikeep_domain::freeze::{Application, CaptureBy, Commands, Connection, Freeze, MysqlLock, Via};
use amikeep_domain::id::{InstanceId, SnapshotId};
use amikeep_domain::policy::PolicySet;
use amikeep_ec2_sim::World;
use amikeep_engine::Host;
use amikeep_hold::apps::Secret;
use amikeep_hold::{GuardProgram, Protected};
use jiff::SignedDuration;
use tempfile::TempDir;

use crate::simulated::dice::Dice;

/// The class whose images are taken by `CreateImage` in a hold.
pub(crate) const BY_IMAGE: &str = "critical";
/// The class whose images are registered from snapshots that are taken in a hold.
pub(crate) const BY_SNAPSHOTS: &str = "critical-set";
/// The device that is frozen.
pub(crate) const DEVICE: &str = "/dev/sdf";
/// The longest hold, in real time.
const BUDGET: SignedDuration = SignedDuration::from_secs(1);

/// Every command begins with this: it knows its directory, and does nothing once the machine that it runs on is off.
const BEGIN: &str = "cd \"$1\" && [ ! -e off ] || exit 1;";
/// Freezes, unless it is told to fail before it or after it.
const FREEZE: &str = "how=; [ -e freeze ] && read how <freeze; [ \"$how\" = fails ] && exit 1; \
                      echo \"$AMIKEEP_JOB_ID $$\" >frozen; echo \"freeze $AMIKEEP_JOB_ID\" >>log; \
                      [ \"$how\" != late ]";
/// Thaws, unless it is to fail some times more.
const THAW: &str = "n=0; [ -e failures ] && read n <failures; [ \"$n\" != 0 ] && echo $((n - 1)) >failures && exit 1; \
                    [ -e frozen ] || exit 46; read job _ <frozen; /bin/rm frozen; echo \"thaw $job\" >>log";
/// Stops something before a hold, unless it is to fail after it has.
const PRE: &str = "echo \"pre $AMIKEEP_JOB_ID\" >>log; how=; [ -e pre ] && read how <pre; [ \"$how\" != fails ]";
/// Starts it again.
const POST: &str = "echo \"post $AMIKEEP_JOB_ID\" >>log";
/// Speaks the language of the guard of commands (`crates/hold/src/command.rs`), and dies where its first word says. A
/// machine that is off takes its guards with it.
const GUARD: &str = r#"
    dies=$0 off=$1/off is_armed= cause=parent; shift 2
    [ "$dies" = unready ] && exit 1
    echo ready
    while read -r word rest; do
        case "$dies $word" in
            "armed arm" | "frozen frozen") exit 1 ;;
            "impatient frozen") cause=budget; break ;;
            *" thaw") cause=told; break ;;
            *" arm") is_armed=yes ;;
        esac
    done
    [ -e "$off" ] && exit 1
    [ "$cause" = parent ] && [ -z "$is_armed" ] && exit 0
    echo "thawing $cause"
    [ "$dies" = thawing ] && exit 1
    "$@"
    case $? in
        0) echo "thawed $cause ok" ;;
        46) echo "thawed $cause not-frozen" ;;
        *) echo "thawed $cause failed" ;;
    esac
"#;

/// The state of the machine when the contents of each snapshot were fixed: which hold had it frozen, if one had.
type Points = Arc<Mutex<BTreeMap<SnapshotId, Option<String>>>>;

/// The machine, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Machine {
    dir: TempDir,
    points: Points,
    /// Draws what goes wrong with each hold; nothing does without it.
    trouble: Mutex<Option<Dice>>,
    /// How often each thing went wrong.
    mishaps: Mutex<BTreeMap<String, u64>>,
}

impl Machine {
    /// One whose snapshots in `world` are watched.
    pub(crate) fn new(world: &World) -> Arc<Self> {
        let dir = TempDir::new().unwrap();
        let (points, frozen) = (Points::default(), dir.path().join("frozen"));
        let fixed = Arc::clone(&points);
        world.on_point_in_time(move |point| {
            let hold = fs::read_to_string(&frozen).ok();
            fixed.lock().unwrap_or_else(PoisonError::into_inner).insert(point.snapshot.clone(), hold);
        });
        Arc::new(Self { dir, points, trouble: Mutex::default(), mishaps: Mutex::default() })
    }

    /// The classes and freezes by which it is held still.
    pub(crate) fn configure(&self, set: &mut PolicySet) {
        let critical = set.classes[&BY_IMAGE.parse().unwrap()].clone();
        for (name, capture, if_blocked) in
            [(BY_IMAGE, CaptureBy::Image, IfBlocked::NoReboot), (BY_SNAPSHOTS, CaptureBy::Snapshots, IfBlocked::Wait)]
        {
            let freeze = self.freeze(name, capture);
            let mut class = critical.clone();
            (class.name, class.if_blocked) = (name.parse().unwrap(), if_blocked);
            class.freeze = Some(freeze.name.clone());
            set.classes.insert(class.name.clone(), class);
            set.freezes.insert(freeze.name.clone(), freeze);
        }
    }

    fn freeze(&self, name: &str, capture: CaptureBy) -> Freeze {
        let command = |script: &str| {
            let words = ["/bin/sh", "-c", &format!("{BEGIN} {script}"), "sh", self.dir.path().to_str().unwrap()];
            words.map(str::to_owned).to_vec()
        };
        Freeze {
            name: name.parse().unwrap(),
            via: Via::Command,
            mounts: Vec::new(),
            devices: vec![DEVICE.to_owned()],
            instance: None,
            application: Application::None,
            mysql_lock: MysqlLock::EveryEngine,
            connection: None,
            pre: vec![command(PRE)],
            post: vec![command(POST)],
            commands: Some(Commands { freeze: command(FREEZE), thaw: command(THAW) }),
            command_limit: BUDGET,
            budget: BUDGET,
            lock_wait: SignedDuration::from_secs(1),
            capture,
        }
    }

    /// From now on holds have bad luck, drawn from a seed, or none any more.
    pub(crate) fn trouble(&self, dice: Option<Dice>) {
        *self.trouble.lock().unwrap() = dice;
        if self.trouble.lock().unwrap().is_none() {
            self.write("failures", "0");
            self.write("freeze", "");
            self.write("pre", "");
        }
    }

    /// The machine goes off in the middle of whatever it does, and its guards with it, or is on again. What is frozen stays
    /// frozen: that is somewhere else.
    pub(crate) fn switch(&self, power: Power) {
        match power {
            Power::Off => self.write("off", ""),
            // It may have been on.
            Power::On => drop(fs::remove_file(self.path("off"))),
        }
    }

    /// The job by whose hold it is frozen.
    pub(crate) fn frozen_by(&self) -> Option<String> {
        let hold = fs::read_to_string(self.path("frozen")).ok()?;
        hold.split_whitespace().next().map(str::to_owned)
    }

    /// How often each command was run for each job: `freeze`, `thaw`, `pre`, `post`.
    pub(crate) fn log(&self) -> BTreeMap<(String, String), usize> {
        let mut runs = BTreeMap::new();
        for line in fs::read_to_string(self.path("log")).unwrap_or_default().lines() {
            let (command, job) = line.split_once(' ').unwrap();
            *runs.entry((command.to_owned(), job.to_owned())).or_default() += 1;
        }
        runs
    }

    /// Which hold had it frozen when the contents of the snapshot were fixed.
    pub(crate) fn hold_of(&self, snapshot: &SnapshotId) -> Option<String> {
        self.points.lock().unwrap().get(snapshot).cloned().flatten()
    }

    /// How often each thing went wrong.
    pub(crate) fn mishaps(&self) -> BTreeMap<String, u64> {
        self.mishaps.lock().unwrap().clone()
    }

    /// What goes wrong with the next hold. The word is where its guard dies.
    fn draw(&self) -> &'static str {
        let mut trouble = self.trouble.lock().unwrap();
        let Some(dice) = trouble.as_mut() else { return "never" };
        let of = |dice: &mut Dice, words: &[&'static str]| if dice.one_in(2) { "" } else { *dice.pick(words) };
        let guard = of(dice, &["unready", "armed", "frozen", "thawing", "impatient", "", ""]);
        let freeze = of(dice, &["fails", "late", "", "", ""]);
        let pre = of(dice, &["fails", "", "", ""]);
        let failures = if dice.one_in(5) { 1 + dice.draw(7) } else { 0 };
        drop(trouble);
        self.write("freeze", freeze);
        self.write("pre", pre);
        self.write("failures", &failures.to_string());
        let mut mishaps = self.mishaps.lock().unwrap();
        let told = [("guard: ", guard), ("freeze: ", freeze), ("before: ", pre)];
        for (what, how) in told.into_iter().filter(|(_, how)| !how.is_empty()) {
            *mishaps.entry(format!("holds: {what}{how}")).or_default() += 1;
        }
        *mishaps.entry("holds: thaw fails".to_owned()).or_default() += u64::from(0 < failures);
        if guard.is_empty() { "never" } else { guard }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// In one step, since commands read it meanwhile.
    fn write(&self, name: &str, text: &str) {
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, format!("{text}\n")).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }
}

/// Whether the machine that amikeep runs on is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    On,
    Off,
}

/// What amikeep runs on, beside the machine.
#[derive(Debug)]
pub(crate) struct HostOf(pub(crate) Arc<Machine>);

impl Host for HostOf {
    fn guard(&self) -> GuardProgram {
        GuardProgram { program: "/nonexistent".into(), args: Vec::new() }
    }

    fn command_guard(&self) -> GuardProgram {
        let words = ["-c", GUARD, self.0.draw(), self.0.dir.path().to_str().unwrap()];
        GuardProgram { program: Path::new("/bin/sh").into(), args: words.iter().map(Into::into).collect() }
    }

    fn protected(&self) -> Vec<Protected> {
        Vec::new()
    }

    fn firmware_instance(&self) -> Option<InstanceId> {
        None
    }

    fn instance(&self) -> Pin<Box<dyn Future<Output = Result<InstanceId, String>> + Send + '_>> {
        Box::pin(async { Err("it is any".to_owned()) })
    }

    fn address(&self, _connection: &Connection) -> Result<Secret, String> {
        Err("there is none".to_owned())
    }
}
