//! Listings: complete or an error, and read to the end.

use amikeep_cloud::{
    Cloud, CloudErrorKind, ImageQuery, ImageState, InstanceQuery, MappedDevice, SeenImage, SnapshotQuery, SnapshotState,
};
use amikeep_domain::instance::{AttachedVolume, Hibernation, Instance, InstanceState, RootDevice};

use crate::tests::server::{Reply, Server, ec2, ec2_body, error};
use crate::tests::{IMAGE, INSTANCE, cloud};

const STATES: &str = "<reservationSet><item><instancesSet><item><instanceId>i-0123456789abcdef0</instanceId>\
    <instanceState><code>80</code><name>stopped</name></instanceState><instanceType>i3.large</instanceType>\
    <launchTime>2026-11-22T01:02:03.000Z</launchTime><rootDeviceType>ebs</rootDeviceType>\
    <rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping>\
    <item><deviceName>/dev/xvdb</deviceName><ebs><volumeId>vol-0bbbbbbbbbbbbbbbb</volumeId><status>attached</status></ebs></item>\
    <item><deviceName>/dev/xvdc</deviceName><ebs><volumeId>vol-0cccccccccccccccc</volumeId><status>detached</status></ebs></item>\
    <item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-0aaaaaaaaaaaaaaaa</volumeId><status>attached</status></ebs></item>\
    </blockDeviceMapping><stateReason><code>Client.UserInitiatedHibernate</code></stateReason>\
    <tagSet><item><key>Name</key><value>db 1</value></item><item><key>Empty</key><value/></item></tagSet>\
    </item></instancesSet></item></reservationSet>";

const TYPES: &str = "<instanceTypeSet><item><instanceType>i3.large</instanceType>\
    <instanceStorageSupported>true</instanceStorageSupported><instanceStorageInfo><disks>\
    <item><count>2</count></item><item><count>1</count></item></disks></instanceStorageInfo></item></instanceTypeSet>";

fn instance_described(instance_store_disks: Option<u32>) -> Instance {
    let volume = |device: &str, id: &str| AttachedVolume { device: device.to_owned(), volume: id.parse().unwrap() };
    Instance {
        id: INSTANCE.parse().unwrap(),
        state: InstanceState::Stopped,
        launched_at: "2026-11-22T01:02:03Z".parse().unwrap(),
        root_device: RootDevice::Ebs,
        root_device_name: Some("/dev/xvda".to_owned()),
        volumes: vec![volume("/dev/xvda", "vol-0aaaaaaaaaaaaaaaa"), volume("/dev/xvdb", "vol-0bbbbbbbbbbbbbbbb")],
        instance_store_disks,
        hibernation: Hibernation::Hibernated,
        tags: [("Name", "db 1"), ("Empty", "")].into_iter().collect(),
    }
}

fn image_item(id: &str, state: &str) -> String {
    format!(
        "<item><imageId>{id}</imageId><imageState>{state}</imageState><name>n</name><creationDate></creationDate></item>"
    )
}

fn images_page(items: &str, token: &str) -> Reply {
    ec2("DescribeImages", &format!("<imagesSet>{items}</imagesSet><nextToken>{token}</nextToken>"))
}

fn image_ids(n_ids: usize) -> ImageQuery {
    ImageQuery::Ids((0..n_ids).map(|n| format!("ami-{n:08x}").parse().unwrap()).collect())
}

#[tokio::test]
async fn an_instance_is_described_with_its_volumes_disks_and_state() {
    let server = Server::start([ec2("DescribeInstances", STATES), ec2("DescribeInstanceTypes", TYPES)]).await;
    let instances = cloud(&server).await.observe_instances(InstanceQuery::All).await.unwrap();
    assert_eq!(instances, [instance_described(Some(3))]);
    let asked = server.asked();
    assert_eq!((asked[0].get("MaxResults"), asked[0].get("Filter.1.Name")), ("1000", ""));
    assert_eq!(asked[1].get("Filter.1.Value.1"), "i3.large");
}

