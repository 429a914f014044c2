//! Every kind of request that QEMU's disks serve, and what they say of themselves: compared with what QEMU was told, and with the image afterwards.
//!
//! Spec: §5.2.4 Device configuration layout, §5.2.6 Device Operation.

use qemu_tests::pattern::{SECTOR, fill};
use qemu_tests::{Connection, DiskDevice, Ended, Image, Machine, Qemu, Running, random_seed};
use serde_json::{Value, json};

/// 2 MiB: compared in full. The guest has it made twice as large.
const SECTORS: u64 = 4096;
/// What the guest discards, fills with zeros, and writes: first sectors and lengths.
const DISCARDED: [(u64, u64); 2] = [(264, 240), (1288, 16)];
const ZEROED: [(u64, u64); 4] = [(520, 240), (776, 240), (1544, 16), (1800, 16)];
const WRITTEN: [(u64, u64); 3] = [(1032, 16), (1064, 16), (1096, 16)];

/// What QEMU says that the disk's cache does at the moment.
fn writes_back(guest: &mut Running) -> Value {
    guest.qmp().execute("query-block", &json!({}))[0]["inserted"]["cache"]["writeback"].take()
}

/// Has the guest send every kind of request, and looks at QEMU meanwhile, and at the image afterwards. Returns what it printed.
fn check(machine: Machine, device: &DiskDevice) -> String {
    let [old, new] = [(); 2].map(|()| random_seed());
    let image = Image::random(SECTORS, old);
    let qemu = Qemu::new(machine, "kernel-block-complete");
    let qemu = qemu.append(format!("check=requests old={old} seed={new}")).disk(&image, device.clone());
    let mut guest = qemu.boot();
    guest.wait_for("cache, asked for WriteThrough: ");
    guest.wait_for("capacity: ");
    let size = 2 * SECTORS * SECTOR as u64;
    if device.storage_daemon {
        guest.storage_daemon().execute("block_resize", &json!({ "node-name": "disk0", "size": size }));
    } else {
        let expected = if device.config_wce { false } else { device.write_cache != Some(false) };
        assert_eq!(writes_back(&mut guest), expected, "QEMU's cache does what the guest asked for");
        guest.qmp().execute("block_resize", &json!({ "device": "disk0", "size": size }));
    }
    let output = guest.finish(Ended::Success, "block complete: done");

    let is_in = |ranges: &[(u64, u64)], sector: u64| {
        ranges.iter().any(|(first, count)| (*first..first + count).contains(&sector))
    };
    for sector in 0..SECTORS {
        let found = image.read(sector, 1);
        let (mut before, mut written) = ([0; SECTOR], [0; SECTOR]);
        fill(old, sector, &mut before);
        fill(new, sector, &mut written);
        let is_right = if device.write_zeroes && is_in(&ZEROED, sector) {
            found == [0; SECTOR]
        } else if device.discard && is_in(&DISCARDED, sector) {
            found == before || (device.unmap && found == [0; SECTOR])
        } else if is_in(&WRITTEN, sector) {
            found == written
        } else {
            found == before
        };
        assert!(is_right, "sector {sector}\n{output}");
    }
    output
}

/// Each of these lines is there.
fn assert_lines(output: &str, lines: &[&str]) {
    for line in lines {
        assert!(output.lines().any(|printed| printed == *line), "no {line:?} in:\n{output}");
    }
}

/// What no disk of QEMU's offers is not asked for.
const NOT_OFFERED: [&str; 6] = [
    "secure erase: not supported",
    "lifetime: not supported",
    "append: not supported",
    "zone: not supported",
    "reset all zones: not supported",
    "report zones: not supported",
];

#[test]
fn every_request_that_qemu_serves_does_what_it_says_and_touches_nothing_else() {
    for (machine, connection) in Machine::MODERN {
        for packed in [false, true] {
            let device = DiskDevice {
                connection: Some(connection),
                packed,
                serial: Some("serial-0815".into()),
                ..DiskDevice::default()
            };

            let output = check(machine, &device);

            assert_lines(&output, &NOT_OFFERED);
            assert_lines(
                &output,
                &[
                    "discard: 1 requests",
                    "discarded: zeros",
                    "write zeroes (Forbidden): 1 requests",
                    "write zeroes (Allowed): 1 requests",
                    "flush: 1 requests",
                    "id: serial-0815",
                    "burst: 5 requests",
                    "refusals: ok",
                    "blocks: Some(512)",
                    "cache: WriteBack",
                    "cache, asked for WriteThrough: WriteThrough",
                    "cache, asked for WriteBack: WriteBack",
                ],
            );
        }
    }
}

