//! Images in two steps: `CreateSnapshots` and `RegisterImage`.

use std::collections::BTreeMap;

use amikeep_cloud::{
    Action as PortAction, Cloud, CloudErrorKind, ImageQuery, Registration, SeenSnapshot, SnapshotQuery, SnapshotState,
    SnapshotsRequest,
};
use amikeep_domain::id::JobId;
use amikeep_ec2_sim::{
    CreateSnapshots, Fault, FaultOutcome, InstanceSpec, InstanceState, MachineAttributes, MappedDevice, Reboot, Reply,
    Request, SimCloud, SnapshotView, TagSpecification, VolumeKind, World, WorldBuilder,
};

use crate::support::{DB, WEB, builder, call, code, image, images, place, secs, snapshots};

const JOB: &str = "019ad1f0-0000-7000-8000-000000000001";

fn cloud(world: WorldBuilder) -> (World, SimCloud) {
    let world = world.build().unwrap();
    (world.clone(), SimCloud::new(world, place()))
}

fn job() -> JobId {
    JOB.parse().unwrap()
}

fn request(instance: &str) -> SnapshotsRequest {
    SnapshotsRequest {
        instance: instance.parse().unwrap(),
        tags: BTreeMap::from([("amikeep:job".to_owned(), JOB.to_owned())]),
        description: "held still".to_owned(),
    }
}

fn create(exclude_root: bool, excluded: &[&str]) -> Request {
    Request::CreateSnapshots(CreateSnapshots {
        instance_id: DB.into(),
        exclude_root,
        excluded: excluded.iter().map(|id| (*id).to_owned()).collect(),
        description: None,
        tag_specifications: vec![],
    })
}

fn started(world: &World, request: Request) -> Vec<SnapshotView> {
    match call(world, request).unwrap() {
        Reply::SnapshotsStarted(started) => started,
        other => panic!("{other:?}"),
    }
}

async fn registration(cloud: &SimCloud, instance: &str, snapshots: &[SeenSnapshot]) -> Registration {
    Registration {
        name: "two-steps".parse().unwrap(),
        attributes: cloud.observe_attributes(instance.parse().unwrap()).await.unwrap().unwrap(),
        snapshots: snapshots.iter().map(|it| (it.volume.clone().unwrap(), it.id.clone())).collect(),
        tags: BTreeMap::from([("amikeep:owner".to_owned(), "prod".to_owned())]),
        description: "nightly".to_owned(),
    }
}