#[tokio::test]
async fn instance_types_are_asked_for_once() {
    let again = ec2("DescribeInstances", STATES);
    let server = Server::start([again.clone(), ec2("DescribeInstanceTypes", TYPES), again]).await;
    let cloud = cloud(&server).await;
    for _ in 0..2 {
        let query = InstanceQuery::Ids(vec![INSTANCE.parse().unwrap()]);
        assert_eq!(cloud.observe_instances(query).await.unwrap()[0].instance_store_disks, Some(3));
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!((asked[2].get("Filter.1.Name"), asked[2].get("Filter.1.Value.1")), ("instance-id", INSTANCE));
    assert_eq!(asked[2].get("InstanceId.1"), "", "ids and MaxResults together are refused");
}

#[tokio::test]
async fn without_permission_for_types_instances_are_described_all_the_same() {
    let denied = error(403, "UnauthorizedOperation", "You are not authorized");
    let again = ec2("DescribeInstances", STATES);
    let server = Server::start([again.clone(), denied, again]).await;
    let cloud = cloud(&server).await;
    for _ in 0..2 {
        assert_eq!(cloud.observe_instances(InstanceQuery::All).await.unwrap(), [instance_described(None)]);
    }
    assert_eq!(server.asked().len(), 3, "a refusal is not asked for again");
}

#[tokio::test]
async fn an_instance_that_cannot_be_read_fails_the_listing() {
    for (good, bad) in [
        (INSTANCE, "mi-0123456789abcdef0"),
        ("<name>stopped</name>", "<name>dreaming</name>"),
        ("vol-0aaaaaaaaaaaaaaaa", "vol-?"),
        ("<launchTime>2026-11-22T01:02:03.000Z</launchTime>", ""),
    ] {
        let described = STATES.replacen(good, bad, 1);
        let server = Server::start([ec2("DescribeInstances", &described), ec2("DescribeInstanceTypes", TYPES)]).await;
        let error = cloud(&server).await.observe_instances(InstanceQuery::All).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Unavailable, "bad-answer"), "{bad}: {error}");
    }
}

#[tokio::test]
async fn pages_are_read_until_there_is_no_token_even_past_an_empty_one() {
    let first = images_page(&image_item("ami-0000000b", "available"), "two");
    let empty = images_page("", "three");
    let last = images_page(&(image_item("ami-0000000a", "pending") + &image_item("ami-0000000b", "available")), "");
    let server = Server::start([first, empty, last]).await;
    let images = cloud(&server).await.observe_images(ImageQuery::Owner("prod-fra".parse().unwrap())).await.unwrap();
    let ids: Vec<&str> = images.iter().map(|image| image.id.as_str()).collect();
    assert_eq!(ids, ["ami-0000000a", "ami-0000000b"], "sorted, and each once");
    let asked = server.asked();
    let tokens: Vec<&str> = asked.iter().map(|asked| asked.get("NextToken")).collect();
    assert_eq!(tokens, ["", "two", "three"]);
    for asked in &asked {
        assert_eq!((asked.get("Owner.1"), asked.get("IncludeDisabled")), ("self", "true"));
        assert_eq!((asked.get("Filter.1.Name"), asked.get("Filter.1.Value.1")), ("tag:amikeep:owner", "prod-fra"));
        assert_eq!(asked.get("MaxResults"), "1000");
    }
}

#[tokio::test]
async fn a_page_that_fails_fails_the_listing() {
    let first = images_page(&image_item("ami-0000000a", "available"), "two");
    let server = Server::start([first, error(403, "UnauthorizedOperation", "no")]).await;
    let error = cloud(&server).await.observe_images(image_ids(1)).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Denied);
}

#[tokio::test]
async fn a_listing_that_ends_early_is_an_error_however_it_is_cut() {
    let items = image_item("ami-0000000a", "available") + &image_item("ami-0000000b", "available");
    let whole = ec2_body("DescribeImages", &format!("<imagesSet>{items}</imagesSet>"));
    let (first_image_only, _) = whole.split_at(whole.find("<item><imageId>ami-0000000b").unwrap());
    for reply in [
        Reply::UntilClosed(first_image_only.to_owned()),
        Reply::Answer(200, first_image_only.to_owned()),
        Reply::CutWithin(whole.clone()),
        Reply::Answer(200, "<html>welcome</html>".to_owned()),
    ] {
        let said = format!("{reply:?}");
        let server = Server::start([reply.clone(), reply.clone(), reply]).await;
        let error = cloud(&server).await.observe_images(image_ids(2)).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Unavailable, "bad-answer"), "{said}: {error}");
    }
}

