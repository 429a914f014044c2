//! Virtio devices that have no type of their own in the harness: a name, and properties.

use qemu_tests::{Connection, ConsoleDevice, Machine};

/// What a test boots: a machine, how its device is connected, and its rings' layout.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub machine: Machine,
    pub connection: Connection,
    pub packed: bool,
}

/// Every machine of [`Machine::MODERN`], with either layout.
pub fn cases() -> impl Iterator<Item = Case> {
    let machines = Machine::MODERN.into_iter();
    machines
        .flat_map(|(machine, connection)| [false, true].map(|packed| Case { machine, connection, packed }))
}

/// Every machine once, with alternating layouts.
pub fn short_cases() -> impl Iterator<Item = Case> {
    let cases = Machine::MODERN.into_iter().zip([false, true, true, false].into_iter().cycle());
    cases.map(|((machine, connection), packed)| Case { machine, connection, packed })
}

impl Case {
    /// This console, connected so.
    pub fn console(self, device: ConsoleDevice) -> ConsoleDevice {
        ConsoleDevice { connection: Some(self.connection), packed: self.packed, ..device }
    }

    /// The value of `-device` for a virtio device of this name (`balloon`, `rng`), with more properties.
    pub fn device(self, name: &str, more: &str) -> String {
        let driver = if self.connection.is_mmio() {
            format!("virtio-{name}-device")
        } else {
            format!("virtio-{name}-pci,disable-legacy=on")
        };
        let packed = if self.packed { "on" } else { "off" };
        format!("{driver},id={name}0,packed={packed}{more}")
    }
}