#[tokio::test]
async fn all_volumes_have_one_point_in_time_and_their_ids_at_once() {
    let (world, cloud) = cloud(builder().newcomer_lag(secs(0), secs(60), secs(0)));
    let taken = cloud.request_snapshots(request(DB)).await.unwrap();
    assert_eq!(taken.len(), 2);
    for snapshot in &taken {
        assert_eq!(snapshot.started_at, Some(world.clock().now()));
        assert_eq!((snapshot.state, snapshot.tags["amikeep:job"].as_str()), (SnapshotState::Pending, JOB));
    }
    let seen = || cloud.observe_snapshots(SnapshotQuery::Job(job()));
    assert!(seen().await.unwrap().is_empty(), "the answer has them before a listing does");
    world.clock().advance(secs(60));
    assert_eq!(seen().await.unwrap(), taken);
    let other: JobId = "019ad1f0-0000-7000-8000-000000000002".parse().unwrap();
    assert!(cloud.observe_snapshots(SnapshotQuery::Job(other)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_answer_leaves_snapshots_and_a_second_call_makes_a_second_set() {
    let (world, cloud) = cloud(builder());
    let lost = Fault::on(amikeep_ec2_sim::Action::CreateSnapshots, FaultOutcome::LostReplyAfterEffect);
    world.plan_fault(lost);
    let error = cloud.request_snapshots(request(DB)).await.unwrap_err();
    assert_eq!((error.kind, error.action), (CloudErrorKind::OutcomeUnknown, PortAction::CreateSnapshots));
    assert_eq!(cloud.observe_snapshots(SnapshotQuery::Job(job())).await.unwrap().len(), 2);
    cloud.request_snapshots(request(DB)).await.unwrap();
    assert_eq!(cloud.observe_snapshots(SnapshotQuery::Job(job())).await.unwrap().len(), 4);
}

#[test]
fn the_root_and_data_volumes_can_be_left_out_and_nothing_else() {
    let world = builder().build().unwrap();
    let all = started(&world, create(false, &[]));
    let data = started(&world, create(true, &[]));
    assert_eq!((all.len(), data.len()), (2, 1));
    let volume = data[0].facts.volume_id.to_string();
    assert_eq!(started(&world, create(false, &[&volume])).len(), 1);
    assert_eq!(code(&world, create(true, &[&volume])), "InvalidParameterValue");
    assert_eq!(code(&world, create(false, &["vol-00000000000000009"])), "InvalidParameterValue");
}

#[test]
fn snapshots_have_limits_tags_and_an_instance() {
    let world = builder().build().unwrap();
    for _ in 0..5 {
        started(&world, create(false, &[]));
    }
    assert_eq!(code(&world, create(false, &[])), "ConcurrentSnapshotLimitExceeded");
    assert_eq!(snapshots(&world).len(), 10);
    world.clock().advance(secs(600));
    let specification = TagSpecification { resource_type: "image".into(), tags: vec![] };
    let tagged = CreateSnapshots {
        instance_id: DB.into(),
        exclude_root: false,
        excluded: vec![],
        description: None,
        tag_specifications: vec![specification],
    };
    assert_eq!(code(&world, Request::CreateSnapshots(tagged.clone())), "InvalidParameterValue");
    let nobody = CreateSnapshots { instance_id: "i-00000000000000009".into(), tag_specifications: vec![], ..tagged };
    assert_eq!(code(&world, Request::CreateSnapshots(nobody)), "InvalidInstanceID.NotFound");
}

#[tokio::test]
async fn an_image_of_snapshots_has_everything_of_the_instance() {
    let machine = MachineAttributes {
        boot_mode: Some("uefi".into()),
        tpm_support: Some("v2.0".into()),
        uefi_data: Some("QU1aTlVFRkk=".into()),
        sriov_net_support: Some("simple".into()),
        imds_support: Some("v2.0".into()),
        ..MachineAttributes::default()
    };
    let own = "i-0ef1000000000001a";
    let spec = InstanceSpec::new(own).machine(machine.clone()).volume("/dev/xvda", 8).volume("/dev/sdf", 100);
    let (world, cloud) = cloud(builder().instance(spec));
    let taken = cloud.request_snapshots(request(own)).await.unwrap();
    let wanted = registration(&cloud, own, &taken).await;
    let pending = cloud.register_image(wanted.clone()).await.unwrap_err();
    assert_eq!((pending.kind, pending.code.as_str()), (CloudErrorKind::Busy, "IncorrectState"));
    world.clock().advance(secs(600));
    let image = cloud.register_image(wanted.clone()).await.unwrap();
    let seen = cloud.observe_images(ImageQuery::Ids(vec![image.clone()])).await.unwrap().remove(0);
    assert_eq!(seen.platform_details.as_deref(), Some("Linux/UNIX"));
    let want: Vec<_> = taken.iter().map(|snapshot| snapshot.id.clone()).collect();
    let mut mapped: Vec<_> = seen.devices.iter().filter_map(|device| device.snapshot.clone()).collect();
    mapped.sort();
    assert_eq!(mapped, want);
    let made = crate::support::images(&world).remove(0);
    assert_eq!((made.facts.machine, made.facts.architecture.as_str()), (machine, "arm64"));
    let again = cloud.register_image(wanted).await.unwrap_err();
    assert_eq!(again.kind, CloudErrorKind::NameInUse, "the name is what makes it safe to ask twice");
}

#[tokio::test]
async fn volumes_of_every_type_are_mapped_as_create_image_maps_them() {
    let own = "i-0ef1000000000001b";
    let spec = InstanceSpec::new(own)
        .volume("/dev/xvda", 8)
        .volume_of("/dev/sdf", 100, VolumeKind::new("gp3").iops(4_000).throughput(250))
        .volume_of("/dev/sdg", 100, "gp2".into())
        .volume_of("/dev/sdh", 100, VolumeKind::new("io1").iops(500))
        .volume_of("/dev/sdi", 100, VolumeKind::new("io2").iops(9_000))
        .volume_of("/dev/sdj", 500, "st1".into())
        .volume_of("/dev/sdk", 500, "sc1".into())
        .volume_of("/dev/sdl", 100, "standard".into());
    let (world, cloud) = cloud(builder().instance(spec));
    image(&world, own, "one-step", Reboot::No);
    world.clock().advance(secs(600));
    let taken = cloud.request_snapshots(request(own)).await.unwrap();
    world.clock().advance(secs(600));
    cloud.register_image(registration(&cloud, own, &taken).await).await.unwrap();
    let mapped = |name: &str| -> Vec<_> {
        let image = images(&world).into_iter().find(|image| image.facts.name == name).unwrap();
        let told = image.mappings.into_iter().map(|mapping| match mapping.mapped {
            MappedDevice::Ebs { volume_type, iops, throughput, delete_on_termination, .. } => {
                // What cannot be given to a gp2 volume follows from its size.
                let iops = iops.filter(|_| volume_type != "gp2");
                (mapping.device, volume_type, iops, throughput, delete_on_termination)
            }
            other @ MappedDevice::InstanceStore(_) => panic!("{other:?}"),
        });
        told.collect()
    };
    let (one_step, mut two_steps) = (mapped("one-step"), mapped("two-steps"));
    two_steps.sort_by_key(|it| one_step.iter().position(|other| other.0 == it.0));
    assert_eq!((one_step.len(), &one_step), (8, &two_steps));
}

#[tokio::test]
async fn what_an_instance_is_billed_as_is_lost_and_that_can_be_seen() {
    let spec =
        InstanceSpec::new("i-00000000000000007").platform_details("Red Hat Enterprise Linux").volume("/dev/xvda", 8);
    let (world, cloud) = cloud(builder().instance(spec));
    let taken = cloud.request_snapshots(request("i-00000000000000007")).await.unwrap();
    let wanted = registration(&cloud, "i-00000000000000007", &taken).await;
    assert!(wanted.attributes.billing.unfit_because().unwrap().contains("Red Hat Enterprise Linux"));
    assert_eq!(wanted.attributes.billing.usage_operation.as_deref(), Some("RunInstances:0010"));
    world.clock().advance(secs(600));
    let image = cloud.register_image(wanted).await.unwrap();
    let seen = cloud.observe_images(ImageQuery::Ids(vec![image])).await.unwrap().remove(0);
    assert_eq!(seen.platform_details.as_deref(), Some("Linux/UNIX"), "which the instance is not");
    let web = cloud.observe_attributes(WEB.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(web.billing.unfit_because(), None);
    assert_eq!(cloud.observe_attributes("i-00000000000000009".parse().unwrap()).await.unwrap(), None);
}

#[test]
fn the_state_of_an_instance_does_not_matter_until_it_is_gone() {
    let world =
        builder().instance(InstanceSpec::new("i-00000000000000008").state(InstanceState::Terminated)).build().unwrap();
    let gone = CreateSnapshots {
        instance_id: "i-00000000000000008".into(),
        exclude_root: false,
        excluded: vec![],
        description: None,
        tag_specifications: vec![],
    };
    assert_eq!(code(&world, Request::CreateSnapshots(gone)), "InvalidInstanceID.NotFound");
}
