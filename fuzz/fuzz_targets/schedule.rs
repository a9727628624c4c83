//! Fuzzes what `amikeep_fuzz::schedule` promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikeep_fuzz::schedule::run(bytes));
