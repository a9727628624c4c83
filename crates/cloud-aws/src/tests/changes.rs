//! Calls that change something: asked for exactly, asked for once, and never reported as failed when they may not have.

use std::collections::BTreeMap;
use std::net::TcpListener;

use amikeep_cloud::{Cloud, CloudError, CloudErrorKind, ImageRequest, Reboot, ResourceId};
use amikeep_domain::id::ImageId;

use crate::tests::server::{Reply, Server, ec2, ec2_body, error};
use crate::tests::{IMAGE, INSTANCE, cloud, cloud_at};

const NAME: &str = "amikeep-prod-fra-db-nightly-i-0123456789abcdef0-20261122T010000Z";

fn request(reboot: Reboot) -> ImageRequest {
    ImageRequest {
        name: NAME.parse().unwrap(),
        instance: INSTANCE.parse().unwrap(),
        reboot,
        tags: [("Name", "db 1 & co"), ("amikeep:owner", "prod-fra")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        description: "d".repeat(300),
    }
}

fn created() -> String {
    ec2_body("CreateImage", &format!("<imageId>{IMAGE}</imageId>"))
}

async fn request_image(server: &Server) -> Result<ImageId, CloudError> {
    cloud(server).await.request_image(request(Reboot::Yes)).await
}

/// What becomes of a `CreateImage` that is answered like this, and how often it was sent.
async fn outcome(reply: Reply) -> (CloudError, usize) {
    let created = Reply::Answer(200, created());
    // A second attempt would succeed, and so be seen twice: in the count, and in the missing error.
    let server = Server::start([reply, created]).await;
    let error = request_image(&server).await.unwrap_err();
    (error, server.asked().len())
}

#[tokio::test]
async fn create_image_says_exactly_what_was_decided() {
    for (reboot, no_reboot) in [(Reboot::Yes, "false"), (Reboot::No, "true")] {
        let server = Server::start([Reply::Answer(200, created())]).await;
        let image = cloud(&server).await.request_image(request(reboot)).await.unwrap();
        assert_eq!(image.as_str(), IMAGE);
        let description = "d".repeat(255);
        let want: BTreeMap<String, String> = [
            ("Action", "CreateImage"),
            ("Version", "2016-11-15"),
            ("InstanceId", INSTANCE),
            ("Name", NAME),
            ("Description", &description),
            ("NoReboot", no_reboot),
            ("TagSpecification.1.ResourceType", "image"),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", "db 1 & co"),
            ("TagSpecification.1.Tag.2.Key", "amikeep:owner"),
            ("TagSpecification.1.Tag.2.Value", "prod-fra"),
            ("TagSpecification.2.ResourceType", "snapshot"),
            ("TagSpecification.2.Tag.1.Key", "Name"),
            ("TagSpecification.2.Tag.1.Value", "db 1 & co"),
            ("TagSpecification.2.Tag.2.Key", "amikeep:owner"),
            ("TagSpecification.2.Tag.2.Value", "prod-fra"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let asked = server.asked();
        assert_eq!(asked[0].form, want);
        assert!(asked[0].head.contains("akidbase") && asked[0].head.contains("eu-central-1/ec2"), "{}", asked[0].head);
    }
}

#[tokio::test]
async fn an_image_without_an_answer_is_neither_failed_nor_asked_for_again() {
    let garbage = "<html><body>It works!</body></html>".to_owned();
    let no_id = ec2_body("CreateImage", "");
    let cut = created().replace("</CreateImageResponse>", "");
    for (reply, code) in [
        (Reply::Cut, "connection"),
        (Reply::CutWithin(created()), "bad-answer"),
        (Reply::UntilClosed(cut), "bad-answer"),
        (Reply::Stall, "timeout"),
        (Reply::Answer(200, garbage.clone()), "bad-answer"),
        (Reply::Answer(200, no_id), "bad-answer"),
        (Reply::Answer(502, garbage), "bad-answer"),
        (error(500, "InternalError", "An internal error has occurred"), "InternalError"),
        (error(503, "Unavailable", "The server is overloaded"), "Unavailable"),
    ] {
        let said = format!("{reply:?}");
        let (error, n_requests) = outcome(reply).await;
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::OutcomeUnknown, code), "{said}: {error}");
        assert_eq!(n_requests, 1, "{said}");
    }
}

#[tokio::test]
async fn a_refused_image_is_refused_once_and_with_ec2s_words() {
    for (reply, kind) in [
        (error(503, "RequestLimitExceeded", "Request limit exceeded."), CloudErrorKind::Throttled),
        (error(400, "InvalidAMIName.Duplicate", "AMI name is already in use"), CloudErrorKind::NameInUse),
        (error(403, "UnauthorizedOperation", "You are not authorized"), CloudErrorKind::Denied),
        (error(400, "SnapshotCreationPerVolumeRateExceeded", "Wait"), CloudErrorKind::Busy),
        (error(400, "IncorrectInstanceState", "The instance is not running"), CloudErrorKind::WrongState),
        (error(400, "SnapshotLimitExceeded", "Too many snapshots"), CloudErrorKind::Invalid),
    ] {
        let said = format!("{reply:?}");
        let (error, n_requests) = outcome(reply).await;
        assert_eq!(error.kind, kind, "{said}");
        assert!(said.contains(&error.message) && said.contains(&error.code), "{error}");
        assert_eq!(error.request_id.as_deref(), Some("req-of-error"));
        assert_eq!(n_requests, 1, "{said}");
    }
}

#[tokio::test]
async fn an_image_that_no_connection_took_is_certain_not_to_exist() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed_port = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    // Accepts a connection, by its backlog, and says nothing: TLS never stands.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_tls = format!("https://{}", mute.local_addr().unwrap());
    let not_tls = Server::start([]).await;
    for url in [closed_port, mute_tls, not_tls.https_url()] {
        let error = cloud_at(&url).await.request_image(request(Reboot::Yes)).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Unavailable, "connect"), "{error}");
        assert!(error.message.contains("endpoint_url"), "{error}");
    }
    assert!(not_tls.asked().is_empty());
}

