//! A disk and all of its driver, over a configuration and completions that the fuzzer makes up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest_fuzz::block;

fuzz_target!(|bytes: &[u8]| block(bytes));
