//! What the examples of tasks and of two queues say, and do to the disk.
//!
//! What the example of files does is in `block_example.rs`.

use std::time::Duration;

use qemu_tests::{Asked, DiskDevice, Ended, Fault, Image, Machine, Qemu, random_seed};

/// A machine of each architecture, with messages.
const MACHINES: [Machine; 3] = [Machine::Q35, Machine::Aarch64Virt, Machine::Riscv64VirtAia];
/// The examples of tasks.
const EXECUTORS: [&str; 2] = ["tasks", "embassy"];

const PAGE_SECTORS: u64 = 8;
const PAGES: u64 = 64;
const SECTORS: u64 = PAGES * PAGE_SECTORS;

fn example(machine: Machine, name: &str) -> Qemu {
    Qemu::new(machine, &format!("example-{name}")).limit(Duration::from_mins(2))
}

fn closing_line(name: &str) -> String {
    format!("{name} example: done")
}

/// The number behind some words.
fn number(output: &str, words: &str) -> u64 {
    let (_, rest) = output.split_once(words).unwrap_or_else(|| panic!("no {words:?} in:\n{output}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {words:?} in:\n{output}"))
}

fn inverted(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// A disk that is slower than any guest, so that it is waited for.
fn slow(device: DiskDevice) -> DiskDevice {
    DiskDevice { requests_per_second: Some(400), request_merging: false, ..device }
}

/// Runs an example of tasks on a disk with random contents, and looks at all that it says and does.
fn run_tasks(machine: Machine, name: &str, device: DiskDevice, interrupts: &str, routing: &str) {
    let image = Image::random(SECTORS, random_seed());
    let before = image.bytes();
    let qemu = example(machine, name).append(format!("interrupts={interrupts}"));

    let layout = if device.packed { "layout: Packed" } else { "layout: Split" };
    let output = qemu.disk(&image, slow(device)).run_to(&closing_line(name));

    for expected in [layout, &format!("interrupts: {interrupts} ({routing})"), "flushed, 0 in flight"] {
        assert!(output.contains(expected), "no {expected:?} in:\n{output}");
    }
    // Each page is read and written; then there are one more read and a flush.
    assert_eq!(number(&output, "\nrequests: "), 2 * PAGES + 2, "{output}");
    assert!((1..=2 * PAGES + 2).contains(&number(&output, "notifications: ")), "{output}");
    let arrived = number(&output, ", interrupts: ");
    let sleeps = number(&output, "the processor slept ");
    let interrupts = interrupts != "polling";
    assert_eq!((arrived > 0, sleeps > 0), (interrupts, interrupts), "{output}");
    assert!(image.bytes() == inverted(&before), "not each bit was inverted once\n{output}");
}

#[test]
fn tasks_change_each_page_once_and_sleep_meanwhile() {
    for machine in MACHINES {
        for name in EXECUTORS {
            for packed in [false, true] {
                let device = DiskDevice { packed, ..DiskDevice::default() };
                run_tasks(machine, name, device.clone(), "msi-x", "PerQueue");
                run_tasks(machine, name, device, "line", "NoVectors");
            }
        }
    }
}

/// Spec: §4.1.5.1.2.1 — a device with few vectors, and one with none.
#[test]
fn tasks_are_woken_by_whatever_the_disk_interrupts_with() {
    for (vectors, routing) in [(1, "SharedByAll"), (2, "PerQueue")] {
        let device = DiskDevice { vectors: Some(vectors), ..DiskDevice::default() };
        run_tasks(Machine::Q35, "tasks", device, "msi-x", routing);
    }
    run_tasks(Machine::Microvm, "tasks", DiskDevice::default(), "line", "NoVectors");
    for name in EXECUTORS {
        run_tasks(Machine::Q35, name, DiskDevice::default(), "polling", "NoVectors");
    }
}

/// A disk that is slower than the read's limit, after it was busy for a while. A host that is out of breath may stop the guest for as long as the disk takes: so the read has some tries.
#[test]
fn a_read_that_takes_too_long_is_given_up_and_nothing_is_left_in_flight() {
    for machine in MACHINES {
        for name in EXECUTORS {
            assert!((0..3).any(|_| gives_up_a_read(machine, name)), "{name} on {machine:?} always waits");
        }
    }
}

fn gives_up_a_read(machine: Machine, name: &str) -> bool {
    let image = Image::random(2 * PAGE_SECTORS, random_seed());
    let before = image.bytes();
    let device = DiskDevice { requests_per_second: Some(1), request_merging: false, ..DiskDevice::default() };

    let output = example(machine, name).disk(&image, device).run_to(&closing_line(name));

    assert!(output.contains("flushed, 0 in flight"), "{output}");
    assert!(image.bytes() == inverted(&before), "{output}");
    output.contains("a read was given up after 1 ms, 1 in flight")
}

/// Spec: §5.2.4 — the capacity, and a configuration change notification by message or line.
#[test]
fn a_task_sees_that_the_disk_was_resized() {
    for machine in MACHINES {
        for interrupts in ["msi-x", "line"] {
            let image = Image::random(SECTORS, random_seed());
            let qemu =
                example(machine, "tasks").append(format!("changes=1 interrupts={interrupts}")).paused();
            let mut machine = qemu.disk(&image, DiskDevice::default()).boot();
            let mut qmp = machine.qmp();
            qmp.execute("cont", &serde_json::json!({}));
            machine.wait_for("interrupts: ");

            let size = 2 * SECTORS * 512;
            qmp.execute("block_resize", &serde_json::json!({ "device": "disk0", "size": size }));

            let output = machine.finish(Ended::Success, &closing_line("tasks"));
            let expected = format!("configuration: {} sectors (Live)", 2 * SECTORS);
            assert!(output.contains(&expected), "no {expected:?} in:\n{output}");
        }
    }
}

#[test]
fn a_flush_that_fails_is_the_end_of_the_tasks() {
    for name in EXECUTORS {
        let image = Image::random(SECTORS, random_seed());
        let device = DiskDevice { faults: vec![Fault::always(Asked::Flush)], ..DiskDevice::default() };

        let qemu = example(Machine::Q35, name).disk(&image, device);

        qemu.run_to_failure("error: the disk failed: the device reports an input/output error");
    }
}

/// Runs the example of two queues, and looks at the disk afterwards.
fn run_two_queues(machine: Machine, device: DiskDevice) -> String {
    const SECTORS: u64 = 1034;
    // Two halves that are no whole number of calls.
    let image = Image::random(SECTORS, random_seed());
    let expected: Vec<u8> = image.bytes().iter().map(|byte| byte.wrapping_add(2)).collect();
    let qemu = example(machine, "two-queues").processors(2);

    let output =
        qemu.disk(&image, slow(DiskDevice { queues: Some(2), ..device })).run_to(&closing_line("two-queues"));

    let kib = SECTORS * 3 / 2;
    for expected in [format!("one processor: {kib} KiB in "), format!("two processors: {kib} KiB in ")] {
        assert!(output.contains(&expected), "no {expected:?} in:\n{output}");
    }
    assert!(image.bytes() == expected, "not each byte is two more\n{output}");
    output
}

#[test]
fn two_processors_each_sleep_until_their_own_queues_interrupt() {
    for machine in MACHINES {
        for packed in [false, true] {
            let output = run_two_queues(machine, DiskDevice { packed, ..DiskDevice::default() });

            assert!(output.contains("interrupts: msi-x (PerQueue)"), "{output}");
            for processor in 0..2 {
                let line = format!("processor {processor}: ");
                assert!(number(&output, &line) > 0, "{output}");
                let (_, line) = output.split_once(&line).expect("it was there");
                assert!(number(line, "slept ") > 0, "{output}");
            }
        }
    }
}

#[test]
fn two_processors_without_a_message_for_each_look_again_and_again() {
    let few = DiskDevice { vectors: Some(2), ..DiskDevice::default() };
    for (machine, device) in [
        (Machine::Riscv64Virt, DiskDevice::default()),
        (Machine::Microvm, DiskDevice::default()),
        (Machine::Q35, few),
    ] {
        let output = run_two_queues(machine, device);

        assert!(output.contains("there is no message for each processor"), "{output}");
        assert!(output.contains("processor 1: 0 interrupts, slept 0 times"), "{output}");
    }
}

#[test]
fn what_two_queues_need_is_named_when_it_is_missing() {
    let image = Image::random(SECTORS, random_seed());
    let before = image.bytes();
    let one_queue = DiskDevice { queues: Some(1), ..DiskDevice::default() };
    let two_queues = DiskDevice { queues: Some(2), ..DiskDevice::default() };
    let qemu = example(Machine::Q35, "two-queues");

    let one_processor =
        qemu.clone().disk(&image, two_queues).run_to_failure("error: this takes two processors");
    let one_queue =
        qemu.processors(2).disk(&image, one_queue).run_to_failure("error: this takes a disk with two");

    assert!(one_processor.contains("-smp 2"), "{one_processor}");
    assert!(one_queue.contains("num-queues=2"), "{one_queue}");
    assert!(image.bytes() == before, "the image changed");
}

#[test]
fn without_a_disk_each_example_says_what_to_add() {
    for name in ["tasks", "embassy", "two-queues"] {
        let output =
            example(Machine::Q35, name).processors(2).run_to_failure("error: no virtio block device found");

        assert!(output.contains("-device virtio-blk-pci"), "{output}");
    }
}
