//! Images in two steps: asked for exactly, asked for once, and with everything that the instance has.

use std::collections::BTreeMap;

use amikeep_cloud::{
    Action, Cloud, CloudErrorKind, ImageAttributes, ProbeOutcome, Registration, SnapshotState, SnapshotsRequest,
};

use crate::tests::server::{Reply, Server, ec2, ec2_body, error};
use crate::tests::{IMAGE, INSTANCE, SNAPSHOT, cloud};

const VOLUME: &str = "vol-0123456789abcdef0";

fn request() -> SnapshotsRequest {
    SnapshotsRequest {
        instance: INSTANCE.parse().unwrap(),
        tags: BTreeMap::from([("amikeep:job".to_owned(), "j1".to_owned())]),
        description: "d".repeat(300),
    }
}

fn started() -> String {
    ec2_body(
        "CreateSnapshots",
        &format!(
            "<snapshotSet><item><description>d</description><tagSet><item><key>amikeep:job</key><value>j1</value></item>\
             </tagSet><encrypted>false</encrypted><volumeId>{VOLUME}</volumeId><state>pending</state><volumeSize>8\
             </volumeSize><startTime>2026-11-22T01:00:00.250Z</startTime><progress></progress><ownerId>111122223333\
             </ownerId><snapshotId>{SNAPSHOT}</snapshotId></item></snapshotSet>"
        ),
    )
}

