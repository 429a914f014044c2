//! The block example's modes besides the tour: what each says is what happened, on the serial line and on the image.

use std::path::Path;
use std::process::Command;

use qemu_tests::{Asked, Connection, DiskDevice, Fault, Image, Machine, Qemu, random_seed};

#[path = "../../examples/block/src/benchmark/histogram.rs"]
mod histogram;

use histogram::Histogram;

const CLOSING_LINE: &str = "block example: done";
const SECTORS: u64 = 4096;
const MACHINES: [Machine; 3] = [Machine::Q35, Machine::Aarch64Virt, Machine::Riscv64VirtAia];

fn guest(machine: Machine, words: &str) -> Qemu {
    Qemu::new(machine, "example-block").append(words)
}

/// The number behind these words.
fn number(output: &str, words: &str) -> u64 {
    let (_, behind) = output.split_once(words).unwrap_or_else(|| panic!("no {words:?} in:\n{output}"));
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {words:?} in:\n{output}"))
}

/// A disk that is slower than any guest, so that it is waited for.
fn slow(device: DiskDevice) -> DiskDevice {
    DiskDevice { requests_per_second: Some(400), request_merging: false, ..device }
}

fn percentiles(output: &str) -> Vec<u64> {
    ["p50 ", "p90 ", "p99 ", "p99.9 ", ", max "].map(|name| number(output, name)).into()
}

#[test]
fn the_benchmark_does_as_many_requests_as_it_was_asked_for_and_reads_change_nothing() {
    for machine in MACHINES {
        for (packed, interrupts) in [(false, "msi-x"), (true, "line"), (false, "polling")] {
            let image = Image::random(SECTORS, random_seed());
            let before = image.bytes();
            let words = format!("mode=benchmark interrupts={interrupts} depth=8 size=2k requests=100");
            let device = DiskDevice { packed, ..DiskDevice::default() };

            let output = guest(machine, &words).disk(&image, slow(device)).run_to(CLOSING_LINE);

            assert!(output.contains("benchmark: Random Read, 2048 bytes, depth 8, queues 1"), "{output}");
            assert_eq!(number(&output, "\nrequests: "), 100, "{output}");
            assert!(number(&output, "IOPS: ") > 0 && percentiles(&output).is_sorted(), "{output}");
            assert!((1..=100).contains(&number(&output, "notifications: ")), "{output}");
            let interrupted = number(&output, "interrupts that arrived: ") > 0;
            assert_eq!(interrupted, interrupts != "polling", "{output}");
            assert!(image.bytes() == before, "the image changed");
        }
    }
}

/// Spec: §2.7.13.3 — the available index is written once for all of them.
#[test]
fn a_burst_is_one_notification() {
    let image = Image::random(SECTORS, random_seed());
    let qemu = guest(Machine::Q35, "mode=benchmark depth=16 requests=16");

    let output = qemu.disk(&image, slow(DiskDevice::default())).run_to(CLOSING_LINE);

    assert_eq!(number(&output, "\nrequests: "), 16, "{output}");
    assert_eq!(number(&output, "notifications: "), 1, "{output}");
}

#[test]
fn a_sequential_write_goes_once_over_the_disk() {
    const SHARE: usize = 128;
    let image = Image::random(SECTORS, random_seed());
    let before = image.bytes();
    let words = format!("mode=benchmark rw=write pattern=sequential depth=4 size=4k requests={SHARE}");

    let output = guest(Machine::Q35, &words).disk(&image, DiskDevice::default()).run_to(CLOSING_LINE);

    let after = image.bytes();
    let (written, rest) = after.split_at(SHARE * 4096);
    assert!(written.iter().all(|byte| *byte == 0xa5), "{output}");
    assert!(*rest == before[written.len()..], "{output}");
}

/// Each has its own queue and its own part of the disk.
#[test]
fn several_queues_are_driven_by_as_many_processors() {
    for machine in MACHINES {
        let image = Image::random(SECTORS, random_seed());
        let device = DiskDevice { queues: Some(3), ..DiskDevice::default() };
        let words = "mode=benchmark queues=3 rw=write pattern=sequential depth=4 size=1k requests=2046";

        let output = guest(machine, words).processors(3).disk(&image, device).run_to(CLOSING_LINE);

        assert!(output.contains("interrupts: msi-x (PerQueue)"), "{output}");
        assert_eq!(number(&output, "\nrequests: "), 2046, "{output}");
        let sectors_written = 2046 * 2;
        let bytes = image.bytes();
        let is_written = |sector: &&[u8]| sector.iter().all(|byte| *byte == 0xa5);
        assert_eq!(bytes.chunks(512).filter(is_written).count(), sectors_written, "{output}");
    }
}

