//! Fuzzes what `amikeep_fuzz::simulate` promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikeep_fuzz::simulate::run(bytes));