#[tokio::test]
async fn a_listing_that_loses_its_place_starts_again_once() {
    let first = || images_page(&image_item("ami-0000000a", "available"), "two");
    let lost = || error(400, "InvalidNextToken", "The token has expired");
    let last = images_page(&image_item("ami-0000000b", "available"), "");
    let server = Server::start([first(), lost(), first(), last]).await;
    assert_eq!(cloud(&server).await.observe_images(image_ids(2)).await.unwrap().len(), 2);

    let server = Server::start([first(), lost(), first(), lost()]).await;
    let error = cloud(&server).await.observe_images(image_ids(2)).await.unwrap_err();
    assert_eq!((error.code.as_str(), server.asked().len()), ("InvalidNextToken", 4));
}

#[tokio::test]
async fn an_endless_listing_is_an_error() {
    let page = || images_page(&image_item("ami-0000000a", "available"), "two");
    let server = Server::start([page(), page()]).await;
    let error = cloud(&server).await.observe_images(image_ids(1)).await.unwrap_err();
    assert_eq!((error.code.as_str(), server.asked().len()), ("bad-answer", 2));
}

#[tokio::test]
async fn more_values_than_a_filter_takes_are_asked_for_in_pieces_and_none_not_at_all() {
    let server = Server::start([images_page("", ""), images_page("", "")]).await;
    let cloud = cloud(&server).await;
    assert!(cloud.observe_images(image_ids(0)).await.unwrap().is_empty());
    assert!(server.asked().is_empty(), "no id is not every image");
    cloud.observe_images(image_ids(201)).await.unwrap();
    let asked = server.asked();
    assert_eq!(
        (asked[0].get("Filter.1.Value.200"), asked[1].get("Filter.1.Value.1")),
        ("ami-000000c7", "ami-000000c8")
    );
    assert_eq!((asked[0].get("Filter.1.Value.201"), asked[1].get("Filter.1.Value.2")), ("", ""));
}

#[tokio::test]
async fn reads_are_repeated_after_whatever_may_pass() {
    let garbage = Reply::Answer(503, "<html>busy</html>".to_owned());
    for passing in [
        error(503, "RequestLimitExceeded", "Request limit exceeded."),
        error(500, "InternalError", "oops"),
        garbage,
        Reply::Cut,
        Reply::Stall,
    ] {
        let said = format!("{passing:?}");
        let server = Server::start([passing.clone(), passing, images_page("", "")]).await;
        cloud(&server).await.observe_images(image_ids(1)).await.unwrap_or_else(|error| panic!("{said}: {error}"));
        assert_eq!(server.asked().len(), 3, "{said}");
    }
}

#[tokio::test]
async fn a_read_that_never_succeeds_is_transient_and_bounded() {
    for (failure, kind) in [
        (error(503, "RequestLimitExceeded", "Request limit exceeded."), CloudErrorKind::Throttled),
        (error(500, "InternalError", "oops"), CloudErrorKind::Unavailable),
        (Reply::Cut, CloudErrorKind::Unavailable),
        (Reply::Stall, CloudErrorKind::Unavailable),
    ] {
        let server = Server::start(vec![failure; 9]).await;
        let error = cloud(&server).await.observe_images(image_ids(1)).await.unwrap_err();
        assert_eq!((error.kind, server.asked().len()), (kind, 3), "{error}");
    }
}

