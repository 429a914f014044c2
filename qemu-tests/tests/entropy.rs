//! Random bytes: 1 MiB, looked at for what no good source would do; each byte handed out once; and a host that holds them back.
//!
//! Spec: §5.4 Entropy Device.

#[path = "common/device.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod device;

use std::io::Write;

use device::{Case, cases, short_cases};
use qemu_tests::pattern::{SECTOR, fill};
use qemu_tests::{Qemu, random_seed};

const BYTES: u64 = 1 << 20;

/// Boots a guest that reads from a device with these properties, and QEMU's arguments before it.
fn read(case: Case, arguments: &[&str], properties: &str, words: &str) -> String {
    Qemu::new(case.machine, "kernel-entropy-check")
        .append(words)
        .with(arguments)
        .with(&["-device", &case.device("rng", properties)])
        .run_to("entropy check: done")
}

/// The number that the guest printed behind this name.
fn number(output: &str, name: &str) -> u64 {
    let value = output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let value = value.and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no number {name:?} in:\n{output}"))
}

#[test]
fn a_mebibyte_of_random_bytes_is_even_and_nothing_in_it_comes_twice() {
    for case in cases() {
        let output = read(case, &[], "", "");

        assert_eq!(number(&output, "bytes"), BYTES);
        // Half of 8 Mi bits, whose standard deviation is 1448: six of them.
        let off = number(&output, "ones").abs_diff(4 * BYTES);
        assert!(off < 6 * 1448, "{off} bits off\n{output}");
        // With 255 degrees of freedom: outside of this once in ten million runs.
        let chi_square = number(&output, "chi square");
        assert!((150..400).contains(&chi_square), "{output}");
        assert_eq!(number(&output, "repeated blocks of 16 bytes"), 0, "{output}");
    }
}

#[test]
fn the_guest_has_exactly_the_bytes_that_the_host_gave_and_none_of_them_twice() {
    for case in short_cases() {
        let seed = random_seed();
        let mut source = tempfile::NamedTempFile::new().expect("a file");
        // More than the guest reads, for what it may be asked for twice.
        for sector in 0..2 * BYTES / SECTOR as u64 {
            let mut bytes = [0; SECTOR];
            fill(seed, sector, &mut bytes);
            source.write_all(&bytes).expect("room");
        }
        let backend = format!("rng-random,id=source,filename={}", source.path().display());

        let output = read(case, &["-object", &backend], ",rng=source", &format!("seed={seed}"));

        assert_eq!(number(&output, "bytes"), BYTES);
        assert_eq!(number(&output, "skipped sectors"), 0, "{output}");
    }
}

/// What the host gives at a time, and how often.
const PORTION: u64 = 1024;
const PERIOD_MILLIS: u64 = 50;

#[test]
fn a_host_that_gives_few_bytes_at_a_time_is_waited_for_asleep() {
    let asked = 16 * PORTION;
    for case in cases() {
        let limits = format!(",max-bytes={PORTION},period={PERIOD_MILLIS}");
        let output = read(case, &[], &limits, &format!("bytes={asked}"));

        // The first portion is there at once, and the second may be; a host that has other work, too, makes up for periods that it missed. Without limits all of it is there at once.
        let (millis, wakes) = (number(&output, "millis"), number(&output, "wakes"));
        assert!(millis >= asked / PORTION * PERIOD_MILLIS / 2, "in {millis} ms\n{output}");
        // Awake once for each request, and a few times for nothing: not for as long as it waited.
        let requests = number(&output, "requests");
        assert!(wakes <= 2 * requests + 8, "{wakes} wakes for {requests} requests\n{output}");
        assert!(!output.contains("interrupts: polling"), "{output}");
    }
}
