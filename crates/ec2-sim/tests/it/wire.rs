//! The Query protocol byte by byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{Action, Fault, FaultOutcome, InstanceSpec, Service, World};
use jiff::SignedDuration;
use quick_xml::Reader;
use quick_xml::events::Event;
use tokio::time::Instant;

use crate::support::{ACCOUNT, DB, WEB, builder, ec2, exchange, place, post, secs};

/// The body, once it has been seen to be well-formed.
pub(crate) fn xml(answer: &str) -> &str {
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let mut reader = Reader::from_str(body);
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return body,
            Ok(_) => {}
            Err(error) => panic!("{error}: {body}"),
        }
    }
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// The text of the first element of that name.
pub(crate) fn text<'a>(body: &'a str, element: &str) -> &'a str {
    let start = body.find(&format!("<{element}>")).unwrap_or_else(|| panic!("no {element} in {body}"));
    let rest = &body[start + element.len() + 2..];
    &rest[..rest.find('<').unwrap()]
}

async fn serve(world: &World) -> Server {
    Server::start(world.clone()).await.unwrap()
}

#[tokio::test]
async fn an_answer_has_ec2s_namespace_request_id_and_element_names() {
    let world = builder().build().unwrap();
    let server = serve(&world).await;
    let answer = ec2(&server, "DescribeInstances", &[("Filter.1.Name", "instance-id"), ("Filter.1.Value.1", DB)]).await;
    let body = xml(&answer);
    assert!(body.contains("<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>"));
    assert!(body.contains("<instanceState><code>16</code><name>running</name></instanceState>"));
    assert!(body.contains("<item><key>Name</key><value>db-1</value></item>"));
    assert!(answer.contains("content-type: text/xml;charset=UTF-8\r\n"));
    server.stop().await;
}

#[tokio::test]
async fn an_image_goes_from_creation_to_deletion_over_the_wire() {
    let world = builder().build().unwrap();
    let server = serve(&world).await;
    let parameters = [
        ("InstanceId", WEB),
        ("Name", "one"),
        ("NoReboot", "true"),
        ("Description", "<a> & b"),
        ("TagSpecification.1.ResourceType", "image"),
        ("TagSpecification.1.Tag.1.Key", "job"),
        ("TagSpecification.1.Tag.1.Value", "1"),
        ("TagSpecification.2.ResourceType", "snapshot"),
        ("TagSpecification.2.Tag.1.Key", "job"),
        ("TagSpecification.2.Tag.1.Value", "1"),
    ];
    let answer = ec2(&server, "CreateImage", &parameters).await;
    let id = text(xml(&answer), "imageId").to_owned();
    let again = ec2(&server, "CreateImage", &parameters).await;
    assert_eq!((status(&again), text(xml(&again), "Code")), (400, "InvalidAMIName.Duplicate"));

    world.clock().advance(secs(600));
    let answer =
        ec2(&server, "DescribeImages", &[("Owner.1", "self"), ("Filter.1.Name", "tag:job"), ("Filter.1.Value.1", "1")])
            .await;
    let body = xml(&answer);
    assert_eq!((text(body, "imageId"), text(body, "imageState")), (id.as_str(), "available"));
    assert_eq!(text(body, "description"), "&lt;a&gt; &amp; b");
    let snapshot = text(body, "snapshotId").to_owned();
    let answer = ec2(&server, "DescribeSnapshots", &[("SnapshotId.1", &snapshot)]).await;
    assert_eq!(
        (text(xml(&answer), "status"), text(xml(&answer), "startTime")),
        ("completed", "2026-01-01T00:00:02.000Z")
    );

    let answer = ec2(&server, "DeregisterImage", &[("ImageId", &id), ("DeleteAssociatedSnapshots", "true")]).await;
    let body = xml(&answer);
    assert!(
        body.contains(&format!("<item><snapshotId>{snapshot}</snapshotId><returnCode>success</returnCode></item>"))
    );
    let answer = ec2(&server, "DescribeSnapshots", &[("SnapshotId.1", &snapshot)]).await;
    assert_eq!(text(xml(&answer), "Code"), "InvalidSnapshot.NotFound");
    let answer = ec2(&server, "DescribeImages", &[("Owner.1", "self")]).await;
    assert!(xml(&answer).contains("<imagesSet></imagesSet>"));
}

