//! Launch templates, references, protection and removal over HTTP; answers that break off, and their dates.

use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{Action, Fault, FaultOutcome, InstanceSpec, Reboot, World};

use crate::support::{ACCOUNT, DB, WEB, builder, ec2, image, place, post, secs, snapshots};
use crate::wire::{status, text, xml};

async fn code(server: &Server, action: &str, parameters: &[(&str, &str)]) -> (u16, String) {
    let answer = ec2(server, action, parameters).await;
    (status(&answer), text(xml(&answer), "Code").to_owned())
}

fn header<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let head = answer.split_once("\r\n\r\n").unwrap().0;
    head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

fn available_image(world: &World) -> String {
    let id = image(world, WEB, "one", Reboot::No);
    world.clock().advance(secs(600));
    id.to_string()
}

#[tokio::test]
async fn a_launch_template_goes_from_creation_to_deletion_over_the_wire() {
    let server = Server::start(builder().build().unwrap()).await.unwrap();
    let (one, two) = ("ami-00000000000000001", "ami-00000000000000002");
    let create = [
        ("LaunchTemplateName", "web"),
        ("VersionDescription", "first"),
        ("LaunchTemplateData.ImageId", one),
        ("LaunchTemplateData.InstanceType", "t3.micro"),
        ("TagSpecification.1.ResourceType", "launch-template"),
        ("TagSpecification.1.Tag.1.Key", "Team"),
        ("TagSpecification.1.Tag.1.Value", "ops"),
        ("ClientToken", "t1"),
    ];
    let answer = ec2(&server, "CreateLaunchTemplate", &create).await;
    let body = xml(&answer);
    assert!(body.contains("<launchTemplate><launchTemplateId>lt-"), "{body}");
    assert!(body.contains("<latestVersionNumber>1</latestVersionNumber><tagSet><item><key>Team</key>"), "{body}");
    let id = text(body, "launchTemplateId").to_owned();

    let version = [("LaunchTemplateId", id.as_str()), ("SourceVersion", "1"), ("LaunchTemplateData.ImageId", two)];
    let answer = ec2(&server, "CreateLaunchTemplateVersion", &version).await;
    let body = xml(&answer);
    assert!(body.contains("<versionNumber>2</versionNumber>"), "{body}");
    let data = format!("<launchTemplateData><imageId>{two}</imageId><instanceType>t3.micro</instanceType>");
    assert!(body.contains(&data), "{body}");

    let filter = [("LaunchTemplateName", "web"), ("Filter.1.Name", "image-id"), ("Filter.1.Value.1", one)];
    let answer = ec2(&server, "DescribeLaunchTemplateVersions", &filter).await;
    let body = xml(&answer);
    assert!(body.contains("<launchTemplateVersionSet><item>") && body.matches("<item>").count() == 1, "{body}");
    assert_eq!((text(body, "versionDescription"), text(body, "defaultVersion")), ("first", "true"));
    let latest = [("LaunchTemplateVersion.1", "$Latest"), ("MaxResults", "5")];
    let answer = ec2(&server, "DescribeLaunchTemplateVersions", &latest).await;
    assert_eq!(text(xml(&answer), "versionNumber"), "2");
    let answer = ec2(&server, "DescribeLaunchTemplates", &[("LaunchTemplateId.1", &id)]).await;
    assert!(xml(&answer).contains("<launchTemplates><item><launchTemplateId>"));

    let by_parameter = [("LaunchTemplateId", id.as_str()), ("LaunchTemplateData.ImageId", "resolve:ssm:/golden")];
    let answer = ec2(&server, "CreateLaunchTemplateVersion", &by_parameter).await;
    assert_eq!(text(xml(&answer), "imageId"), "resolve:ssm:/golden");
    let resolved = [("LaunchTemplateId", id.as_str()), ("ResolveAlias", "true")];
    assert_eq!(code(&server, "DescribeLaunchTemplateVersions", &resolved).await.1, "UnsupportedOperation");
    let unknown = [("LaunchTemplateName", "other"), ("LaunchTemplateData.KeyName", "key")];
    assert_eq!(code(&server, "CreateLaunchTemplate", &unknown).await.1, "UnknownParameter");
    let answer = ec2(&server, "DeleteLaunchTemplate", &[("LaunchTemplateId", &id)]).await;
    assert_eq!(text(xml(&answer), "launchTemplateName"), "web");
    let gone = code(&server, "DeleteLaunchTemplate", &[("LaunchTemplateId", &id)]).await;
    assert_eq!(gone, (400, "InvalidLaunchTemplateId.NotFound".to_owned()));
}

