//! A disk whose registers are reached through configuration space alone.
//!
//! Spec: §4.1.4.9 PCI configuration access capability.

mod common;

use common::check_with;
use qemu_tests::{DiskDevice, Machine};

/// 2 MiB.
const SECTORS: u64 = 4096;

/// Through memory-mapped configuration space and, on `pc`, through two ports.
#[test]
fn a_disk_works_without_a_mapped_bar() {
    for (machine, packed) in [
        (Machine::Q35, true),
        (Machine::Pc, false),
        (Machine::Aarch64Virt, false),
        (Machine::Riscv64Virt, true),
    ] {
        let device = DiskDevice { packed, ..DiskDevice::default() };

        let output = check_with(machine, SECTORS, &device, " registers=config-space");

        assert!(output.contains(", registers through configuration space)"), "{output}");
        assert!(output.contains("interrupts: polling"), "{output}");
    }
}