#[tokio::test]
async fn errors_have_ec2s_shape_and_status() {
    let world = builder().build().unwrap();
    let server = serve(&world).await;
    let answer = ec2(&server, "CreateImage", &[("InstanceId", DB), ("Name", "one"), ("DryRun", "true")]).await;
    assert_eq!(status(&answer), 412);
    let body = xml(&answer);
    assert!(body.contains("<Response><Errors><Error><Code>DryRunOperation</Code><Message>"), "{body}");
    assert!(body.contains("</Error></Errors><RequestID>"));
    for (action, parameters, code) in [
        ("RunInstances", vec![], "InvalidAction"),
        ("GetCallerIdentity", vec![], "InvalidAction"),
        ("CreateImage", vec![("InstanceId", DB)], "MissingParameter"),
        ("DescribeInstances", vec![("InstanceIds.1", DB)], "UnknownParameter"),
        ("DescribeInstances", vec![("MaxResults", "many")], "InvalidParameterValue"),
        ("DescribeImages", vec![("ExecutableBy.1", "self")], "UnsupportedOperation"),
        ("DeregisterImage", vec![("ImageId", "one")], "InvalidAMIID.Malformed"),
        ("CreateTags", vec![("ResourceId.1", DB)], "MissingParameter"),
    ] {
        let answer = ec2(&server, action, &parameters).await;
        assert_eq!((text(xml(&answer), "Code"), status(&answer)), (code, 400), "{action}");
    }
    let answer = post(&server, "ec2", &[("Action", "DescribeImages"), ("Version", "2006-06-26")]).await;
    assert_eq!(text(xml(&answer), "Code"), "NoSuchVersion");
}

#[tokio::test]
async fn a_get_works_like_a_post_and_an_unsigned_request_is_refused() {
    let server = serve(&builder().build().unwrap()).await;
    let signature = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIASIM0{ACCOUNT}/20260101/eu-central-1/ec2/aws4_request, \
         SignedHeaders=host, Signature=00\r\n"
    );
    let get = "GET /?Action=DescribeRegions&Version=2016-11-15 HTTP/1.1\r\n";
    let answer = exchange(&server, format!("{get}{signature}"), String::new()).await;
    assert_eq!(text(xml(&answer), "regionName"), "eu-central-1");
    let answer = exchange(&server, get.to_owned(), String::new()).await;
    assert_eq!((status(&answer), text(xml(&answer), "Code")), (403, "MissingAuthenticationToken"));
    let answer = exchange(&server, format!("{get}{}", signature.replace(ACCOUNT, "999999999999")), String::new()).await;
    assert_eq!((status(&answer), text(xml(&answer), "Code")), (401, "AuthFailure"));
}

#[tokio::test]
async fn a_page_is_followed_by_its_token() {
    let more = (0..30).map(|n| InstanceSpec::new(format!("i-000000000000001{n:02}")));
    let world = more.fold(builder(), amikeep_ec2_sim::WorldBuilder::instance).build().unwrap();
    let server = serve(&world).await;
    let first = ec2(&server, "DescribeInstances", &[("MaxResults", "20")]).await;
    let token = text(xml(&first), "nextToken").to_owned();
    let second = ec2(&server, "DescribeInstances", &[("MaxResults", "20"), ("NextToken", &token)]).await;
    let count = |answer: &str| xml(answer).matches("<instanceId>").count();
    assert_eq!((count(&first), count(&second)), (20, 12));
    assert!(!second.contains("nextToken"));
}

#[tokio::test]
async fn a_cut_connection_sends_not_one_byte() {
    let world = builder().build().unwrap();
    let server = serve(&world).await;
    let parameters = [("InstanceId", DB), ("Name", "one"), ("NoReboot", "true")];
    world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect));
    assert_eq!(ec2(&server, "CreateImage", &parameters).await, "");
    assert_eq!(world.images().len(), 1);
    let again = ec2(&server, "CreateImage", &parameters).await;
    assert_eq!(text(xml(&again), "Code"), "InvalidAMIName.Duplicate");
}

#[tokio::test]
async fn garbage_is_html_with_status_200_and_a_throttle_is_503() {
    let world = builder().build().unwrap();
    let server = serve(&world).await;
    world.plan_fault(Fault::on(Action::DescribeImages, FaultOutcome::Garbage));
    world.plan_fault(Fault::on(Action::DescribeImages, FaultOutcome::Throttle).nth(2));
    let answer = ec2(&server, "DescribeImages", &[]).await;
    assert!(status(&answer) == 200 && answer.contains("<html>"));
    let answer = ec2(&server, "DescribeImages", &[]).await;
    assert_eq!((status(&answer), text(xml(&answer), "Code")), (503, "RequestLimitExceeded"));
}

