//! What goes wrong on purpose, and what is recorded of it.

use amikeep_ec2_sim::{Action, ApiError, CallOutcome, Delivery, Fault, FaultOutcome, Reboot, Request};

use crate::support::{DB, WEB, builder, call, code, create_image, deliver, images};

fn create(instance: &str, name: &str) -> Request {
    Request::CreateImage(create_image(instance, name, Reboot::No))
}

#[test]
fn a_lost_reply_leaves_the_image_behind_and_a_lost_request_does_not() {
    let world = builder().build().unwrap();
    world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::LostReplyAfterEffect).touching(DB));
    world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::LostBeforeEffect).touching(WEB));
    assert_eq!(deliver(&world, create(DB, "one"), false), Delivery::Cut);
    assert_eq!(deliver(&world, create(WEB, "two"), false), Delivery::Cut);
    let names: Vec<_> = images(&world).into_iter().map(|image| image.facts.name).collect();
    assert_eq!(names, ["one"]);
    let outcomes: Vec<_> = world.calls().into_iter().take(2).map(|call| call.outcome).collect();
    assert_eq!(outcomes, [CallOutcome::LostAfterEffect, CallOutcome::LostBeforeEffect]);
}

#[test]
fn throttles_errors_hangs_and_garbage_have_no_effect() {
    let world = builder().build().unwrap();
    let error = ApiError::new(500, "InternalError", "An internal error has occurred");
    for (n, outcome) in [FaultOutcome::Throttle, FaultOutcome::Error(error), FaultOutcome::Hang, FaultOutcome::Garbage]
        .into_iter()
        .enumerate()
    {
        world.plan_fault(Fault::on(Action::CreateImage, outcome).nth(u32::try_from(n).unwrap() + 1));
    }
    let deliveries: Vec<_> = (0..4).map(|_| deliver(&world, create(DB, "one"), false)).collect();
    assert!(matches!(&deliveries[0], Delivery::Refusal(error) if error.status == 503));
    assert!(matches!(&deliveries[1], Delivery::Refusal(error) if error.code == "InternalError"));
    assert_eq!(deliveries[2..], [Delivery::Hang, Delivery::Garbage]);
    assert!(images(&world).is_empty());
    call(&world, create(DB, "one")).unwrap();
    assert_eq!(world.count(Action::CreateImage), 5);
}

#[test]
fn a_dry_run_is_not_struck_and_does_not_count() {
    let world = builder().build().unwrap();
    world.plan_fault(Fault::on(Action::CreateImage, FaultOutcome::Hang));
    assert!(matches!(deliver(&world, create(DB, "one"), true), Delivery::Refusal(error) if error.status == 412));
    assert_eq!(deliver(&world, create(DB, "one"), false), Delivery::Hang);
    let dry_runs: Vec<_> = world.calls().into_iter().map(|call| call.dry_run).collect();
    assert_eq!(dry_runs, [true, false]);
}

#[test]
fn chance_comes_from_the_seed_and_faults_can_be_forgotten() {
    let struck = |seed| {
        let fault = Fault::on(Action::DeleteSnapshot, FaultOutcome::Throttle).per_mille(300);
        let world = builder().seed(seed).fault(fault).build().unwrap();
        let delete = || Request::DeleteSnapshot { snapshot_id: "snap-00000000000000001".into() };
        let codes: Vec<_> = (0..200).map(|_| code(&world, delete())).collect();
        world.clear_faults();
        assert_eq!(code(&world, delete()), "InvalidSnapshot.NotFound");
        codes
    };
    let codes = struck(3);
    assert_eq!(codes, struck(3));
    let throttled = codes.iter().filter(|code| *code == "RequestLimitExceeded").count();
    assert!((30..90).contains(&throttled), "{throttled}");
}
