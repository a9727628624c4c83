//! The real binary against an EC2 that others wrote: moto's.
//!
//! The simulator is written by those who write amikeep, however closely it keeps to EC2's documentation. moto is not, so
//! what both sides of this project misunderstand alike shows here. It knows neither lags nor limits nor faults; those are
//! the simulator's. `moto/ec2.py` says what is added to it.
//!
//! `cargo xtask ci` installs moto and names its Python in `AMIKEEP_TEST_MOTO`; without it the `python3` on the PATH has
//! to have it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::site::{NEVER_NOW, PATIENCE};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/it/moto/ec2.py");

/// moto, and an installation that knows nothing else.
struct Strange {
    moto: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    instances: Vec<String>,
    url: String,
    dir: TempDir,
}

impl Strange {
    fn new() -> Self {
        let python = python();
        let mut command = Command::new(&python);
        command.arg("-I").arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut moto = command.spawn().unwrap_or_else(|error| panic!("{python}: {error}"));
        let (input, output) = (moto.stdin.take().unwrap(), BufReader::new(moto.stdout.take().unwrap()));
        let mut this =
            Self { moto, input, output, instances: Vec::new(), url: String::new(), dir: TempDir::new().unwrap() };
        let ready = this.line();
        ready["url"].as_str().unwrap().clone_into(&mut this.url);
        this.instances = words(&ready["instances"]);
        this.configure(NEVER_NOW, "last = 1");
        this
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer = serde_json::from_str(&line);
        answer.unwrap_or_else(|_| panic!("moto did not start: `pip install 'moto[server]'`, or run `cargo xtask ci`"))
    }

    fn configure(&self, schedule: &str, keep: &str) {
        let text = format!(
            "[daemon]\nowner = \"strange\"\ndatabase = \"{}\"\nsocket = \"\"\nlisten = \"\"\nprune_schedule = \"{NEVER_NOW}\"\n\
             [accounts.default]\nregion = \"eu-central-1\"\nendpoint_url = \"{}\"\nvisibility_lag = \"2s\"\n\
             [policies.nightly]\naccount = \"default\"\nclass = \"stateful\"\nschedule = \"{schedule}\"\n\
             select = {{ tags = {{ Env = \"prod\" }} }}\nkeep = {{ {keep} }}\n",
            self.database().display(),
            self.url
        );
        std::fs::write(self.config(), text).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("amikeep.toml")
    }

