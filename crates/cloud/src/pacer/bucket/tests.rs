//! The rules of one bucket, and its laws under any order of events.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::pacer::tests::world::ServerBucket;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn bucket() -> Bucket {
    Bucket::new(Limit::new(50.0, 5.0).unwrap(), Duration::ZERO)
}

/// How many calls go at this moment.
fn burst(bucket: &mut Bucket, now: Duration) -> usize {
    let mut sent = 0;
    loop {
        let ticket = bucket.join(now, 1);
        if bucket.turn(now, ticket) != Turn::Now {
            bucket.leave(ticket);
            return sent;
        }
        bucket.arrived(now, ticket);
        sent += 1;
    }
}

fn share(bucket: &mut Bucket, now: Duration) -> String {
    bucket.refresh(now);
    format!("{:.2}", bucket.share)
}

#[test]
fn a_burst_is_the_capacity_less_one_and_the_refill_a_hundredth_less() {
    let mut bucket = bucket();
    assert_eq!(burst(&mut bucket, Duration::ZERO), 49);
    assert_eq!(burst(&mut bucket, s(10)), 49, "49.5, and no more than fits");
    assert_eq!(burst(&mut bucket, s(12)), 9, "9.9");
    assert_eq!(burst(&mut bucket, s(86_400)), 49);
}

/// Two throttled calls in a row, the second at `now`, sent just before.
fn throttled_twice(bucket: &mut Bucket, now: Duration) {
    bucket.throttled(now.saturating_sub(ms(2)), now.saturating_sub(ms(3)));
    bucket.throttled(now, now.saturating_sub(ms(1)));
}

#[test]
fn a_throttled_call_once_in_a_while_empties_the_bucket_and_leaves_the_share() {
    let mut bucket = bucket();
    for minute in [1, 2, 3] {
        bucket.throttled(s(minute * 60), s(minute * 60 - 1));
        assert_eq!(burst(&mut bucket, s(minute * 60)), 0);
        bucket.succeeded(s(minute * 60 + 2), s(minute * 60 + 1));
    }
    assert_eq!(share(&mut bucket, s(200)), "1.00");
}

#[test]
fn a_second_throttled_call_within_a_minute_takes_a_fifth_of_the_share() {
    let mut bucket = bucket();
    bucket.throttled(s(1), ms(900));
    bucket.succeeded(s(3), s(2));
    bucket.throttled(s(60), s(59));
    assert_eq!(burst(&mut bucket, s(60)), 0);
    assert_eq!(share(&mut bucket, s(60)), "0.80");
    assert_eq!(burst(&mut bucket, s(600)), 39, "0.8 of 49");
}

#[test]
fn a_second_throttled_call_without_a_success_in_between_takes_a_fifth_of_the_share_however_late_it_comes() {
    let mut bucket = bucket();
    bucket.throttled(s(1), ms(900));
    bucket.throttled(s(3_600), s(3_599));
    assert_eq!(share(&mut bucket, s(3_600)), "0.80");
}

#[test]
fn below_the_whole_share_every_throttled_call_takes_a_fifth_however_late_it_comes() {
    let mut bucket = bucket();
    throttled_twice(&mut bucket, s(1));
    bucket.succeeded(s(3), s(2));
    assert_eq!(share(&mut bucket, s(63)), "0.90");
    bucket.throttled(s(63), s(62));
    assert_eq!(share(&mut bucket, s(63)), "0.72");
}

#[test]
fn calls_that_were_on_their_way_are_throttled_without_being_news() {
    let mut bucket = bucket();
    for answered_at in 100..150 {
        bucket.throttled(ms(answered_at), Duration::ZERO);
    }
    assert_eq!(share(&mut bucket, ms(150)), "1.00");
    for answered_at in 700..750 {
        bucket.throttled(ms(answered_at), ms(400));
    }
    assert_eq!(share(&mut bucket, ms(750)), "0.80");
}

#[test]
fn the_share_stays_above_its_least_however_many_calls_are_throttled() {
    let mut bucket = bucket();
    for n in 0..1_000 {
        bucket.throttled(s(n + 1), s(n) + ms(500));
    }
    assert_eq!(share(&mut bucket, s(1_001)), "0.25");
}

#[test]
fn the_share_grows_only_after_a_call_that_was_sent_later_has_succeeded() {
    let mut bucket = bucket();
    throttled_twice(&mut bucket, s(1));
    bucket.succeeded(s(2), ms(900));
    assert_eq!(share(&mut bucket, s(86_400)), "0.80", "it was sent before");
    bucket.succeeded(s(86_401), s(86_400));
    assert_eq!(share(&mut bucket, s(86_401) + s(60)), "0.90");
    assert_eq!(share(&mut bucket, s(86_401) + s(120)), "1.00");
    assert_eq!(share(&mut bucket, s(200_000)), "1.00");
}