#[tokio::test]
async fn an_image_is_described_with_state_source_and_devices() {
    let item = format!(
        "<item><imageId>{IMAGE}</imageId><imageState>failed</imageState><name>n1</name>\
         <stateReason><code>Client.InstanceTerminated</code><message>The instance was rebooted</message></stateReason>\
         <creationDate>2026-11-22T01:02:03.000Z</creationDate><sourceInstanceId>{INSTANCE}</sourceInstanceId>\
         <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-0aaaaaaaaaaaaaaaa</snapshotId></ebs></item>\
         <item><deviceName>/dev/xvdb</deviceName><ebs><volumeSize>8</volumeSize></ebs></item>\
         <item><deviceName>/dev/sdc</deviceName><virtualName>ephemeral0</virtualName></item></blockDeviceMapping>\
         <tagSet><item><key>amikeep:owner</key><value>prod-fra</value></item></tagSet></item>"
    );
    let server = Server::start([images_page(&item, "")]).await;
    let query = ImageQuery::Names(vec!["n1-long".parse().unwrap()]);
    let images = cloud(&server).await.observe_images(query).await.unwrap();
    let device = |device: &str, snapshot: Option<&str>, virtual_name: Option<&str>| MappedDevice {
        device: device.to_owned(),
        snapshot: snapshot.map(|id| id.parse().unwrap()),
        virtual_name: virtual_name.map(str::to_owned),
    };
    let want = SeenImage {
        id: IMAGE.parse().unwrap(),
        name: "n1".to_owned(),
        state: ImageState::Failed { reason: "The instance was rebooted".to_owned() },
        created_at: Some("2026-11-22T01:02:03Z".parse().unwrap()),
        source_instance: Some(INSTANCE.parse().unwrap()),
        devices: vec![
            device("/dev/xvda", Some("snap-0aaaaaaaaaaaaaaaa"), None),
            device("/dev/xvdb", None, None),
            device("/dev/sdc", None, Some("ephemeral0")),
        ],
        platform_details: None,
        tags: [("amikeep:owner".to_owned(), "prod-fra".to_owned())].into(),
    };
    assert_eq!(images, [want]);
    assert_eq!(
        (server.asked()[0].get("Filter.1.Name"), server.asked()[0].get("Filter.1.Value.1")),
        ("name", "n1-long")
    );
}

#[tokio::test]
async fn every_state_of_an_image_has_its_meaning() {
    let failed = |reason: &str| ImageState::Failed { reason: reason.to_owned() };
    for (word, want) in [
        ("pending", ImageState::Pending),
        ("transient", ImageState::Pending),
        ("available", ImageState::Available),
        ("disabled", ImageState::Disabled),
        ("failed", failed("failed")),
        ("error", failed("error")),
        ("invalid", failed("invalid")),
        ("deregistered", failed("deregistered")),
    ] {
        let server = Server::start([images_page(&image_item(IMAGE, word), "")]).await;
        assert_eq!(cloud(&server).await.observe_images(image_ids(1)).await.unwrap()[0].state, want);
    }
    let server = Server::start([images_page(&image_item(IMAGE, "sleeping"), "")]).await;
    let error = cloud(&server).await.observe_images(image_ids(1)).await.unwrap_err();
    assert!(error.message.contains("sleeping"), "{error}");
}

#[tokio::test]
async fn an_endpoint_without_disabled_images_is_listed_without_asking_for_them() {
    let unknown = error(400, "UnknownParameter", "The parameter IncludeDisabled is not recognized");
    let page = || images_page(&image_item(IMAGE, "available"), "");
    let server = Server::start([unknown, page(), page()]).await;
    let cloud = cloud(&server).await;
    for _ in 0..2 {
        assert_eq!(cloud.observe_images(image_ids(1)).await.unwrap().len(), 1);
    }
    let included: Vec<String> = server.asked().iter().map(|asked| asked.get("IncludeDisabled").to_owned()).collect();
    assert_eq!(included, ["true", "", ""]);
}

#[tokio::test]
async fn any_other_refusal_of_a_parameter_is_an_error() {
    let server = Server::start([error(400, "InvalidParameterValue", "IncludeDisabled"), images_page("", "")]).await;
    let error = cloud(&server).await.observe_images(image_ids(1)).await.unwrap_err();
    assert_eq!((error.kind, server.asked().len()), (CloudErrorKind::Invalid, 1));
}