    fn database(&self) -> PathBuf {
        self.dir.path().join("amikeep.db")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amikeep"));
        command.args(["--format", "json"]).args(args).env_clear().stdin(Stdio::null());
        command.env("AMIKEEP_CONFIG", self.config()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("HOME", self.dir.path()).env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", "any");
        command
    }

    /// What a command that has to succeed prints.
    fn run(&self, args: &[&str]) -> Value {
        let output = self.command(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        assert!(!error.contains("panicked") && !error.contains(" ERROR "), "{args:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn jobs(&self) -> Vec<Value> {
        self.run(&["history", "--limit", "1000"])["jobs"].as_array().unwrap().clone()
    }

    /// The images that moto has, by their names, each with its tags and how many of its snapshots are there.
    fn images(&mut self) -> Vec<(String, Value, usize)> {
        self.input.write_all(b"images\n").unwrap();
        let mut images: Vec<_> = self.line()["images"].as_array().unwrap().iter().map(told).collect();
        images.sort_by(|a, b| a.0.cmp(&b.0));
        images
    }
}

impl Drop for Strange {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.moto.kill();
        let _ = self.moto.wait();
    }
}

fn python() -> String {
    #[expect(clippy::disallowed_methods, reason = "a test is told by its runner where the program is")]
    std::env::var("AMIKEEP_TEST_MOTO").unwrap_or_else(|_| "python3".to_owned())
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn told(image: &Value) -> (String, Value, usize) {
    let snapshots = image["snapshots"].as_array().unwrap().len();
    (image["name"].as_str().unwrap().to_owned(), image["tags"].clone(), snapshots)
}

#[test]
fn an_ec2_that_others_wrote_is_backed_up_pruned_and_taken_in_again() {
    let mut ec2 = Strange::new();
    let [two_volumes, running, stopped] = <[String; 3]>::try_from(ec2.instances.clone()).unwrap();
    let checked = ec2.run(&["check", "--online"]);
    assert_eq!(checked["errors"], serde_json::json!([]), "{checked:#}");

    let backup = |ec2: &Strange, args: &[&str]| ec2.run(&[&["backup"], args].concat())["jobs"].clone();
    let jobs = backup(&ec2, &[&running, &stopped]);
    let grade = |instance: &str| {
        let job = jobs.as_array().unwrap().iter().find(|job| job["instance_id"] == instance).unwrap();
        (job["mode"]["done"].as_str().unwrap().to_owned(), job["grade"].as_str().unwrap().to_owned())
    };
    assert_eq!(grade(&running), ("reboot".to_owned(), "clean".to_owned()));
    assert_eq!(grade(&stopped), ("no-reboot".to_owned(), "offline".to_owned()));
    let job = &backup(&ec2, &[&two_volumes, "--consistency", "no-reboot"])[0];
    assert_eq!((job["grade"].as_str(), job["state"].as_str()), (Some("crash"), Some("succeeded")), "{job:#}");
    // It makes a snapshot of the root alone, whatever is attached, and that must not go unnoticed.
    let events = ec2.run(&["show", job["id"].as_str().unwrap()])["events"].to_string();
    assert!(events.contains("it has no snapshot of /dev/sdf (vol-"), "{events}");

    let made = ec2.images();
    assert_eq!(made.len(), 3, "{made:?}");
    for (name, tags, snapshots) in &made {
        assert_eq!((tags["amikeep:owner"].as_str(), *snapshots), (Some("strange"), 1), "{name}");
        assert!(tags["amikeep:grade"].is_string(), "{name}: {tags}");
    }

    // Of two images of one instance the older goes, with its snapshot. What may use it is looked through one by one, since
    // moto does not know DescribeImageReferences.
    backup(&ec2, &[&running]);
    let pruned = ec2.run(&["prune", "--yes"]);
    assert_eq!(pruned["deleted"].as_array().unwrap().len(), 1, "{pruned:#}");
    let left = ec2.images();
    assert_eq!(left.len(), 3, "{left:?}");
    let of_running = left.iter().filter(|(name, ..)| name.contains(&running)).map(|(name, ..)| name);
    let newest = made.iter().find(|(name, ..)| name.contains(&running)).map(|(name, ..)| name);
    assert!(of_running.clone().count() == 1 && of_running.max() > newest, "the newest stays: {left:?}");

    // A ledger that is lost is made anew from what is there.
    let known: BTreeSet<String> = ec2.jobs().iter().map(|job| job["image_name"].to_string()).collect();
    for file in std::fs::read_dir(ec2.dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("amikeep.db") {
            if file.is_dir() { std::fs::remove_dir_all(file).unwrap() } else { std::fs::remove_file(file).unwrap() }
        }
    }
    backup(&ec2, &[&stopped]);
    let taken_in = ec2.run(&["reconcile", "--yes"]);
    assert_eq!(taken_in["images"].as_array().unwrap().len(), 3, "{taken_in:#}");
    let again: BTreeSet<String> = ec2.jobs().iter().map(|job| job["image_name"].to_string()).collect();
    assert_eq!(again.intersection(&known).count(), 3, "{again:?} {known:?}");
}

#[test]
fn a_daemon_images_what_others_simulate_once_per_fire() {
    let mut ec2 = Strange::new();
    ec2.configure("*/5 * * * * *", "last = -1");
    let log = ec2.dir.path().join("log");
    let mut command = ec2.command(&["daemon"]);
    let mut daemon = command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let done = |jobs: &[Value]| jobs.iter().filter(|job| job["state"] == "succeeded").count();
    while !ec2.database().exists() || done(&ec2.jobs()) < 6 {
        let told = std::fs::read_to_string(&log).unwrap();
        assert!(daemon.try_wait().unwrap().is_none() && tokio::time::Instant::now() < deadline, "{told}");
    }
    assert!(Command::new("kill").args(["-s", "TERM", &daemon.id().to_string()]).status().unwrap().success());
    assert!(daemon.wait().unwrap().success(), "{}", std::fs::read_to_string(Path::new(&log)).unwrap());
    let names: Vec<String> = ec2.images().into_iter().map(|(name, ..)| name).collect();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "moto would take a name twice: {names:?}");
    let known: BTreeSet<String> =
        ec2.jobs().iter().filter_map(|job| Some(job["image_name"].as_str()?.to_owned())).collect();
    assert!(6 <= names.len() && names.iter().all(|name| known.contains(name)), "{names:?} {known:?}");
}
