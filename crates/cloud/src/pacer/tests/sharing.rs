//! A wave while others draw from the same bucket, or while the bucket is not what the documentation says.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use expect_test::expect;

use crate::pacer::tests::world::{Endpoint, ManualTimer, Met, Queue, Server, Tasks, s};
use crate::pacer::{Limits, Paced, Pacer, Timer};
use crate::port::Action;

const JOBS_MAX: usize = 64;

/// Somebody without a pacer, who calls at an even rate until a moment.
async fn other(timer: ManualTimer, server: Server, every: Duration, until: Duration) {
    let mut at = Duration::ZERO;
    while at < until {
        server.take(Action::CreateImage, at);
        at += every;
        timer.sleep_until(at).await;
    }
}

struct Outcome {
    took: f64,
    throttled: u32,
    refused: u32,
    met: Arc<Met>,
}

/// A wave on `server`, with somebody who calls at the given rate until a moment.
fn wave(images: usize, server: &Server, other_user: Option<(Duration, Duration)>) -> Outcome {
    let timer = ManualTimer::default();
    let endpoint = Endpoint::new(&timer, server);
    let cloud = Paced::new(endpoint.clone(), Arc::new(Pacer::new(&Limits::documented(), timer.clone())));
    let (queue, refused) = (Queue::new(images), AtomicU32::new(0));
    let mut tasks = Tasks::default();
    if let Some((every, until)) = other_user {
        tasks.spawn_beside(other(timer.clone(), server.clone(), every, until));
    }
    for _ in 0..JOBS_MAX {
        tasks.spawn(queue.work(&timer, &cloud, &refused));
    }
    tasks.run(&timer);
    assert_eq!(endpoint.met.accepted(), images);
    Outcome {
        took: timer.now().as_secs_f64(),
        throttled: endpoint.met.throttled(),
        refused: refused.load(Ordering::SeqCst),
        met: endpoint.met,
    }
}

#[test]
fn others_and_wrong_limits_cost_few_throttled_calls_and_little_of_what_is_there() {
    let half = Some((Duration::from_millis(400), Duration::MAX));
    // Images a second that are there for us.
    let cases = [
        ("another user asks for half of the refill", 1.0, half, 2.5),
        (
            "another user asks for four fifths of the refill",
            1.0,
            Some((Duration::from_millis(250), Duration::MAX)),
            1.0,
        ),
        ("EC2 has half of the documented limit", 0.5, None, 2.5),
        ("EC2 has a fifth of the documented limit", 0.2, None, 1.0),
    ];
    let mut lines = String::new();
    for (name, scale, other_user, refill) in cases {
        for images in [100, 1_000, 3_000] {
            let server = Server::new(scale);
            let outcome = wave(images, &server, other_user);
            let images_f = f64::from(u32::try_from(images).unwrap());
            let least = (images_f - 50.0 * scale) / refill;
            let (took, throttled, refused) = (outcome.took, outcome.throttled, outcome.refused);
            let ratio = took / least;
            writeln!(lines, "{name}: {images}: {ratio:.2} of the least, {throttled} throttled, {refused} refused")
                .unwrap();
        }
    }
    expect![[r#"
        another user asks for half of the refill: 100: 1.08 of the least, 5 throttled, 0 refused
        another user asks for half of the refill: 1000: 1.01 of the least, 10 throttled, 0 refused
        another user asks for half of the refill: 3000: 1.00 of the least, 21 throttled, 0 refused
        another user asks for four fifths of the refill: 100: 0.80 of the least, 10 throttled, 0 refused
        another user asks for four fifths of the refill: 1000: 0.86 of the least, 98 throttled, 0 refused
        another user asks for four fifths of the refill: 3000: 0.87 of the least, 297 throttled, 0 refused
        EC2 has half of the documented limit: 100: 1.09 of the least, 28 throttled, 0 refused
        EC2 has half of the documented limit: 1000: 1.00 of the least, 33 throttled, 0 refused
        EC2 has half of the documented limit: 3000: 1.00 of the least, 44 throttled, 0 refused
        EC2 has a fifth of the documented limit: 100: 1.03 of the least, 64 throttled, 0 refused
        EC2 has a fifth of the documented limit: 1000: 1.00 of the least, 269 throttled, 0 refused
        EC2 has a fifth of the documented limit: 3000: 1.00 of the least, 725 throttled, 0 refused
    "#]]
    .assert_eq(&lines);
}

#[test]
fn a_few_calls_of_somebody_else_cost_the_tokens_they_took_and_no_pace() {
    let server = Server::new(1.0);
    for _ in 0..10 {
        assert!(server.take(Action::CreateImage, Duration::ZERO));
    }
    let outcome = wave(200, &server, None);
    let least = (200.0 + 10.0 - 50.0) / 5.0;
    assert!(outcome.took <= 1.05 * least, "{} s", outcome.took);
    assert_eq!(outcome.throttled, 9, "the part of the burst that was not there any more");
}

#[test]
fn the_whole_limit_is_in_use_again_minutes_after_the_other_user_stopped() {
    let stops_at = s(300);
    let outcome = wave(5_000, &Server::new(1.0), Some((Duration::from_millis(400), stops_at)));
    let per_minute = |from: u64| outcome.met.accepted_within(s(from), s(from + 60));
    assert!(per_minute(200) <= 170, "{} a minute before", per_minute(200));
    assert!(290 <= per_minute(300 + 360), "{} a minute after", per_minute(300 + 360));
}

#[test]
fn two_pacers_that_do_not_know_of_each_other_share_the_limit() {
    let timer = ManualTimer::default();
    let server = Server::new(1.0);
    let sides: Vec<_> = (0..2)
        .map(|_| {
            let endpoint = Endpoint::new(&timer, &server);
            let pacer = Pacer::new(&Limits::documented(), timer.clone());
            (Paced::new(endpoint, Arc::new(pacer)), Queue::new(2_000))
        })
        .collect();
    let refused = AtomicU32::new(0);
    let mut tasks = Tasks::default();
    for (cloud, queue) in &sides {
        for _ in 0..JOBS_MAX {
            tasks.spawn(queue.work(&timer, cloud, &refused));
        }
    }
    tasks.run(&timer);
    let took = timer.now().as_secs_f64();
    let met: Vec<_> = sides.iter().map(|(cloud, _)| &cloud.inner().met).collect();
    let halfway: Vec<_> = met.iter().map(|met| met.accepted_within(s(0), s(400))).collect();
    let throttled: Vec<_> = met.iter().map(|met| met.throttled()).collect();
    expect![[r#"
        829 s of 790 s, [980, 1067] in 400 s, [39, 37] throttled
    "#]]
    .assert_eq(&format!("{took:.0} s of 790 s, {halfway:?} in 400 s, {throttled:?} throttled\n"));
}
