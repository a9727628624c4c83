//! `DescribeImageReferences`.

use amikeep_domain::id::ImageId;
use amikeep_ec2_sim::{
    Action, DescribeImageReferences, ImageReference, InstanceSpec, Query, Reboot, Reply, Request, ResourceTypeRequest,
    World,
};

use crate::support::{
    ACCOUNT, DB, builder, call, code, deregister, image, make_template, place, secs, template_by_name, template_version,
};

const OTHERS: &str = "ami-0000000000000000a";

fn of(resource_type: &str, options: &[(&str, &[&str])]) -> ResourceTypeRequest {
    let options = options.iter().map(|(name, values)| {
        let values = values.iter().map(ToString::to_string).collect();
        ((*name).to_owned(), values)
    });
    ResourceTypeRequest { resource_type: resource_type.into(), options: options.collect() }
}

fn asking(ids: &[&ImageId], types: Vec<ResourceTypeRequest>) -> DescribeImageReferences {
    let ids = ids.iter().map(ToString::to_string).collect();
    DescribeImageReferences { ids, all_types: types.is_empty(), types, query: Query::default() }
}

fn references(world: &World, asked: DescribeImageReferences) -> Vec<ImageReference> {
    match call(world, Request::DescribeImageReferences(asked)).unwrap() {
        Reply::ImageReferences(page) => page.items,
        other => panic!("{other:?}"),
    }
}

/// A world with an available image, an instance launched from it, and a template that names it.
fn world() -> (World, ImageId) {
    let world = builder().build().unwrap();
    let id = image(&world, DB, "one", Reboot::No);
    world.clock().advance(secs(600));
    world.launch(&place(), InstanceSpec::new("i-00000000000000001").image(id.to_string())).unwrap();
    make_template(&world, "web", id.as_str());
    (world, id)
}

#[test]
fn instances_and_templates_are_told_by_their_arns() {
    let (world, id) = world();
    let found = references(&world, asking(&[&id], vec![]));
    assert_eq!(found[0].arn, format!("arn:aws:ec2:eu-central-1:{ACCOUNT}:instance/i-00000000000000001"));
    assert_eq!((found[0].resource_type, found[1].resource_type), ("ec2:Instance", "ec2:LaunchTemplate"));
    assert!(found[1].arn.contains(":launch-template/lt-") && found.len() == 2);
    let instances = references(&world, asking(&[&id], vec![of("ec2:Instance", &[])]));
    assert_eq!(instances.len(), 1);
    assert!(references(&world, asking(&[&id], vec![of("ssm:Parameter", &[])])).is_empty());
}

#[test]
fn terminated_instances_are_told_unless_states_are_named() {
    let (world, id) = world();
    call(&world, Request::TerminateInstances { ids: vec!["i-00000000000000001".into()] }).unwrap();
    world.clock().advance(secs(60));
    let all = || of("ec2:Instance", &[]);
    assert_eq!(references(&world, asking(&[&id], vec![all()])).len(), 1);
    let running = of("ec2:Instance", &[("state-name", &["running", "stopped"])]);
    assert!(references(&world, asking(&[&id], vec![running])).is_empty());
    world.clock().advance(secs(3600));
    assert!(references(&world, asking(&[&id], vec![all()])).is_empty());
}

#[test]
fn only_the_ten_newest_versions_of_a_template_are_looked_at_unless_a_depth_is_given() {
    let (world, id) = world();
    for _ in 0..10 {
        call(&world, template_version("web", OTHERS)).unwrap();
    }
    let templates =
        |options: &[(&str, &[&str])]| references(&world, asking(&[&id], vec![of("ec2:LaunchTemplate", options)])).len();
    assert_eq!(templates(&[]), 0);
    assert_eq!(templates(&[("version-depth", &["11"])]), 1);
    let both = DescribeImageReferences {
        all_types: true,
        ..asking(&[&id], vec![of("ec2:LaunchTemplate", &[("version-depth", &["10000"])])])
    };
    assert_eq!(references(&world, both).len(), 2, "named options override the defaults");
    call(&world, Request::DeleteLaunchTemplate(template_by_name("web"))).unwrap();
    assert_eq!(templates(&[("version-depth", &["11"])]), 0);
}

