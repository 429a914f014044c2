//! What people read of a measurement.

use std::path::PathBuf;

use user_bench::instructions::Instructions;
use user_bench::line::{Line, Whose};
use user_bench::results::{Measured, Results, Setting};
use user_bench::sample::{Sample, Window};
use user_bench::table;

fn sample(operations: u64, others: f64) -> Sample {
    let window = Window {
        nanoseconds: 1_000_000_000,
        operations,
        bursts: operations / 32,
        counted: operations,
        cycles: operations * 50,
        kicks: operations,
        allocations: 0,
    };
    Sample { window, others, round_trip_nanoseconds: 50.0 }
}

fn results(measured: Vec<Measured>) -> Results {
    let setting = Setting { processor: "a processor".into(), huge_pages: true, window_millis: 1, samples: 1 };
    Results { measured, setting, distance: None }
}

fn measured(line: &str, whose: Whose, operations: u64, instructions: f64) -> Measured {
    let mut measured = Measured::new(Line::by_name(line).unwrap(), whose);
    measured.samples.push(sample(operations, 0.0));
    measured.instructions = Some(Instructions { submit: instructions, complete: 0.0, burst: 32.0 });
    measured
}

#[test]
fn every_line_has_a_name_of_its_own() {
    for line in Line::all() {
        assert_eq!(Line::by_name(&line.to_string()), Some(line));
        assert_eq!(line.subjects()[0], Whose::Ours);
    }
    assert_eq!(Line::by_name("receive-sideways"), None);
}

#[test]
fn a_rate_at_the_ceiling_counts_as_equal_and_one_below_does_not() {
    let text = |ours| {
        let line = "transmit-split";
        let dpdk = measured(line, Whose::Dpdk, 10_000_000, 200.0);
        table::all(&results(vec![measured(line, Whose::Ours, ours, 100.0), dpdk]))
    };

    let verdict = |text: String| {
        let row = text.lines().find(|line| line.contains("rate by DPDK's")).unwrap().to_owned();
        row.contains("| met ")
    };

    assert!(verdict(text(9_810_000)));
    assert!(!verdict(text(9_790_000)));
}

#[test]
fn a_third_of_libblkios_instructions_is_what_is_aimed_at() {
    let line = "null-read-depth32";
    let of = |ours| {
        let all = vec![measured(line, Whose::Ours, 1000, ours), measured(line, Whose::Libblkio, 1000, 300.0)];
        let text = table::all(&results(all));
        text.lines().find(|line| line.contains("libblkio's instructions by ours")).unwrap().contains("met")
    };

    assert!(of(100.0));
    assert!(!of(101.0));
}

#[test]
fn figures_of_a_busy_machine_are_marked_and_counted() {
    let mut ours = measured("receive-packed", Whose::Ours, 1000, 1.0);
    ours.noisy.push(sample(10, 0.5));
    ours.far.push(Sample { round_trip_nanoseconds: 300.0, ..sample(10, 0.0) });
    let clean = table::all(&results(vec![ours.clone()]));
    ours.samples.clear();
    let noisy = table::all(&results(vec![ours]));

    assert!(
        clean.contains("1 samples count. 1 were discarded")
            && clean.contains("; and 1, for the host had")
            && !clean.contains('¹')
    );
    assert!(noisy.contains("0 samples count. 1 were discarded") && noisy.contains("¹ no sample was clean"));
}

#[test]
fn the_page_has_a_place_for_the_tables() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/user-benchmark.md");
    let page = std::fs::read_to_string(path).unwrap();

    let written = bench_page::with_table(&page, "| a table |").unwrap();

    assert!(written.contains("\n| a table |\n"));
    assert!(bench_page::with_table("no marks", "| a table |").is_err());
}
