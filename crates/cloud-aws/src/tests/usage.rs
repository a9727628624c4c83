//! Who uses an image: by EC2's own search, or by looking through instances and launch templates.

use std::collections::BTreeMap;

use amikeep_cloud::{Cloud, CloudError, CloudErrorKind};
use amikeep_domain::id::ImageId;
use amikeep_domain::retention::Usage;

use crate::tests::cloud;
use crate::tests::server::{Reply, Server, ec2, error};

const ONE: &str = "ami-00000001";
const TWO: &str = "ami-00000002";

fn id(text: &str) -> ImageId {
    text.parse().unwrap()
}

async fn usage(server: &Server, images: &[&str]) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
    cloud(server).await.observe_usage(images.iter().map(|image| id(image)).collect()).await
}

fn in_use(by: &[&str]) -> Usage {
    Usage::InUse { by: by.iter().map(|id| (*id).to_owned()).collect() }
}

fn reference(image: &str, resource: &str) -> String {
    format!(
        "<item><imageId>{image}</imageId><resourceType>ec2:Something</resourceType>\
         <arn>arn:aws:ec2:eu-central-1:123456789012:{resource}</arn></item>"
    )
}

fn references(items: &str, token: &str) -> Reply {
    let fields = format!("<imageReferenceSet>{items}</imageReferenceSet><nextToken>{token}</nextToken>");
    ec2("DescribeImageReferences", &fields)
}

fn unknown_action() -> Reply {
    error(400, "InvalidAction", "The action DescribeImageReferences is not valid for this web service.")
}

fn denied() -> Reply {
    error(403, "UnauthorizedOperation", "You are not authorized")
}

fn instances(items: &[(&str, &str, &str)]) -> Reply {
    let item = |(id, image, state): &(&str, &str, &str)| {
        format!(
            "<item><instanceId>{id}</instanceId><imageId>{image}</imageId>\
             <instanceState><name>{state}</name></instanceState></item>"
        )
    };
    let items: String = items.iter().map(item).collect();
    let set = format!("<reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet>");
    ec2("DescribeInstances", &set)
}

fn templates(ids: &[&str], token: &str) -> Reply {
    let item = |id: &&str| format!("<item><launchTemplateId>{id}</launchTemplateId></item>");
    let items: String = ids.iter().map(item).collect();
    let fields = format!("<launchTemplates>{items}</launchTemplates><nextToken>{token}</nextToken>");
    ec2("DescribeLaunchTemplates", &fields)
}

fn versions(images: &[&str], token: &str) -> Reply {
    let item = |(n, image): (usize, &&str)| {
        format!(
            "<item><versionNumber>{}</versionNumber><launchTemplateData><imageId>{image}</imageId>\
             </launchTemplateData></item>",
            n + 1
        )
    };
    let items: String = images.iter().enumerate().map(item).collect();
    let set = format!("<launchTemplateVersionSet>{items}</launchTemplateVersionSet><nextToken>{token}</nextToken>");
    ec2("DescribeLaunchTemplateVersions", &set)
}

fn actions(server: &Server) -> Vec<String> {
    server.asked().iter().map(|asked| asked.get("Action").to_owned()).collect()
}

#[tokio::test]
async fn references_are_asked_for_with_every_state_but_terminated_and_every_version() {
    let server = Server::start([references("", "")]).await;
    let unused = BTreeMap::from([(id(ONE), Usage::Unused)]);
    assert_eq!(usage(&server, &[ONE, ONE]).await.unwrap(), unused);
    let want: BTreeMap<String, String> = [
        ("Action", "DescribeImageReferences"),
        ("Version", "2016-11-15"),
        ("ImageId.1", ONE),
        ("MaxResults", "100"),
        ("ResourceType.1.ResourceType", "ec2:Instance"),
        ("ResourceType.1.ResourceTypeOption.1.OptionName", "state-name"),
        ("ResourceType.1.ResourceTypeOption.1.OptionValue.1", "pending"),
        ("ResourceType.1.ResourceTypeOption.1.OptionValue.2", "running"),
        ("ResourceType.1.ResourceTypeOption.1.OptionValue.3", "shutting-down"),
        ("ResourceType.1.ResourceTypeOption.1.OptionValue.4", "stopping"),
        ("ResourceType.1.ResourceTypeOption.1.OptionValue.5", "stopped"),
        ("ResourceType.2.ResourceType", "ec2:LaunchTemplate"),
        ("ResourceType.2.ResourceTypeOption.1.OptionName", "version-depth"),
        ("ResourceType.2.ResourceTypeOption.1.OptionValue.1", "10000"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(server.asked()[0].form, want);
}

#[tokio::test]
async fn references_are_read_to_the_end_and_name_who_uses_an_image_sorted_and_once() {
    let first = reference(ONE, "launch-template/lt-2") + &reference(ONE, "instance/i-1");
    let last = reference(ONE, "launch-template/lt-2/7") + &reference("ami-00000009", "instance/i-9");
    let server = Server::start([references(&first, "two"), references("", "three"), references(&last, "")]).await;
    let want = BTreeMap::from([(id(ONE), in_use(&["i-1", "lt-2"])), (id(TWO), Usage::Unused)]);
    assert_eq!(usage(&server, &[TWO, ONE]).await.unwrap(), want);
    let tokens: Vec<String> = server.asked().iter().map(|asked| asked.get("NextToken").to_owned()).collect();
    assert_eq!(tokens, ["", "two", "three"]);
}

#[tokio::test]
async fn a_reference_of_an_unknown_shape_is_a_use_and_one_to_no_image_an_error() {
    let strange = format!("<item><imageId>{ONE}</imageId><arn>who knows</arn></item>");
    let bare = format!("<item><imageId>{TWO}</imageId><resourceType>ec2:Fleet</resourceType></item>");
    let server = Server::start([references(&(strange + &bare), "")]).await;
    let want = BTreeMap::from([(id(ONE), in_use(&["who knows"])), (id(TWO), in_use(&["ec2:Fleet"]))]);
    assert_eq!(usage(&server, &[ONE, TWO]).await.unwrap(), want);

    let server = Server::start([references("<item><arn>a:b:c:d:e:instance/i-1</arn></item>", "")]).await;
    let error = usage(&server, &[ONE]).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Unavailable, "bad-answer"));
}

