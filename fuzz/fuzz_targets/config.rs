//! Fuzzes what `amikeep_fuzz::config` promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikeep_fuzz::config::run(bytes));
