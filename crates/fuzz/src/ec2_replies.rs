//! Answers of EC2, through the whole adapter: HTTP status and body, the SDK, paging, retries, conversion.
//!
//! The first line of an input is what is asked. What follows are the answers in their order, with a line `%%` between
//! two: the HTTP status, or `lost`, in the first line of each, and below it the body.

mod oracle;

use std::cell::LazyCell;
use std::collections::BTreeSet;

use amikeep_cloud::{
    Action, Cloud, CloudError, CloudErrorKind, ImageQuery, ImageRequest, InstanceQuery, Reboot, ResourceId,
    SnapshotQuery,
};
use amikeep_cloud_aws::{Answer, AwsAccount, AwsCloud, Replay};
use amikeep_domain::id::ImageId;
use amikeep_domain::retention::Usage;
use tokio::runtime::{Builder, Runtime};

use crate::ec2_replies::oracle::{Listing, Oracle};

/// A text that is passed on is shortened to this many characters and an ellipsis.
const MESSAGE_CHARS_MAX: usize = 501;

const IMAGE: &str = "ami-0123456789abcdef0";
const SNAPSHOT: &str = "snap-0123456789abcdef0";

thread_local! {
    static RUNTIME: LazyCell<Runtime> = const {
        LazyCell::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"))
    };
}

/// A listing is complete or an error, whatever comes; a change is sent once, and is done or refused only if EC2 said so.
pub fn run(bytes: &[u8]) {
    let (asked, answers) = read(bytes);
    RUNTIME.with(|runtime| runtime.block_on(ask(asked, &answers)));
}

async fn ask(asked: &[u8], answers: &[Answer]) {
    let replay = Replay::new(answers.iter().cloned());
    let cloud = AwsCloud::replaying(account(), &replay);
    let given = || &answers[..replay.n_given()];
    match asked {
        b"instances" => {
            let seen = cloud.observe_instances(InstanceQuery::All).await;
            let ids = presentable(seen).map(|seen| seen.iter().map(|it| it.id.to_string()).collect());
            check_listing(&Listing::INSTANCES, ids, given());
        }
        b"images" => {
            let seen = cloud.observe_images(ImageQuery::Owner(owner())).await;
            let ids = presentable(seen).map(|seen| seen.iter().map(|it| it.id.to_string()).collect());
            check_listing(&Listing::IMAGES, ids, given());
        }
        b"snapshots" => {
            let seen = cloud.observe_snapshots(SnapshotQuery::Owner(owner())).await;
            let ids = presentable(seen).map(|seen| seen.iter().map(|it| it.id.to_string()).collect());
            check_listing(&Listing::SNAPSHOTS, ids, given());
        }
        b"usage" => check_usage(&cloud, given).await,
        b"identity" => drop(presentable(cloud.observe_identity().await)),
        b"create-image" => {
            let id = cloud.request_image(image_request()).await;
            check_change(&id, given(), 1);
            if let Ok(id) = id {
                assert!(Oracle::of(given()).says_anywhere(id.as_str()), "EC2 never named {id}");
            }
        }
        b"tags" => {
            let tags = [("Name".to_owned(), "db".to_owned())].into();
            let image = ResourceId::Image(IMAGE.parse().expect("an image id"));
            check_change(&cloud.request_tags(vec![image], tags).await, given(), 1);
        }
        // An endpoint that does not know a parameter has done nothing, and is asked again without it.
        b"deregister" => check_change(&cloud.retire_image(IMAGE.parse().expect("an image id")).await, given(), 2),
        b"delete-snapshot" => {
            check_change(&cloud.delete_snapshot(SNAPSHOT.parse().expect("a snapshot id")).await, given(), 1);
        }
        b"probe" => {
            for action in Action::ALL {
                drop(presentable(cloud.probe(action, None).await));
            }
        }
        _ => {}
    }
}

/// What a person may be shown: with a code, and no longer than promised.
fn presentable<T>(result: Result<T, CloudError>) -> Result<T, CloudError> {
    if let Err(error) = &result {
        assert!(!error.code.is_empty() || !error.message.is_empty(), "{error:?}");
        assert!(error.message.chars().count() <= MESSAGE_CHARS_MAX, "{error:?}");
    }
    result
}

