//! What a single call meets: refusals, cancelled waits, paging, closing, and feedback.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{CloudError, CloudErrorKind};
use crate::pacer::tests::world::{Endpoint, ManualTimer, Server, Tasks, image_id, image_request, ms, s};
use crate::pacer::{Limit, Limits, Paced, Pacer, Taken, Timer, WAIT_MAX};
use crate::port::{Action, Cloud, ImageQuery, InstanceQuery};

struct Bench {
    timer: ManualTimer,
    pacer: Arc<Pacer<ManualTimer>>,
    cloud: Paced<Endpoint, ManualTimer>,
}

fn bench(limits: &Limits, entries: usize) -> Bench {
    let timer = ManualTimer::default();
    let mut endpoint = Endpoint::new(&timer, &Server::new(1.0));
    endpoint.entries = entries;
    let pacer = Arc::new(Pacer::new(limits, timer.clone()));
    let cloud = Paced::new(endpoint, Arc::clone(&pacer));
    Bench { timer, pacer, cloud }
}

/// `CreateImage` with `capacity` calls at once and one a second after that.
fn narrow(capacity: f64) -> Limits {
    Limits::documented().with(Action::CreateImage, Limit::new(capacity + 1.0, 1.0 / 0.99).unwrap())
}

type Answers = RefCell<Vec<(usize, Duration, Result<(), CloudError>)>>;

async fn ask(bench: &Bench, answers: &Answers, number: usize) {
    let answer = bench.cloud.request_image(image_request()).await.map(|_| ());
    answers.borrow_mut().push((number, bench.timer.now(), answer));
}

