//! Launch templates, and instances that were launched from a known image.

use amikeep_ec2_sim::{
    Action, CreateLaunchTemplate, CreateLaunchTemplateVersion, DescribeLaunchTemplateVersions, Filter, InstanceSpec,
    LaunchTemplateData, LaunchTemplateRef, LaunchTemplateSpec, LaunchTemplateVersionView, NewTag, Query, Reboot, Reply,
    Request, TagSpecification, World,
};

use crate::support::{
    ACCOUNT, DB, WEB, builder, call, code, deregister, filtered, image, make_template, place, secs, template,
    template_by_name, template_version,
};

const ONE: &str = "ami-00000000000000001";
const TWO: &str = "ami-00000000000000002";

fn versions(world: &World, call_: DescribeLaunchTemplateVersions) -> Vec<LaunchTemplateVersionView> {
    match call(world, Request::DescribeLaunchTemplateVersions(call_)).unwrap() {
        Reply::LaunchTemplateVersions(page) => page.items,
        other => panic!("{other:?}"),
    }
}

fn of(template: LaunchTemplateRef, versions: &[&str]) -> DescribeLaunchTemplateVersions {
    let versions = versions.iter().map(ToString::to_string).collect();
    DescribeLaunchTemplateVersions { template, versions, ..Default::default() }
}

fn numbers(views: &[LaunchTemplateVersionView]) -> Vec<u64> {
    views.iter().map(|view| view.number).collect()
}