#[test]
fn the_benchmark_ends_when_its_time_is_over() {
    let image = Image::random(SECTORS, random_seed());
    let device = DiskDevice { connection: Some(Connection::MmioLegacy), ..DiskDevice::default() };

    let output =
        guest(Machine::Microvm, "mode=benchmark seconds=1").disk(&image, device).run_to(CLOSING_LINE);

    assert!((1000..20_000).contains(&number(&output, " in ")), "{output}");
}

#[test]
fn what_the_benchmark_cannot_do_is_refused_with_the_reason() {
    for (words, reason) in [
        ("depth=0", "depth=0 is no number from 1 on"),
        ("size=1000", "size=1000 is no whole number of sectors of 512 bytes"),
        ("size=1m depth=64", "take a smaller depth= or size="),
        ("pattern=zigzag", "pattern=zigzag is not known: take one of random, sequential"),
        ("queues=9", "queues=9: 8 are the most"),
        ("queues=2", "each queue takes a processor: start QEMU with -smp 2"),
        ("depth=1k size=512", "a queue has room for 256 requests"),
        ("size=4m depth=1", "the disk is smaller than a request for each queue"),
    ] {
        let image = Image::blank(SECTORS);
        let qemu =
            guest(Machine::Q35, &format!("mode=benchmark {words}")).disk(&image, DiskDevice::default());

        let output = qemu.run_to_failure("error: ");

        assert!(output.contains(reason), "{words}: no {reason:?} in:\n{output}");
    }
}

/// The pattern of the mode's areas, with zeros in the holes of some.
fn areas(zeroed: [bool; 3]) -> Vec<u8> {
    const AREA: u64 = 1024;
    let byte = |sector: u64| {
        let is_inside = (101..910).contains(&(sector % AREA));
        if is_inside && zeroed[usize::try_from(sector / AREA).unwrap()] {
            0
        } else {
            sector.to_le_bytes()[0] | 1
        }
    };
    (0..3 * AREA).flat_map(|sector| [byte(sector); 512]).collect()
}

/// Limits that cut a range into many make no difference.
#[test]
fn discarded_and_zeroed_ranges_are_what_the_guest_says_and_their_neighbours_are_untouched() {
    for machine in MACHINES {
        for (packed, limit) in [(false, None), (true, Some(100))] {
            let image = Image::random(SECTORS, random_seed());
            let before = image.bytes();
            let limits = DiskDevice {
                max_discard_sectors: limit,
                max_write_zeroes_sectors: limit,
                packed,
                ..DiskDevice::default()
            };

            let output = guest(machine, "mode=discard").disk(&image, limits).run_to(CLOSING_LINE);

            for zeroed in ["WriteZeroes(Allowed)", "WriteZeroes(Forbidden)"] {
                let line = format!("{zeroed}: all zeros, neighbours untouched");
                assert!(output.contains(&line), "no {line:?} in:\n{output}");
            }
            assert!(output.contains("Discard: ") && !output.contains("something else"), "{output}");
            let sectors_max = limit.unwrap_or(0x003f_ffff);
            assert!(output.contains(&format!("discard: up to {sectors_max} sectors in a range")), "{output}");
            // A discarded sector may be zeros, or what it was.
            let (after, areas) = (image.bytes(), [areas([true; 3]), areas([false, true, true])]);
            let is_right = |(index, byte): (usize, &u8)| areas.iter().any(|area| area[index] == *byte);
            assert!(after.iter().take(areas[0].len()).enumerate().all(is_right), "{output}");
            assert!(after[areas[0].len()..] == before[areas[0].len()..], "{output}");
        }
    }
}

#[test]
fn a_disk_without_discard_and_zeros_is_not_asked() {
    let image = Image::random(SECTORS, random_seed());
    let device = DiskDevice { discard: false, write_zeroes: false, ..DiskDevice::default() };

    let output = guest(Machine::Q35, "mode=discard").disk(&image, device).run_to(CLOSING_LINE);

    for command in ["Discard", "WriteZeroes(Allowed)", "WriteZeroes(Forbidden)"] {
        assert!(output.contains(&format!("{command}: the disk does not offer it")), "{output}");
    }
    assert!(image.bytes().starts_with(&areas([false; 3])), "{output}");
}