#[tokio::test]
async fn snapshots_of_all_volumes_are_asked_for_in_one_call() {
    let server = Server::start([Reply::Answer(200, started())]).await;
    let taken = cloud(&server).await.request_snapshots(request()).await.unwrap();
    assert_eq!((taken.len(), taken[0].id.as_str(), taken[0].state), (1, SNAPSHOT, SnapshotState::Pending));
    assert_eq!(taken[0].volume.as_ref().unwrap().as_str(), VOLUME);
    assert_eq!(taken[0].started_at, "2026-11-22T01:00:00.25Z".parse().ok());
    assert_eq!(taken[0].tags["amikeep:job"], "j1");
    let description = "d".repeat(255);
    let want: BTreeMap<String, String> = [
        ("Action", "CreateSnapshots"),
        ("Version", "2016-11-15"),
        ("Description", &description),
        ("InstanceSpecification.InstanceId", INSTANCE),
        ("TagSpecification.1.ResourceType", "snapshot"),
        ("TagSpecification.1.Tag.1.Key", "amikeep:job"),
        ("TagSpecification.1.Tag.1.Value", "j1"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(server.asked()[0].form, want);
}

#[tokio::test]
async fn snapshots_without_an_answer_are_never_asked_for_again() {
    let none = ec2_body("CreateSnapshots", "<snapshotSet/>");
    for reply in [
        Reply::Cut,
        Reply::Stall,
        Reply::CutWithin(started()),
        Reply::Answer(200, none),
        error(500, "InternalError", "An internal error has occurred"),
    ] {
        let said = format!("{reply:?}");
        let server = Server::start([reply, Reply::Answer(200, started())]).await;
        let error = cloud(&server).await.request_snapshots(request()).await.unwrap_err();
        assert_eq!((error.kind, server.asked().len()), (CloudErrorKind::OutcomeUnknown, 1), "{said}: {error}");
    }
}

fn described(fields: &str) -> Reply {
    ec2(
        "DescribeInstances",
        &format!(
            "<reservationSet><item><instancesSet><item><instanceId>{INSTANCE}</instanceId><imageId>{IMAGE}</imageId>\
             <instanceState><name>running</name></instanceState><launchTime>2026-01-01T00:00:00.000Z</launchTime>\
             <architecture>arm64</architecture><rootDeviceName>/dev/xvda</rootDeviceName>\
             <rootDeviceType>ebs</rootDeviceType><virtualizationType>hvm</virtualizationType>\
             <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>{VOLUME}</volumeId>\
             <status>attached</status><deleteOnTermination>true</deleteOnTermination></ebs></item></blockDeviceMapping>\
             <enaSupport>true</enaSupport><platformDetails>Linux/UNIX</platformDetails>\
             <usageOperation>RunInstances</usageOperation>{fields}</item></instancesSet></item></reservationSet>"
        ),
    )
}

fn described_volume() -> Reply {
    let fields = format!(
        "<volumeSet><item><volumeId>{VOLUME}</volumeId><volumeType>gp3</volumeType><iops>4000</iops>\
         <throughput>250</throughput></item></volumeSet>"
    );
    ec2("DescribeVolumes", &fields)
}

fn launched_from(fields: &str) -> Reply {
    let image = format!("<imagesSet><item><imageId>{IMAGE}</imageId>{fields}</item></imagesSet>");
    ec2("DescribeImages", if fields.is_empty() { "<imagesSet/>" } else { &image })
}

async fn attributes(replies: Vec<Reply>) -> ImageAttributes {
    let server = Server::start(replies).await;
    cloud(&server).await.observe_attributes(INSTANCE.parse().unwrap()).await.unwrap().unwrap()
}

#[tokio::test]
async fn everything_of_an_instance_is_read_and_goes_into_its_image() {
    let uefi = "<bootMode>uefi-preferred</bootMode><currentInstanceBootMode>uefi</currentInstanceBootMode>\
                <tpmSupport>v2.0</tpmSupport><sriovNetSupport>simple</sriovNetSupport>";
    let store = "<imdsSupport>v2.0</imdsSupport><blockDeviceMapping><item><deviceName>/dev/sdb</deviceName>\
                 <virtualName>ephemeral0</virtualName></item></blockDeviceMapping>";
    let data = ec2("GetInstanceUefiData", "<uefiData>QU1aTlVFRkk=</uefiData>");
    let registered = Reply::Answer(200, ec2_body("RegisterImage", &format!("<imageId>{IMAGE}</imageId>")));
    let replies = [described(uefi), launched_from(store), described_volume(), data, registered];
    let server = Server::start(replies).await;
    let cloud = cloud(&server).await;
    let attributes = cloud.observe_attributes(INSTANCE.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(attributes.billing.unfit_because(), None);
    let registration = Registration {
        name: "amikeep-one".parse().unwrap(),
        attributes,
        snapshots: BTreeMap::from([(VOLUME.parse().unwrap(), SNAPSHOT.parse().unwrap())]),
        tags: BTreeMap::from([("amikeep:owner".to_owned(), "prod-fra".to_owned())]),
        description: "nightly".to_owned(),
    };
    assert_eq!(cloud.register_image(registration).await.unwrap().as_str(), IMAGE);
    let want: BTreeMap<String, String> = [
        ("Action", "RegisterImage"),
        ("Version", "2016-11-15"),
        ("Name", "amikeep-one"),
        ("Description", "nightly"),
        ("Architecture", "arm64"),
        ("VirtualizationType", "hvm"),
        ("RootDeviceName", "/dev/xvda"),
        ("BootMode", "uefi-preferred"),
        ("TpmSupport", "v2.0"),
        ("UefiData", "QU1aTlVFRkk="),
        ("EnaSupport", "true"),
        ("SriovNetSupport", "simple"),
        ("ImdsSupport", "v2.0"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.Ebs.SnapshotId", SNAPSHOT),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
        ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
        ("BlockDeviceMapping.1.Ebs.Iops", "4000"),
        ("BlockDeviceMapping.1.Ebs.Throughput", "250"),
        ("BlockDeviceMapping.2.DeviceName", "/dev/sdb"),
        ("BlockDeviceMapping.2.VirtualName", "ephemeral0"),
        ("TagSpecification.1.ResourceType", "image"),
        ("TagSpecification.1.Tag.1.Key", "amikeep:owner"),
        ("TagSpecification.1.Tag.1.Value", "prod-fra"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(server.asked().last().unwrap().form, want);
}

#[tokio::test]
async fn variables_of_uefi_are_registered_beside_a_boot_mode_also_where_the_image_named_none() {
    let data = || ec2("GetInstanceUefiData", "<uefiData>QU1aTlVFRkk=</uefiData>");
    let booted = "<currentInstanceBootMode>uefi</currentInstanceBootMode>";
    for (replies, want) in [
        (vec![described(booted), launched_from("<name>a</name>"), described_volume(), data()], Some("uefi")),
        (vec![described(""), launched_from("<name>a</name>"), described_volume()], None),
    ] {
        let registered = Reply::Answer(200, ec2_body("RegisterImage", &format!("<imageId>{IMAGE}</imageId>")));
        let server = Server::start(replies.into_iter().chain([registered])).await;
        let cloud = cloud(&server).await;
        let attributes = cloud.observe_attributes(INSTANCE.parse().unwrap()).await.unwrap().unwrap();
        let registration = Registration {
            name: "amikeep-one".parse().unwrap(),
            attributes,
            snapshots: BTreeMap::from([(VOLUME.parse().unwrap(), SNAPSHOT.parse().unwrap())]),
            tags: BTreeMap::new(),
            description: "nightly".to_owned(),
        };
        cloud.register_image(registration).await.unwrap();
        let asked = server.asked();
        let form = &asked.last().unwrap().form;
        assert_eq!(form.get("BootMode").map(String::as_str), want);
        assert_eq!(form.contains_key("UefiData"), want.is_some());
    }
}

#[tokio::test]
async fn an_instance_whose_image_is_gone_tells_of_its_metadata_service_itself() {
    let tokens = |tokens: &str| format!("<metadataOptions><httpTokens>{tokens}</httpTokens></metadataOptions>");
    for (said, want) in [("required", Some("v2.0")), ("optional", None)] {
        let seen = attributes(vec![described(&tokens(said)), launched_from(""), described_volume()]).await;
        assert_eq!((seen.imds_support.as_deref(), seen.uefi_data), (want, None), "{said}");
    }
    let image_says_nothing = vec![described(&tokens("required")), launched_from("<name>a</name>"), described_volume()];
    assert_eq!(attributes(image_says_nothing).await.imds_support, None);
}

#[tokio::test]
async fn a_volume_that_is_not_described_is_not_guessed() {
    let server =
        Server::start([described(""), launched_from("<name>a</name>"), ec2("DescribeVolumes", "<volumeSet/>")]).await;
    let error = cloud(&server).await.observe_attributes(INSTANCE.parse().unwrap()).await.unwrap_err();
    assert!(error.message.contains(VOLUME), "{error}");
    let nobody = Server::start([ec2("DescribeInstances", "<reservationSet/>")]).await;
    assert_eq!(cloud(&nobody).await.observe_attributes(INSTANCE.parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn permissions_for_both_steps_are_asked_for_by_dry_run() {
    let allowed = || error(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.");
    for action in [Action::CreateSnapshots, Action::RegisterImage, Action::DescribeVolumes, Action::GetInstanceUefiData]
    {
        let server = Server::start([allowed()]).await;
        let outcome = cloud(&server).await.probe(action, Some(INSTANCE.parse().unwrap())).await.unwrap();
        let asked = &server.asked()[0];
        assert_eq!(
            (outcome, asked.get("DryRun"), asked.get("Action")),
            (ProbeOutcome::Allowed, "true", action.as_str())
        );
    }
    // A permission that is tied to a tag refuses a snapshot that does not exist, so that a refusal tells nothing.
    let server = Server::start([error(403, "UnauthorizedOperation", "You are not authorized")]).await;
    let outcome = cloud(&server).await.probe(Action::RegisterImage, None).await.unwrap();
    assert!(matches!(outcome, ProbeOutcome::NotChecked(_)), "{outcome:?}");
}
