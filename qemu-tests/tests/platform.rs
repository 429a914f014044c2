//! What the example platform promises.
//!
//! Failures are seen from outside, and devices are found wherever they are.

use std::time::Duration;

use qemu_tests::{Connection, DiskDevice, Image, Machine, Qemu, random_seed};

/// One machine of each kind of processor and interrupt controller.
const MACHINES: [Machine; 8] = Machine::ALL;

fn platform_check(machine: Machine, action: &str) -> Qemu {
    Qemu::new(machine, "kernel-platform-check").append(format!("do={action}")).limit(Duration::from_secs(30))
}

#[test]
fn a_panic_is_printed_and_counts_as_a_failure() {
    for machine in MACHINES {
        let output = platform_check(machine, "panic").run_to_failure("panicked at");

        assert!(output.contains("a panic on purpose"), "{output}");
    }
}

#[test]
fn a_panic_while_a_line_is_printed_is_printed_too() {
    for machine in MACHINES {
        let output = platform_check(machine, "panic-while-printing").run_to_failure("panicked at");

        assert!(output.contains("a panic while a line is printed"), "{output}");
    }
}

/// The address of a fault, as the guest prints it last.
fn fault_address(output: &str) -> u64 {
    let line = output.lines().find(|line| line.starts_with("exception")).expect("an exception");
    let text = line.rsplit("0x").next().expect("an address");
    u64::from_str_radix(text, 16).unwrap_or_else(|_| panic!("no address at the end of {line:?}"))
}

/// The pages below the stack are not mapped, so the first write there is noticed.
#[test]
fn an_overflowing_stack_is_an_exception() {
    for machine in MACHINES {
        let output = platform_check(machine, "overflow-the-stack").run_to_failure("exception");

        assert!(fault_address(&output) > 1 << 20, "{output}");
    }
}

#[test]
fn a_write_through_a_null_pointer_is_an_exception() {
    for machine in MACHINES {
        let output = platform_check(machine, "write-to-null").run_to_failure("exception");

        assert_eq!(fault_address(&output), 0x10, "{output}");
    }
}

#[test]
fn a_write_to_a_constant_is_an_exception() {
    for machine in MACHINES {
        platform_check(machine, "write-to-constants").run_to_failure("exception");
    }
}

#[test]
fn the_clock_never_goes_back() {
    for machine in MACHINES {
        platform_check(machine, "clock").run_to("platform check: done");
    }
}

#[test]
fn a_sleep_ends_when_its_time_is_over() {
    for machine in MACHINES {
        platform_check(machine, "sleep").run_to("platform check: done");
    }
}

/// Each processor has a timer of its own, and counts for how long it was halted.
#[test]
fn a_sleep_is_idle_time_of_the_processor_that_sleeps() {
    for machine in MACHINES {
        let output = platform_check(machine, "idle").processors(3).run_to("platform check: done");

        for processor in 0..3 {
            assert!(output.contains(&format!("processor {processor} slept")), "{}: {output}", machine.name());
        }
    }
}

/// A disk that is slow enough to be waited for.
fn slow_disk() -> DiskDevice {
    DiskDevice { requests_per_second: Some(20), ..DiskDevice::default() }
}

/// How disks interrupt on a machine, in its usual connection.
fn ways(machine: Machine) -> &'static [&'static str] {
    let has_messages = machine.default_connection() == Connection::Pci && machine.lacks_messages().is_none();
    if has_messages { &["line", "msi-x"] } else { &["line"] }
}

#[test]
fn a_handler_runs_while_its_processor_waits_and_says_what_counts() {
    let image = Image::random(64, random_seed());
    for machine in MACHINES {
        for way in ways(machine) {
            let action = format!("handlers interrupts={way}");
            platform_check(machine, &action).disk(&image, slow_disk()).run_to("platform check: done");
        }
    }
}

/// Two processors have a disk each, whose messages are for them; the first one waits undisturbed meanwhile.
#[test]
fn a_message_ends_the_wait_of_the_processor_that_it_is_for_and_no_other() {
    let images = [random_seed(), random_seed()].map(|seed| Image::random(64, seed));
    for machine in MACHINES.into_iter().filter(|machine| ways(*machine).contains(&"msi-x")) {
        let mut qemu = platform_check(machine, "messages").processors(3);
        for image in &images {
            qemu = qemu.disk(image, slow_disk());
        }
        qemu.run_to("platform check: done");
    }
}

#[test]
fn four_processors_run_at_once() {
    for machine in MACHINES {
        let output = platform_check(machine, "processors").processors(4).run_to("platform check: done");

        assert!(output.contains("4 processors met"), "{output}");
    }
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

/// Parts that none of the table's machines has. Processors are more than one, as they are started in other ways there, too.
#[test]
fn a_disk_interrupts_on_machines_with_other_parts() {
    for (machine, parts) in [
        (Machine::Riscv64Virt, "aia=aplic"),         // lines only, through an APLIC
        (Machine::Aarch64Virt, "virtualization=on"), // entered at exception level 2; firmware is called by `smc`
        (Machine::Aarch64VirtGic2, "virtualization=on"),
        (Machine::Aarch64Virt, "its=off"),
        (Machine::Q35, "acpi=off"),
    ] {
        let (old, new) = (random_seed(), random_seed());
        let image = Image::random(64, old);

        let output = Qemu::new(machine, "kernel-block-check")
            .with(&["-machine", parts])
            .append(format!("seed={new} interrupts=line"))
            .disk(&image, DiskDevice::default())
            .run_to("block check: done");

        assert!(output.contains("interrupts: line vectors=NoVectors"), "{parts}: {output}");
        let together = platform_check(machine, "processors").with(&["-machine", parts]).processors(3);
        assert!(together.run_to("platform check: done").contains("3 processors met"), "{parts}");
    }
}
