//! Permissions, asked for by `DryRun`.

use amikeep_cloud::{Action, Cloud, CloudError, CloudErrorKind, ProbeOutcome};

use crate::account::AwsAccount;
use crate::client::AwsCloud;
use crate::tests::server::{Reply, Server, ec2, error, sts_error};
use crate::tests::{IMAGE, INSTANCE, account, cloud, wiring};

fn allowed() -> Reply {
    error(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
}

fn own_image() -> Reply {
    let item = format!(
        "<imagesSet><item><imageId>{IMAGE}</imageId><imageState>available</imageState>\
         <tagSet><item><key>amikeep:grade</key><value>clean</value></item></tagSet></item></imagesSet>"
    );
    ec2("DescribeImages", &item)
}

async fn probe(server: &Server, action: Action) -> Result<ProbeOutcome, CloudError> {
    cloud(server).await.probe(action, Some(INSTANCE.parse().unwrap())).await
}

#[tokio::test]
async fn every_read_is_asked_about_by_dry_run() {
    let reads = [
        Action::DescribeInstances,
        Action::DescribeInstanceTypes,
        Action::DescribeImages,
        Action::DescribeSnapshots,
        Action::DescribeLaunchTemplates,
        Action::DescribeLaunchTemplateVersions,
    ];
    for action in reads {
        let denied = error(403, "UnauthorizedOperation", "You are not authorized");
        let server = Server::start([allowed(), denied]).await;
        assert_eq!(probe(&server, action).await.unwrap(), ProbeOutcome::Allowed);
        assert_eq!(probe(&server, action).await.unwrap(), ProbeOutcome::Denied("You are not authorized".to_owned()));
        for asked in server.asked() {
            assert_eq!((asked.get("Action"), asked.get("DryRun")), (action.as_str(), "true"));
        }
    }
}

#[tokio::test]
async fn create_image_is_asked_about_with_its_tags_and_without_a_reboot() {
    let server = Server::start([allowed()]).await;
    assert_eq!(probe(&server, Action::CreateImage).await.unwrap(), ProbeOutcome::Allowed);
    let asked = &server.asked()[0];
    assert_eq!((asked.get("DryRun"), asked.get("NoReboot"), asked.get("InstanceId")), ("true", "true", INSTANCE));
    assert_eq!(asked.get("TagSpecification.2.Tag.1.Key"), "amikeep:owner");
    assert_eq!(asked.get("TagSpecification.2.Tag.1.Value"), "prod-fra");
}

#[tokio::test]
async fn an_endpoint_that_ignores_dry_run_is_not_taken_for_a_permission() {
    let server = Server::start([ec2("CreateImage", &format!("<imageId>{IMAGE}</imageId>"))]).await;
    let ProbeOutcome::NotChecked(reason) = probe(&server, Action::CreateImage).await.unwrap() else {
        panic!("it was checked");
    };
    assert!(reason.contains(IMAGE), "{reason}");
}

#[tokio::test]
async fn create_tags_is_asked_about_with_an_image_of_our_own() {
    let server = Server::start([own_image(), allowed()]).await;
    assert_eq!(probe(&server, Action::CreateTags).await.unwrap(), ProbeOutcome::Allowed);
    let asked = &server.asked()[1];
    assert_eq!((asked.get("ResourceId.1"), asked.get("DryRun")), (IMAGE, "true"));
    assert_eq!((asked.get("Tag.1.Key"), asked.get("Tag.1.Value")), ("amikeep:grade", "clean"));

    let server = Server::start([ec2("DescribeImages", "<imagesSet/>")]).await;
    assert!(matches!(probe(&server, Action::CreateTags).await.unwrap(), ProbeOutcome::NotChecked(_)));
}

#[tokio::test]
async fn delete_tags_is_asked_about_with_an_unpinned_image_of_our_own() {
    let item = |id: &str, key: &str| {
        format!(
            "<item><imageId>{id}</imageId><imageState>available</imageState>\
             <tagSet><item><key>{key}</key><value>1</value></item></tagSet></item>"
        )
    };
    let images = |items: &str| ec2("DescribeImages", &format!("<imagesSet>{items}</imagesSet>"));
    let pinned = item("ami-00000001", "amikeep:pin");
    let server = Server::start([images(&(pinned.clone() + &item(IMAGE, "amikeep:grade"))), allowed()]).await;
    assert_eq!(probe(&server, Action::DeleteTags).await.unwrap(), ProbeOutcome::Allowed);
    let asked = &server.asked()[1];
    assert_eq!((asked.get("Action"), asked.get("DryRun")), ("DeleteTags", "true"));
    assert_eq!((asked.get("ResourceId.1"), asked.get("Tag.1.Key")), (IMAGE, "amikeep:pin"));

    for items in [pinned.as_str(), ""] {
        let server = Server::start([images(items)]).await;
        assert!(matches!(probe(&server, Action::DeleteTags).await.unwrap(), ProbeOutcome::NotChecked(_)));
        assert_eq!(server.asked().len(), 1);
    }
}

/// The two that delete, with the parameter that names what, and what does not exist.
const DELETIONS: [(Action, &str, &str); 2] = [
    (Action::DeregisterImage, "ImageId", "ami-00000000000000000"),
    (Action::DeleteSnapshot, "SnapshotId", "snap-00000000000000000"),
];

#[tokio::test]
async fn a_question_about_deleting_never_names_what_exists() {
    for (action, parameter, nothing) in DELETIONS {
        let not_found = error(400, "InvalidSomething.NotFound", "It does not exist");
        let denied = error(403, "UnauthorizedOperation", "You are not authorized");
        let ignored = ec2(action.as_str(), "<return>true</return>");
        let server = Server::start([allowed(), not_found, denied, ignored]).await;
        assert_eq!(probe(&server, action).await.unwrap(), ProbeOutcome::Allowed);
        let ProbeOutcome::NotChecked(reason) = probe(&server, action).await.unwrap() else { panic!("checked") };
        assert!(reason.contains("It does not exist"), "{reason}");
        let ProbeOutcome::NotChecked(message) = probe(&server, action).await.unwrap() else { panic!("checked") };
        assert!(message.contains("not authorized") && message.contains(nothing), "{message}");
        let ProbeOutcome::NotChecked(reason) = probe(&server, action).await.unwrap() else { panic!("checked") };
        assert!(reason.contains("DryRun"), "{reason}");
        let asked = server.asked();
        assert_eq!(asked.len(), 4, "nothing else is asked, and nothing twice");
        for asked in asked {
            assert_eq!((asked.get("Action"), asked.get("DryRun")), (action.as_str(), "true"));
            assert_eq!(asked.get(parameter), nothing);
        }
    }
}

#[tokio::test]
async fn a_deletion_is_asked_about_once_and_a_silence_is_an_error() {
    for (action, ..) in DELETIONS {
        let server = Server::start([Reply::Stall, allowed()]).await;
        let error = probe(&server, action).await.unwrap_err();
        assert_eq!((error.kind, server.asked().len()), (CloudErrorKind::Unavailable, 1), "{error}");
    }
}

#[tokio::test]
async fn image_references_are_asked_about_as_they_are_asked_for() {
    let unknown = error(400, "InvalidAction", "The action DescribeImageReferences is not valid");
    let none = ec2("DescribeImages", "<imagesSet/>");
    let no_such_image = error(400, "InvalidAMIID.NotFound", "The image does not exist");
    let server = Server::start([own_image(), allowed(), own_image(), unknown, none, no_such_image]).await;
    assert_eq!(probe(&server, Action::DescribeImageReferences).await.unwrap(), ProbeOutcome::Allowed);
    for _ in 0..2 {
        let outcome = probe(&server, Action::DescribeImageReferences).await.unwrap();
        assert!(matches!(outcome, ProbeOutcome::NotChecked(_)), "{outcome:?}");
    }
    let asked = server.asked();
    assert_eq!((asked[1].get("ImageId.1"), asked[1].get("DryRun")), (IMAGE, "true"));
    assert_eq!(asked[1].get("ResourceType.2.ResourceType"), "ec2:LaunchTemplate");
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_checked() {
    let server = Server::start([error(400, "InvalidInstanceID.NotFound", "The instance does not exist")]).await;
    let ProbeOutcome::NotChecked(reason) = probe(&server, Action::CreateImage).await.unwrap() else {
        panic!("it was checked");
    };
    assert!(reason.contains("does not exist"), "{reason}");
    let cloud = cloud(&server).await;
    for action in [Action::CreateImage, Action::AssumeRole] {
        assert!(matches!(cloud.probe(action, None).await.unwrap(), ProbeOutcome::NotChecked(_)));
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_a_denied_permission() {
    let server = Server::start([sts_error(403, "AccessDenied", "not authorized to perform: sts:AssumeRole")]).await;
    let account = AwsAccount { role_arn: Some("arn:aws:iam::1:role/r".to_owned()), ..account(&server.url()) };
    let cloud = AwsCloud::connect_with(account, wiring()).await.unwrap();
    assert!(matches!(cloud.probe(Action::AssumeRole, None).await.unwrap(), ProbeOutcome::Denied(_)));
}

#[tokio::test]
async fn a_question_without_an_answer_is_an_error_and_never_an_unknown_outcome() {
    let server = Server::start([Reply::Stall, error(401, "AuthFailure", "no such key")]).await;
    let silent = probe(&server, Action::CreateImage).await.unwrap_err();
    assert_eq!(silent.kind, CloudErrorKind::Unavailable);
    let unknown = probe(&server, Action::CreateImage).await.unwrap_err();
    assert_eq!(unknown.kind, CloudErrorKind::Credentials);
}
