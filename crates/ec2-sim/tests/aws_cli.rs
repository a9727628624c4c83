//! The real `aws` command line against the simulator's binary, started alone.
//!
//! `cargo xtask ci` installs the command line and names it in `AMIKEEP_TEST_AWS`; without it an `aws` on the PATH is used,
//! and without any the test fails: a simulator that no other client was tried on proves little.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

struct Simulator {
    child: Child,
    url: String,
}

impl Simulator {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ec2-sim"));
        let mut child =
            command.args(["--listen", "127.0.0.1:0", "--speed", "3600"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    /// Runs `aws … --output text` and gives what it printed.
    fn aws(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(aws_path());
        command.args(["--endpoint-url", &self.url, "--region", "eu-central-1", "--output", "text"]);
        command.args(args).stdin(Stdio::null());
        command.env("AWS_ACCESS_KEY_ID", "AKIASIM0111122223333").env("AWS_SECRET_ACCESS_KEY", "any");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_PAGER", "").env("AWS_CONFIG_FILE", "/dev/null");
        let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", aws_path()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn aws_path() -> String {
    #[expect(clippy::disallowed_methods, reason = "a test is told by its runner where the command line is")]
    std::env::var("AMIKEEP_TEST_AWS").unwrap_or_else(|_| "aws".to_owned())
}

#[test]
fn the_real_command_line_images_lists_and_removes() {
    let sim = Simulator::start();
    let account = sim.aws(&["sts", "get-caller-identity", "--query", "Account"]).unwrap();
    assert_eq!(account, "111122223333");
    let running = [
        "--filters",
        "Name=instance-state-name,Values=running",
        "Name=root-device-type,Values=ebs",
        "--query",
        "Reservations[].Instances[].InstanceId",
    ];
    let instances = sim.aws(&[&["ec2", "describe-instances", "--page-size", "5"], &running[..]].concat()).unwrap();
    let instance = instances.split_whitespace().next().unwrap().to_owned();

    let tags = "ResourceType=image,Tags=[{Key=Team,Value=ops}]";
    let snapshot_tags = "ResourceType=snapshot,Tags=[{Key=Team,Value=ops}]";
    let create = ["ec2", "create-image", "--instance-id", &instance, "--name", "by-the-command-line", "--no-reboot"];
    let create = [&create[..], &["--tag-specifications", tags, snapshot_tags, "--query", "ImageId"]].concat();
    let image = sim.aws(&create).unwrap();
    assert!(image.starts_with("ami-"), "{image}");
    let twice = sim.aws(&create).unwrap_err();
    assert!(twice.contains("InvalidAMIName.Duplicate") && twice.contains(&image), "{twice}");

    sim.aws(&["ec2", "wait", "image-available", "--image-ids", &image]).unwrap();
    let by_tag = ["ec2", "describe-images", "--owners", "self", "--filters", "Name=tag:Team,Values=o?s"];
    assert_eq!(sim.aws(&[&by_tag[..], &["--query", "Images[].ImageId"]].concat()).unwrap(), image);
    let of_team = ["ec2", "describe-snapshots", "--owner-ids", "self", "--filters", "Name=tag:Team,Values=ops"];
    let snapshots = sim.aws(&[&of_team[..], &["--query", "Snapshots[].SnapshotId"]].concat()).unwrap();
    assert!(snapshots.starts_with("snap-"), "{snapshots}");
    let snapshot = snapshots.split_whitespace().next().unwrap();

    let in_use = sim.aws(&["ec2", "delete-snapshot", "--snapshot-id", snapshot]).unwrap_err();
    assert!(in_use.contains("InvalidSnapshot.InUse"), "{in_use}");
    sim.aws(&["ec2", "deregister-image", "--image-id", &image, "--delete-associated-snapshots"]).unwrap();
    let gone = sim.aws(&["ec2", "delete-snapshot", "--snapshot-id", snapshot]).unwrap_err();
    assert!(gone.contains("InvalidSnapshot.NotFound"), "{gone}");
}

#[test]
fn the_real_command_line_understands_its_errors() {
    let sim = Simulator::start();
    for (args, code) in [
        (&["ec2", "describe-instances", "--instance-ids", "i-0fffffffffffffff0"][..], "InvalidInstanceID.NotFound"),
        (&["ec2", "describe-images", "--filters", "Name=no-such-filter,Values=x"], "InvalidParameterValue"),
        (&["ec2", "describe-images", "--dry-run"], "DryRunOperation"),
        (&["ec2", "create-image", "--instance-id", "i-0fffffffffffffff0", "--name", "x!"], "Invalid"),
        (&["ec2", "describe-hosts"], "InvalidAction"),
    ] {
        let error = sim.aws(args).unwrap_err();
        assert!(error.contains(code), "{code} in {error}");
    }
}
