//! What fuzzers reach in here: the readers of bytes that others write, and nothing that acts on them.
//!
//! Not part of what this crate offers; nothing but `amikeep-fuzz` may use it.

use std::fmt::Debug;
use std::io;

use crate::apps::{Secret, redis};
use crate::wire::{Event, Request};

/// One message between guard and parent, in words, if it is one.
pub fn guard_message(bytes: &[u8]) -> Option<String> {
    fn words<T: Debug>(message: T) -> String {
        format!("{message:?}")
    }
    Request::from_bytes(bytes).map(words).or_else(|| Event::from_bytes(bytes).map(words))
}

/// One answer of Redis, in words, and how many bytes it took.
pub fn redis_answer(bytes: &[u8]) -> io::Result<(String, usize)> {
    let mut rest = bytes;
    let answer = redis::answer_in_words(&mut rest)?;
    Ok((answer, bytes.len() - rest.len()))
}

/// What is wrong with the address of a Redis, if anything is.
pub fn wrong_with_redis_address(text: &str) -> Option<String> {
    redis::read_address(&Secret::new(text)).err().map(|error| error.to_string())
}
