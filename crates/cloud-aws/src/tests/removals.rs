//! Calls that delete: asked for exactly, sent once, and reported as what the answer says and no better.

use std::collections::BTreeMap;

use amikeep_cloud::{Cloud, CloudError, CloudErrorKind, RemovedSnapshot, ResourceId, SnapshotRemoval};

use crate::client::AwsCloud;
use crate::tests::server::{Asked, Reply, Server, ec2, ec2_body, error};
use crate::tests::{IMAGE, SNAPSHOT, cloud};

#[derive(Debug, Clone, Copy)]
enum Removal {
    Image,
    Snapshot,
    Tags,
}

impl Removal {
    const ALL: [Self; 3] = [Self::Image, Self::Snapshot, Self::Tags];

    fn action(self) -> &'static str {
        match self {
            Self::Image => "DeregisterImage",
            Self::Snapshot => "DeleteSnapshot",
            Self::Tags => "DeleteTags",
        }
    }

    async fn request(self, cloud: &AwsCloud) -> Result<(), CloudError> {
        match self {
            Self::Image => cloud.retire_image(IMAGE.parse().unwrap()).await.map(|_| ()),
            Self::Snapshot => cloud.delete_snapshot(SNAPSHOT.parse().unwrap()).await,
            Self::Tags => {
                let image = ResourceId::Image(IMAGE.parse().unwrap());
                cloud.remove_tags(vec![image], vec!["amikeep:pin".to_owned()]).await
            }
        }
    }

    fn done(self) -> String {
        ec2_body(self.action(), "<return>true</return>")
    }

    /// What becomes of it when it is answered like this, and how often it was sent.
    async fn outcome(self, reply: Reply) -> (CloudError, usize) {
        // A second attempt would succeed, and so be seen twice: in the count, and in the missing error.
        let server = Server::start([reply, Reply::Answer(200, self.done())]).await;
        let error = self.request(&cloud(&server).await).await.unwrap_err();
        (error, server.asked().len())
    }
}

