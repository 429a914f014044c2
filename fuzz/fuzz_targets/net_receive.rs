//! Frames both ways, over headers and used rings that the fuzzer makes up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest_fuzz::net_receive;

fuzz_target!(|bytes: &[u8]| net_receive(bytes));