#[test]
fn a_listing_that_succeeded_leaves_no_debt() {
    let mut bucket = bucket();
    bucket.charge(Duration::ZERO, 30);
    assert_eq!(burst(&mut bucket, Duration::ZERO), 19);
    bucket.charge(Duration::ZERO, 1_000_000);
    assert_eq!(burst(&mut bucket, s(1)), 4, "4.95");
}

#[test]
fn many_calls_at_once_wait_for_a_full_bucket_and_leave_a_debt() {
    let mut bucket = bucket();
    assert_eq!(burst(&mut bucket, Duration::ZERO), 49);
    let many = bucket.join(Duration::ZERO, 60);
    assert!(matches!(bucket.turn(s(9), many), Turn::Wait { .. }));
    assert_eq!(bucket.turn(s(10), many), Turn::Now);
    bucket.arrived(s(10), many);
    assert_eq!(burst(&mut bucket, s(12)), 0);
    assert_eq!(burst(&mut bucket, s(13)), 3, "14.85 less 11");
}

/// Takes a whole burst, and does not send it.
fn unsent_burst(bucket: &mut Bucket, now: Duration) -> Vec<Ticket> {
    let tickets: Vec<Ticket> = (0..49).map(|_| bucket.join(now, 1)).collect();
    assert!(tickets.iter().all(|ticket| bucket.turn(now, *ticket) == Turn::Now));
    tickets
}

#[test]
fn a_bucket_that_is_full_at_ec2_is_not_refilled_before_a_call_arrives() {
    let mut bucket = bucket();
    let tickets = unsent_burst(&mut bucket, Duration::ZERO);
    assert_eq!(burst(&mut bucket, s(3)), 0);
    for ticket in &tickets {
        bucket.sent(s(3), *ticket);
    }
    assert_eq!(burst(&mut bucket, ms(3_900)), 0, "none may have arrived");
    bucket.arrived(ms(3_900), tickets[0]);
    assert_eq!(burst(&mut bucket, ms(4_000)), 0, "all have arrived, and 0.5 is refilled");
    assert_eq!(burst(&mut bucket, s(5)), 5, "5.4");
}

#[test]
fn a_turn_that_is_forgotten_holds_nothing_for_ever() {
    let mut bucket = bucket();
    unsent_burst(&mut bucket, Duration::ZERO);
    assert_eq!(burst(&mut bucket, s(60)), 0);
    assert_eq!(burst(&mut bucket, s(120)), 49);
}

#[test]
fn calls_of_a_process_before_this_one_are_missing_from_the_bucket() {
    let recalled = |ages: &[Duration]| {
        let mut bucket = bucket();
        bucket.recall(Duration::ZERO, ages);
        burst(&mut bucket, Duration::ZERO)
    };
    assert_eq!(recalled(&[]), 49);
    assert_eq!(recalled(&[s(60); 49]), 49, "long ago");
    assert_eq!(recalled(&[s(2); 49]), 9, "9.9");
    let wave: Vec<Duration> = (0..200).rev().map(|n| ms(n * 202)).collect();
    assert_eq!(recalled(&[vec![ms(40_200); 49], wave].concat()), 0, "in the middle of a wave");
}

#[test]
fn somebody_who_asked_later_never_takes_the_token_of_somebody_who_asked_earlier() {
    let mut bucket = bucket();
    assert_eq!(burst(&mut bucket, Duration::ZERO), 49);
    let (first, second) = (bucket.join(ms(1), 1), bucket.join(ms(2), 1));
    assert!(matches!(bucket.turn(ms(250), second), Turn::Wait { .. }));
    assert_eq!(bucket.turn(ms(250), first), Turn::Now);
}

#[test]
fn whoever_waits_when_the_share_falls_is_refused_if_that_is_too_long() {
    let mut bucket = bucket();
    assert_eq!(burst(&mut bucket, Duration::ZERO), 49);
    let waiting: Vec<Ticket> = (0..290).map(|_| bucket.join(Duration::ZERO, 1)).collect();
    assert!(matches!(bucket.turn(Duration::ZERO, waiting[289]), Turn::Wait { .. }));
    throttled_twice(&mut bucket, ms(100));
    assert!(matches!(bucket.turn(ms(100), waiting[289]), Turn::Refused { wait } if s(73) < wait && wait < s(74)));
    assert!(matches!(bucket.turn(ms(100), waiting[200]), Turn::Wait { .. }));
}

