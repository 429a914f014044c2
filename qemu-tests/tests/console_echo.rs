//! What is sent through a console comes back: 1 MiB, byte for byte, while the guest sleeps between them.
//!
//! Spec: §5.3.6 Device Operation. The guest says what it received, too, as a checksum. Half-way the host falls silent for a while.

#[path = "common/console.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod console;
#[path = "common/device.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod device;

use std::thread;
use std::time::Duration;

use console::{exchange, first_difference, random_bytes};
use device::cases;
use qemu_tests::pattern::checksum;
use qemu_tests::{Connection, ConsoleDevice, Ended, Machine, Qemu, random_seed};

const BYTES: usize = 1 << 20;
const SILENCE: Duration = Duration::from_millis(300);
/// How the guest waits.
const WAYS: [&str; 3] = ["looking", "blocking", "tasks"];

/// The number behind some words.
fn number(output: &str, words: &str) -> u128 {
    let (_, rest) = output.split_once(words).unwrap_or_else(|| panic!("no {words:?} in:\n{output}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {words:?} in:\n{output}"))
}

/// Has so many bytes come back. Returns what the guest printed.
fn echo(machine: Machine, device: ConsoleDevice, words: &str, count: usize) -> String {
    let bytes = random_bytes(random_seed(), count);
    let mut guest = Qemu::new(machine, "kernel-console-check")
        .append(format!("check=echo bytes={count} {words}"))
        .console(device)
        .boot();
    let mut port = guest.console_port(0);
    guest.wait_for("echo: ready");

    let (first, second) = bytes.split_at(count / 2);
    let mut back = exchange(&mut port, first).unwrap_or_else(|error| guest.failed(&error.to_string()));
    thread::sleep(SILENCE);
    back.extend(exchange(&mut port, second).unwrap_or_else(|error| guest.failed(&error.to_string())));

    let output = guest.finish(Ended::Success, "console check: done");
    assert_eq!(first_difference(&back, &bytes), None, "{} of {count} bytes came back\n{output}", back.len());
    let received = format!("received: {count} bytes, checksum {:016x}", checksum(&bytes));
    assert!(output.contains(&received), "no {received:?} in:\n{output}");
    output
}

/// Whether the guest says that it was halted while the host was silent: for some of that time, since a busy host may not let it get there at once.
fn assert_slept(output: &str) {
    let halted = number(output, "halted: ");
    assert!(halted >= SILENCE.as_millis() / 3, "it looks again and again:\n{output}");
    assert!(number(output, "interrupts that arrived: ") > 0, "{output}");
}

fn echo_in_all_layouts(machine: Machine) {
    let cases = cases().zip(WAYS.into_iter().cycle());
    for (case, way) in cases.filter(|(case, _)| case.machine == machine) {
        let output = echo(machine, case.console(ConsoleDevice::default()), &format!("way={way}"), BYTES);

        let layout = if case.packed { "layout: Packed" } else { "layout: Split" };
        assert!(output.contains(layout), "no {layout:?} in:\n{output}");
        assert!(!output.contains("MULTIPORT"), "one port:\n{output}");
        // QEMU 10 does not offer SIZE.
        assert!(output.contains("size: None"), "{output}");
        assert_slept(&output);
    }
}

#[test]
fn a_mebibyte_comes_back_on_x86_64() {
    echo_in_all_layouts(Machine::Q35);
    echo_in_all_layouts(Machine::Microvm);
}

#[test]
fn a_mebibyte_comes_back_on_aarch64() {
    echo_in_all_layouts(Machine::Aarch64Virt);
}

#[test]
fn a_mebibyte_comes_back_on_riscv64() {
    echo_in_all_layouts(Machine::Riscv64Virt);
}

/// Spec: §5.3.4.1 Legacy Interface: Device configuration layout, §2.7.13.4 — lengths of what was transmitted say nothing there.
#[test]
fn a_legacy_console_sends_back_as_much() {
    for (connection, way) in [(Connection::PciLegacy, "blocking"), (Connection::PciTransitional, "tasks")] {
        let device = ConsoleDevice { connection: Some(connection), ..ConsoleDevice::default() };

        let output = echo(Machine::Pc, device, &format!("way={way}"), BYTES);

        assert_eq!(output.contains("Legacy interface"), connection.is_legacy(), "{output}");
        assert_slept(&output);
    }
    let device = ConsoleDevice { connection: Some(Connection::MmioLegacy), ..ConsoleDevice::default() };
    assert_slept(&echo(Machine::Microvm, device, "way=looking", BYTES));
}

/// By line, with messages to be had; without the event index; and not at all, where the guest looks again and again.
#[test]
fn a_guest_is_woken_by_whatever_its_console_interrupts_with() {
    for way in WAYS {
        for packed in [false, true] {
            let device = ConsoleDevice { packed, event_idx: false, ..ConsoleDevice::default() };
            let output = echo(Machine::Q35, device, &format!("way={way} interrupts=line"), BYTES / 4);
            assert_slept(&output);
        }
    }
    for way in ["looking", "blocking"] {
        let output =
            echo(Machine::Q35, ConsoleDevice::default(), &format!("way={way} interrupts=polling"), BYTES / 4);
        assert_eq!(number(&output, "interrupts that arrived: "), 0, "{output}");
    }
}
