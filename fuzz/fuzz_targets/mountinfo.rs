//! Fuzzes what `amikeep_fuzz::mountinfo` promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikeep_fuzz::mountinfo::run(bytes));
