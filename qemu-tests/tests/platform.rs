//! What the example platform promises.
//!
//! Failures are seen from outside, and devices are found wherever they are.

use std::time::Duration;

use qemu_tests::{DiskDevice, Image, Machine, Qemu, random_seed};

fn platform_check(action: &str) -> Qemu {
    Qemu::new(Machine::Q35, "kernel-platform-check")
        .append(format!("do={action}"))
        .limit(Duration::from_secs(30))
}

#[test]
fn a_panic_is_printed_and_counts_as_a_failure() {
    let output = platform_check("panic").run_to_failure("panicked at");

    assert!(output.contains("a panic on purpose"), "{output}");
}

#[test]
fn a_panic_while_a_line_is_printed_is_printed_too() {
    let output = platform_check("panic-while-printing").run_to_failure("panicked at");

    assert!(output.contains("a panic while a line is printed"), "{output}");
}

#[test]
fn an_overflowing_stack_is_an_exception() {
    let output = platform_check("overflow-the-stack").run_to_failure("exception");

    // The page below the stack is not mapped: a page fault there, at an address from 4 MiB to 6 MiB.
    assert!(output.contains("last page fault at 0x5f"), "{output}");
}

#[test]
fn a_write_through_a_null_pointer_is_an_exception() {
    let output = platform_check("write-to-null").run_to_failure("exception 14");

    assert!(output.contains("last page fault at 0x10"), "{output}");
}

#[test]
fn a_write_to_a_constant_is_an_exception() {
    platform_check("write-to-constants").run_to_failure("exception 14");
}

#[test]
fn the_clock_never_goes_back() {
    platform_check("clock").run_to("platform check: done");
}

/// A disk behind a bridge, with memory beyond 4 GiB, so that firmware puts its registers far up.
#[test]
fn a_disk_behind_a_bridge_with_registers_far_above_4_gib_is_found() {
    let (old, new) = (random_seed(), random_seed());
    let image = Image::random(64, old);

    let output = Qemu::new(Machine::Q35, "kernel-block-check")
        .memory_mib(5 << 10)
        .append(format!("seed={new}"))
        .disk(&image, DiskDevice { behind_bridge: true, ..DiskDevice::default() })
        .run_to("block check: done");

    let place = output.lines().find_map(|line| line.strip_prefix("disk at ")).expect("it says where");
    assert!(!place.starts_with("0000:00:"), "{output}");
}
