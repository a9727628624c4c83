//! Instances, volumes, tags, filters, pages and eventual consistency.

use amikeep_ec2_sim::{
    DescribeImages, Filter, FirstPage, InstanceSpec, InstanceState, InstanceView, NewTag, Paging, Query, Reboot, Reply,
    Request, RequestLimits, World,
};

use crate::support::{DB, WEB, builder, call, code, deregister, filtered, image, images, place, secs, snapshots};

fn instances(world: &World, ids: &[&str], filters: Vec<Filter>) -> Vec<InstanceView> {
    let ids = ids.iter().map(ToString::to_string).collect();
    match call(world, Request::DescribeInstances { ids, query: filtered(filters) }).unwrap() {
        Reply::Instances(page) => page.items,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn state(world: &World, id: &str) -> InstanceState {
    instances(world, &[id], vec![])[0].state
}

#[test]
fn states_follow_from_orders_and_time() {
    let world = builder().build().unwrap();
    call(&world, Request::StopInstances { ids: vec![DB.into()], hibernate: false }).unwrap();
    assert_eq!(state(&world, DB), InstanceState::Stopping);
    assert_eq!(code(&world, Request::StartInstances { ids: vec![DB.into()] }), "IncorrectInstanceState");
    world.clock().advance(secs(30));
    assert_eq!(state(&world, DB), InstanceState::Stopped);
    let before = instances(&world, &[DB], vec![])[0].launched_at;
    call(&world, Request::StartInstances { ids: vec![DB.into()] }).unwrap();
    assert_eq!(state(&world, DB), InstanceState::Pending);
    world.clock().advance(secs(20));
    assert_eq!(state(&world, DB), InstanceState::Running);
    assert!(before < instances(&world, &[DB], vec![])[0].launched_at);
}

#[test]
fn a_terminated_instance_is_shown_for_an_hour_and_takes_its_root_volume_along() {
    let world = builder().build().unwrap();
    call(&world, Request::TerminateInstances { ids: vec![DB.into()] }).unwrap();
    assert_eq!(state(&world, DB), InstanceState::ShuttingDown);
    world.clock().advance(secs(30));
    assert_eq!(state(&world, DB), InstanceState::Terminated);
    let request = Request::DescribeVolumes { ids: vec![], query: Query::default() };
    let Reply::Volumes(page) = call(&world, request).unwrap() else { panic!() };
    let left: Vec<_> = page.items.iter().map(|volume| (volume.facts.size_gib, volume.status())).collect();
    assert!(left.contains(&(100, "available")) && left.len() == 2, "{left:?}");
    world.clock().advance(secs(3600));
    let request = Request::DescribeInstances { ids: vec![DB.into()], query: Query::default() };
    assert_eq!(code(&world, request), "InvalidInstanceID.NotFound");
}

#[test]
fn an_order_is_given_to_all_or_to_none() {
    let world =
        builder().instance(InstanceSpec::new("i-00000000000000001").instance_store_root("/dev/sda1")).build().unwrap();
    let ids = vec![DB.to_owned(), "i-00000000000000001".to_owned()];
    assert_eq!(code(&world, Request::StopInstances { ids, hibernate: false }), "UnsupportedOperation");
    assert_eq!(state(&world, DB), InstanceState::Running);
}

#[test]
fn hibernation_is_told_by_the_state_reason() {
    let sleepy = "i-00000000000000001";
    let world = builder().instance(InstanceSpec::new(sleepy).hibernation_configured()).build().unwrap();
    let hibernate = |id: &str| Request::StopInstances { ids: vec![id.to_owned()], hibernate: true };
    assert_eq!(code(&world, hibernate(DB)), "UnsupportedHibernationConfiguration");
    call(&world, hibernate(sleepy)).unwrap();
    world.clock().advance(secs(30));
    let view = &instances(&world, &[sleepy], vec![])[0];
    assert_eq!(view.state_reason.as_ref().unwrap().code, "Client.UserInitiatedHibernate");
}

#[test]
fn one_unknown_id_refuses_the_whole_call_but_a_filter_leaves_it_out() {
    let world = builder().build().unwrap();
    let ids = vec![DB.to_owned(), "i-00000000000000009".to_owned()];
    let request = Request::DescribeInstances { ids: ids.clone(), query: Query::default() };
    assert_eq!(call(&world, request).unwrap_err().message, "The instance ID 'i-00000000000000009' does not exist");
    assert_eq!(instances(&world, &[], vec![Filter::new("instance-id", ids)]).len(), 1);
    let request = Request::DescribeInstances { ids: vec!["db".into()], query: Query::default() };
    assert_eq!(code(&world, request), "InvalidInstanceID.Malformed");
}

#[test]
fn an_unknown_filter_is_refused_in_an_empty_region_too() {
    let world = World::builder().account("111122223333").region("eu-central-1").build().unwrap();
    let query = || filtered(vec![Filter::new("colour", ["red"])]);
    let images = Request::DescribeImages(DescribeImages { query: query(), ..DescribeImages::default() });
    for request in [images, Request::DescribeInstances { ids: vec![], query: query() }] {
        assert_eq!(code(&world, request), "InvalidParameterValue");
    }
    let status = Request::DescribeInstanceStatus {
        ids: vec![],
        include_all: true,
        query: filtered(vec![Filter::new("tag:Name", ["x"])]),
    };
    assert_eq!(code(&world, status), "InvalidParameterValue");
}

#[test]
fn ids_and_max_results_exclude_each_other() {
    let world = builder().build().unwrap();
    let query = || Query { max_results: Some(100), ..Query::default() };
    let requests = [
        Request::DescribeInstances { ids: vec![DB.into()], query: query() },
        Request::DescribeImages(DescribeImages {
            ids: vec!["ami-00000000000000001".into()],
            query: query(),
            ..DescribeImages::default()
        }),
        Request::DescribeSnapshots { ids: vec!["snap-00000000000000001".into()], owners: vec![], query: query() },
        Request::DescribeVolumes { ids: vec!["vol-00000000000000001".into()], query: query() },
    ];
    for request in requests {
        assert_eq!(code(&world, request), "InvalidParameterCombination");
    }
}

#[test]
fn a_page_may_be_empty_and_smaller_than_asked_for() {
    let world = builder().paging(Paging { items_max: 1, first_page: FirstPage::Empty }).build().unwrap();
    let mut query = Query { max_results: Some(100), ..Query::default() };
    let mut sizes = Vec::new();
    loop {
        let request = Request::DescribeInstances { ids: vec![], query: query.clone() };
        let Reply::Instances(page) = call(&world, request).unwrap() else { panic!() };
        sizes.push(page.items.len());
        let Some(token) = page.next_token else { break };
        query.next_token = Some(token);
    }
    assert_eq!(sizes, [0, 1, 1]);
}

#[test]
fn reads_lag_behind_writes_in_both_directions() {
    let world = builder().describe_lag(secs(60)).build().unwrap();
    let id = image(&world, DB, "one", Reboot::No);
    assert!(images(&world).is_empty());
    let tag = |id: String| Request::CreateTags {
        resources: vec![id],
        tags: vec![NewTag { key: "k".into(), value: "v".into() }],
    };
    assert_eq!(code(&world, tag(id.to_string())), "InvalidAMIID.NotFound");
    world.clock().advance(secs(60));
    assert_eq!(images(&world).len(), 1);
    assert!(snapshots(&world).is_empty());
    call(&world, tag(id.to_string())).unwrap();
    assert!(!images(&world)[0].tags.contains_key("k"));
    world.clock().advance(secs(60));
    assert_eq!(images(&world)[0].tags["k"], "v");

    world.clock().advance(secs(600));
    call(&world, deregister(&id, false)).unwrap();
    assert_eq!(images(&world).len(), 1, "a deregistered image still shows for a while");
    let again = Request::CreateImage(crate::support::create_image(DB, "one", Reboot::No));
    assert_eq!(code(&world, again.clone()), "InvalidAMIName.Duplicate");
    world.clock().advance(secs(60));
    assert!(images(&world).is_empty());
    call(&world, again).unwrap();
}

#[test]
fn tags_are_written_to_all_resources_or_to_none() {
    let world = builder().build().unwrap();
    let tags = vec![NewTag { key: "k".into(), value: "v".into() }];
    let resources = vec![DB.to_owned(), "i-00000000000000009".to_owned()];
    let request = Request::CreateTags { resources, tags: tags.clone() };
    assert_eq!(code(&world, request), "InvalidInstanceID.NotFound");
    assert_eq!(instances(&world, &[], vec![Filter::new("tag-key", ["k"])]).len(), 0);
    call(&world, Request::CreateTags { resources: vec![DB.into()], tags }).unwrap();
    assert_eq!(instances(&world, &[], vec![Filter::new("tag:k", ["?"])]).len(), 1);
    let request = Request::DeleteTags { resources: vec![DB.into()], tags: vec![] };
    call(&world, request).unwrap();
    assert!(instances(&world, &[DB], vec![])[0].tags.is_empty());
    let request = Request::CreateTags { resources: vec!["sg-1".into()], tags: vec![] };
    assert_eq!(code(&world, request), "InvalidID");
}

#[test]
fn requests_beyond_the_documented_bucket_are_refused_for_that_action_alone() {
    let world = builder().request_limits(RequestLimits::Documented).build().unwrap();
    let start = || Request::StartInstances { ids: vec![DB.into()] };
    for _ in 0..5 {
        call(&world, start()).unwrap();
    }
    let error = call(&world, start()).unwrap_err();
    assert_eq!((error.status, error.code.as_ref()), (503, "RequestLimitExceeded"));
    call(&world, Request::StopInstances { ids: vec![DB.into()], hibernate: false }).unwrap();
    world.clock().advance(secs(60));
    call(&world, start()).unwrap();
}

#[test]
fn disks_in_the_instance_store_show_in_the_type_and_not_in_the_instance() {
    let id = "i-00000000000000001";
    let spec =
        InstanceSpec::new(id).instance_type("x9.huge").volume("/dev/xvda", 8).instance_store("/dev/sdb", "ephemeral0");
    let world = builder().instance(spec).build().unwrap();
    assert_eq!(instances(&world, &[id], vec![])[0].attachments.len(), 1);
    let types = |names: &[&str]| Request::DescribeInstanceTypes {
        names: names.iter().map(ToString::to_string).collect(),
        query: Query::default(),
    };
    let Reply::InstanceTypes(page) = call(&world, types(&["x9.huge"])).unwrap() else { panic!() };
    assert_eq!(page.items[0].disks, 1);
    assert_eq!(code(&world, types(&["x9.small"])), "InvalidInstanceType");
    image(&world, id, "one", Reboot::No);
    assert_eq!(images(&world)[0].mappings.len(), 2);
}

#[test]
fn a_world_with_a_mistake_does_not_begin() {
    let broken = |spec| builder().instance(spec).build().is_err();
    assert!(broken(InstanceSpec::new("db-1")));
    assert!(broken(InstanceSpec::new(DB)));
    assert!(World::builder().instance(InstanceSpec::new(DB)).build().is_err());
    assert!(World::builder().account("42").build().is_err());
}

#[test]
fn the_same_seed_and_calls_make_the_same_world() {
    let run = |seed| {
        let world = World::small_fleet().seed(seed).build().unwrap();
        (image(&world, WEB, "one", Reboot::No), world.images())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn an_instance_can_be_launched_later() {
    let world = builder().build().unwrap();
    world.launch(&place(), InstanceSpec::new("i-00000000000000001")).unwrap();
    assert_eq!(instances(&world, &[], vec![]).len(), 3);
    assert!(world.launch(&place(), InstanceSpec::new(DB)).is_err());
}