#[test]
fn calls_of_one_action_are_sent_in_the_order_of_asking() {
    let bench = bench(&narrow(1.0), 0);
    let answers = Answers::default();
    let mut tasks = Tasks::default();
    for number in 0..8 {
        tasks.spawn(ask(&bench, &answers, number));
    }
    tasks.run(&bench.timer);
    let order: Vec<usize> = answers.borrow().iter().map(|(number, _, _)| *number).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_call_whose_turn_is_too_far_away_is_refused_at_once_and_not_sent() {
    let bench = bench(&narrow(1.0), 0);
    let answers = Answers::default();
    let mut tasks = Tasks::default();
    for number in 0..70 {
        tasks.spawn(ask(&bench, &answers, number));
    }
    tasks.settle();
    let refused = answers.borrow().clone();
    assert_eq!(refused.len(), 9, "sixty wait, and one has gone");
    for (_, at, answer) in refused {
        let error = answer.unwrap_err();
        assert_eq!((at, error.kind, error.code.as_str()), (Duration::ZERO, CloudErrorKind::Throttled, "paced"));
        assert_eq!(
            error.message,
            "not sent: EC2's request limit has room for another CreateImage in 61 s, and 60 s are the longest wait"
        );
    }
    tasks.run(&bench.timer);
    // A bucket that holds one call is not refilled while that is on its way, so the last of them wait for too long.
    assert_eq!(bench.cloud.inner().met.accepted(), 57);
    assert!(bench.timer.now() <= WAIT_MAX + s(1));
}

#[test]
fn a_wait_that_is_dropped_gives_its_turn_to_those_behind() {
    let bench = bench(&narrow(1.0), 0);
    let answers = Answers::default();
    let mut tasks = Tasks::default();
    let indexes: Vec<usize> = (0..12).map(|number| tasks.spawn(ask(&bench, &answers, number))).collect();
    tasks.settle();
    for index in &indexes[1..11] {
        tasks.drop_task(*index);
    }
    tasks.run(&bench.timer);
    assert_eq!(bench.cloud.inner().met.accepted(), 2);
    assert!(bench.timer.now() < s(3), "the last had to wait for {:?}", bench.timer.now());
}

#[test]
fn reads_never_wait_for_writes_nor_writes_for_reads() {
    let bench = bench(&narrow(1.0), 0);
    let answers = Answers::default();
    let mut tasks = Tasks::default();
    for number in 0..40 {
        tasks.spawn(ask(&bench, &answers, number));
    }
    let reads: Vec<usize> = (0..99)
        .map(|_| {
            tasks.spawn(async {
                bench.cloud.observe_images(ImageQuery::Ids(Vec::new())).await.unwrap();
            })
        })
        .collect();
    tasks.run_until(&bench.timer, |tasks| reads.iter().all(|index| tasks.is_done(*index)));
    assert!(bench.timer.now() < ms(500), "the reads took {:?}", bench.timer.now());
}

#[test]
fn identity_is_never_paced() {
    let bench = bench(&Limits::documented(), 0);
    let mut tasks = Tasks::default();
    for _ in 0..1_000 {
        tasks.spawn(async {
            bench.cloud.observe_identity().await.unwrap();
        });
    }
    tasks.run(&bench.timer);
    assert!(bench.timer.now() < ms(500));
}

#[test]
fn every_page_of_a_listing_is_taken_into_account() {
    let bench = bench(&Limits::documented(), 60_000);
    let mut tasks = Tasks::default();
    tasks.spawn(async {
        let entries = bench.cloud.observe_images(ImageQuery::Ids(Vec::new())).await.unwrap();
        assert_eq!(entries.len(), 60_000);
    });
    tasks.run(&bench.timer);
    let listed_at = bench.timer.now();
    for _ in 0..60 {
        tasks.spawn(async {
            bench.cloud.probe(Action::DescribeImages, None).await.unwrap();
        });
    }
    tasks.run(&bench.timer);
    // Sixty pages leave 39 of 99 tokens, so the last of sixty calls waits for 21 at almost 20 a second.
    let took = bench.timer.now().saturating_sub(listed_at);
    assert!(ms(1_060) < took && took < ms(1_250), "it took {took:?}");
}

#[test]
fn all_calls_of_a_question_about_usage_wait_for_their_turn() {
    let bench = bench(&Limits::documented(), 0);
    let mut tasks = Tasks::default();
    for _ in 0..20 {
        // Ten calls each, so the bucket is empty in between.
        tasks.spawn(async {
            bench.cloud.observe_usage(vec![image_id(); 100]).await.unwrap();
        });
    }
    tasks.run(&bench.timer);
    assert_eq!((bench.cloud.inner().met.accepted(), bench.cloud.inner().met.throttled()), (200, 0));
    // Each question has all its turns before its first call is sent, and they fill the bucket meanwhile.
    assert!(s(5) <= bench.timer.now() && bench.timer.now() < ms(6_500), "it took {:?}", bench.timer.now());
}

#[test]
fn a_question_about_more_images_than_the_bucket_holds_is_asked_when_it_is_full() {
    let bench = bench(&Limits::documented(), 0);
    let mut tasks = Tasks::default();
    tasks.spawn(async {
        bench.cloud.observe_usage(vec![image_id(); 1_500]).await.unwrap();
    });
    tasks.run(&bench.timer);
    assert_eq!(bench.cloud.inner().met.accepted(), 150);
}

#[test]
fn a_closed_pacer_refuses_whoever_waits_within_a_second_and_still_sends_what_need_not_wait() {
    let bench = bench(&narrow(1.0), 0);
    let answers = Answers::default();
    let mut tasks = Tasks::default();
    for number in 0..30 {
        tasks.spawn(ask(&bench, &answers, number));
    }
    tasks.spawn(async {
        bench.timer.sleep_until(ms(500)).await;
        bench.pacer.close();
        bench.cloud.observe_instances(InstanceQuery::All).await.unwrap();
    });
    tasks.run(&bench.timer);
    assert!(bench.timer.now() <= ms(1_200), "it took {:?}", bench.timer.now());
    let refused = answers.borrow().iter().filter(|(_, _, answer)| answer.is_err()).count();
    assert!(28 <= refused, "{refused} were refused");
}

#[test]
fn a_throttle_counts_for_the_action_that_was_throttled() {
    let bench = bench(&Limits::documented(), 0);
    let throttled: Result<(), CloudError> =
        Err(CloudError::from_answer(Action::DescribeLaunchTemplates, 503, "RequestLimitExceeded", "Slow down."));
    let turn = Taken { at: Duration::ZERO, ticket: None };
    bench.pacer.learn(Action::DescribeImageReferences, turn, &throttled);
    let mut tasks = Tasks::default();
    let waiting = tasks.spawn(async {
        bench.cloud.probe(Action::DescribeLaunchTemplates, None).await.unwrap();
    });
    tasks.spawn(async {
        bench.cloud.probe(Action::DescribeImageReferences, None).await.unwrap();
    });
    tasks.settle();
    assert_eq!(bench.cloud.inner().met.accepted(), 0);
    tasks.run(&bench.timer);
    assert!(tasks.is_done(waiting));
    let order: Vec<Action> = bench.cloud.inner().met.accepted_at.lock().unwrap().iter().map(|it| it.0).collect();
    assert_eq!(order, [Action::DescribeImageReferences, Action::DescribeLaunchTemplates]);
}

#[test]
fn other_limits_take_effect_for_those_who_wait() {
    let bench = bench(&narrow(1.0), 0);
    let answers = Answers::default();
    let mut tasks = Tasks::default();
    for number in 0..50 {
        tasks.spawn(ask(&bench, &answers, number));
    }
    tasks.settle();
    bench.pacer.set_limits(&Limits::documented());
    tasks.run(&bench.timer);
    assert!(bench.timer.now() < s(12), "it took {:?}", bench.timer.now());
}

#[test]
fn a_clock_that_is_set_back_holds_nobody_up() {
    let bench = bench(&narrow(1.0), 0);
    bench.timer.set(s(10_000));
    let answers = Answers::default();
    let mut tasks = Tasks::default();
    for number in 0..5 {
        tasks.spawn(ask(&bench, &answers, number));
    }
    tasks.settle();
    bench.timer.set(s(10));
    let later = tasks.spawn(ask(&bench, &answers, 5));
    tasks.settle();
    assert!(!tasks.is_done(later));
    tasks.run(&bench.timer);
    assert!(answers.borrow().iter().all(|(_, _, answer)| answer.is_ok()));
}

#[test]
fn the_time_of_the_last_answer_is_passed_on() {
    let bench = bench(&Limits::documented(), 0);
    assert_eq!(bench.cloud.answered_at(), bench.cloud.inner().answered_at());
}

#[test]
fn calls_whose_turns_were_taken_before_a_throttle_was_noticed_count_as_one_with_it() {
    let timer = ManualTimer::default();
    // One token, and the next after ten seconds.
    let endpoint = Endpoint::new(&timer, &Server::new(0.02));
    let cloud = Paced::new(endpoint, Arc::new(Pacer::new(&Limits::documented(), timer.clone())));
    let granted = RefCell::new(0);
    let mut tasks = Tasks::default();
    tasks.spawn(async {
        for _ in 0..3 {
            cloud.ready(Action::CreateImage).await.unwrap();
        }
        assert!(cloud.request_image(image_request()).await.is_ok());
        assert!(cloud.request_image(image_request()).await.is_err());
        // The ledger was busy meanwhile.
        timer.sleep_until(timer.now() + s(1)).await;
        assert!(cloud.request_image(image_request()).await.is_err());
        let began_at = timer.now();
        while timer.now() < began_at + s(4) {
            cloud.ready(Action::CreateImage).await.unwrap();
            *granted.borrow_mut() += 1;
        }
    });
    tasks.run(&timer);
    // About five a second, and four of them tokens that had gathered. Had the second throttle said anything new, it would
    // have emptied the bucket again and taken a fifth of the share.
    assert!(22 <= *granted.borrow(), "{}", granted.borrow());
}
