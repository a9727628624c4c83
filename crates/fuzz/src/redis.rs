//! Answers of Redis, and the address that says where it is.

use amikeep_hold::fuzzing::{redis_answer, wrong_with_redis_address};

/// How many ways of cutting one answer off are tried.
const CUTS_MAX: usize = 64;

/// An answer ends where it says: what follows does not change it, and no part of it is taken for the whole. No text of
/// an address makes its reader panic.
pub fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let wrong = wrong_with_redis_address(text);
        assert!(wrong.is_none_or(|wrong| !wrong.is_empty()));
    }
    let Ok((answer, taken)) = redis_answer(bytes) else { return };
    let whole = redis_answer(&bytes[..taken]).expect("an answer does not need what follows it");
    assert_eq!(whole, (answer, taken));
    for cut in (0..taken).rev().take(CUTS_MAX) {
        assert!(redis_answer(&bytes[..cut]).is_err(), "the first {cut} of {taken} bytes were taken for the answer");
    }
}
