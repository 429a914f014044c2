//! Lives of split queues whose chains come back in order, with a device that the fuzzer plays.

#![no_main]

use libfuzzer_sys::fuzz_target;
use virtio_guest::ring::Layout;
use virtio_guest_fuzz::{Mode, live};

fuzz_target!(|bytes: &[u8]| live(Mode { layout: Layout::Split, in_order: true }, bytes));
