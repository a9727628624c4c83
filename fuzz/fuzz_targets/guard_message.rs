//! Fuzzes what `amikeep_fuzz::guard_message` promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikeep_fuzz::guard_message::run(bytes));
