//! Fuzzes what `amikeep_fuzz::names` promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikeep_fuzz::names::run(bytes));
