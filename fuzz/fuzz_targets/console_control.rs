//! A console's control messages and ports, over messages, lengths and used rings that the fuzzer makes up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest_fuzz::console_control;

fuzz_target!(|bytes: &[u8]| console_control(bytes));
