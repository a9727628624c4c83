//! How long writes stand still while an image is taken: amikeep beside the bare freeze and what people write.
//!
//! One run takes one image by each contestant at each latency of EC2: the latencies at once, the contestants of each one after
//! another on the same file system, so that what else the machine does meets all of them alike. The writer measures from
//! outside: nobody is asked how long it held.

mod disk;
mod writer;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::bench::daemon::site::{Binaries, Site};
use crate::bench::figure::Figure;
use crate::bench::stall::disk::Disk;
use crate::bench::stall::writer::Writer;
use crate::{process, tools};

/// What a reader of the figures has to know.
pub(super) const ABOUT: &str = "\
the longest time between two acknowledged writes while an image is taken, with a row written and flushed every millisecond \
to a file system in memory. A call to EC2 takes the time that is named, there and back. The scripts thaw when their call has \
returned and prove nothing; amikeep thaws when it knows of a snapshot of every volume, and each of its images here is of \
a proved hold. A busy machine lengthens the start of `aws` more than anything else";

/// How often it is measured unless something else is asked for: so many images by each contestant.
pub(super) const RUNS: u32 = 30;

/// How long a call to EC2 takes, there and back, in milliseconds.
const LATENCIES_MS: [u32; 3] = [0, 150, 500];

/// The latency at which the `aws` command line is to be beaten, and by how much.
const RATIO_AT_MS: u32 = 150;
const RATIO_MAX: f64 = 1.0 / 3.0;

/// The latency at which snapshots that begin late are waited for.
const LATE_AT_MS: u32 = 150;

/// What amikeep may take for itself, in milliseconds, and how often it looks for snapshots.
const OWN_MS: f64 = 15.0;
const LOOK_EVERY_MS: f64 = 200.0;

const INSTANCE: &str = "i-0123456789abcdef0";

/// Who takes the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contestant {
    /// A shell script around the `aws` command line.
    Aws,
    /// A script of boto3 that has its connection already.
    Boto3,
    /// amikeep by `CreateImage`, whose snapshots begin so many seconds after the call.
    CreateImage { lag: u32 },
    /// amikeep by `CreateSnapshots`, whose reply is all that it waits for.
    Snapshots,
}

const CONTESTANTS: [Contestant; 4] =
    [Contestant::Aws, Contestant::Boto3, Contestant::Snapshots, Contestant::CreateImage { lag: 0 }];

/// On the first file system and at one latency, snapshots that begin late are waited for too: that wait is EC2's, and the
/// same on any file system.
const LATE: [Contestant; 2] = [Contestant::CreateImage { lag: 1 }, Contestant::CreateImage { lag: 5 }];

const FILE_SYSTEMS: [&str; 2] = ["xfs", "ext4"];

/// What is run.
struct Programs {
    root: PathBuf,
    binaries: Binaries,
    aws: PathBuf,
    python: PathBuf,
}

pub(super) fn run(root: &Path) -> anyhow::Result<Vec<Figure>> {
    tools::check_file_systems(root)?;
    let programs = Programs {
        root: root.to_owned(),
        binaries: Binaries::build(root)?,
        aws: tools::install_aws(root)?,
        python: tools::install_boto3(root)?,
    };
    let mut figures = Vec::new();
    for fs in FILE_SYSTEMS {
        figures.extend(all_latencies(&programs, fs)?);
    }
    Ok(figures)
}

/// All latencies at once, each with a file system and a writer of its own: most of the time is spent waiting for EC2.
fn all_latencies(programs: &Programs, fs: &'static str) -> anyhow::Result<Vec<Figure>> {
    std::thread::scope(|scope| {
        let measure = |latency: u32| scope.spawn(move || at_latency(programs, fs, latency));
        let threads: Vec<_> = LATENCIES_MS.into_iter().map(measure).collect();
        let mut figures = Vec::new();
        for thread in threads {
            let measured = thread.join().unwrap_or_else(|_| bail!("a measurement ended in a panic"));
            figures.extend(measured.with_context(|| format!("on {fs}"))?);
        }
        Ok(figures)
    })
}

/// One image by each contestant, one after another.
fn at_latency(programs: &Programs, fs: &'static str, latency: u32) -> anyhow::Result<Vec<Figure>> {
    let disk = Disk::new(&programs.root, fs, latency)?;
    let writer = Writer::start(&disk.mount().join("rows"))?;
    let at = format!("{fs}, {latency} ms");
    let alone = writer.longest_gap_during(|| {
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    })?;
    let bare = writer.longest_gap_during(|| bare(programs, &disk))?;
    let mut figures = vec![
        Figure::new(format!("{at}: nobody freezes, for a second"), alone, "ms"),
        Figure::new(format!("{at}: FIFREEZE and FITHAW alone"), bare, "ms"),
    ];
    let late: &[Contestant] = if (fs, latency) == (FILE_SYSTEMS[0], LATE_AT_MS) { &LATE } else { &[] };
    let mut aws = None;
    for contestant in CONTESTANTS.iter().chain(late).copied() {
        let name = format!("{at}: {}", contestant.name());
        let stall = stall(programs, &disk, &writer, contestant, latency).with_context(|| name.clone())?;
        figures.push(Figure::new(name.clone(), stall, "ms"));
        if let Some(most) = contestant.goal_ms(latency) {
            figures.push(Figure::new(format!("{name}: over the bare freeze"), stall - bare, "ms").with_goal(most));
        }
        if contestant == Contestant::Aws {
            aws = Some(stall);
        }
        if let (RATIO_AT_MS, true, Some(aws)) = (latency, contestant.is_at_its_best(), aws) {
            let ratio = Figure::new(format!("{name}: share of the `aws` script's"), stall / aws, "");
            figures.push(ratio.with_goal(RATIO_MAX));
        }
    }
    Ok(figures)
}

