//! Fuzzes what `amikeep_fuzz::redis` promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikeep_fuzz::redis::run(bytes));
