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
fn the_real_command_line_makes_templates_and_asks_what_refers_to_an_image() {
    let sim = Simulator::start();
    let instance = "i-0e000000000000001";
    let create = ["ec2", "create-image", "--instance-id", instance, "--name", "golden", "--no-reboot"];
    let image = sim.aws(&[&create[..], &["--query", "ImageId"]].concat()).unwrap();
    let data = format!("ImageId={image},InstanceType=t3.micro");
    let create = ["ec2", "create-launch-template", "--launch-template-name", "web", "--launch-template-data", &data];
    let id = sim.aws(&[&create[..], &["--query", "LaunchTemplate.LaunchTemplateId"]].concat()).unwrap();
    assert!(id.starts_with("lt-"), "{id}");
    let version = ["--launch-template-id", &id, "--launch-template-data", "ImageId=ami-00000000000000001"];
    let version = [&["ec2", "create-launch-template-version"][..], &version].concat();
    let number = sim.aws(&[&version[..], &["--query", "LaunchTemplateVersion.VersionNumber"]].concat()).unwrap();
    assert_eq!(number, "2");
    let by_image = format!("Name=image-id,Values={image}");
    let versions =
        ["ec2", "describe-launch-template-versions", "--launch-template-name", "web", "--filters", &by_image];
    let numbers = sim.aws(&[&versions[..], &["--query", "LaunchTemplateVersions[].VersionNumber"]].concat()).unwrap();
    assert_eq!(numbers, "1");
    let named = ["ec2", "describe-launch-templates", "--query", "LaunchTemplates[].LaunchTemplateName"];
    assert_eq!(sim.aws(&named).unwrap(), "web");

    let types = r#"[{"ResourceType": "ec2:Instance",
                     "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": ["running", "stopped"]}]},
                    {"ResourceType": "ec2:LaunchTemplate",
                     "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": ["10000"]}]}]"#;
    let references = ["ec2", "describe-image-references", "--image-ids", &image, "--resource-types", types];
    let arns = sim.aws(&[&references[..], &["--query", "ImageReferences[].Arn"]].concat()).unwrap();
    assert_eq!(arns, format!("arn:aws:ec2:eu-central-1:111122223333:launch-template/{id}"));
    sim.aws(&["ec2", "delete-launch-template", "--launch-template-id", &id]).unwrap();
    let all = ["ec2", "describe-image-references", "--image-ids", &image, "--include-all-resource-types"];
    assert_eq!(sim.aws(&[&all[..], &["--query", "ImageReferences[].Arn"]].concat()).unwrap(), "");
}

#[test]
fn the_real_command_line_protects_and_registers_images() {
    let sim = Simulator::start();
    let create = ["ec2", "create-image", "--instance-id", "i-0e000000000000001", "--name", "golden", "--no-reboot"];
    let image = sim.aws(&[&create[..], &["--query", "ImageId"]].concat()).unwrap();
    sim.aws(&["ec2", "wait", "image-available", "--image-ids", &image]).unwrap();
    sim.aws(&["ec2", "enable-image-deregistration-protection", "--image-id", &image]).unwrap();
    let deregister = ["ec2", "deregister-image", "--image-id", &image, "--delete-associated-snapshots"];
    let protected = sim.aws(&deregister).unwrap_err();
    assert!(protected.contains("OperationNotPermitted"), "{protected}");
    sim.aws(&["ec2", "disable-image-deregistration-protection", "--image-id", &image]).unwrap();

    let snapshot = "Images[].BlockDeviceMappings[0].Ebs.SnapshotId";
    let snapshot = sim.aws(&["ec2", "describe-images", "--image-ids", &image, "--query", snapshot]).unwrap();
    let mapping = format!("DeviceName=/dev/xvda,Ebs={{SnapshotId={snapshot}}}");
    let register =
        ["ec2", "register-image", "--name", "copy", "--architecture", "arm64", "--virtualization-type", "hvm"];
    let devices = ["--root-device-name", "/dev/xvda", "--block-device-mappings", &mapping];
    let second = sim.aws(&[&register[..], &devices, &["--query", "ImageId"]].concat()).unwrap();
    assert!(second.starts_with("ami-"), "{second}");
    let codes = ["--query", "DeleteSnapshotResults[].ReturnCode"];
    assert_eq!(sim.aws(&[&deregister[..], &codes].concat()).unwrap(), "skipped");
    let deregister = ["ec2", "deregister-image", "--image-id", &second, "--delete-associated-snapshots"];
    assert_eq!(sim.aws(&[&deregister[..], &codes].concat()).unwrap(), "success");
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
        (
            &["ec2", "delete-launch-template", "--launch-template-id", "lt-0fffffffffffffff0"],
            "InvalidLaunchTemplateId.NotFound",
        ),
    ] {
        let error = sim.aws(args).unwrap_err();
        assert!(error.contains(code), "{code} in {error}");
    }
}
