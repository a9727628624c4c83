//! Service Quotas: the limits that the world has, in process and over its own protocol.

use amikeep_cloud::{Cloud, CloudErrorKind};
use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{Action, FirstPage, Paging, RequestLimits, SimCloud, World};
use serde_json::Value;

use crate::support::{ACCOUNT, builder, exchange, place};
use crate::wire::status;

async fn ask(server: &Server, target: &str, body: &str) -> (u16, Value) {
    let head = format!(
        "POST / HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIASIM0{ACCOUNT}/20260101/eu-central-1/\
         servicequotas/aws4_request, SignedHeaders=host, Signature=00\r\nX-Amz-Target: {target}\r\n\
         Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n",
        body.len()
    );
    let answer = exchange(server, head, body.to_owned()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/x-amz-json-1.1"), "{head}");
    (status(&answer), serde_json::from_str(body).unwrap())
}

const TARGET: &str = "ServiceQuotasV20190624.ListServiceQuotas";

fn world() -> World {
    builder().request_limits(RequestLimits::Documented).request_limit(Action::CreateImage, 80.0, 8.0).build().unwrap()
}

#[tokio::test]
async fn quotas_have_the_consoles_names_and_come_in_pages() {
    let server = Server::start(world()).await.unwrap();
    let (code, first) = ask(&server, TARGET, r#"{"ServiceCode":"ec2","MaxResults":50}"#).await;
    assert_eq!(code, 200, "{first}");
    let next = first["NextToken"].as_str().unwrap();
    let body = format!(r#"{{"ServiceCode":"ec2","MaxResults":50,"NextToken":"{next}"}}"#);
    let (_, second) = ask(&server, TARGET, &body).await;
    assert!(second["NextToken"].is_null());
    let all: Vec<&Value> = [&first, &second].iter().flat_map(|it| it["Quotas"].as_array().unwrap()).collect();
    let value = |name: &str| all.iter().find(|quota| quota["QuotaName"] == name).unwrap()["Value"].clone();
    assert_eq!(value("CreateImage request bucket maximum capacity"), 80.0);
    assert_eq!(value("CreateImage request bucket refill rate"), 8.0);
    assert_eq!(value("DescribeImages request bucket refill rate"), 20.0);
    assert_eq!(value("DescribeInstances unfiltered request bucket maximum capacity"), 50.0);
}

#[tokio::test]
async fn what_the_service_does_not_know_is_refused_in_its_own_words() {
    let server = Server::start(world()).await.unwrap();
    for (target, body, code) in [
        (TARGET, r#"{"ServiceCode":"ec3"}"#, "NoSuchResourceException"),
        (TARGET, r#"{"ServiceCode":"ec2","MaxResults":101}"#, "IllegalArgumentException"),
        (TARGET, r#"{"ServiceCode":"ec2","NextToken":"x"}"#, "InvalidPaginationTokenException"),
        (TARGET, r#"{"ServiceCode":"ec2","Colour":"red"}"#, "SerializationException"),
        ("ServiceQuotasV20190624.DeleteEverything", "{}", "UnknownOperationException"),
    ] {
        let (status, answer) = ask(&server, target, body).await;
        assert_eq!((status, answer["__type"].as_str()), (400, Some(code)), "{body}");
    }
}

#[tokio::test]
async fn the_port_reads_them_page_by_page_and_a_denial_is_one() {
    let world = world();
    let cloud = SimCloud::new(world.clone(), place());
    let told =
        |limits: amikeep_cloud::Limits| limits.special().map(|it| format!("{} {}", it.0, it.1)).collect::<Vec<_>>();
    assert_eq!(told(cloud.observe_limits().await.unwrap()), ["CreateImage 80 at once and 8 a second"]);
    let small = builder().paging(Paging { items_max: 7, first_page: FirstPage::Full }).build().unwrap();
    assert!(told(SimCloud::new(small, place()).observe_limits().await.unwrap()).is_empty());
    world.deny(&ACCOUNT.parse().unwrap(), Action::ListServiceQuotas);
    assert_eq!(cloud.observe_limits().await.unwrap_err().kind, CloudErrorKind::Denied);
}

#[tokio::test]
async fn a_limit_that_was_raised_is_the_one_that_is_enforced() {
    let world = world();
    let cloud = SimCloud::new(world.clone(), place());
    let mut granted = 0;
    // A missing instance is refused only after a token was taken.
    let request = || amikeep_cloud::ImageRequest {
        name: "amikeep-test".parse().unwrap(),
        instance: "i-00000000000000abc".parse().unwrap(),
        reboot: amikeep_cloud::Reboot::No,
        tags: [].into(),
        description: String::new(),
    };
    while cloud.request_image(request()).await.unwrap_err().kind == CloudErrorKind::NotFound {
        granted += 1;
    }
    assert_eq!(granted, 80);
}