#[tokio::test]
async fn ten_images_are_asked_about_at_a_time_and_none_not_at_all() {
    let server = Server::start([references("", ""), references(&reference("ami-0000000a", "instance/i-1"), "")]).await;
    let names: Vec<String> = (0..11).map(|n| format!("ami-{n:08x}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = usage(&server, &names).await.unwrap();
    assert_eq!(answer.len(), 11);
    assert_eq!(answer[&id("ami-0000000a")], in_use(&["i-1"]));
    let asked = server.asked();
    assert_eq!((asked[0].get("ImageId.10"), asked[0].get("ImageId.11")), ("ami-00000009", ""));
    assert_eq!((asked[1].get("ImageId.1"), asked[1].get("ImageId.2")), ("ami-0000000a", ""));

    assert!(usage(&server, &[]).await.unwrap().is_empty());
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_denied_search_leaves_every_image_unknown() {
    let names: Vec<String> = (0..11).map(|n| format!("ami-{n:08x}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = Server::start([references(&reference("ami-00000001", "instance/i-1"), ""), denied()]).await;
    let answer = usage(&server, &names).await.unwrap();
    let why = "DescribeImageReferences is denied: You are not authorized".to_owned();
    assert_eq!(answer.len(), 11);
    assert!(answer.values().all(|usage| *usage == Usage::Unknown { why: why.clone() }), "{answer:?}");
}

#[tokio::test]
async fn a_search_that_fails_or_breaks_off_is_an_error() {
    for (broken, kind) in [
        (error(503, "RequestLimitExceeded", "Slow down"), CloudErrorKind::Throttled),
        (error(500, "InternalError", "oops"), CloudErrorKind::Unavailable),
        (Reply::Answer(500, "<html>oops</html>".to_owned()), CloudErrorKind::Unavailable),
        (Reply::Cut, CloudErrorKind::Unavailable),
        (Reply::Stall, CloudErrorKind::Unavailable),
        (error(400, "InvalidParameterValue", "no"), CloudErrorKind::Invalid),
    ] {
        let said = format!("{broken:?}");
        let mut replies = vec![references("", "two")];
        replies.extend(vec![broken; 3]);
        let server = Server::start(replies).await;
        let error = usage(&server, &[ONE]).await.unwrap_err();
        assert_eq!(error.kind, kind, "{said}: {error}");
        assert!(actions(&server).iter().all(|action| action == "DescribeImageReferences"), "{said}");
    }
}

#[tokio::test]
async fn without_the_search_instances_and_launch_templates_are_looked_through() {
    let found = [
        ("i-2", ONE, "stopped"),
        ("i-1", ONE, "shutting-down"),
        ("i-3", TWO, "terminated"),
        ("i-4", "ami-00000009", "running"),
    ];
    let server = Server::start([
        unknown_action(),
        instances(&found),
        templates(&["lt-1"], "two"),
        templates(&["lt-2"], ""),
        versions(&[ONE, "", ONE], "more"),
        versions(&["ami-00000009"], ""),
        versions(&["ami-00000003"], ""),
    ])
    .await;
    let want = BTreeMap::from([
        (id(ONE), in_use(&["i-1", "i-2", "lt-1"])),
        (id(TWO), Usage::Unused),
        (id("ami-00000003"), in_use(&["lt-2"])),
    ]);
    assert_eq!(usage(&server, &[ONE, TWO, "ami-00000003"]).await.unwrap(), want);
    let asked = server.asked();
    assert_eq!((asked[1].get("Filter.1.Name"), asked[1].get("Filter.1.Value.3")), ("image-id", "ami-00000003"));
    assert_eq!((asked[2].get("MaxResults"), asked[3].get("NextToken")), ("200", "two"));
    let of: Vec<(&str, &str)> =
        asked[4..].iter().map(|asked| (asked.get("LaunchTemplateId"), asked.get("NextToken"))).collect();
    assert_eq!(of, [("lt-1", ""), ("lt-1", "more"), ("lt-2", "")]);
    for asked in &asked[4..] {
        assert_eq!((asked.get("MaxResults"), asked.get("Filter.1.Name")), ("200", ""));
        assert_eq!((asked.get("Action"), asked.get("LaunchTemplateVersion.1")), ("DescribeLaunchTemplateVersions", ""));
    }
}

#[tokio::test]
async fn an_endpoint_without_the_search_is_asked_for_it_once() {
    for unknown in [
        unknown_action(),
        error(400, "UnsupportedOperation", "no"),
        error(400, "NotImplemented", "no"),
        error(400, "NotImplementedError", "no"),
        error(404, "UnknownOperationException", "no"),
        error(501, "WhateverItSays", "no"),
        Reply::Answer(501, "<html>no</html>".to_owned()),
    ] {
        let said = format!("{unknown:?}");
        let server =
            Server::start([unknown, instances(&[]), templates(&[], ""), instances(&[]), templates(&[], "")]).await;
        let cloud = cloud(&server).await;
        for _ in 0..2 {
            let answer = cloud.observe_usage(vec![id(ONE)]).await.unwrap_or_else(|error| panic!("{said}: {error}"));
            assert_eq!(answer, BTreeMap::from([(id(ONE), Usage::Unused)]));
        }
        assert_eq!(actions(&server)[0], "DescribeImageReferences");
        assert_eq!(actions(&server)[1..3], actions(&server)[3..5], "{said}");
    }
}

#[tokio::test]
async fn a_launch_template_that_names_its_image_by_a_parameter_leaves_the_others_unknown() {
    let server = Server::start([
        unknown_action(),
        instances(&[("i-1", ONE, "running")]),
        templates(&["lt-1", "lt-2"], ""),
        versions(&[TWO, "resolve:ssm:/golden"], ""),
        versions(&["resolve:ssm:/other"], ""),
    ])
    .await;
    let answer = usage(&server, &[ONE, TWO, "ami-00000003"]).await.unwrap();
    assert_eq!((&answer[&id(ONE)], &answer[&id(TWO)]), (&in_use(&["i-1"]), &in_use(&["lt-1"])));
    let Usage::Unknown { why } = &answer[&id("ami-00000003")] else { panic!("{answer:?}") };
    assert_eq!(why, "version 2 of launch template lt-1 names its image as `resolve:ssm:/golden`");
}

#[tokio::test]
async fn a_launch_template_that_went_meanwhile_uses_nothing() {
    let gone = error(400, "InvalidLaunchTemplateId.NotFound", "It does not exist");
    let server = Server::start([unknown_action(), instances(&[]), templates(&["lt-1"], ""), gone]).await;
    assert_eq!(usage(&server, &[ONE]).await.unwrap(), BTreeMap::from([(id(ONE), Usage::Unused)]));
}

#[tokio::test]
async fn what_is_denied_on_the_long_way_leaves_every_image_unknown_and_is_named() {
    let way = [
        ("DescribeInstances", instances(&[("i-1", ONE, "running")])),
        ("DescribeLaunchTemplates", templates(&["lt-1"], "")),
        ("DescribeLaunchTemplateVersions", versions(&[], "")),
    ];
    for (at, (action, _)) in way.iter().enumerate() {
        let mut replies = vec![unknown_action()];
        replies.extend(way[..at].iter().map(|(_, reply)| reply.clone()));
        replies.push(denied());
        let server = Server::start(replies).await;
        let answer = usage(&server, &[ONE, TWO]).await.unwrap();
        let unknown = Usage::Unknown { why: format!("{action} is denied: You are not authorized") };
        assert_eq!(answer, BTreeMap::from([(id(ONE), unknown.clone()), (id(TWO), unknown)]));
    }
}

#[tokio::test]
async fn what_fails_on_the_long_way_is_an_error() {
    let way = [instances(&[]), templates(&["lt-1"], "two"), templates(&["lt-2"], ""), versions(&[ONE], "two")];
    for at in 0..=way.len() {
        let mut replies = vec![unknown_action()];
        replies.extend_from_slice(&way[..at]);
        replies.extend(vec![error(503, "Unavailable", "The server is overloaded"); 3]);
        let server = Server::start(replies).await;
        let error = usage(&server, &[ONE]).await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Unavailable, "{at}: {error}");
    }
}