#[tokio::test]
async fn references_are_asked_for_and_told_with_the_names_of_the_model() {
    let world = builder().build().unwrap();
    let id = available_image(&world);
    world.launch(&place(), InstanceSpec::new("i-00000000000000001").image(id.as_str())).unwrap();
    let server = Server::start(world.clone()).await.unwrap();
    let asked = [
        ("ImageId.1", id.as_str()),
        ("ResourceType.1.ResourceType", "ec2:Instance"),
        ("ResourceType.1.ResourceTypeOption.1.OptionName", "state-name"),
        ("ResourceType.1.ResourceTypeOption.1.OptionValue.1", "running"),
        ("ResourceType.1.ResourceTypeOption.1.OptionValue.2", "stopped"),
        ("ResourceType.2.ResourceType", "ec2:LaunchTemplate"),
        ("ResourceType.2.ResourceTypeOption.1.OptionName", "version-depth"),
        ("ResourceType.2.ResourceTypeOption.1.OptionValue.1", "10000"),
        ("MaxResults", "1000"),
    ];
    let answer = ec2(&server, "DescribeImageReferences", &asked).await;
    let line = format!(
        "<imageReferenceSet><item><imageId>{id}</imageId><resourceType>ec2:Instance</resourceType>\
         <arn>arn:aws:ec2:eu-central-1:{ACCOUNT}:instance/i-00000000000000001</arn></item></imageReferenceSet>"
    );
    assert!(xml(&answer).contains(&line), "{answer}");
    let all = [("ImageId.1", id.as_str()), ("IncludeAllResourceTypes", "true")];
    assert_eq!(text(xml(&ec2(&server, "DescribeImageReferences", &all).await), "imageId"), id);
    assert_eq!(code(&server, "DescribeImageReferences", &all[..1]).await.1, "MissingParameter");
    world.forget_action(Action::DescribeImageReferences);
    let forgotten = code(&server, "DescribeImageReferences", &all).await;
    assert_eq!(forgotten, (400, "InvalidAction".to_owned()));
}

