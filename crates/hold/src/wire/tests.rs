//! Every message survives the journey, and nothing else is one.

use proptest::prelude::*;

use super::*;

fn moments() -> impl Strategy<Value = Moment> {
    any::<u64>().prop_map(Moment::from_nanos)
}

fn errnos() -> impl Strategy<Value = Errno> {
    (1..134_i32).prop_map(Errno::from_raw_os_error)
}

fn results() -> impl Strategy<Value = Result<(), Errno>> {
    prop_oneof![Just(Ok(())), errnos().prop_map(Err)]
}

fn requests() -> impl Strategy<Value = Request> {
    prop_oneof![
        (any::<u16>(), any::<u8>()).prop_map(|(version, mounts)| Request::Hello { version, mounts }),
        Just(Request::Prepare),
        moments().prop_map(|thaw_by| Request::Freeze { thaw_by }),
        Just(Request::Thaw),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let cause = proptest::sample::select(Cause::ALL.to_vec());
    let step = proptest::sample::select(Step::ALL.to_vec());
    let mount = any::<u8>;
    prop_oneof![
        (any::<u16>(), results()).prop_map(|(version, locked)| Event::Ready { version, locked }),
        (step, errnos()).prop_map(|(step, errno)| Event::Refused { step, errno }),
        (mount(), results()).prop_map(|(mount, result)| Event::Prepared { mount, result }),
        (mount(), moments()).prop_map(|(mount, at)| Event::Freezing { mount, at }),
        (mount(), moments(), moments()).prop_map(|(mount, began, done)| Event::Frozen { mount, began, done }),
        (mount(), errnos(), moments()).prop_map(|(mount, errno, at)| Event::FreezeFailed { mount, errno, at }),
        (mount(), results(), moments(), moments()).prop_map(|(mount, result, began, done)| Event::Thawed {
            mount,
            result,
            began,
            done
        }),
        (cause, moments()).prop_map(|(cause, at)| Event::Ended { cause, at }),
    ]
}

proptest! {
    #[test]
    fn every_request_arrives_as_it_was_sent(request in requests()) {
        prop_assert_eq!(Request::from_bytes(&request.to_bytes()), Some(request));
    }

    #[test]
    fn every_event_arrives_as_it_was_sent(event in events()) {
        prop_assert_eq!(Event::from_bytes(&event.to_bytes()), Some(event));
    }

    #[test]
    fn a_request_is_never_taken_for_an_event_or_the_other_way_round(request in requests(), event in events()) {
        prop_assert_eq!(Event::from_bytes(&request.to_bytes()), None);
        prop_assert_eq!(Request::from_bytes(&event.to_bytes()), None);
    }

    #[test]
    fn whatever_is_read_back_has_exactly_these_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Some(request) = Request::from_bytes(&bytes) {
            prop_assert_eq!(request.to_bytes().to_vec(), bytes.clone());
        }
        if let Some(event) = Event::from_bytes(&bytes) {
            prop_assert_eq!(event.to_bytes().to_vec(), bytes);
        }
    }
}

#[test]
fn a_message_that_is_cut_off_or_longer_is_none() {
    let whole = Request::Thaw.to_bytes();
    assert_eq!(Request::from_bytes(&whole[..31]), None);
    assert_eq!(Request::from_bytes(&[whole.as_slice(), &[0]].concat()), None);
    assert_eq!(Request::from_bytes(&[]), None);
}

#[test]
fn a_message_with_something_where_nothing_belongs_is_none() {
    let mut bytes = Request::Thaw.to_bytes();
    bytes[31] = 1;
    assert_eq!(Request::from_bytes(&bytes), None);
}

/// Of such a number no `Errno` can be made: rustix panics, in the guard as in its parent.
#[test]
fn a_number_that_no_error_of_the_kernel_has_makes_no_message() {
    for errno in [-1, ERRNO_MAX + 1, i32::MIN, i32::MAX] {
        for kind in [65, 66, 67, 70, 71] {
            let fields = Fields { kind, small: 1, errno, ..Fields::default() };
            assert_eq!(Event::from_bytes(&fields.pack()), None, "{kind} with {errno}");
        }
    }
    let largest = Event::Refused { step: Step::Hello, errno: Errno::from_raw_os_error(ERRNO_MAX) };
    assert_eq!(Event::from_bytes(&largest.to_bytes()), Some(largest));
}
