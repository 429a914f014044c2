//! The machines that kernels are measured on.

use std::time::Duration;

use qemu_tests::net::{NetDevice, Network};
use qemu_tests::{Architecture, DiskDevice, Machine, Qemu, kernel_to_measure};

/// A kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its package.
    pub package: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether it uses a disk, else cards.
    pub has_disk: bool,
}

/// Ours.
pub const OURS: [Program; 2] = [
    Program { package: "guest-ours", name: "ours-block", has_disk: true },
    Program { package: "guest-ours", name: "ours-net", has_disk: false },
];

/// All that is measured: a kernel, and whether its rings are packed.
pub const ALL: [(Program, bool); 4] = [(OURS[0], false), (OURS[0], true), (OURS[1], false), (OURS[1], true)];

/// Runs one, and gives what it printed.
pub fn run(program: Program, packed: bool, lines: &[String]) -> String {
    let kernel = kernel_to_measure(program.package, program.name, Architecture::X86_64);
    let mut qemu =
        Qemu::with_kernel(Machine::Q35, kernel).time_is_instructions().limit(Duration::from_mins(3));
    if !lines.is_empty() {
        qemu = qemu.append(format!("lines={}", lines.join(",")));
    }
    let qemu = if program.has_disk {
        qemu.null_disk(DiskDevice { packed, ioeventfd: false, ..DiskDevice::default() })
    } else {
        let card = |last| NetDevice {
            packed,
            mac: [2, 0, 0, 0, 0, last],
            off: vec!["ioeventfd"],
            ..NetDevice::default()
        };
        let hub = Network::Hub { number: 0 };
        qemu.card(hub.clone(), card(1)).card(hub, card(2)).card(Network::Sink, card(3))
    };
    qemu.run_to("guest benchmark: done")
}