#[test]
fn a_clock_that_is_set_back_refills_nothing_and_holds_nothing_up() {
    let mut bucket = bucket();
    assert_eq!(burst(&mut bucket, s(5_000)), 49);
    throttled_twice(&mut bucket, s(5_000));
    let waiting = bucket.join(s(5_000), 1);
    assert_eq!(burst(&mut bucket, s(10)), 0);
    assert!(matches!(bucket.turn(s(10), waiting), Turn::Wait { until } if until < s(11)));
    assert_eq!(bucket.turn(s(11), waiting), Turn::Now);
    bucket.succeeded(s(12), s(11));
    assert_eq!(share(&mut bucket, s(72)), "0.90");
}

#[test]
fn a_clock_that_is_set_back_makes_no_wait_longer_than_the_longest() {
    let mut bucket = bucket();
    assert_eq!(burst(&mut bucket, s(5_000)), 49);
    let waiting: Vec<Ticket> = (0..290).map(|_| bucket.join(s(5_000), 1)).collect();
    throttled_twice(&mut bucket, s(10));
    assert!(matches!(bucket.turn(s(10), waiting[289]), Turn::Refused { .. }));
}

#[test]
fn other_limits_keep_what_is_in_the_bucket_and_what_was_learned() {
    let mut bucket = bucket();
    throttled_twice(&mut bucket, s(1));
    bucket.set_limit(Limit::new(500.0, 100.0).unwrap(), s(1));
    assert_eq!(burst(&mut bucket, s(1)), 0);
    assert_eq!(burst(&mut bucket, s(2)), 79, "0.8 of 99");
    bucket.set_limit(Limit::new(2.0, 1.0).unwrap(), s(60));
    assert_eq!(burst(&mut bucket, s(60)), 1);
}

#[derive(Debug, Clone)]
enum Event {
    Join(u32),
    Look(usize),
    Leave(usize),
    Throttled(u64),
    Succeeded(u64),
    Charge(u32),
    Limit(u32, u32),
    Pass(u64),
    SetBack(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u32..3).prop_map(Event::Join),
        4 => (0_usize..64).prop_map(Event::Look),
        1 => (0_usize..64).prop_map(Event::Leave),
        1 => (0_u64..3_000).prop_map(Event::Throttled),
        2 => (0_u64..3_000).prop_map(Event::Succeeded),
        1 => (0_u32..200).prop_map(Event::Charge),
        1 => (1_u32..200, 1_u32..50).prop_map(|(capacity, refill)| Event::Limit(capacity, refill)),
        4 => (0_u64..5_000).prop_map(Event::Pass),
        1 => (0_u64..100_000).prop_map(Event::SetBack),
    ]
}

/// One call, by the times between its steps.
#[derive(Debug, Clone)]
struct Call {
    /// Since the one before it asked for its turn.
    gap: Duration,
    /// From its turn until it is sent.
    written_for: Duration,
    travels_for: Duration,
    answered_in: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Join,
    Look(Ticket),
    Send(Ticket),
    Arrive(Ticket),
    Answer(Ticket),
}

fn call() -> impl Strategy<Value = Call> {
    let gap = prop_oneof![3 => 0_u64..3, 2 => 0_u64..400, 1 => 0_u64..20_000];
    let written_for = prop_oneof![3 => 0_u64..10, 2 => 0_u64..3_000, 1 => 0_u64..50_000];
    (gap, written_for, 0_u64..1_000, 0_u64..5_000).prop_map(|(gap, written_for, travels_for, answered_in)| Call {
        gap: ms(gap),
        written_for: ms(written_for),
        travels_for: ms(travels_for),
        answered_in: ms(answered_in),
    })
}

/// A bucket after any events, who still waits, and the time.
fn after(events: &[Event]) -> (Bucket, Vec<Ticket>, Duration) {
    let (mut bucket, mut open, mut now) = (bucket(), Vec::new(), s(1_000));
    for event in events {
        match *event {
            Event::Join(calls) => open.push(bucket.join(now, calls)),
            Event::Look(index) if index < open.len() => match bucket.turn(now, open[index]) {
                Turn::Wait { until } => assert!(until <= now + WAIT_MAX, "a wait until {until:?} at {now:?}"),
                Turn::Now | Turn::Refused { .. } => drop(open.remove(index)),
            },
            Event::Leave(index) if index < open.len() => bucket.leave(open.remove(index)),
            Event::Look(_) | Event::Leave(_) => {}
            Event::Throttled(ago) => bucket.throttled(now, now.saturating_sub(ms(ago))),
            Event::Succeeded(ago) => bucket.succeeded(now, now.saturating_sub(ms(ago))),
            Event::Charge(calls) => bucket.charge(now, calls),
            Event::Limit(capacity, refill) => {
                bucket.set_limit(Limit::new(f64::from(capacity), f64::from(refill)).unwrap(), now);
            }
            Event::Pass(by) => now += ms(by),
            Event::SetBack(by) => now = now.saturating_sub(ms(by)),
        }
        assert!((SHARE_MIN..=1.0).contains(&bucket.share), "a share of {}", bucket.share);
        assert!(bucket.tokens <= bucket.capacity(), "{} tokens", bucket.tokens);
    }
    (bucket, open, now)
}

