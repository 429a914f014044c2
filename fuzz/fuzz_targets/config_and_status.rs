//! Drivers of a device without a bus, whose registers the fuzzer answers for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest_fuzz::config_and_status;

fuzz_target!(|bytes: &[u8]| config_and_status(bytes));
