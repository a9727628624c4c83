//! What time it is at the endpoint.

use amikeep_cloud::{Cloud, ImageQuery, ResourceId};
use jiff::Timestamp;

use crate::tests::server::{Reply, Server, ec2, ec2_body, error};
use crate::tests::{IMAGE, cloud};

fn dated(line: &'static str, reply: Reply) -> Reply {
    match reply {
        Reply::Answer(status, body) => Reply::AnswerWith(line, status, body),
        reply => reply,
    }
}

#[tokio::test]
async fn every_answer_tells_the_time_refusals_and_sts_included() {
    let images = || ec2("DescribeImages", "<imagesSet/>");
    let refused = error(400, "InvalidParameterValue", "no");
    let who = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>a</Arn><Account>123456789012</Account>\
               </GetCallerIdentityResult></GetCallerIdentityResponse>";
    let server = Server::start([
        images(),
        dated("Date: Sun, 22 Nov 2026 01:00:00 GMT", images()),
        dated("date: Sun, 22 Nov 2026 02:00:00 GMT", refused),
        dated("Date: soon", images()),
        images(),
        dated("Date: Sun, 22 Nov 2026 03:00:00 GMT", ec2("CreateTags", "<return>true</return>")),
        dated("Date: Sun, 22 Nov 2026 04:00:00 GMT", Reply::Answer(200, who.to_owned())),
    ])
    .await;
    let cloud = cloud(&server).await;
    let at = |time: &str| Some(time.parse::<Timestamp>().unwrap());
    assert_eq!(cloud.answered_at(), None);
    let query = || ImageQuery::Ids(vec![IMAGE.parse().unwrap()]);
    for want in [None, at("2026-11-22T01:00:00Z")] {
        cloud.observe_images(query()).await.unwrap();
        assert_eq!(cloud.answered_at(), want);
    }
    cloud.observe_images(query()).await.unwrap_err();
    assert_eq!(cloud.answered_at(), at("2026-11-22T02:00:00Z"));
    for _ in 0..2 {
        cloud.observe_images(query()).await.unwrap();
        assert_eq!(cloud.answered_at(), at("2026-11-22T02:00:00Z"), "a date that is missing or wrong changes nothing");
    }
    let tags = [("amikeep:grade".to_owned(), "clean".to_owned())].into();
    cloud.request_tags(vec![ResourceId::Image(IMAGE.parse().unwrap())], tags).await.unwrap();
    assert_eq!(cloud.answered_at(), at("2026-11-22T03:00:00Z"));
    cloud.observe_identity().await.unwrap();
    assert_eq!(cloud.answered_at(), at("2026-11-22T04:00:00Z"));
}

#[tokio::test]
async fn an_answer_that_does_not_count_tells_the_time_all_the_same() {
    let cut = ec2_body("DescribeImages", "<imagesSet/>").replace("</DescribeImagesResponse>", "");
    let cut = dated("Date: Sun, 22 Nov 2026 01:00:00 GMT", Reply::Answer(200, cut));
    let server = Server::start(vec![cut; 3]).await;
    let cloud = cloud(&server).await;
    cloud.observe_images(ImageQuery::Ids(vec![IMAGE.parse().unwrap()])).await.unwrap_err();
    assert_eq!(cloud.answered_at(), Some("2026-11-22T01:00:00Z".parse().unwrap()));
}
