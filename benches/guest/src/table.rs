//! The results as text: one table with ratios, and what was aimed at. Markdown, aligned so that it can be read as it is.

use std::fmt::Write;

use bench_page::aligned;

use crate::lines::{KERNELS, Whose};
use crate::results::{Measured, Results};

/// All of it.
pub fn all(results: &Results) -> String {
    let mut text = format!("Per operation, under QEMU {}:\n\n", results.qemu);
    text += &aligned(&main_table(results));
    text += "\nTargets:\n\n";
    text += &aligned(&targets(results));
    if !results.interrupted.is_empty() {
        text += "\nWith interrupts (MSI-X):\n\n";
        text += &aligned(&interrupted(results));
    }
    let different: Vec<_> = results.measured.iter().filter(|measured| !measured.repeats).collect();
    if different.is_empty() {
        text += "\nEvery count was the same in a second run, burst by burst.\n";
    } else {
        text += "\nNot the same in a second run, burst by burst (instructions of the first, and of the second):\n\n";
        for measured in different {
            let Measured { line, whose, packed, second, .. } = measured;
            let layout = if *packed { "packed" } else { "split" };
            let first = measured.instructions();
            let _ = writeln!(text, "- {line}, {}, {layout}: {first:.2}, {second:.2}", whose.name());
        }
    }
    text
}

/// Whose line, in which layout.
const COLUMNS: [(Whose, bool, &str); 3] = [
    (Whose::Ours, false, "ours, split"),
    (Whose::Ours, true, "ours, packed"),
    (Whose::Rcore, false, "rcore, split"),
];

fn main_table(results: &Results) -> Vec<Vec<String>> {
    let header = [
        "line",
        "whose",
        "submit",
        "complete",
        "instructions",
        "doorbells",
        "register reads",
        "other writes",
        "interrupts",
        "allocations",
        "rcore ÷ this",
    ];
    let mut rows = vec![header.map(String::from).to_vec()];
    for line in KERNELS.iter().flat_map(|kernel| kernel.lines) {
        let rcore = results.of(line, Whose::Rcore, false);
        for (whose, packed, name) in COLUMNS {
            let Some(measured) = results.of(line, whose, packed) else { continue };
            let mut row = vec![(*line).to_owned(), name.into()];
            let instructions = [measured.submit, measured.complete, measured.instructions()];
            row.extend(instructions.map(|count| format!("{count:.1}")));
            let Measured { doorbells, reads, writes, interrupts, allocations, .. } = measured;
            row.extend(
                [doorbells, reads, writes, interrupts, allocations].map(|count| format!("{count:.3}")),
            );
            row.push(match rcore {
                Some(rcore) if whose == Whose::Ours => {
                    format!("{:.2}", rcore.instructions() / measured.instructions())
                }
                _ => "—".into(),
            });
            rows.push(row);
        }
    }
    rows
}

/// What is aimed at, in instructions per operation of the split layout.
const TARGETS: [(&str, f64); 10] = [
    ("block-4k-depth1", 130.0),
    ("block-4k-depth16", 80.0),
    ("block-4k-depth64", 80.0),
    ("block-512-depth1", 130.0),
    ("block-512-depth16", 80.0),
    ("block-512-depth64", 80.0),
    ("transmit-64-burst32", 60.0),
    ("transmit-1500-burst32", 60.0),
    ("receive-64-burst32", 80.0),
    ("receive-1500-burst32", 80.0),
];
/// The packed layout may take so many times as much as the split one.
const PACKED_BY_SPLIT: f64 = 1.4;

fn targets(results: &Results) -> Vec<Vec<String>> {
    let mut rows = vec![["what", "at most", "measured", ""].map(String::from).to_vec()];
    let mut add = |what: String, limit: f64, measured: f64| {
        // What is a count may differ in its last digit from what is a fraction.
        let verdict = if measured <= limit + 1e-9 { "met" } else { "missed" };
        rows.push(vec![what, format!("{limit:.3}"), format!("{measured:.3}"), verdict.into()]);
    };
    for (line, limit) in TARGETS {
        if let Some(measured) = results.of(line, Whose::Ours, false) {
            add(format!("{line}: instructions"), limit, measured.instructions());
        }
    }
    for line in KERNELS.iter().flat_map(|kernel| kernel.lines) {
        let [split, packed] = [false, true].map(|packed| results.of(line, Whose::Ours, packed));
        if let (Some(split), Some(packed)) = (split, packed) {
            let ratio = packed.instructions() / split.instructions();
            add(format!("{line}: packed by split"), PACKED_BY_SPLIT, ratio);
        }
    }
    // One doorbell for each queue that a burst goes through.
    let ours: Vec<_> = results.measured.iter().filter(|measured| measured.whose == Whose::Ours).collect();
    let most = |count: fn(&Measured) -> f64| ours.iter().map(|measured| count(measured)).fold(0.0, f64::max);
    if !ours.is_empty() {
        add("every line: doorbells per burst and queue".into(), 1.0, most(doorbells_per_burst_and_queue));
        add("every line: register reads".into(), 0.0, most(|measured| measured.reads));
        add("every line: register writes besides doorbells".into(), 0.0, most(|measured| measured.writes));
        add("every line: interrupts when polling".into(), 0.0, most(|measured| measured.interrupts));
        add("every line: allocations".into(), 0.0, most(|measured| measured.allocations));
    }
    for interrupted in &results.interrupted {
        let layout = if interrupted.packed { "packed" } else { "split" };
        add(format!("{}, {layout}: interrupts per burst", interrupted.line), 1.0, interrupted.per_burst);
    }
    rows
}

#[allow(clippy::cast_precision_loss, reason = "bursts are short")]
fn doorbells_per_burst_and_queue(measured: &Measured) -> f64 {
    let queues = if measured.line.starts_with("forward") { 2.0 } else { 1.0 };
    measured.doorbells * measured.burst as f64 / queues
}

fn interrupted(results: &Results) -> Vec<Vec<String>> {
    let mut rows = vec![["line", "layout", "interrupts per burst"].map(String::from).to_vec()];
    for interrupted in &results.interrupted {
        let layout = if interrupted.packed { "packed" } else { "split" };
        rows.push(vec![interrupted.line.clone(), layout.into(), format!("{:.3}", interrupted.per_burst)]);
    }
    rows
}
