//! The results as text: one table with ratios, and the few figures beside it. Markdown, aligned so that it can be read as it is.

use std::fmt::Write;

use bench_page::aligned;

use crate::case::{BURSTS, Mode, Shape, Whose};
use crate::counts::private_bytes_per_entry;
use crate::results::{Measured, Results};

/// All of it.
pub fn all(results: &Results) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "Instructions · nanoseconds per operation on {}:\n", results.processor);
    text += &aligned(&main_table(results));
    text += "\n¹ with a queue of 4096 descriptors: a burst does not fit into 256.\n\nTargets:\n\n";
    text += &aligned(&targets(results));
    text += "\nOther figures:\n\n";
    text += &aligned(&others(results));
    text
}

const fn mode(packed: bool, in_order: bool) -> Mode {
    Mode { packed, in_order, event_index: true }
}

fn cell(measured: Option<&Measured>) -> String {
    let Some(Measured { case, instructions, nanoseconds }) = measured else { return "—".into() };
    let time = nanoseconds.map_or_else(|| "—".into(), |time| format!("{:.1}", time.driver));
    let mark = if case.queue_size() == 256 { "" } else { "¹" };
    format!("{:.1} · {time}{mark}", instructions.driver)
}

/// How many times as much `theirs` is as `ours`.
fn ratio(theirs: Option<&Measured>, ours: Option<&Measured>) -> String {
    let (Some(theirs), Some(ours)) = (theirs, ours) else { return "—".into() };
    let instructions = theirs.instructions.driver / ours.instructions.driver;
    let time = theirs.nanoseconds.zip(ours.nanoseconds).map(|(theirs, ours)| theirs.driver / ours.driver);
    let time = time.map_or_else(|| "—".into(), |time| format!("{time:.1}"));
    format!("{instructions:.1} · {time}")
}

fn main_table(results: &Results) -> Vec<Vec<String>> {
    let header = [
        "chain",
        "burst",
        "split",
        "packed",
        "split, in order",
        "packed, in order",
        "rcore, split",
        "libblkio, split",
        "libblkio, packed",
        "rcore ÷ split",
        "libblkio ÷ split",
        "libblkio ÷ packed",
    ];
    let mut rows = vec![header.map(String::from).to_vec()];
    for shape in Shape::ALL {
        for burst in BURSTS {
            let ours = |packed, in_order| results.of(Whose::Ours, mode(packed, in_order), shape, burst);
            let (split, packed) = (ours(false, false), ours(true, false));
            let rcore = results.best_of(Whose::Rcore, false, shape, burst);
            let libblkio = |packed| results.best_of(Whose::Libblkio, packed, shape, burst);
            let mut row = vec![shape.to_string().replace('-', ", "), burst.to_string()];
            row.extend([split, packed, ours(false, true), ours(true, true)].map(cell));
            row.extend([rcore, libblkio(false), libblkio(true)].map(cell));
            let ratios = [(rcore, split), (libblkio(false), split), (libblkio(true), packed)];
            row.extend(ratios.map(|(theirs, ours)| ratio(theirs, ours)));
            rows.push(row);
        }
    }
    rows
}

/// What is aimed at, in instructions: descriptors, burst, split, packed.
const TARGETS: [(u16, u16, f64, f64); 3] = [(1, 32, 45.0, 65.0), (3, 32, 60.0, 100.0), (1, 1, 100.0, 130.0)];

fn targets(results: &Results) -> Vec<Vec<String>> {
    let mut rows = vec![["instructions per operation", "at most", "measured", ""].map(String::from).to_vec()];
    let mut add = |what: String, limit: f64, measured: Option<&Measured>| {
        let measured = measured.map(|measured| measured.instructions.driver);
        let verdict = match measured {
            None => "not measured",
            Some(measured) if measured <= limit => "met",
            Some(_) => "missed",
        };
        let measured = measured.map_or_else(|| "—".into(), |measured| format!("{measured:.1}"));
        rows.push(vec![what, format!("{limit:.1}"), measured, verdict.into()]);
    };
    for (segments, burst, split, packed) in TARGETS {
        let shape = Shape { segments, indirect: false };
        for (layout, is_packed, limit) in [("split", false, split), ("packed", true, packed)] {
            let of = |in_order| results.of(Whose::Ours, mode(is_packed, in_order), shape, burst);
            let what = format!("{segments} direct, burst {burst}, {layout}");
            let any_order = of(false);
            if burst > 1
                && let Some(any_order) = any_order
            {
                let limit = limit.min(any_order.instructions.driver);
                add(format!("{what}, in order"), limit, of(true));
            }
            add(what, limit, any_order);
        }
    }
    rows
}

fn others(results: &Results) -> Vec<Vec<String>> {
    let mut rows = vec![["what", "how much"].map(String::from).to_vec()];
    let mut add = |what: String, how_much: String| rows.push(vec![what, how_much]);
    for counts in &results.counts {
        let how = if counts.indirect { "indirect" } else { "direct" };
        let whose = format!("{}, {how}", counts.whose.name());
        add(format!("{whose}: heap allocations per operation"), format!("{:.2}", counts.allocations));
        add(
            format!("{whose}: doorbells per publish, wanted and not"),
            format!("{:.2} and {:.2}", counts.doorbells, counts.doorbells_unwanted),
        );
        if counts.whose == Whose::Ours {
            let accesses = format!("{:.2}", counts.register_accesses);
            add(format!("{whose}: register accesses per publish, but for the doorbell"), accesses);
        }
    }
    let bytes = private_bytes_per_entry();
    add("ours: private bytes per entry, beside a context of 8 bytes (target: 24)".into(), bytes.to_string());
    for (what, whose, packed) in [
        ("ours, portions of the queue's memory", Whose::OursPortions, false),
        ("ours, portions of the queue's memory", Whose::OursPortions, true),
        ("libblkio, read request of the block queue", Whose::LibblkioBlock, false),
        ("libblkio, read request of the block queue", Whose::LibblkioBlock, true),
    ] {
        let shape = Shape { segments: 3, indirect: false };
        let layout = if packed { "packed" } else { "split" };
        let measured = results.best_of(whose, packed, shape, 32);
        add(format!("{what}: 3 direct, burst 32, {layout}"), cell(measured));
    }
    for (case, rate) in &results.two_cores {
        add(format!("two cores: {case}"), format!("{:.1} million operations per second", rate / 1e6));
    }
    rows
}
