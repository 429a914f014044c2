//! A vhost-user back-end whose messages, on both channels, are what the fuzzer makes up.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest_fuzz::vhost_user;

fuzz_target!(|bytes: &[u8]| vhost_user(bytes));
