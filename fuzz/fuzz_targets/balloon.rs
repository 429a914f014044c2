//! A memory balloon, over targets, rounds of hints and used rings that the fuzzer makes up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest_fuzz::balloon;

fuzz_target!(|bytes: &[u8]| balloon(bytes));
