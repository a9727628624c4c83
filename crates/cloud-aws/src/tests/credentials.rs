//! Whose credentials are used, and what is said when there are none.

use amikeep_cloud::{Action, Cloud, CloudError, CloudErrorKind, Identity, ImageQuery};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use crate::account::{AwsAccount, ConnectError};
use crate::client::{AwsCloud, Wiring};
use crate::tests::server::{Reply, Server, ec2, error, sts_error};
use crate::tests::{account, cloud, wiring};

const ROLE: &str = "arn:aws:iam::123456789012:role/amikeep";

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no provider had any")))
    }
}

fn identity_answer() -> Reply {
    let body = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/kim</Arn><UserId>AIDA1</UserId>\
        <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
    Reply::Answer(200, body.to_owned())
}

fn assumed() -> Reply {
    let body = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
        <AssumedRoleUser><AssumedRoleId>AROA1:amikeep</AssumedRoleId>\
        <Arn>arn:aws:sts::123456789012:assumed-role/amikeep/amikeep</Arn></AssumedRoleUser>\
        <Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>secret-of-role</SecretAccessKey>\
        <SessionToken>token-of-role</SessionToken><Expiration>2096-11-22T01:00:00Z</Expiration></Credentials>\
        </AssumeRoleResult></AssumeRoleResponse>";
    Reply::Answer(200, body.to_owned())
}

fn role_account(server: &Server) -> AwsAccount {
    AwsAccount {
        role_arn: Some(ROLE.to_owned()),
        external_id: Some("tenant-7".to_owned()),
        session_name: "amikeep-prod-fra".to_owned(),
        ..account(&server.url())
    }
}

fn query() -> ImageQuery {
    ImageQuery::Owner("prod-fra".parse().unwrap())
}

async fn refusal(reply: Reply) -> CloudError {
    let server = Server::start(vec![reply; 3]).await;
    let cloud = AwsCloud::connect_with(role_account(&server), wiring()).await.unwrap();
    cloud.observe_images(query()).await.unwrap_err()
}

#[tokio::test]
async fn the_identity_is_what_sts_says() {
    let server = Server::start([identity_answer()]).await;
    let want =
        Identity { account: "123456789012".parse().unwrap(), arn: "arn:aws:iam::123456789012:user/kim".to_owned() };
    assert_eq!(cloud(&server).await.observe_identity().await.unwrap(), want);
    assert_eq!(server.asked()[0].get("Action"), "GetCallerIdentity");
}

#[tokio::test]
async fn a_role_is_assumed_once_and_signs_every_call() {
    let images = || ec2("DescribeImages", "<imagesSet/>");
    let server = Server::start([assumed(), images(), images(), identity_answer()]).await;
    let cloud = AwsCloud::connect_with(role_account(&server), wiring()).await.unwrap();
    cloud.observe_images(query()).await.unwrap();
    cloud.observe_images(query()).await.unwrap();
    cloud.observe_identity().await.unwrap();
    let asked = server.asked();
    assert_eq!((asked[0].get("Action"), asked[0].get("RoleArn")), ("AssumeRole", ROLE));
    assert_eq!((asked[0].get("ExternalId"), asked[0].get("RoleSessionName")), ("tenant-7", "amikeep-prod-fra"));
    assert!(asked[0].head.contains("credential=akidbase"), "{}", asked[0].head);
    for asked in &asked[1..] {
        assert!(asked.head.contains("credential=asiarole"), "{}", asked.head);
    }
    assert_eq!(asked.len(), 4);
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_told_as_such() {
    let denied = refusal(sts_error(403, "AccessDenied", "User is not authorized to perform: sts:AssumeRole")).await;
    assert_eq!((denied.action, denied.kind), (Action::AssumeRole, CloudErrorKind::Denied), "{denied}");
    assert!(denied.message.contains("sts:AssumeRole"), "{denied}");
    assert_eq!(denied.request_id.as_deref(), Some("req-of-sts"));

    let strange = refusal(sts_error(400, "ValidationError", "1 validation error detected")).await;
    assert_eq!((strange.action, strange.kind), (Action::AssumeRole, CloudErrorKind::Credentials), "{strange}");
}

#[tokio::test]
async fn an_sts_that_is_busy_or_away_is_transient() {
    for reply in [sts_error(400, "Throttling", "Rate exceeded"), sts_error(503, "ServiceUnavailable", "no"), Reply::Cut]
    {
        let error = refusal(reply).await;
        assert!(error.kind.is_transient() && error.action == Action::AssumeRole, "{error}");
    }
}

#[tokio::test]
async fn without_credentials_it_is_said_where_they_were_looked_for() {
    let server = Server::start([]).await;
    let none = || Wiring { credentials: Some(SharedCredentialsProvider::new(NoCredentials)), ..wiring() };
    for account in [account(&server.url()), role_account(&server)] {
        let cloud = AwsCloud::connect_with(account, none()).await.unwrap();
        let error = cloud.observe_images(query()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Credentials, "no-credentials"), "{error}");
        assert!(error.message.contains("environment") && error.message.contains("instance role"), "{error}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn nothing_stands_in_for_a_profile_that_does_not_exist() {
    let server = Server::start([]).await;
    let account = AwsAccount { profile: Some("amikeep-no-such-profile".to_owned()), ..account(&server.url()) };
    let cloud = AwsCloud::connect_with(account, Wiring { credentials: None, ..wiring() }).await.unwrap();
    let error = cloud.observe_images(query()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Credentials, "{error}");
    assert!(error.message.contains("`amikeep-no-such-profile`"), "{error}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn refused_credentials_are_told_without_their_secrets() {
    let message = "The request signature does not match.\n\nThe Canonical String should have been\n\
        'POST\n/\n\nx-amz-security-token:token-of-base'";
    for code in ["SignatureDoesNotMatch", "AuthFailure", "RequestExpired", "ExpiredToken", "InvalidClientTokenId"] {
        let server = Server::start(vec![error(403, code, message); 3]).await;
        let error = cloud(&server).await.observe_images(query()).await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Credentials, "{error}");
        assert!(!format!("{error:?}").contains("token-of-base"), "{error:?}");
        assert_eq!(error.message.contains("eu-central-1"), code == "AuthFailure", "{error}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_no_address_is_a_mistake_and_not_an_outage() {
    let cloud = AwsCloud::connect_with(account("not an address"), wiring()).await.unwrap();
    let error = cloud.observe_images(query()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Invalid, "{error}");
    assert!(error.message.contains("`endpoint_url`") && !error.message.contains("Filter"), "{error}");
}

#[tokio::test]
async fn what_sts_would_refuse_or_ignore_is_refused_at_once() {
    let server = Server::start([]).await;
    let without_role = AwsAccount { role_arn: None, ..role_account(&server) };
    assert_eq!(AwsCloud::connect(without_role).await.unwrap_err(), ConnectError::ExternalIdWithoutRole);
    for name in ["x", "two words", &"n".repeat(65)] {
        let account = AwsAccount { session_name: name.to_owned(), ..role_account(&server) };
        let want = ConnectError::SessionName { name: name.to_owned() };
        assert_eq!(AwsCloud::connect(account).await.unwrap_err(), want);
    }
}