#[tokio::test]
async fn protection_registration_and_return_codes_go_over_the_wire() {
    let world = builder().build().unwrap();
    let id = available_image(&world);
    let snapshot = snapshots(&world)[0].facts.id.clone();
    let server = Server::start(world.clone()).await.unwrap();
    let with_cooldown = [("ImageId", id.as_str()), ("WithCooldown", "true")];
    let answer = ec2(&server, "EnableImageDeregistrationProtection", &with_cooldown).await;
    assert_eq!(text(xml(&answer), "return"), "enabled-with-cooldown");
    let answer = ec2(&server, "DescribeImages", &[("ImageId.1", &id)]).await;
    assert_eq!(text(xml(&answer), "deregistrationProtection"), "enabled-with-cooldown");
    let deregister = [("ImageId", id.as_str()), ("DeleteAssociatedSnapshots", "true")];
    assert_eq!(code(&server, "DeregisterImage", &deregister).await, (400, "OperationNotPermitted".to_owned()));
    let answer = ec2(&server, "EnableImageDeregistrationProtection", &[("ImageId", &id)]).await;
    assert_eq!(text(xml(&answer), "return"), "enabled-without-cooldown");
    let answer = ec2(&server, "DisableImageDeregistrationProtection", &[("ImageId", &id)]).await;
    assert_eq!(text(xml(&answer), "return"), "disabled");

    let register = [
        ("Name", "two"),
        ("Architecture", "arm64"),
        ("RootDeviceName", "/dev/xvda"),
        ("VirtualizationType", "hvm"),
        ("EnaSupport", "true"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.Ebs.SnapshotId", snapshot.as_str()),
        ("TagSpecification.1.ResourceType", "image"),
        ("TagSpecification.1.Tag.1.Key", "k"),
    ];
    let answer = ec2(&server, "RegisterImage", &register).await;
    let second = text(xml(&answer), "imageId").to_owned();
    let answer = ec2(&server, "DescribeImages", &[("ImageId.1", &second)]).await;
    assert!(text(xml(&answer), "imageState") == "available" && !answer.contains("sourceInstanceId"));
    let item = |code: &str| format!("<item><snapshotId>{snapshot}</snapshotId><returnCode>{code}</returnCode></item>");
    assert!(xml(&ec2(&server, "DeregisterImage", &deregister).await).contains(&item("skipped")));
    world.lock_snapshot(&snapshot);
    let deregister = [("ImageId", second.as_str()), ("DeleteAssociatedSnapshots", "true")];
    assert!(xml(&ec2(&server, "DeregisterImage", &deregister).await).contains(&item("client-error")));
    let locked = code(&server, "DeleteSnapshot", &[("SnapshotId", snapshot.as_str())]).await;
    assert_eq!(locked, (400, "OperationNotPermitted".to_owned()));
}

#[tokio::test]
async fn an_answer_can_break_off_in_the_middle_of_its_body() {
    let world = builder().build().unwrap();
    let server = Server::start(world.clone()).await.unwrap();
    let whole = ec2(&server, "DescribeInstances", &[]).await;
    world.plan_fault(Fault::on(Action::DescribeInstances, FaultOutcome::CutInBody));
    let cut = ec2(&server, "DescribeInstances", &[]).await;
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.len();
    assert_eq!(header(&cut, "content-length"), header(&whole, "content-length"));
    assert_eq!((status(&cut), body(&cut)), (200, body(&whole) / 2));
    assert_eq!(body(&ec2(&server, "DescribeInstances", &[]).await), body(&whole), "only once");

    let create = [("InstanceId", DB), ("Name", "one"), ("NoReboot", "true")];
    world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::CutInBody));
    assert!(ec2(&server, "CreateImage", &create).await.starts_with("HTTP/1.1 200"));
    assert_eq!(world.images().len(), 1);
}

#[tokio::test]
async fn the_date_of_every_answer_is_the_worlds() {
    let world = builder().build().unwrap();
    let server = Server::start(world.clone()).await.unwrap();
    world.clock().advance(secs(4 * 24 * 3600 + 3723));
    world.plan_fault(Fault::on(Action::DescribeImages, FaultOutcome::Garbage));
    let identity = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    for answer in [
        ec2(&server, "DescribeRegions", &[]).await,
        ec2(&server, "DescribeNothing", &[]).await,
        ec2(&server, "DescribeImages", &[]).await,
        post(&server, "sts", &identity).await,
    ] {
        assert_eq!(header(&answer, "date"), ["Mon, 05 Jan 2026 01:02:03 GMT"], "{answer}");
    }
}

#[tokio::test]
async fn server_errors_have_their_status_before_and_after_the_effect() {
    let world = builder().build().unwrap();
    let server = Server::start(world.clone()).await.unwrap();
    let create = [("InstanceId", DB), ("Name", "one"), ("NoReboot", "true")];
    world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::service_unavailable()));
    assert_eq!(code(&server, "CreateImage", &create).await, (503, "ServiceUnavailable".to_owned()));
    assert!(world.images().is_empty());
    world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::internal_error_after_effect()));
    assert_eq!(code(&server, "CreateImage", &create).await, (500, "InternalError".to_owned()));
    assert_eq!(world.images().len(), 1);
}