#[tokio::test]
async fn a_hanging_call_ends_with_the_server() {
    let world = builder().build().unwrap();
    let server = serve(&world).await;
    world.plan_fault(Fault::on(Action::DescribeImages, FaultOutcome::Hang));
    {
        let hanging = ec2(&server, "DescribeImages", &[]);
        assert!(tokio::time::timeout(Duration::from_millis(100), hanging).await.is_err());
    }
    tokio::time::timeout(Duration::from_secs(10), server.stop()).await.expect("the server stops");
}

#[tokio::test]
async fn sts_has_its_own_shapes_and_a_role_needs_its_external_id() {
    let world = builder().role("backup", Some("secret")).build().unwrap();
    let server = serve(&world).await;
    let answer = post(&server, "sts", &[("Action", "GetCallerIdentity"), ("Version", "2011-06-15")]).await;
    assert!(xml(&answer).contains("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"));
    assert_eq!(text(xml(&answer), "Account"), ACCOUNT);
    let role = format!("arn:aws:iam::{ACCOUNT}:role/backup");
    let mut parameters = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", role.as_str()),
        ("RoleSessionName", "session"),
    ];
    let answer = post(&server, "sts", &parameters).await;
    assert_eq!((status(&answer), text(xml(&answer), "Code")), (403, "AccessDenied"));
    assert!(xml(&answer).starts_with("<?xml") && answer.contains("<ErrorResponse xmlns="));
    parameters.push(("ExternalId", "secret"));
    let answer = post(&server, "sts", &parameters).await;
    let (key, token) = (text(xml(&answer), "AccessKeyId"), text(xml(&answer), "SessionToken"));

    let as_role = |token: &str| {
        let head = format!(
            "GET /?Action=DescribeRegions&Version=2016-11-15 HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={key}/20260101/eu-central-1/ec2/aws4_request, SignedHeaders=host, Signature=00\r\n\
             X-Amz-Security-Token: {token}\r\n"
        );
        exchange(&server, head, String::new())
    };
    assert_eq!(status(&as_role(token).await), 200);
    assert_eq!(text(xml(&as_role("other").await), "Code"), "AuthFailure");
    world.clock().advance(secs(3600));
    assert_eq!(text(xml(&as_role(token).await), "Code"), "RequestExpired");
}

#[tokio::test]
async fn nothing_but_loopback_is_served() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let world = builder().build().unwrap();
    assert!(amikeep_ec2_sim::http::serve(listener, world, std::future::pending()).await.is_err());
}

#[tokio::test]
async fn the_environment_for_a_client_names_the_server_and_a_key_that_it_knows() {
    let world = builder().build().unwrap();
    let server = serve(&world).await;
    let environment = server.client_environment(&place());
    let value = |name: &str| environment.iter().find(|(key, _)| *key == name).unwrap().1.clone();
    assert_eq!(value("AWS_ENDPOINT_URL"), server.url());
    assert!(world.authenticate(Service::Ec2, &value("AWS_ACCESS_KEY_ID"), None).is_ok());
}

#[tokio::test]
async fn a_call_takes_half_its_time_before_its_effect_and_half_after_it() {
    let latency = Duration::from_millis(300);
    let at_once = SignedDuration::ZERO;
    let world = builder().latency(latency).snapshot_lag(at_once, at_once).build().unwrap();
    let effect = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&effect);
    world.on_point_in_time(move |_| *seen.lock().unwrap() = Some(Instant::now()));
    let server = serve(&world).await;
    let began = Instant::now();
    let answer = ec2(&server, "CreateImage", &[("InstanceId", WEB), ("Name", "one"), ("NoReboot", "true")]).await;
    let ended = Instant::now();
    assert_eq!(status(&answer), 200);
    let effect = effect.lock().unwrap().expect("a snapshot has begun");
    // A busy machine makes either longer, and nothing makes it shorter.
    assert!(latency / 2 <= effect - began && latency / 2 <= ended - effect, "{:?}", (began, effect, ended));
    server.stop().await;
}
