//! A disk that is served by a process beside QEMU, its storage daemon, in the guest's memory (vhost-user).
//!
//! Its device side is another one than QEMU's own: with other features, another id, and its own way with rings.

mod common;

use common::SECTORS;
use qemu_tests::{Connection, DiskDevice, Machine};

fn device() -> DiskDevice {
    DiskDevice { storage_daemon: true, queues: Some(1), ..DiskDevice::default() }
}

#[test]
fn a_disk_of_the_storage_daemon_serves_every_request() {
    for (machine, connection) in [
        (Machine::Q35, Connection::Pci),
        (Machine::Microvm, Connection::Mmio),
        (Machine::Aarch64Virt, Connection::Pci),
        (Machine::Aarch64Virt, Connection::Mmio),
        (Machine::Riscv64Virt, Connection::Pci),
        (Machine::Riscv64Virt, Connection::Mmio),
    ] {
        let device = DiskDevice { connection: Some(connection), ..device() };

        let output = common::check(machine, SECTORS, &device);

        assert!(output.contains("event_index=true indirect=true"), "{output}");
        assert!(output.contains("id: vhost_user_blk"), "{output}");
    }
}