#[tokio::test]
async fn a_kept_connection_that_is_cut_leaves_the_next_image_unknown() {
    // The server closes a kept connection just as the next request is on its way.
    let server = Server::start([Reply::Answer(200, created()), Reply::Cut, Reply::Answer(200, created())]).await;
    let cloud = cloud(&server).await;
    cloud.request_image(request(Reboot::No)).await.unwrap();
    let error = cloud.request_image(request(Reboot::No)).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::OutcomeUnknown, "{error}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn tags_are_added_in_one_call_to_all_resources() {
    let server = Server::start([ec2("CreateTags", "<return>true</return>")]).await;
    let resources = vec![
        ResourceId::Image(IMAGE.parse().unwrap()),
        ResourceId::Snapshot("snap-0123456789abcdef0".parse().unwrap()),
    ];
    let tags = BTreeMap::from([("amikeep:grade".to_owned(), "clean".to_owned())]);
    cloud(&server).await.request_tags(resources, tags.clone()).await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!((asked.get("Action"), asked.get("ResourceId.1")), ("CreateTags", IMAGE));
    assert_eq!(asked.get("ResourceId.2"), "snap-0123456789abcdef0");
    assert_eq!((asked.get("Tag.1.Key"), asked.get("Tag.1.Value")), ("amikeep:grade", "clean"));

    cloud(&server).await.request_tags(Vec::new(), tags).await.unwrap();
    assert_eq!(server.asked().len(), 1, "nothing to tag is nothing to ask for");
}

#[tokio::test]
async fn tags_without_an_answer_are_not_sent_again_here() {
    let server = Server::start([Reply::Stall, ec2("CreateTags", "<return>true</return>")]).await;
    let resources = vec![ResourceId::Image(IMAGE.parse().unwrap())];
    let tags = BTreeMap::from([("amikeep:grade".to_owned(), "clean".to_owned())]);
    let error = cloud(&server).await.request_tags(resources, tags).await.unwrap_err();
    assert_eq!((error.kind, server.asked().len()), (CloudErrorKind::OutcomeUnknown, 1), "{error}");
}