impl Contestant {
    fn name(self) -> String {
        match self {
            Self::Aws => "shell script with `aws`".to_owned(),
            Self::Boto3 => "boto3, connected before".to_owned(),
            Self::CreateImage { lag } => format!("amikeep, CreateImage, snapshots after {lag} s"),
            Self::Snapshots => "amikeep, CreateSnapshots".to_owned(),
        }
    }

    /// How long snapshots take to begin.
    fn lag(self) -> u32 {
        match self {
            Self::Aws | Self::Boto3 | Self::Snapshots => 0,
            Self::CreateImage { lag } => lag,
        }
    }

    /// The most that it may take over the bare freeze: the call, and with `CreateImage` the lag, one interval between two
    /// looks and one look too.
    fn goal_ms(self, latency: u32) -> Option<f64> {
        let latency = f64::from(latency);
        match self {
            Self::Aws | Self::Boto3 => None,
            Self::Snapshots => Some(latency + OWN_MS),
            Self::CreateImage { lag } => Some(2.0 * latency + f64::from(lag) * 1e3 + LOOK_EVERY_MS + OWN_MS),
        }
    }

    /// Whether EC2 was as quick as it can be.
    fn is_at_its_best(self) -> bool {
        matches!(self, Self::Snapshots | Self::CreateImage { lag: 0 })
    }
}

/// The longest time between two acknowledged writes while this contestant takes an image, in milliseconds.
fn stall(
    programs: &Programs,
    disk: &Disk,
    writer: &Writer,
    contestant: Contestant,
    latency: u32,
) -> anyhow::Result<f64> {
    let site = Site::of(&programs.binaries, &world(contestant, latency), &config(disk, contestant))?;
    let mount = disk.mount().display().to_string();
    let arguments = [&*mount, INSTANCE, "an-image"];
    match contestant {
        Contestant::Aws => {
            let directory = programs.aws.parent().context("aws without a directory")?.display();
            let mut script = process::command(programs.root.join("benches/stall.sh"), &programs.root);
            site.give_credentials(&mut script);
            script
                .env("AWS_ENDPOINT_URL", site.url())
                .env("PATH", format!("{directory}:/usr/sbin:/usr/bin:/sbin:/bin"));
            writer.longest_gap_during(|| succeed(script.args(arguments)))
        }
        Contestant::Boto3 => {
            let mut script = process::command(&programs.python, &programs.root);
            site.give_credentials(&mut script);
            script.env("AWS_ENDPOINT_URL", site.url()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            writer.longest_gap_during(|| succeed(script.arg(programs.root.join("benches/stall.py")).args(arguments)))
        }
        Contestant::CreateImage { .. } | Contestant::Snapshots => writer.longest_gap_during(|| back_up(&site)),
    }
}

fn bare(programs: &Programs, disk: &Disk) -> anyhow::Result<()> {
    let mut script = process::command(&programs.python, &programs.root);
    succeed(script.arg(programs.root.join("benches/freeze.py")).arg(disk.mount()))
}

/// One image, which must be one of a proved hold: whoever thaws too early stalls less.
fn back_up(site: &Site) -> anyhow::Result<()> {
    let output = site.command(&["--format", "json", "backup", INSTANCE]).stderr(Stdio::piped()).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    let answer: serde_json::Value = serde_json::from_str(&told)
        .with_context(|| format!("amikeep backup: {told}{}", String::from_utf8_lossy(&output.stderr)))?;
    ensure!(answer["jobs"][0]["grade"] == "filesystem", "the hold was not proved: {told}");
    Ok(())
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// One instance with a root and the volume that is frozen; its images are available as soon as their snapshots can be.
fn world(contestant: Contestant, latency: u32) -> serde_json::Value {
    let lag = contestant.lag();
    serde_json::json!({
        "accounts": [{ "id": Site::ACCOUNT, "regions": { Site::REGION: [{
            "id": INSTANCE,
            "tags": { "Env": "prod" },
            "volumes": [{ "device": "/dev/xvda", "size": 8 }, { "device": "/dev/sdf", "size": 20 }],
        }] } }],
        "behaviour": { "latency_ms": latency, "snapshot_lag_seconds": lag, "image_seconds": lag + 1 },
    })
}

fn config(disk: &Disk, contestant: Contestant) -> String {
    let capture = if contestant == Contestant::Snapshots { "snapshots" } else { "image" };
    format!(
        "[policies.nightly]\naccount = \"default\"\nclass = \"critical\"\nschedule = \"0 0 29 2 *\"\n\
         select = {{ tags = {{ Env = \"prod\" }} }}\nkeep = {{ last = 1 }}\n\n\
         [classes.critical]\nfreeze = \"data\"\n\n\
         [freezes.data]\nvia = \"local\"\nmounts = [\"{}\"]\ndevices = [\"/dev/sdf\"]\ninstance = \"{INSTANCE}\"\n\
         capture = \"{capture}\"\n",
        disk.mount().display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_of_an_image_is_the_call_the_lag_an_interval_a_look_and_a_little() {
        assert_eq!(Contestant::CreateImage { lag: 1 }.goal_ms(150), Some(150.0 + 1_000.0 + 200.0 + 150.0 + 15.0));
        assert_eq!(Contestant::Snapshots.goal_ms(150), Some(150.0 + 15.0));
        assert_eq!(Contestant::Aws.goal_ms(150), None);
    }

    #[test]
    fn the_scripts_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        for script in ["stall.sh", "stall.py", "freeze.py"] {
            assert!(root.join("benches").join(script).is_file(), "{script}");
        }
    }
}