fn names(world: &World, names: &[&str], query: Query) -> Vec<String> {
    let names = names.iter().map(ToString::to_string).collect();
    match call(world, Request::DescribeLaunchTemplates { ids: vec![], names, query }).unwrap() {
        Reply::LaunchTemplates(page) => page.items.into_iter().map(|view| view.name).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_template_has_versions_and_its_first_one_stays_the_default() {
    let world = builder().build().unwrap();
    let id = make_template(&world, "web", ONE);
    world.clock().advance(secs(60));
    call(&world, template_version("web", TWO)).unwrap();
    let by_id = || LaunchTemplateRef { id: Some(id.to_string()), name: None };
    let all = versions(&world, of(by_id(), &[]));
    assert_eq!(numbers(&all), [1, 2]);
    let images: Vec<_> = all.iter().map(|view| view.image.as_ref().unwrap().as_str().to_owned()).collect();
    assert_eq!(images, [ONE, TWO]);
    assert_eq!(numbers(&versions(&world, of(by_id(), &["$Latest"]))), [2]);
    assert_eq!(numbers(&versions(&world, of(template_by_name("web"), &["$Default"]))), [1]);
    let range = DescribeLaunchTemplateVersions { min: Some(2), max: Some(9), ..of(by_id(), &[]) };
    assert_eq!(numbers(&versions(&world, range)), [2]);
    let with_image =
        DescribeLaunchTemplateVersions { query: filtered(vec![Filter::new("image-id", [ONE])]), ..of(by_id(), &[]) };
    assert_eq!(numbers(&versions(&world, with_image)), [1]);
}

#[test]
fn of_all_templates_at_once_only_the_latest_and_the_default_versions_are_told() {
    let world = builder().build().unwrap();
    make_template(&world, "web", ONE);
    call(&world, template_version("web", TWO)).unwrap();
    call(&world, template_version("web", ONE)).unwrap();
    make_template(&world, "sql", TWO);
    assert_eq!(versions(&world, of(LaunchTemplateRef::default(), &["$Latest"])).len(), 2);
    assert_eq!(versions(&world, of(LaunchTemplateRef::default(), &["$Latest", "$Default"])).len(), 3);
    for asked in [&[][..], &["1"], &["$Latest", "2"]] {
        let request = Request::DescribeLaunchTemplateVersions(of(LaunchTemplateRef::default(), asked));
        assert_eq!(code(&world, request), "InvalidParameterCombination", "{asked:?}");
    }
}

#[test]
fn a_version_inherits_from_its_source_alone() {
    let world = builder().build().unwrap();
    make_template(&world, "web", ONE);
    let version = |source: Option<&str>| {
        Request::CreateLaunchTemplateVersion(CreateLaunchTemplateVersion {
            template: template_by_name("web"),
            source_version: source.map(ToOwned::to_owned),
            description: None,
            data: LaunchTemplateData { image_id: None, instance_type: Some("t3.micro".into()) },
            client_token: None,
        })
    };
    let image_of = |reply| match reply {
        Reply::LaunchTemplateVersion(view) => view.image.map(|image| image.as_str().to_owned()),
        other => panic!("{other:?}"),
    };
    assert_eq!(image_of(call(&world, version(None)).unwrap()), None);
    assert_eq!(image_of(call(&world, version(Some("$Default"))).unwrap()).as_deref(), Some(ONE));
    assert_eq!(code(&world, version(Some("9"))), "InvalidLaunchTemplateId.VersionNotFound");
}

#[test]
fn what_is_wrong_with_a_template_is_refused() {
    let world = builder().build().unwrap();
    make_template(&world, "web", ONE);
    assert_eq!(code(&world, template("web", TWO)), "InvalidLaunchTemplateName.AlreadyExistsException");
    assert_eq!(code(&world, template("a b", TWO)), "InvalidLaunchTemplateName.MalformedException");
    assert_eq!(code(&world, template("new", "image-1")), "InvalidAMIID.Malformed");
    assert_eq!(code(&world, template_version("other", ONE)), "InvalidLaunchTemplateName.NotFoundException");
    let by_id = |id: &str| LaunchTemplateRef { id: Some(id.into()), name: None };
    assert_eq!(code(&world, Request::DeleteLaunchTemplate(by_id("web"))), "InvalidLaunchTemplateId.Malformed");
    let unknown = by_id("lt-00000000000000009");
    assert_eq!(code(&world, Request::DeleteLaunchTemplate(unknown)), "InvalidLaunchTemplateId.NotFound");
    let both = LaunchTemplateRef { name: Some("web".into()), ..by_id("lt-00000000000000009") };
    assert_eq!(code(&world, Request::DeleteLaunchTemplate(both)), "InvalidParameterCombination");
    assert_eq!(code(&world, Request::DeleteLaunchTemplate(LaunchTemplateRef::default())), "MissingParameter");
    let missing = Request::DescribeLaunchTemplateVersions(of(template_by_name("web"), &["2"]));
    assert_eq!(code(&world, missing), "InvalidLaunchTemplateId.VersionNotFound");
    let query = Query { max_results: Some(201), ..Query::default() };
    let large = Request::DescribeLaunchTemplates { ids: vec![], names: vec![], query };
    assert_eq!(code(&world, large), "InvalidParameterValue");
    let empty = CreateLaunchTemplate {
        name: "empty".into(),
        description: None,
        data: LaunchTemplateData::default(),
        tag_specifications: vec![],
        client_token: None,
    };
    assert_eq!(code(&world, Request::CreateLaunchTemplate(empty)), "MissingParameter");
}

#[test]
fn a_client_token_makes_one_template_of_two_calls() {
    let world = builder().build().unwrap();
    let with_token = || match template("web", ONE) {
        Request::CreateLaunchTemplate(call) => {
            Request::CreateLaunchTemplate(CreateLaunchTemplate { client_token: Some("t1".into()), ..call })
        }
        other => other,
    };
    assert_eq!(call(&world, with_token()).unwrap(), call(&world, with_token()).unwrap());
    assert_eq!(names(&world, &[], Query::default()), ["web"]);
}

#[test]
fn templates_are_listed_by_name_tag_and_page_until_they_are_deleted() {
    let world = builder().build().unwrap();
    let tag = |value: &str| NewTag { key: "Team".into(), value: value.into() };
    let tagged = match template("web", ONE) {
        Request::CreateLaunchTemplate(call) => {
            let tags = vec![tag("ops")];
            let specification = TagSpecification { resource_type: "launch-template".into(), tags };
            Request::CreateLaunchTemplate(CreateLaunchTemplate { tag_specifications: vec![specification], ..call })
        }
        other => other,
    };
    call(&world, tagged).unwrap();
    let other = make_template(&world, "sql", ONE);
    assert_eq!(names(&world, &["sql"], Query::default()), ["sql"]);
    assert_eq!(names(&world, &[], filtered(vec![Filter::new("tag:Team", ["ops"])])), ["web"]);
    assert_eq!(names(&world, &[], filtered(vec![Filter::new("launch-template-name", ["s*"])])), ["sql"]);
    assert_eq!(names(&world, &[], Query { max_results: Some(1), ..Query::default() }).len(), 1);
    let retag = Request::CreateTags { resources: vec![other.to_string()], tags: vec![tag("dev")] };
    call(&world, retag).unwrap();
    assert_eq!(names(&world, &[], filtered(vec![Filter::new("tag-key", ["Team"])])).len(), 2);

    call(&world, Request::DeleteLaunchTemplate(template_by_name("web"))).unwrap();
    assert_eq!(names(&world, &[], Query::default()), ["sql"]);
    make_template(&world, "web", TWO);
    let gone = Request::DescribeLaunchTemplates { ids: vec![], names: vec!["old".into()], query: Query::default() };
    assert_eq!(code(&world, gone), "InvalidLaunchTemplateName.NotFoundException");
}

#[test]
fn a_world_can_begin_with_templates_and_get_more() {
    let spec = LaunchTemplateSpec::new("web").id("lt-00000000000000001").version(ONE).version_without_image();
    let world = builder().launch_template(spec.clone()).build().unwrap();
    assert_eq!(versions(&world, of(template_by_name("web"), &[])).len(), 2);
    assert!(world.add_launch_template(&place(), spec).is_err());
    world.add_launch_template(&place(), LaunchTemplateSpec::new("sql").version(TWO)).unwrap();
    assert_eq!(names(&world, &[], Query::default()).len(), 2);
    assert!(World::builder().launch_template(LaunchTemplateSpec::new("web")).build().is_err());
    assert!(builder().launch_template(LaunchTemplateSpec::new("web").version("golden")).build().is_err());
}

#[test]
fn a_template_may_be_tagged_only_with_the_permission_to_tag() {
    let world = builder().build().unwrap();
    world.deny(&ACCOUNT.parse().unwrap(), Action::CreateTags);
    make_template(&world, "web", ONE);
    let Request::CreateLaunchTemplate(plain) = template("sql", ONE) else { panic!() };
    let tags = vec![NewTag { key: "k".into(), value: String::new() }];
    let specification =
        |resource_type: &str| TagSpecification { resource_type: resource_type.into(), tags: tags.clone() };
    let tagged = |resource_type: &str| {
        let tag_specifications = vec![specification(resource_type)];
        Request::CreateLaunchTemplate(CreateLaunchTemplate { tag_specifications, ..plain.clone() })
    };
    assert_eq!(code(&world, tagged("launch-template")), "UnauthorizedOperation");
    assert_eq!(code(&world, tagged("instance")), "InvalidParameterValue");
}

#[test]
fn an_instance_tells_the_image_that_it_was_launched_from() {
    let world = builder().instance(InstanceSpec::new("i-00000000000000001").image(ONE)).build().unwrap();
    let own = image(&world, DB, "one", Reboot::No);
    let from_own = || InstanceSpec::new("i-00000000000000002").image(own.to_string());
    assert!(world.launch(&place(), from_own()).is_err(), "a pending image launches nothing");
    world.clock().advance(secs(600));
    world.launch(&place(), from_own()).unwrap();
    let launched_from = |image: &str| {
        let query = filtered(vec![Filter::new("image-id", [image])]);
        match call(&world, Request::DescribeInstances { ids: vec![], query }).unwrap() {
            Reply::Instances(page) => page.items.into_iter().map(|view| view.facts.id.to_string()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(launched_from(ONE), ["i-00000000000000001"]);
    assert_eq!(launched_from(own.as_str()), ["i-00000000000000002"]);
    call(&world, deregister(&own, false)).unwrap();
    assert_eq!(launched_from(own.as_str()).len(), 1, "an instance outlives its image");
    assert!(world.launch(&place(), InstanceSpec::new("i-00000000000000003").image(own.to_string())).is_err());
    assert!(world.launch(&place(), InstanceSpec::new("i-00000000000000004").image(WEB)).is_err());
}
