//! Requests in flight: many that come back in another order, four queues of four processors, errors, and a disk that gets another size meanwhile.

use std::time::Duration;

use qemu_tests::pattern::{SECTOR, fill};
use qemu_tests::{Asked, Connection, DiskDevice, Ended, Fault, Image, Machine, Qemu, random_seed};
use serde_json::json;

/// A machine of each architecture, with messages.
const MACHINES: [Machine; 3] = [Machine::Q35, Machine::Aarch64Virt, Machine::Riscv64VirtAia];
/// 2 MiB: compared in full.
const SECTORS: u64 = 4096;
const CLOSING_LINE: &str = "block complete: done";

/// A disk with random contents, and the seeds of these and of what the guest writes.
struct Bench {
    image: Image,
    old: u64,
    new: u64,
}

impl Bench {
    fn new() -> Self {
        let [old, new] = [(); 2].map(|()| random_seed());
        Self { image: Image::random(SECTORS, old), old, new }
    }

    fn guest(&self, machine: Machine, check: &str, device: DiskDevice) -> Qemu {
        Qemu::new(machine, "kernel-block-complete")
            .append(format!("check={check} old={} seed={}", self.old, self.new))
            .limit(Duration::from_mins(2))
            .disk(&self.image, device)
    }

    /// Looks at each of these sectors: what the guest writes has to be in some, the others are as before.
    fn compare(&self, sectors: u64, is_new: impl Fn(u64) -> bool) {
        self.compare_with_zeros(sectors, is_new, |_| false);
    }

    /// The same, with zeros in some.
    fn compare_with_zeros(&self, sectors: u64, is_new: impl Fn(u64) -> bool, is_zero: impl Fn(u64) -> bool) {
        for sector in 0..sectors {
            let mut expected = [0; SECTOR];
            if !is_zero(sector) {
                fill(if is_new(sector) { self.new } else { self.old }, sector, &mut expected);
            }
            assert!(self.image.read(sector, 1) == expected, "sector {sector}");
        }
    }
}

/// One request after the other, so that each is itself.
fn device() -> DiskDevice {
    DiskDevice { request_merging: false, ..DiskDevice::default() }
}

/// The first of 64 requests is stopped in the drive until the 63 others are back: all that time the disk has it. Spec: §2.7.14 — used buffers come in any order.
fn overtake(machine: Machine, device: DiskDevice) {
    let bench = Bench::new();
    let device = DiskDevice { breakpoints: true, queue_size: Some(256), ..device };
    let mut guest = bench.guest(machine, "overtaking", device).paused().boot();
    let mut qmp = guest.qmp();
    qmp.stop_next_write("disk0", "first");
    qmp.execute("cont", &json!({}));

    guest.wait_for("overtaken: by 63 requests");
    bench.compare(SECTORS, |_| false);
    qmp.let_go_on("disk0", "first");

    let output = guest.finish(Ended::Success, CLOSING_LINE);
    assert!(output.contains("in flight: 64"), "{output}");
    bench.compare(SECTORS, |sector| sector == SECTORS - 1);
}

#[test]
fn sixty_three_requests_overtake_one_and_each_has_its_own_contents() {
    for machine in MACHINES {
        for packed in [false, true] {
            overtake(machine, DiskDevice { packed, ..device() });
        }
    }
    for connection in [Connection::Mmio, Connection::MmioLegacy] {
        overtake(Machine::Aarch64Virt, DiskDevice { connection: Some(connection), ..device() });
    }
    overtake(Machine::Q35, DiskDevice { indirect_desc: false, event_idx: false, ..device() });
}

/// Spec: §5.2.5 — `num_queues`.
fn work_on_four_queues(machine: Machine, device: DiskDevice) {
    let bench = Bench::new();
    let device = DiskDevice { queues: Some(4), ..device };

    let output = bench.guest(machine, "queues", device).processors(4).run_to(CLOSING_LINE);

    assert!(output.contains("interrupts: msi-x (PerQueue)"), "{output}");
    // Each sector is read, written, and read again, eight of them at a time.
    let requests = 3 * SECTORS / 4 / 8;
    for processor in 0..4 {
        let line = format!("processor {processor}: {requests} requests, ");
        assert!(output.contains(&line), "no {line:?} in:\n{output}");
    }
    bench.compare(SECTORS, |_| true);
}

