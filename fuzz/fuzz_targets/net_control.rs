//! A network device's commands, over answers and a configuration that the fuzzer makes up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest_fuzz::net_control;

fuzz_target!(|bytes: &[u8]| net_control(bytes));
