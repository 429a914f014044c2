//! Drivers of a device behind MMIO, whose registers the fuzzer answers for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest_fuzz::mmio;

fuzz_target!(|bytes: &[u8]| mmio(bytes));
