//! Guests that sleep, and go on with their disk: the driver is taken down and brought up again, by tasks and by blocking calls, with a function that keeps its configuration and with one that loses it.
//!
//! QEMU's devices do not know SUSPEND. The machine is stopped while the guest is asleep, and looked at: its disk has no driver then. (Suspend to RAM, ACPI's S3, ends in firmware, which these guests
//! boot without. What it does to a function, its configuration gone, is a reset of the bus that it is on.)

use qemu_tests::pattern::{SECTOR, fill};
use qemu_tests::{DiskDevice, Ended, Image, Machine, Qemu, Qmp, random_seed};
use serde_json::{Value, json};

/// The first half is copied to the second.
const SECTORS: u64 = 2048;
const HALF: u64 = SECTORS / 2;
const SLEEPS: u64 = 2;

/// How the guest makes requests, whether the function loses its configuration, and the ring's layout.
const WAYS: [(&str, &str, bool); 4] = [
    ("tasks", "reset", false),
    ("tasks", "power", true),
    ("blocking", "reset", true),
    ("blocking", "power", false),
];

/// What the disk's device has been told: names of the bits in its status.
fn status(qmp: &mut Qmp) -> Vec<Value> {
    let arguments = json!({ "path": "/machine/peripheral/slept/virtio-backend" });
    let answer = qmp.execute("x-query-virtio-status", &arguments);
    answer["status"]["statuses"].as_array().expect("a status").clone()
}

/// How many writes the disk has seen.
fn writes(qmp: &mut Qmp) -> u64 {
    let answer = qmp.execute("query-blockstats", &json!({}));
    answer[0]["stats"]["wr_operations"].as_u64().expect("one disk")
}

fn sleep(machine: Machine, (calls, sleep, packed): (&str, &str, bool)) {
    let seed = random_seed();
    let image = Image::random(SECTORS, seed);
    let disk = DiskDevice { id: Some("slept"), behind_bridge: true, packed, ..DiskDevice::default() };
    let qemu = Qemu::new(machine, "kernel-sleep-check")
        .append(format!("seed={seed} calls={calls} sleep={sleep}"))
        .disk(&image, disk);

    let mut guest = qemu.boot();
    let mut qmp = guest.qmp();
    for number in 1..=SLEEPS {
        guest.wait_for(&format!("asleep {number}"));
        qmp.execute("stop", &json!({}));
        let (told, written) = (status(&mut qmp), writes(&mut qmp));
        assert!(told.is_empty(), "asleep, the disk has no driver: {told:?}");
        assert!((1..HALF).contains(&written), "it was in the middle of its work: {written}");
        qmp.execute("cont", &json!({}));
    }
    let output = guest.finish(Ended::Success, "sleep check: done");

    println!("{}, {calls}, {sleep}, packed={packed}:\n{output}", machine.name());
    assert!(!output.contains("interrupts: 0"), "{output}");
    for sector in 0..SECTORS {
        let mut expected = [0; SECTOR];
        fill(seed, sector % HALF, &mut expected);
        assert!(image.read(sector, 1) == expected, "sector {sector}\n{output}");
    }
}

#[test]
fn a_pc_that_slept_goes_on_with_its_disk() {
    for way in WAYS {
        sleep(Machine::Q35, way);
    }
}

#[test]
fn an_arm_machine_that_slept_goes_on_with_its_disk() {
    for way in WAYS {
        sleep(Machine::Aarch64Virt, way);
    }
}

#[test]
fn a_risc_v_machine_that_slept_goes_on_with_its_disk() {
    for way in WAYS {
        sleep(Machine::Riscv64VirtAia, way);
    }
}
