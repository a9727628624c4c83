//! Fuzzes what `amikeep_fuzz::sim_request` promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikeep_fuzz::sim_request::run(bytes));
