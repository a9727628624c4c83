//! What the guard of a freeze and its parent say to each other.

use amikeep_hold::fuzzing::guard_message;

/// How long every message is.
const MESSAGE_BYTES: usize = 32;

/// No bytes make the reader panic, and nothing of another length is a message.
pub fn run(bytes: &[u8]) {
    let message = guard_message(bytes);
    assert!(message.is_none() || bytes.len() == MESSAGE_BYTES, "a message of {} bytes: {message:?}", bytes.len());
}
