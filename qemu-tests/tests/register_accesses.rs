//! What a request costs at the device's registers, as QEMU's trace counts it.
//!
//! Each guest is run twice, with a different number of requests; the difference is what the requests alone cost, whatever bring-up and the rest of the program do. Doorbells
//! are register writes like others here (`ioeventfd=off`: with it they would not be traced). The table is written to `register-accesses.md` in the folder that cargo has
//! for tests' files.

#![allow(clippy::cast_precision_loss, reason = "counts are small")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use qemu_tests::{Connection, DiskDevice, Image, Machine, Qemu, random_seed};

/// A guest that asks for sectors one by one, asleep meanwhile, and one that asks for 256 at a time.
const PATTERNS: [(&str, &str, [u64; 2]); 2] =
    [("one by one", "singles", [256, 1280]), ("256 at a time", "requests", [2560, 12800])];

/// The page that shows such a table; its figures are those of one run.
const GUIDE: &str = include_str!("../../docs/src/transports.md");

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    reads: u64,
    writes: u64,
    interrupts: u64,
}

/// What one run of a guest does.
fn counted(machine: Machine, device: &DiskDevice, command_line: &str) -> Counts {
    let image = Image::random(4096, random_seed());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trace = folder.path().join("trace");
    let output = Qemu::new(machine, "kernel-block-check")
        .append(format!("seed=1 {command_line}"))
        .trace(&["memory_region_ops_*", "virtio_notify"], &trace)
        .disk(&image, device.clone())
        .run_to("block check: done");

    let mut counts = Counts::default();
    for line in fs::read_to_string(&trace).expect("QEMU wrote a trace").lines() {
        let is_device = line.contains("name 'virtio-");
        if line.starts_with("virtio_notify ") {
            counts.interrupts += 1;
        } else if line.starts_with("memory_region_ops_read ") && is_device {
            counts.reads += 1;
        } else if line.starts_with("memory_region_ops_write ") && is_device {
            counts.writes += 1;
        }
    }
    // Where nothing was counted, nothing was looked for in the right way.
    let is_traced = counts.reads > 20 && counts.writes > 20;
    assert!(is_traced, "the trace shows at least the bring-up: {counts:?}\n{output}");
    counts
}

/// What one request costs: register reads, register writes, interrupts.
fn per_request(
    machine: Machine,
    device: &DiskDevice,
    interrupts: &str,
    word: &str,
    requests: [u64; 2],
) -> [f64; 3] {
    let [few, many] =
        requests.map(|count| counted(machine, device, &format!("interrupts={interrupts} {word}={count}")));
    let more = (requests[1] - requests[0]) as f64;
    [(few.reads, many.reads), (few.writes, many.writes), (few.interrupts, many.interrupts)]
        .map(|(few, many)| many.saturating_sub(few) as f64 / more)
}

#[test]
fn a_request_costs_at_most_one_doorbell_and_with_messages_no_register_read() {
    let ways = [
        (Machine::Q35, Connection::Pci, "msi-x", "PCI modern, MSI-X"),
        (Machine::Q35, Connection::Pci, "line", "PCI modern, line"),
        (Machine::Q35, Connection::Pci, "polling", "PCI modern, polling"),
        (Machine::Q35, Connection::PciLegacy, "msi-x", "PCI legacy, MSI-X"),
        (Machine::Q35, Connection::PciLegacy, "line", "PCI legacy, line"),
        (Machine::Microvm, Connection::Mmio, "line", "MMIO v2, line"),
        (Machine::Microvm, Connection::Mmio, "polling", "MMIO v2, polling"),
        (Machine::Microvm, Connection::MmioLegacy, "line", "MMIO v1, line"),
    ];
    let mut table = String::from(
        "| connection | ring | requests | register reads | register writes | interrupts |\n|---|---|---|---|---|---|\n",
    );
    for (machine, connection, interrupts, name) in ways {
        for packed in [false, true] {
            if packed && connection.is_legacy() {
                continue;
            }
            let device = DiskDevice {
                connection: Some(connection),
                packed,
                ioeventfd: false,
                ..DiskDevice::default()
            };
            for (pattern, word, requests) in PATTERNS {
                let [reads, writes, raised] = per_request(machine, &device, interrupts, word, requests);

                let ring = if packed { "packed" } else { "split" };
                let row = format!("| {name} | {ring} | {pattern} |");
                assert!(GUIDE.contains(&row), "docs/src/transports.md has no row {row}");
                writeln!(table, "{row} {reads:.3} | {writes:.3} | {raised:.3} |").unwrap();
                let what = format!("{name}, {ring}, {pattern}: {reads} reads, {writes} writes");
                // What acknowledges a line costs a read, or with MMIO two reads and a write (it is looked at again, for its line may be one that has to fall), per interrupt.
                // Now and then a line is looked at once more, when a completion was taken before its interrupt came: more often on a busy host.
                let (reads_max, acknowledgements_max) = match (interrupts, connection.is_mmio()) {
                    ("line", false) => (1.5, 0.0),
                    ("line", true) => (3.0, 1.5),
                    _ => (0.0, 0.0),
                };
                assert!(reads <= reads_max && writes <= 1.0 + acknowledgements_max, "{what}");
                if pattern == "one by one" {
                    assert!(
                        writes >= 1.0,
                        "a request that nothing else is in flight with needs its doorbell: {what}"
                    );
                } else if interrupts != "line" {
                    // With a line, each interrupt costs something; how many there are is up to how fast the disk is.
                    assert!(writes < 0.1, "a burst has one doorbell: {what}");
                }
            }
        }
    }
    println!("{table}");
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("register-accesses.md"), table)
        .expect("room for the table");
}