#[test]
fn four_processors_each_have_a_queue_of_one_disk_and_share_nothing_else() {
    for machine in MACHINES {
        for packed in [false, true] {
            work_on_four_queues(machine, DiskDevice { packed, ..DiskDevice::default() });
        }
        work_on_four_queues(machine, DiskDevice { storage_daemon: true, ..DiskDevice::default() });
    }
}

/// What of the guest's requests fails in which round. It sends 16 of each kind, of eight sectors each: reads from sector 0 on, writes from 256 on, zeros from 512 on; it discards from 768 on.
const FAULTS: [Fault; 8] = [
    Fault::always_at(Asked::Read, 17),
    Fault::once_at(Asked::Read, 100),
    Fault::once_at(Asked::Write, 256 + 77),
    Fault::always_at(Asked::Write, 256 + 127),
    Fault::once_at(Asked::WriteZeroes, 512),
    Fault::always_at(Asked::WriteZeroes, 512 + 20),
    Fault::once_at(Asked::Discard, 768 + 30),
    Fault { asked: Asked::Flush, sector: None, once: true },
];

fn fail(machine: Machine, device: DiskDevice) {
    let bench = Bench::new();

    let device = DiskDevice { faults: FAULTS.to_vec(), ..device };
    let output = bench.guest(machine, "faults", device).run_to(CLOSING_LINE);

    let (_, rounds) = output.split_once("round 1\n").expect("the first round");
    let (first, second) = rounds.split_once("round 2\n").expect("the second round");
    let error = "the device reports an input/output error";
    for (round, failed, flush) in [
        (
            first,
            [
                "discard 792 8",
                "read 16 8",
                "read 96 8",
                "write 328 8",
                "write 376 8",
                "write zeroes 512 8",
                "write zeroes 528 8",
            ]
            .as_slice(),
            error,
        ),
        (second, ["read 16 8", "write 376 8", "write zeroes 528 8"].as_slice(), "done"),
    ] {
        let mut lines: Vec<&str> = round.lines().filter(|line| line.starts_with("failed: ")).collect();
        lines.sort_unstable();
        let expected: Vec<String> = failed.iter().map(|range| format!("failed: {range}: {error}")).collect();
        assert_eq!(lines, expected, "{output}");
        assert!(round.contains(&format!("flush: {flush}")), "{output}");
    }
    bench.compare_with_zeros(
        SECTORS,
        |sector| (256..376).contains(&sector),
        |sector| [512..528, 536..640, 768..896].iter().any(|range| range.contains(&sector)),
    );
}

#[test]
fn an_error_is_told_of_the_request_that_it_is_of_and_all_others_are_done() {
    for machine in MACHINES {
        for packed in [false, true] {
            fail(machine, DiskDevice { packed, ..device() });
        }
        fail(machine, DiskDevice { storage_daemon: true, ..device() });
    }
    fail(Machine::Microvm, device());
}

/// A disk becomes larger, then smaller than it was. Spec: §5.2.4 — the capacity, and the notification of its change.
fn resize(machine: Machine, device: DiskDevice) {
    let bench = Bench::new();
    let (larger, smaller) = (2 * SECTORS, SECTORS / 2);
    let in_daemon = device.storage_daemon;
    let mut guest = bench.guest(machine, "resize", device).boot();
    for (before, after) in [(SECTORS, larger), (larger, smaller)] {
        guest.wait_for(&format!("capacity: {before} sectors"));
        let size = after * SECTOR as u64;
        if in_daemon {
            guest.storage_daemon().execute("block_resize", &json!({ "node-name": "disk0", "size": size }));
        } else {
            guest.qmp().execute("block_resize", &json!({ "device": "disk0", "size": size }));
        }
    }

    let output = guest.finish(Ended::Success, CLOSING_LINE);

    assert!(output.contains(&format!("capacity: {smaller} sectors, at last")), "{output}");
    assert_eq!(bench.image.bytes().len() as u64, smaller * SECTOR as u64, "{output}");
    bench.compare(smaller, |_| false);
}

#[test]
fn a_disk_that_gets_another_size_says_so_and_what_is_beyond_its_end_is_refused() {
    for machine in MACHINES {
        for packed in [false, true] {
            resize(machine, DiskDevice { packed, ..device() });
        }
        resize(machine, DiskDevice { storage_daemon: true, ..device() });
    }
    resize(Machine::Microvm, device());
    resize(Machine::Riscv64Virt, DiskDevice { connection: Some(Connection::MmioLegacy), ..device() });
}