#[tokio::test]
async fn snapshots_are_described_by_id_with_their_start() {
    let items = "<snapshotSet><item><snapshotId>snap-0bbbbbbbbbbbbbbbb</snapshotId><status>error</status></item>\
        <item><snapshotId>snap-0aaaaaaaaaaaaaaaa</snapshotId><volumeId>vol-ffffffff</volumeId><status>pending</status>\
        <startTime>2026-11-22T01:02:03.456Z</startTime><description>Copied</description></item></snapshotSet>";
    let server = Server::start([ec2("DescribeSnapshots", items)]).await;
    let ids = vec!["snap-0aaaaaaaaaaaaaaaa".parse().unwrap(), "snap-0bbbbbbbbbbbbbbbb".parse().unwrap()];
    let snapshots = cloud(&server).await.observe_snapshots(SnapshotQuery::Ids(ids)).await.unwrap();
    assert_eq!(snapshots[0].state, SnapshotState::Pending);
    assert_eq!(snapshots[0].volume, Some("vol-ffffffff".parse().unwrap()));
    assert_eq!(snapshots[0].started_at, Some("2026-11-22T01:02:03.456Z".parse().unwrap()));
    assert_eq!((snapshots[0].description.as_str(), snapshots[1].description.as_str()), ("Copied", ""));
    assert_eq!((snapshots[1].state, snapshots[1].started_at), (SnapshotState::Unusable, None));
    let asked = &server.asked()[0];
    assert_eq!((asked.get("Filter.1.Name"), asked.get("Owner.1")), ("snapshot-id", "self"));
}

fn snapshots_page(id: &str, token: &str) -> Reply {
    let item = format!(
        "<item><snapshotId>{id}</snapshotId><status>completed</status>\
         <tagSet><item><key>amikeep:owner</key><value>prod-fra</value></item></tagSet></item>"
    );
    ec2("DescribeSnapshots", &format!("<snapshotSet>{item}</snapshotSet><nextToken>{token}</nextToken>"))
}

#[tokio::test]
async fn snapshots_of_an_owner_are_listed_to_the_end() {
    let server = Server::start([snapshots_page("snap-0000000b", "two"), snapshots_page("snap-0000000a", "")]).await;
    let query = SnapshotQuery::Owner("prod-fra".parse().unwrap());
    let snapshots = cloud(&server).await.observe_snapshots(query).await.unwrap();
    let ids: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.id.as_str()).collect();
    assert_eq!(ids, ["snap-0000000a", "snap-0000000b"]);
    assert_eq!(snapshots[0].tags["amikeep:owner"], "prod-fra");
    let asked = server.asked();
    assert_eq!((asked[0].get("NextToken"), asked[1].get("NextToken")), ("", "two"));
    for asked in &asked {
        assert_eq!((asked.get("Owner.1"), asked.get("MaxResults")), ("self", "1000"));
        assert_eq!((asked.get("Filter.1.Name"), asked.get("Filter.1.Value.1")), ("tag:amikeep:owner", "prod-fra"));
    }
}

#[tokio::test]
async fn a_listing_by_owner_that_breaks_off_in_the_middle_is_an_error_and_never_half_a_list() {
    let (image, token) = (image_item(IMAGE, "available"), "<nextToken>two</nextToken>");
    let images = ec2_body("DescribeImages", &format!("<imagesSet>{image}</imagesSet>{token}"));
    let item = "<item><snapshotId>snap-0000000a</snapshotId><status>completed</status></item>";
    let snapshots = ec2_body("DescribeSnapshots", &format!("<snapshotSet>{item}</snapshotSet>{token}"));
    for (listing, page) in [("images", images), ("snapshots", snapshots)] {
        let cut_at = page.find("<nextToken>").unwrap();
        for broken in [
            error(500, "InternalError", "oops"),
            error(503, "RequestLimitExceeded", "Request limit exceeded."),
            error(403, "UnauthorizedOperation", "You are not authorized"),
            Reply::Cut,
            Reply::Stall,
            Reply::CutWithin(page.clone()),
            // Cut where what is left reads like a last page.
            Reply::UntilClosed(page[..cut_at].to_owned()),
        ] {
            let said = format!("{listing}: {broken:?}");
            let mut replies = vec![Reply::Answer(200, page.clone())];
            replies.extend(vec![broken; 3]);
            let server = Server::start(replies).await;
            let cloud = cloud(&server).await;
            let owner = "prod-fra".parse().unwrap();
            let listed = match listing {
                "images" => cloud.observe_images(ImageQuery::Owner(owner)).await.map(|listed| listed.len()),
                _ => cloud.observe_snapshots(SnapshotQuery::Owner(owner)).await.map(|listed| listed.len()),
            };
            assert!(listed.is_err(), "{said}: {listed:?}");
            assert_eq!(server.asked()[1].get("NextToken"), "two", "{said}");
        }
    }
}