proptest! {
    /// However long a call waits between its turn and its sending, while it is written down, and however calls overtake
    /// each other on the way.
    #[test]
    fn alone_nothing_is_ever_throttled(
        capacity in 1_u32..200,
        refill in 1_u32..50,
        calls in prop::collection::vec(call(), 1..400),
    ) {
        let (capacity, refill) = (f64::from(capacity), f64::from(refill));
        let mut server = ServerBucket::new(capacity, refill);
        let mut bucket = Bucket::new(Limit::new(capacity, refill).unwrap(), Duration::ZERO);
        let mut steps = BTreeMap::new();
        let mut joins_at = Duration::ZERO;
        for (n, call) in calls.iter().enumerate() {
            joins_at += call.gap;
            steps.insert((joins_at, n), Step::Join);
        }
        while let Some(((now, n), step)) = steps.pop_first() {
            let call = &calls[n];
            match step {
                Step::Join => { steps.insert((now, n), Step::Look(bucket.join(now, 1))); }
                Step::Look(ticket) => match bucket.turn(now, ticket) {
                    Turn::Now => { steps.insert((now + call.written_for, n), Step::Send(ticket)); }
                    Turn::Refused { .. } => {}
                    Turn::Wait { until } => {
                        steps.insert((until.max(now + Duration::from_nanos(1)), n), Step::Look(ticket));
                    }
                },
                Step::Send(ticket) => {
                    bucket.sent(now, ticket);
                    steps.insert((now + call.travels_for, n), Step::Arrive(ticket));
                }
                Step::Arrive(ticket) => {
                    assert!(server.take(now), "throttled at {now:?}");
                    steps.insert((now + call.answered_in, n), Step::Answer(ticket));
                }
                Step::Answer(ticket) => bucket.arrived(now, ticket),
            }
        }
    }

    #[test]
    fn never_more_than_the_capacity_goes_at_one_moment(events in prop::collection::vec(event(), 0..60)) {
        let (mut bucket, _, now) = after(&events);
        bucket.queue.clear();
        bucket.refresh(now);
        let capacity = bucket.capacity();
        let sent = f64::from(u32::try_from(burst(&mut bucket, now)).unwrap());
        prop_assert!(sent <= capacity + ROUNDING, "{} of {}", sent, capacity);
    }

    #[test]
    fn whoever_waits_goes_or_is_refused_within_the_longest_wait(events in prop::collection::vec(event(), 0..60)) {
        let (mut bucket, mut open, start) = after(&events);
        let mut now = start;
        while now < start + WAIT_MAX {
            open.retain(|ticket| matches!(bucket.turn(now, *ticket), Turn::Wait { .. }));
            now += s(1);
        }
        open.retain(|ticket| matches!(bucket.turn(start + WAIT_MAX, *ticket), Turn::Wait { .. }));
        prop_assert!(open.is_empty(), "{} still wait", open.len());
    }

    #[test]
    fn when_it_is_somebodys_turn_it_is_the_turn_of_all_ahead(
        events in prop::collection::vec(event(), 0..60),
        index in 0_usize..64,
    ) {
        let (mut bucket, open, now) = after(&events);
        if let Some(ticket) = open.get(index) && bucket.turn(now, *ticket) == Turn::Now {
            for ahead in &open[..index] {
                prop_assert_eq!(bucket.turn(now, *ahead), Turn::Now);
            }
        }
    }

    #[test]
    fn without_throttled_calls_the_whole_limit_is_ours_again_in_time(events in prop::collection::vec(event(), 0..60)) {
        let (mut bucket, _, now) = after(&events);
        bucket.refresh(now);
        bucket.succeeded(now + ms(2), now + ms(1));
        bucket.refresh(now + SHARE_GROWS_FOR);
        prop_assert!(1.0 - bucket.share < ROUNDING, "a share of {}", bucket.share);
    }
}
