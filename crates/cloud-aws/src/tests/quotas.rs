//! Request limits, from Service Quotas.

use amikeep_cloud::{Action, Cloud, CloudErrorKind, Limits, ProbeOutcome};

use crate::tests::cloud;
use crate::tests::server::{Reply, Server};

fn page(next: &str, quotas: &[(&str, &str)]) -> Reply {
    let quotas: Vec<String> = quotas
        .iter()
        .map(|(name, value)| format!(r#"{{"ServiceCode":"ec2","QuotaName":"{name}","Value":{value},"Unit":"None"}}"#))
        .collect();
    Reply::Answer(200, format!(r#"{{{next}"Quotas":[{}]}}"#, quotas.join(",")))
}

fn denied() -> Reply {
    let message = "User: arn:aws:iam::111122223333:user/x is not authorized to perform: \
                   servicequotas:ListServiceQuotas because no identity-based policy allows it";
    Reply::Answer(400, format!(r#"{{"__type":"AccessDeniedException","Message":"{message}"}}"#))
}

fn told(limits: &Limits) -> Vec<String> {
    limits.special().map(|(action, limit)| format!("{action} {limit}")).collect()
}

#[tokio::test]
async fn limits_are_read_from_every_page_and_what_is_not_listed_is_as_documented() {
    let server = Server::start([
        page(r#""NextToken":"two","#, &[("CreateImage request bucket maximum capacity", "100.0")]),
        page("", &[("CreateImage request bucket refill rate", "10"), ("EC2-VPC Elastic IPs", "5.0")]),
    ])
    .await;
    let limits = cloud(&server).await.observe_limits().await.unwrap();
    assert_eq!(told(&limits), ["CreateImage 100 at once and 10 a second"]);
    for asked in server.asked() {
        assert!(asked.head.contains("x-amz-target: servicequotasv20190624.listservicequotas"), "{}", asked.head);
        assert!(asked.head.contains("/eu-central-1/servicequotas/aws4_request"), "{}", asked.head);
    }
}

#[tokio::test]
async fn a_refusal_is_a_denied_permission_of_this_action() {
    let server = Server::start([denied(), denied()]).await;
    let cloud = cloud(&server).await;
    let error = cloud.observe_limits().await.unwrap_err();
    assert_eq!((error.action, error.kind), (Action::ListServiceQuotas, CloudErrorKind::Denied));
    assert_eq!(error.code, "AccessDeniedException");
    let outcome = cloud.probe(Action::ListServiceQuotas, None).await.unwrap();
    assert!(matches!(outcome, ProbeOutcome::Denied(message) if message.contains("not authorized")));
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let whole = r#"{"Quotas":[{"QuotaName":"CreateImage request bucket refill rate","Value":10.0}]}"#;
    let half = Reply::Answer(200, whole[..whole.len() - 3].to_owned());
    let server = Server::start([half]).await;
    let error = cloud(&server).await.observe_limits().await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unavailable);
}