/// Longer ranges go in pieces that are as the device wants them.
#[test]
fn limits_blocks_and_geometry_are_those_that_qemu_was_told() {
    for (machine, connection) in [
        (Machine::Q35, Connection::Pci),
        (Machine::Microvm, Connection::Mmio),
        (Machine::Aarch64Virt, Connection::MmioLegacy),
        (Machine::Riscv64Virt, Connection::PciLegacy),
    ] {
        let device = DiskDevice {
            connection: Some(connection),
            max_discard_sectors: Some(100),
            max_write_zeroes_sectors: Some(64),
            write_cache: Some(false),
            block_bytes: Some((4096, 16384)),
            transfer_bytes: Some((8192, 65536)),
            geometry: Some((123, 16, 56)),
            ..DiskDevice::default()
        };

        let output = check(machine, &device);

        assert_lines(&output, &NOT_OFFERED);
        assert_lines(
            &output,
            &[
                "limits of discard: sectors=100 ranges=1 alignment=8",
                "limits of write zeroes: sectors=64 ranges=1 alignment=1",
                "write zeroes may unmap: true",
                "blocks: Some(4096)",
                "geometry: Some(Geometry { cylinders: 123, heads: 16, sectors: 56 })",
                "topology: Some(Topology { physical_block_exponent: 2, alignment_offset: 0, min_transfer_blocks: 2, optimal_transfer_blocks: 16 })",
                // 240 sectors, in pieces of 96 (a whole number of blocks), and of 64.
                "discard: 3 requests",
                "write zeroes (Forbidden): 4 requests",
                "write zeroes (Allowed): 4 requests",
                "cache: WriteThrough",
                "cache, asked for WriteThrough: WriteThrough",
                "cache, asked for WriteBack: WriteBack",
            ],
        );
    }
}

#[test]
fn what_a_disk_does_not_offer_is_not_asked_for() {
    for packed in [false, true] {
        let device = DiskDevice {
            packed,
            discard: false,
            write_zeroes: false,
            config_wce: false,
            ..DiskDevice::default()
        };

        let output = check(Machine::Q35, &device);

        assert_lines(&output, &NOT_OFFERED);
        assert_lines(
            &output,
            &[
                "discard: not supported",
                "write zeroes (Forbidden): not supported",
                "write zeroes (Allowed): not supported",
                "limits of discard: none",
                "limits of write zeroes: none",
                "burst: 2 requests",
                "cache, asked for WriteThrough: WriteBack",
            ],
        );
    }
}

/// A drive whose owner wants to keep the room that it has.
#[test]
fn what_is_discarded_where_nothing_can_be_given_back_stays_as_it_was() {
    let output = check(Machine::Q35, &DiskDevice { unmap: false, ..DiskDevice::default() });

    assert_lines(&output, &["discard: 1 requests", "discarded: as before"]);
}

/// A second device side, written by others than the first.
#[test]
fn every_request_that_the_storage_daemon_serves_does_what_it_says() {
    for (machine, connection) in Machine::MODERN {
        let device = DiskDevice {
            connection: Some(connection),
            storage_daemon: true,
            queues: Some(1),
            ..DiskDevice::default()
        };

        let output = check(machine, &device);

        assert_lines(&output, &NOT_OFFERED);
        assert_lines(
            &output,
            &[
                "limits of discard: sectors=32768 ranges=1 alignment=1",
                "limits of write zeroes: sectors=32768 ranges=1 alignment=1",
                "discard: 1 requests",
                "discarded: zeros",
                "write zeroes (Forbidden): 1 requests",
                "write zeroes (Allowed): 1 requests",
                "flush: 1 requests",
                "id: vhost_user_blk",
                "burst: 5 requests",
                "cache, asked for WriteThrough: WriteThrough",
                "cache, asked for WriteBack: WriteBack",
            ],
        );
    }
}
