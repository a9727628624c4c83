//! Fuzzes what `amikeep_fuzz::ec2_replies` promises.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| amikeep_fuzz::ec2_replies::run(bytes));
