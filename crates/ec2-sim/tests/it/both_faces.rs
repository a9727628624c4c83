//! Every behaviour that makes a night a bad one, on both faces: the port in process and the wire do and record the same.

use std::collections::BTreeMap;

use amikeep_cloud::{Cloud, ImageQuery, ImageRequest, SnapshotRemoval};
use amikeep_domain::id::ImageId;
use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{
    Action, CallOutcome, Fault, FaultOutcome, ImageDuration, ImageState, InstanceState, Mishaps, Reboot, RequestLimits,
    SimCloud, World, WorldBuilder,
};

use crate::support::{DB, builder, ec2, place, secs};
use crate::wire::text;

/// One of the faces, with the few calls that these tests make.
enum Face {
    Port(SimCloud),
    Wire(Server),
}

impl Face {
    /// Whether it was answered at all.
    async fn create(&self, name: &str) -> bool {
        match self {
            Self::Port(cloud) => {
                let request = ImageRequest {
                    name: name.parse().unwrap(),
                    instance: DB.parse().unwrap(),
                    reboot: Reboot::No,
                    tags: BTreeMap::new(),
                    description: "one".to_owned(),
                };
                cloud.request_image(request).await.is_ok()
            }
            Self::Wire(server) => {
                let parameters = [("InstanceId", DB), ("Name", name), ("NoReboot", "true")];
                ec2(server, "CreateImage", &parameters).await.contains("</CreateImageResponse>")
            }
        }
    }

    /// The state of the image of that name, as this face shows it.
    async fn state(&self, name: &str) -> Option<ImageState> {
        match self {
            Self::Port(cloud) => {
                let seen = cloud.observe_images(ImageQuery::Names(vec![name.parse().unwrap()])).await.ok()?;
                let words: Vec<String> = seen.iter().map(|image| format!("{:?}", image.state).to_lowercase()).collect();
                words.first().map(|word| state(word))
            }
            Self::Wire(server) => {
                let parameters = [
                    ("Owner.1", "self"),
                    ("MaxResults", "1000"),
                    ("Filter.1.Name", "name"),
                    ("Filter.1.Value.1", name),
                ];
                let answer = ec2(server, "DescribeImages", &parameters).await;
                answer.contains("<imageState>").then(|| state(text(&answer, "imageState")))
            }
        }
    }

    /// Whether a snapshot stayed when its image was deregistered, by what this face was told.
    async fn retire(&self, image: &ImageId) -> bool {
        match self {
            Self::Port(cloud) => {
                let removed = cloud.retire_image(image.clone()).await.unwrap();
                removed.iter().any(|it| matches!(it.removal, SnapshotRemoval::Failed { .. }))
            }
            Self::Wire(server) => {
                let parameters = [("ImageId", image.as_str()), ("DeleteAssociatedSnapshots", "true")];
                let answer = ec2(server, "DeregisterImage", &parameters).await;
                answer.contains("internal-error") || answer.contains("client-error")
            }
        }
    }
}

fn state(word: &str) -> ImageState {
    let states = [ImageState::Pending, ImageState::Available, ImageState::Failed];
    states.into_iter().find(|it| word.starts_with(it.as_str())).unwrap_or_else(|| panic!("{word}"))
}

/// The same world twice, behind each face.
async fn both(world: impl Fn() -> WorldBuilder) -> [(World, Face); 2] {
    let [one, other] = [world().build().unwrap(), world().build().unwrap()];
    let server = Server::start(other.clone()).await.unwrap();
    [(one.clone(), Face::Port(SimCloud::new(one, place()))), (other, Face::Wire(server))]
}

fn outcomes(world: &World) -> Vec<CallOutcome> {
    world.calls().into_iter().map(|call| call.outcome).collect()
}

#[tokio::test]
async fn faults_do_the_same_on_both_faces() {
    for (outcome, made) in [
        (FaultOutcome::Throttle, 0),
        (FaultOutcome::internal_error(), 0),
        (FaultOutcome::service_unavailable(), 0),
        (FaultOutcome::LostBeforeEffect, 0),
        (FaultOutcome::Garbage, 0),
        (FaultOutcome::internal_error_after_effect(), 1),
        (FaultOutcome::service_unavailable_after_effect(), 1),
        (FaultOutcome::LostReplyAfterEffect, 1),
        (FaultOutcome::CutInBody, 1),
    ] {
        let faces = both(|| builder().fault(Fault::on(Action::CreateImage, outcome.clone()))).await;
        for (world, face) in &faces {
            assert!(!face.create("one").await, "{outcome:?}");
            assert_eq!(world.images().len(), made, "{outcome:?}");
        }
        assert_eq!(outcomes(&faces[0].0), outcomes(&faces[1].0), "{outcome:?}");
        assert_ne!(outcomes(&faces[0].0), [CallOutcome::Answered]);
    }
}