#[test]
fn the_async_mode_inverts_each_page_once_and_its_tasks_are_woken_by_interrupts() {
    for machine in MACHINES {
        for (packed, interrupts) in [(false, "msi-x"), (true, "line"), (false, "polling")] {
            let image = Image::random(SECTORS / 8, random_seed());
            let before = image.bytes();
            let qemu = guest(machine, &format!("mode=async interrupts={interrupts}"));
            let device = DiskDevice { packed, ..DiskDevice::default() };

            let output = qemu.disk(&image, slow(device)).run_to(CLOSING_LINE);

            assert!(output.contains("async: 64 pages inverted by 8 tasks, flushed"), "{output}");
            assert_eq!(number(&output, "\nrequests: "), 129, "{output}");
            let interrupted = number(&output, "interrupts that arrived: ") > 0;
            assert_eq!(interrupted, interrupts != "polling", "{output}");
            let inverted: Vec<u8> = before.iter().map(|byte| !byte).collect();
            assert!(image.bytes() == inverted, "not each bit was inverted once\n{output}");
        }
    }
}

#[test]
fn a_flush_that_fails_is_told_by_the_async_mode() {
    let image = Image::random(64, random_seed());
    let device = DiskDevice { faults: vec![Fault::always(Asked::Flush)], ..DiskDevice::default() };

    let qemu = guest(Machine::Q35, "mode=async").disk(&image, device);

    qemu.run_to_failure("error: the disk failed: the device reports an input/output error");
}

#[test]
fn an_unknown_mode_is_named_with_those_there_are() {
    let output = guest(Machine::Q35, "mode=race").run_to_failure("error: mode=race is not known");

    assert!(output.contains("tour, benchmark, discard, async"), "{output}");
}

fn demo(words: &[&str]) -> (bool, String) {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "-C"]).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    make.arg("demo").args(words).env_remove("MACHINE").env_remove("DISK");
    let output = make.output().expect("make runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_demo_runs_each_mode() {
    let (ok, said) = demo(&["MODE=benchmark", "QUEUES=2", "ARCH=riscv64", "OPTIONS=requests=100 depth=4"]);

    assert!(ok && said.contains("depth 4, queues 2") && said.contains("requests: 100 in"), "{said}");
    assert!(said.contains("demo: done with MODE=benchmark"), "{said}");
    let (ok, said) = demo(&["MODE=async", "ARCH=aarch64", "TRANSPORT=mmio"]);

    assert!(ok && said.contains("each byte is 0377 (octal)"), "{said}");
}

#[test]
fn the_demo_says_which_words_do_not_go_together() {
    for (words, reason) in [
        (["EXAMPLE=block", "MODE=race"], "MODE=race is not known"),
        (["EXAMPLE=tasks", "MODE=benchmark"], "MODE is for EXAMPLE=block"),
        (["EXAMPLE=block", "QUEUES=2"], "QUEUES is for MODE=benchmark"),
        (["MODE=benchmark", "QUEUES=99"], "QUEUES=99 is no number from 1 to 8"),
        (["MODE=benchmark", "DISK=/dev/null"], "may write over all of its disk"),
    ] {
        let (ok, said) = demo(&words);

        assert!(!ok && said.contains(reason) && said.contains("Next step: "), "{words:?}: {said}");
    }
}

#[test]
fn a_percentile_is_at_most_an_eighth_above_what_was_recorded() {
    for number in (0..200).chain((8..64).flat_map(|power| [(1 << power) - 1, 1 << power, 3 << (power - 1)])) {
        let mut histogram = Histogram::new();
        histogram.record(number);
        histogram.record(u64::MAX);

        let found = histogram.per_mille(500);

        assert!(found >= number && found - number <= number / 8, "{number}: {found}");
        assert_eq!(
            (histogram.count(), histogram.largest(), histogram.per_mille(1000)),
            (2, u64::MAX, u64::MAX)
        );
    }
}

#[test]
fn percentiles_count_from_the_smallest_on() {
    let (mut low, mut high) = (Histogram::new(), Histogram::new());
    (0..10).for_each(|number| low.record(number));
    (10..15).for_each(|number| high.record(number));

    low.add(&high);

    assert_eq!([0, 1, 500, 900, 999].map(|share| low.per_mille(share)), [0, 0, 7, 13, 14]);
    assert_eq!((low.count(), low.largest(), Histogram::new().per_mille(500)), (15, 14, 0));
}
