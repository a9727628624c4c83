//! A wave of images while nobody else uses the account: near the theoretical least, and nothing throttled.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use expect_test::expect;

use crate::pacer::tests::world::{Endpoint, ManualTimer, Queue, Refill, Server, Tasks};
use crate::pacer::{Limits, Paced, Pacer, Timer};

/// How many jobs the engine has under way by default.
const JOBS_MAX: usize = 64;

fn wave(images: u32, jobs_max: usize, server: &Server) -> (f64, u32, u32) {
    let timer = ManualTimer::default();
    let endpoint = Endpoint::new(&timer, server);
    let pacer = Arc::new(Pacer::new(&Limits::documented(), timer.clone()));
    let cloud = Paced::new(endpoint.clone(), pacer);
    let (queue, refused) = (Queue::new(usize::try_from(images).unwrap()), AtomicU32::new(0));
    let mut tasks = Tasks::default();
    for _ in 0..jobs_max {
        tasks.spawn(queue.work(&timer, &cloud, &refused));
    }
    tasks.run(&timer);
    assert_eq!(endpoint.met.accepted(), usize::try_from(images).unwrap());
    let accepted_at = endpoint.met.accepted_at.lock().unwrap();
    let took = accepted_at.last().unwrap().1.saturating_sub(accepted_at[0].1);
    assert!(took <= timer.now());
    (took.as_secs_f64(), endpoint.met.throttled(), refused.load(Ordering::SeqCst))
}

#[test]
fn a_wave_alone_takes_hardly_longer_than_the_documented_limits_allow_and_is_never_throttled() {
    let mut lines = String::new();
    for images in [100, 1_000, 10_000] {
        let least = (f64::from(images) - 50.0) / 5.0;
        let (took, throttled, refused) = wave(images, JOBS_MAX, &Server::new(1.0));
        assert!(took <= 1.05 * least, "{images} images took {took} s, {least} s at least");
        assert_eq!((throttled, refused), (0, 0), "{images} images");
        writeln!(lines, "{images} images: {took:.1} s, {:.3} of the least", took / least).unwrap();
    }
    expect![[r#"
        100 images: 10.4 s, 1.036 of the least
        1000 images: 192.2 s, 1.011 of the least
        10000 images: 2010.3 s, 1.010 of the least
    "#]]
    .assert_eq(&lines);
}

#[test]
fn an_engine_with_all_jobs_under_way_at_once_is_refused_at_once_and_loses_little_time() {
    let (took, throttled, refused) = wave(1_000, 1_000, &Server::new(1.0));
    expect![[r#"
        192 s of 190 s, 0 throttled, 8987 refused
    "#]]
    .assert_eq(&format!("{took:.0} s of 190 s, {throttled} throttled, {refused} refused\n"));
}

#[test]
fn a_bucket_that_ec2_refills_once_a_second_costs_one_throttled_call_and_no_pace() {
    let (took, throttled, refused) = wave(1_000, JOBS_MAX, &Server::new(1.0).refilled(Refill::EverySecond));
    assert!(took <= 1.02 * 190.0, "{took} s");
    assert_eq!((throttled, refused), (1, 0));
}

#[test]
fn a_wave_with_twice_the_documented_limits_at_ec2_keeps_to_the_limits_it_was_given() {
    let (took, throttled, _) = wave(1_000, JOBS_MAX, &Server::new(2.0));
    assert!((188.0..=1.05 * 190.0).contains(&took), "{took} s");
    assert_eq!(throttled, 0);
}