fn form(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let version = ("Version", "2016-11-15");
    pairs.iter().chain([&version]).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn deregistered(results: &[(&str, &str)]) -> Reply {
    let item = |(id, code): &(&str, &str)| {
        format!("<item><snapshotId>{id}</snapshotId><returnCode>{code}</returnCode></item>")
    };
    let items: String = results.iter().map(item).collect();
    let fields = format!("<return>true</return><deleteSnapshotResultSet>{items}</deleteSnapshotResultSet>");
    ec2("DeregisterImage", &fields)
}

async fn retire(cloud: &AwsCloud) -> Result<Vec<RemovedSnapshot>, CloudError> {
    cloud.retire_image(IMAGE.parse().unwrap()).await
}

#[tokio::test]
async fn an_image_goes_with_its_snapshots_and_each_has_its_own_outcome() {
    let server = Server::start([deregistered(&[
        ("snap-00000006", "on-strike"),
        ("snap-00000001", "success"),
        ("snap-00000002", "skipped"),
        ("snap-00000003", "missing-permissions"),
        ("snap-00000004", "internal-error"),
        ("snap-00000005", "client-error"),
    ])])
    .await;
    let removed = retire(&cloud(&server).await).await.unwrap();
    let failed = |code: &str| SnapshotRemoval::Failed { code: code.to_owned() };
    let want = [
        ("snap-00000001", SnapshotRemoval::Deleted),
        ("snap-00000002", SnapshotRemoval::Shared),
        ("snap-00000003", SnapshotRemoval::Denied),
        ("snap-00000004", failed("internal-error")),
        ("snap-00000005", failed("client-error")),
        ("snap-00000006", failed("on-strike")),
    ]
    .map(|(id, removal)| RemovedSnapshot { snapshot: id.parse().unwrap(), removal });
    assert_eq!(removed, want);
    let want = form(&[("Action", "DeregisterImage"), ("ImageId", IMAGE), ("DeleteAssociatedSnapshots", "true")]);
    assert_eq!(server.asked()[0].form, want);
}

#[tokio::test]
async fn an_endpoint_that_ignores_the_snapshots_names_none() {
    let server = Server::start([ec2("DeregisterImage", "<return>true</return>"), ec2("DeregisterImage", "")]).await;
    let cloud = cloud(&server).await;
    for _ in 0..2 {
        assert_eq!(retire(&cloud).await.unwrap(), []);
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_the_parameter_is_asked_without_it_from_then_on() {
    let unknown = error(400, "UnknownParameter", "The parameter DeleteAssociatedSnapshots is not recognized");
    let done = || ec2("DeregisterImage", "<return>true</return>");
    let server = Server::start([unknown, done(), done()]).await;
    let cloud = cloud(&server).await;
    for _ in 0..2 {
        assert_eq!(retire(&cloud).await.unwrap(), []);
    }
    let sent: Vec<String> =
        server.asked().iter().map(|asked| asked.get("DeleteAssociatedSnapshots").to_owned()).collect();
    assert_eq!(sent, ["true", "", ""]);
}

#[tokio::test]
async fn any_other_refusal_of_a_parameter_is_final() {
    for (code, message) in [
        ("UnknownParameter", "The parameter ImageId is not recognized"),
        ("InvalidParameterValue", "DeleteAssociatedSnapshots"),
    ] {
        let (error, n_requests) = Removal::Image.outcome(error(400, code, message)).await;
        assert_eq!((error.kind, n_requests), (CloudErrorKind::Invalid, 1), "{error}");
    }
    let failed = error(500, "UnknownParameter", "DeleteAssociatedSnapshots");
    let (error, n_requests) = Removal::Image.outcome(failed).await;
    assert_eq!((error.kind, n_requests), (CloudErrorKind::OutcomeUnknown, 1), "{error}");
}

#[tokio::test]
async fn a_deregistration_that_cannot_be_read_is_an_unknown_outcome() {
    for reply in [
        ec2("DeregisterImage", "<return>false</return>"),
        deregistered(&[("snap-?", "success")]),
        deregistered(&[("", "success")]),
    ] {
        let said = format!("{reply:?}");
        let (error, n_requests) = Removal::Image.outcome(reply).await;
        assert_eq!((error.kind, n_requests), (CloudErrorKind::OutcomeUnknown, 1), "{said}: {error}");
    }
}

#[tokio::test]
async fn a_snapshot_is_deleted_by_its_id_and_tags_are_removed_whatever_their_values() {
    let server = Server::start([ec2("DeleteSnapshot", "<return>true</return>")]).await;
    cloud(&server).await.delete_snapshot(SNAPSHOT.parse().unwrap()).await.unwrap();
    assert_eq!(server.asked()[0].form, form(&[("Action", "DeleteSnapshot"), ("SnapshotId", SNAPSHOT)]));

    let server = Server::start([ec2("DeleteTags", "<return>true</return>")]).await;
    let resources = || vec![ResourceId::Image(IMAGE.parse().unwrap()), ResourceId::Snapshot(SNAPSHOT.parse().unwrap())];
    let cloud = cloud(&server).await;
    cloud.remove_tags(resources(), vec!["amikeep:pin".to_owned(), "other".to_owned()]).await.unwrap();
    let want = form(&[
        ("Action", "DeleteTags"),
        ("ResourceId.1", IMAGE),
        ("ResourceId.2", SNAPSHOT),
        ("Tag.1.Key", "amikeep:pin"),
        ("Tag.2.Key", "other"),
    ]);
    assert_eq!(server.asked()[0].form, want);

    cloud.remove_tags(resources(), Vec::new()).await.unwrap();
    cloud.remove_tags(Vec::new(), vec!["amikeep:pin".to_owned()]).await.unwrap();
    assert_eq!(server.asked().len(), 1, "no key must not become every key");
}

#[tokio::test]
async fn a_removal_without_an_answer_is_neither_failed_nor_asked_for_again() {
    for removal in Removal::ALL {
        let cut = removal.done().replace(&format!("</{}Response>", removal.action()), "");
        for (reply, code) in [
            (Reply::Cut, "connection"),
            (Reply::CutWithin(removal.done()), "bad-answer"),
            (Reply::UntilClosed(cut), "bad-answer"),
            (Reply::Stall, "timeout"),
            (Reply::Answer(200, "<html><body>It works!</body></html>".to_owned()), "bad-answer"),
            (error(500, "InternalError", "An internal error has occurred"), "InternalError"),
            (error(503, "Unavailable", "The server is overloaded"), "Unavailable"),
        ] {
            let said = format!("{removal:?}: {reply:?}");
            let (error, n_requests) = removal.outcome(reply).await;
            assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::OutcomeUnknown, code), "{said}: {error}");
            assert_eq!(n_requests, 1, "{said}");
        }
    }
}

#[tokio::test]
async fn a_refused_removal_is_refused_once_and_with_ec2s_words() {
    for (removal, code, kind) in [
        (Removal::Image, "InvalidAMIID.NotFound", CloudErrorKind::NotFound),
        (Removal::Image, "InvalidAMIID.Unavailable", CloudErrorKind::NotFound),
        (Removal::Image, "OperationNotPermitted", CloudErrorKind::Invalid),
        (Removal::Image, "UnauthorizedOperation", CloudErrorKind::Denied),
        (Removal::Snapshot, "InvalidSnapshot.NotFound", CloudErrorKind::NotFound),
        (Removal::Snapshot, "InvalidSnapshot.InUse", CloudErrorKind::InUse),
        (Removal::Snapshot, "UnauthorizedOperation", CloudErrorKind::Denied),
        (Removal::Tags, "UnauthorizedOperation", CloudErrorKind::Denied),
        (Removal::Tags, "InvalidAMIID.NotFound", CloudErrorKind::NotFound),
    ] {
        let (error, n_requests) = removal.outcome(error(400, code, "It is protected")).await;
        assert_eq!((error.kind, n_requests), (kind, 1), "{removal:?}: {error}");
        assert_eq!((error.code.as_str(), error.message.as_str()), (code, "It is protected"), "{removal:?}");
    }
    for removal in Removal::ALL {
        let (error, n_requests) = removal.outcome(error(503, "RequestLimitExceeded", "Slow down")).await;
        assert_eq!((error.kind, n_requests), (CloudErrorKind::Throttled, 1), "{removal:?}: {error}");
    }
}

#[tokio::test]
async fn a_removal_is_signed_for_ec2_in_the_region() {
    for removal in Removal::ALL {
        let server = Server::start([Reply::Answer(200, removal.done())]).await;
        removal.request(&cloud(&server).await).await.unwrap();
        let Asked { head, .. } = &server.asked()[0];
        assert!(head.contains("akidbase") && head.contains("eu-central-1/ec2"), "{head}");
    }
}