fn check_listing(listing: &Listing, ids: Result<BTreeSet<String>, CloudError>, given: &[Answer]) {
    let Ok(ids) = ids else { return };
    let oracle = Oracle::of(given);
    if oracle.is_ambiguous() {
        return;
    }
    assert!(oracle.has_ended(listing), "the listing goes on, or its last answer is no whole one");
    let said = oracle.ids(listing);
    assert!(ids.is_subset(&said), "{ids:?} of {said:?}");
    // After a refusal a listing may be read again from its beginning, and have other entries then.
    let is_refusal = |answer: &Answer| matches!(answer, Answer::Whole { status, .. } if (400..500).contains(status));
    assert!(ids == said || given.iter().any(is_refusal), "{ids:?} is not all of {said:?}");
}

async fn check_usage<'a>(cloud: &AwsCloud, given: impl Fn() -> &'a [Answer]) {
    let image: ImageId = IMAGE.parse().expect("an image id");
    let Ok(usage) = presentable(cloud.observe_usage(vec![image.clone()]).await) else { return };
    assert_eq!(usage.keys().collect::<Vec<_>>(), [&image]);
    let oracle = Oracle::of(given());
    let is_referred_to = oracle.ids(&Listing::REFERENCES).contains(image.as_str()) && !oracle.is_ambiguous();
    assert!(usage[&image] != Usage::Unused || !is_referred_to, "a reference was overlooked");
}

/// A change is sent no more than `n_max` times. It has failed for certain only if EC2 refused it.
fn check_change<T>(result: &Result<T, CloudError>, given: &[Answer], n_max: usize) {
    assert!(given.len() <= n_max, "a change was sent {} times", given.len());
    let Err(error) = result else { return };
    let may_be_done = match given.last() {
        Some(Answer::Lost) => true,
        Some(Answer::Whole { status, .. }) => (200..300).contains(status),
        None => false,
    };
    assert!(!may_be_done || error.kind == CloudErrorKind::OutcomeUnknown, "{error:?} after {given:?}");
}

fn account() -> AwsAccount {
    AwsAccount {
        region: "eu-central-1".parse().expect("a region"),
        owner: owner(),
        session_name: "amikeep".to_owned(),
        profile: None,
        role_arn: None,
        external_id: None,
        endpoint_url: None,
        expected_account: None,
    }
}

fn owner() -> amikeep_domain::id::Owner {
    "prod-fra".parse().expect("an owner")
}

fn image_request() -> ImageRequest {
    ImageRequest {
        name: "amikeep-prod-fra-db-i-0123456789abcdef0-20261122T010000Z".parse().expect("an image name"),
        instance: "i-0123456789abcdef0".parse().expect("an instance id"),
        reboot: Reboot::No,
        tags: [("amikeep:owner".to_owned(), "prod-fra".to_owned())].into(),
        description: "a description".to_owned(),
    }
}

/// What is asked, and the answers.
fn read(bytes: &[u8]) -> (&[u8], Vec<Answer>) {
    let (asked, rest) = line(bytes);
    let mut answers = Vec::new();
    let mut rest = Some(rest).filter(|rest| !rest.is_empty());
    while let Some(text) = rest {
        let end = text.windows(4).position(|window| window == b"\n%%\n");
        let (answer, after) = match end {
            Some(at) => (&text[..at], Some(&text[at + 4..])),
            None => (text, None),
        };
        answers.push(answer_of(answer));
        rest = after;
    }
    (asked, answers)
}

fn answer_of(text: &[u8]) -> Answer {
    let (head, body) = line(text);
    let status = std::str::from_utf8(head).ok().and_then(|head| head.parse().ok());
    // What HTTP itself does not allow never gets as far as the adapter.
    match status.filter(|status| (200..600).contains(status)) {
        Some(status) => Answer::Whole { status, body: body.to_vec() },
        None => Answer::Lost,
    }
}

fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}
