//! A disk that is served by a process beside QEMU, its storage daemon, in the guest's memory (vhost-user).
//!
//! Its device side is another one than QEMU's own: with other features, another id, and its own way with rings.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::SECTORS;
use qemu_tests::{DiskDevice, Ended, Image, Machine, Qemu};
use serde_json::json;

fn device() -> DiskDevice {
    DiskDevice { storage_daemon: true, queues: Some(1), ..DiskDevice::default() }
}

#[test]
fn a_disk_of_the_storage_daemon_serves_every_request() {
    for (machine, connection) in Machine::MODERN {
        let device = DiskDevice { connection: Some(connection), ..device() };

        let output = common::check(machine, SECTORS, &device);

        assert!(output.contains("event_index=true indirect=true"), "{output}");
        assert!(output.contains("id: vhost_user_blk"), "{output}");
    }
}

/// QEMU offers what the daemon offers, too, and that has split rings only.
#[test]
fn a_disk_of_the_storage_daemon_has_split_rings_whatever_qemu_is_told_to_offer() {
    for machine in [Machine::Q35, Machine::Aarch64Virt, Machine::Riscv64Virt] {
        let output =
            common::check(machine, SECTORS, &DiskDevice { packed: true, in_order: true, ..device() });

        assert!(output.contains("layout=Split in_order=false"), "{output}");
    }
}

/// A daemon that breaks down behind the guest's back is no success.
#[test]
fn a_storage_daemon_that_ends_before_its_machine_is_noticed() {
    let image = Image::blank(SECTORS);
    let mut guest =
        Qemu::new(Machine::Q35, "kernel-block-check").append("seed=1").disk(&image, device()).boot();
    guest.wait_for("block check: done");
    guest.storage_daemon().execute("quit", &json!({}));

    let panic = catch_unwind(AssertUnwindSafe(|| guest.finish(Ended::Success, "block check: done")));

    let text = *panic.expect_err("it failed").downcast::<String>().expect("a text");
    assert!(text.contains("the storage daemon ended before"), "{text}");
}
