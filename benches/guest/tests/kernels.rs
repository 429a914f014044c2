//! The kernels run, count the same each time, and refuse to count where time does not stand for instructions.

use guest_bench::lines::{Setup, Whose, kernel_of};
use guest_bench::machine::machine;
use guest_bench::measure::{Extent, measure};
use guest_bench::profile;

fn ours(line: &str) -> Setup {
    let kernel = kernel_of(line).expect("a line of the table");
    Setup { whose: Whose::Ours, kernel, packed: false, interrupts: false }
}

#[test]
fn counts_repeat_and_a_burst_rings_once() {
    let lines = ["block-4k-depth1", "block-4k-depth16", "block-512-depth64"];
    let extent = Extent { lines: lines.map(String::from).into(), operations: Some(512) };

    let measured = measure(&ours(lines[0]), &extent).unwrap();

    let names: Vec<&str> = measured.iter().map(|measured| measured.line.as_str()).collect();
    assert_eq!(names, lines);
    for (measured, burst) in measured.iter().zip([1.0, 16.0, 64.0]) {
        assert!(measured.repeats, "{measured:?}");
        assert!(measured.submit > 0.0 && measured.complete > 0.0);
        assert!((measured.doorbells * burst - 1.0).abs() < 1e-9, "{measured:?}");
        assert_eq!(
            (measured.reads, measured.writes, measured.interrupts, measured.allocations),
            (0.0, 0.0, 0.0, 0.0)
        );
    }
}

#[test]
fn a_kernel_whose_ticks_are_no_instructions_refuses_to_count() {
    let setup = ours("transmit-64-burst32");

    let printed = machine(&setup, "check=broken lines=transmit-64-burst32").run_to_failure("error:");

    assert!(printed.contains("instructions take"), "{printed}");
    assert!(!printed.contains("\nline "), "{printed}");
}

#[test]
fn a_profile_finds_the_instructions_that_were_counted() {
    let text = profile::of(&ours("transmit-64-burst32"), "transmit-64-burst32").unwrap();

    // The table of functions, of which each has its share in both halves.
    let table = text.split("function\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let shares = table.lines().filter_map(|row| row.split_whitespace().next()?.parse::<f64>().ok());
    let counted = text.split_whitespace().nth(2).and_then(|word| word.parse::<f64>().ok()).unwrap();
    let found: f64 = shares.sum();
    assert!(found > counted * 0.8 && found < counted * 1.1, "{found} of {counted}\n{text}");
    assert!(table.contains("device/net/transmit.rs"), "{table}");
}
