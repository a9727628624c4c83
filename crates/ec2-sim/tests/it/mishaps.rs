//! What happens to images by chance, and faults on single pages and after the effect.

use amikeep_ec2_sim::{
    Action, CallOutcome, Delivery, DescribeImages, Fault, FaultOutcome, ImageState, InstanceState, Mishaps, Query,
    Reboot, Reply, Request, World,
};

use crate::support::{DB, WEB, builder, call, code, deliver, image, images, secs};

/// The state of each of `n` images an hour after it was asked for.
fn states(world: &World, n: usize) -> Vec<ImageState> {
    let state_after_an_hour = |n: usize| {
        let id = image(world, DB, &format!("image-{n:03}"), Reboot::No);
        world.clock().advance(secs(3600));
        images(world).into_iter().find(|image| image.facts.id == id).unwrap().state
    };
    (0..n).map(state_after_an_hour).collect()
}

#[test]
fn images_fail_and_take_hours_as_often_as_they_are_told_to() {
    let run = |seed| {
        let mishaps =
            Mishaps { failing_per_mille: 200, slow_per_mille: 200, slow_takes: secs(3 * 3600), ..Default::default() };
        states(&builder().seed(seed).mishaps(mishaps).build().unwrap(), 100)
    };
    let drawn = run(1);
    let count = |state: ImageState| drawn.iter().filter(|it| **it == state).count();
    assert!((8..=35).contains(&count(ImageState::Failed)), "{drawn:?}");
    assert!((8..=35).contains(&count(ImageState::Pending)), "{drawn:?}");
    assert!(30 < count(ImageState::Available), "{drawn:?}");
    assert_eq!(drawn, run(1));
    assert_ne!(drawn, run(2));
}

#[test]
fn a_failed_image_tells_its_reason() {
    let world = builder().mishaps(Mishaps { failing_per_mille: 1000, ..Default::default() }).build().unwrap();
    assert_eq!(states(&world, 1), [ImageState::Failed]);
    assert_eq!(images(&world)[0].state_reason.as_ref().unwrap().code, "Server.InternalError");
    world.set_mishaps(Mishaps::default());
    image(&world, DB, "two", Reboot::No);
    world.clock().advance(secs(600));
    assert!(images(&world).iter().any(|image| image.state == ImageState::Available));
}

#[test]
fn an_instance_can_vanish_half_way_and_its_images_fail_then() {
    let world = builder().mishaps(Mishaps { vanishing_per_mille: 1000, ..Default::default() }).build().unwrap();
    image(&world, DB, "one", Reboot::No);
    let state = || match call(&world, Request::DescribeInstances { ids: vec![DB.into()], query: Query::default() }) {
        Ok(Reply::Instances(page)) => page.items[0].state,
        other => panic!("{other:?}"),
    };
    world.clock().advance(secs(299));
    assert_eq!((images(&world)[0].state, state()), (ImageState::Pending, InstanceState::Running));
    call(&world, Request::StopInstances { ids: vec![DB.into()], hibernate: false }).unwrap();
    world.clock().advance(secs(1));
    assert_eq!((images(&world)[0].state, state()), (ImageState::Failed, InstanceState::ShuttingDown));
    assert_eq!(images(&world)[0].state_reason.as_ref().unwrap().code, "Client.InstanceTerminated");
    world.clock().advance(secs(30));
    assert_eq!(state(), InstanceState::Terminated);

    world.set_mishaps(Mishaps::default());
    world.terminate_at(&WEB.parse().unwrap(), world.clock().now() + secs(60));
    image(&world, WEB, "two", Reboot::No);
    world.clock().advance(secs(3 * 3600));
    let request = Request::DescribeInstances { ids: vec![WEB.into()], query: Query::default() };
    assert_eq!(code(&world, request), "InvalidInstanceID.NotFound");
}

#[test]
fn a_server_error_may_come_before_or_after_the_effect() {
    for (outcome, status, made) in [
        (FaultOutcome::internal_error(), 500, 0),
        (FaultOutcome::internal_error_after_effect(), 500, 1),
        (FaultOutcome::service_unavailable(), 503, 0),
        (FaultOutcome::service_unavailable_after_effect(), 503, 1),
    ] {
        let world = builder().fault(Fault::on(Action::CreateImage, outcome.clone())).build().unwrap();
        let request = Request::CreateImage(crate::support::create_image(DB, "one", Reboot::No));
        assert_eq!((call(&world, request).unwrap_err().status, world.images().len()), (status, made), "{outcome:?}");
        let done = matches!(&world.calls()[0].outcome, CallOutcome::RefusedAfterEffect(_));
        assert_eq!(done, made == 1, "{outcome:?}");
    }
}

#[test]
fn a_fault_can_strike_one_page_of_every_listing() {
    let world = builder().build().unwrap();
    states(&world, 7);
    world.plan_fault(Fault::on(Action::DescribeImages, FaultOutcome::CutInBody).page(3).always());
    let listing = || {
        let mut query = Query { max_results: Some(2), ..Query::default() };
        let mut pages = 0;
        loop {
            let request = Request::DescribeImages(DescribeImages { query: query.clone(), ..Default::default() });
            match deliver(&world, request, false) {
                Delivery::Answer(Reply::Images(page)) => {
                    pages += 1;
                    query.next_token = Some(page.next_token.unwrap());
                }
                Delivery::CutInBody(Reply::Images(page)) => return (pages, page.items.len()),
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!((listing(), listing()), ((2, 2), (2, 2)));
    assert_eq!(world.calls().last().unwrap().outcome, CallOutcome::CutInBody);
}

#[test]
fn a_refused_call_is_refused_whole_even_where_its_answer_would_break_off() {
    let world = builder().build().unwrap();
    world.plan_fault(Fault::on(Action::DeleteSnapshot, FaultOutcome::CutInBody));
    let delete = Request::DeleteSnapshot { snapshot_id: "snap-00000000000000001".into() };
    assert_eq!(code(&world, delete), "InvalidSnapshot.NotFound");
}