#[test]
fn a_question_that_is_wrong_is_refused() {
    let (world, id) = world();
    let code_of = |asked: DescribeImageReferences| code(&world, Request::DescribeImageReferences(asked));
    let with = |types| asking(&[&id], types);
    assert_eq!(code_of(asking(&[], vec![])), "MissingParameter");
    assert_eq!(code_of(DescribeImageReferences { all_types: false, ..with(vec![]) }), "MissingParameter");
    assert_eq!(code_of(asking(&[&id; 11], vec![])), "InvalidParameterValue");
    assert_eq!(code_of(with(vec![of("ec2:Fleet", &[])])), "InvalidParameterValue");
    assert_eq!(code_of(with(vec![of("ec2:Instance", &[("version-depth", &["1"])])])), "InvalidParameterValue");
    assert_eq!(code_of(with(vec![of("ec2:Instance", &[("state-name", &["gone"])])])), "InvalidParameterValue");
    for depth in ["0", "10001", "all"] {
        let asked = with(vec![of("ec2:LaunchTemplate", &[("version-depth", &[depth])])]);
        assert_eq!(code_of(asked), "InvalidParameterValue", "{depth}");
    }
    let small = Query { max_results: Some(4), ..Query::default() };
    assert_eq!(code_of(DescribeImageReferences { query: small, ..with(vec![]) }), "InvalidParameterValue");
    let malformed = DescribeImageReferences { ids: vec!["golden".into()], ..with(vec![]) };
    assert_eq!(code_of(malformed), "InvalidAMIID.Malformed");
}

#[test]
fn one_image_that_nobody_knows_refuses_the_whole_call_but_an_image_of_others_does_not() {
    let (world, id) = world();
    let others: ImageId = OTHERS.parse().unwrap();
    let asked = || Request::DescribeImageReferences(asking(&[&id, &others], vec![]));
    assert_eq!(code(&world, asked()), "InvalidAMIID.NotFound");
    world.launch(&place(), InstanceSpec::new("i-00000000000000002").image(OTHERS)).unwrap();
    assert!(call(&world, asked()).is_ok());
    call(&world, deregister(&id, false)).unwrap();
    assert!(call(&world, asked()).is_ok(), "a deregistered image is known for a while");
    world.clock().advance(secs(3600));
    assert_eq!(code(&world, asked()), "InvalidAMIID.NotFound");
}

#[test]
fn who_may_not_look_at_the_resources_is_told_nothing() {
    let (world, id) = world();
    let account = ACCOUNT.parse().unwrap();
    for action in [Action::DescribeImageReferences, Action::DescribeInstances, Action::DescribeLaunchTemplateVersions] {
        world.deny(&account, action);
        let error = call(&world, Request::DescribeImageReferences(asking(&[&id], vec![]))).unwrap_err();
        assert_eq!((error.status, error.code.as_ref()), (403, "UnauthorizedOperation"));
        assert!(error.message.contains(action.as_str()), "{}", error.message);
        world.allow(&account, action);
    }
    world.forget_action(Action::DescribeImageReferences);
    assert_eq!(code(&world, Request::DescribeImageReferences(asking(&[&id], vec![]))), "InvalidAction");
}

#[test]
fn many_references_come_in_pages() {
    let (world, id) = world();
    for n in 10..22 {
        world.launch(&place(), InstanceSpec::new(format!("i-000000000000000{n}")).image(id.to_string())).unwrap();
    }
    let mut asked = asking(&[&id], vec![]);
    asked.query.max_results = Some(5);
    let mut sizes = Vec::new();
    loop {
        let Reply::ImageReferences(page) = call(&world, Request::DescribeImageReferences(asked.clone())).unwrap()
        else {
            panic!()
        };
        sizes.push(page.items.len());
        let Some(token) = page.next_token else { break };
        asked.query.next_token = Some(token);
    }
    assert_eq!(sizes, [5, 5, 4]);
}