#[tokio::test]
async fn chance_strikes_the_same_calls_on_both_faces() {
    let lost = || Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect).per_mille(300);
    let faces = both(|| builder().seed(5).fault(lost()).image_duration(ImageDuration::Drawn)).await;
    for (world, face) in &faces {
        for n in 0..20 {
            face.create(&format!("image-{n:03}")).await;
            world.clock().advance(secs(3600));
        }
    }
    assert!(outcomes(&faces[0].0).contains(&CallOutcome::LostAfterEffect));
    assert_eq!(outcomes(&faces[0].0), outcomes(&faces[1].0));
}

#[tokio::test]
async fn request_limits_and_limits_on_snapshots_hold_on_both_faces() {
    for (world, face) in &both(|| builder().request_limits(RequestLimits::Documented)).await {
        for _ in 0..101 {
            face.state("one").await;
        }
        let refused: Vec<_> = outcomes(world).into_iter().filter(|it| *it != CallOutcome::Answered).collect();
        assert_eq!(refused, [CallOutcome::Refused("RequestLimitExceeded".to_owned())]);
        world.clock().advance(secs(1));
        for n in 0..6 {
            face.create(&format!("image-{n:03}")).await;
        }
        let refused = CallOutcome::Refused("ConcurrentSnapshotLimitExceeded".to_owned());
        assert_eq!(outcomes(world).last(), Some(&refused));
    }
}

#[tokio::test]
async fn answers_lag_on_both_faces() {
    for (world, face) in &both(|| builder().describe_lag(secs(5)).newcomer_lag(secs(20), secs(20), secs(20))).await {
        assert!(face.create("one").await);
        world.clock().advance(secs(24));
        assert_eq!(face.state("one").await, None);
        world.clock().advance(secs(2));
        assert_eq!(face.state("one").await, Some(ImageState::Pending));
    }
}

#[tokio::test]
async fn images_linger_fail_and_lose_their_instance_on_both_faces() {
    let slow = Mishaps { slow_per_mille: 1000, slow_takes: secs(3 * 3600), ..Mishaps::default() };
    let failing = Mishaps { failing_per_mille: 1000, ..Mishaps::default() };
    let vanishing = Mishaps { vanishing_per_mille: 1000, ..Mishaps::default() };
    for (mishaps, after_an_hour, state_of_instance) in [
        (Mishaps::default(), ImageState::Available, InstanceState::Running),
        (slow, ImageState::Pending, InstanceState::Running),
        (failing, ImageState::Failed, InstanceState::Running),
        (vanishing, ImageState::Failed, InstanceState::Terminated),
    ] {
        for (world, face) in &both(|| builder().mishaps(mishaps)).await {
            assert!(face.create("one").await);
            world.clock().advance(secs(3600));
            assert_eq!(face.state("one").await, Some(after_an_hour), "{mishaps:?}");
            assert_eq!(crate::world::state(world, DB), state_of_instance, "{mishaps:?}");
        }
    }
}

#[tokio::test]
async fn snapshots_refuse_to_go_on_both_faces() {
    let lingering = Mishaps { lingering_per_mille: 1000, ..Mishaps::default() };
    for (mishaps, is_locked) in [(lingering, false), (Mishaps::default(), true)] {
        for (world, face) in &both(|| builder().mishaps(mishaps)).await {
            assert!(face.create("one").await);
            world.clock().advance(secs(3600));
            let image = world.images()[0].clone();
            if is_locked {
                world.lock_snapshot(&image.snapshots[0].id);
            }
            assert!(face.retire(&image.id).await, "{mishaps:?}");
            let left = world.images()[0].snapshots.iter().filter(|it| it.deleted_at.is_none()).count();
            assert_eq!(left, if is_locked { 1 } else { 2 }, "{mishaps:?}");
        }
    }
}
