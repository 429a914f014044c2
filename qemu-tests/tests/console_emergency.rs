//! Characters that a guest writes when nothing else works: before, during and after its driver's life.
//!
//! Spec: §5.3.4 Device configuration layout (`emerg_wr`), §5.3.6 Device Operation.

#[path = "common/console.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod console;
#[path = "common/device.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod device;

use std::io::Read;

use console::{LIMIT, wait_until_connected};
use device::cases;
use qemu_tests::{Connection, ConsoleDevice, Ended, Machine, Qemu};
use serde_json::json;

/// Everything that the host sees at port 0, from before the guest's start to its end.
fn seen(machine: Machine, device: ConsoleDevice, words: &str) -> String {
    let mut guest = Qemu::new(machine, "kernel-console-check")
        .append(format!("check=emergency {words}"))
        .console(device)
        .paused()
        .boot();
    let mut port = guest.console_port(0);
    let mut qmp = guest.qmp();
    wait_until_connected(&mut qmp, 0);
    qmp.execute("cont", &json!({}));

    guest.finish(Ended::Success, "console check: done");
    port.set_read_timeout(Some(LIMIT)).expect("a time limit");
    let mut seen = String::new();
    port.read_to_string(&mut seen).expect("text, and its end");
    seen
}

const ALL: &str = "before bring-up\nafter bring-up\nthrough the queue\nafter the reset\n";

#[test]
fn emergency_writes_are_seen_before_during_and_after_a_drivers_life() {
    for case in cases() {
        assert_eq!(seen(case.machine, case.console(ConsoleDevice::default()), ""), ALL, "{case:?}");
    }
}

/// Spec: §5.3.4.1 Legacy Interface: Device configuration layout.
#[test]
fn emergency_writes_are_seen_from_legacy_consoles() {
    for (machine, connection) in
        [(Machine::Q35, Connection::PciLegacy), (Machine::Microvm, Connection::MmioLegacy)]
    {
        let device = ConsoleDevice { connection: Some(connection), ..ConsoleDevice::default() };

        assert_eq!(seen(machine, device, ""), ALL, "{connection:?}");
    }
}

#[test]
fn a_console_that_does_not_offer_emergency_writes_is_not_written_to() {
    let device = ConsoleDevice { emergency_write: false, ..ConsoleDevice::default() };

    assert_eq!(seen(Machine::Q35, device, "offered=no"), "through the queue\n");
}
