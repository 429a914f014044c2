//! Runs the kernels: twice for the instructions, once more, shorter, for what QEMU's trace shows.

use std::fs;

use crate::lines::Setup;
use crate::machine::{DONE, machine};
use crate::output::{self, Counted};
use crate::results::{Interrupted, Measured};
use crate::trace::{self, Traced};

/// Bursts take so many operations in a run that is traced.
const TRACED_OPERATIONS: u64 = 2048;

/// How much is measured.
#[derive(Clone, Debug, Default)]
pub struct Extent {
    /// These lines; all, if there are none.
    pub lines: Vec<String>,
    /// So many operations of each, instead of as many as the kernels think best.
    pub operations: Option<u64>,
}

impl Extent {
    fn words(&self, operations: Option<u64>) -> String {
        let operations = operations.or(self.operations).map(|count| format!(" operations={count}"));
        let lines =
            if self.lines.is_empty() { String::new() } else { format!("lines={}", self.lines.join(",")) };
        lines + &operations.unwrap_or_default()
    }
}

/// Measures the lines of one kernel.
///
/// # Errors
/// Two runs differ in their lines, or run and trace do.
///
/// # Panics
/// If the kernel does not build, or does not run to its end.
pub fn measure(setup: &Setup, extent: &Extent) -> Result<Vec<Measured>, String> {
    let run = || output::lines(&machine(setup, &extent.words(None)).run_to(DONE));
    let (first, second) = (run(), run());
    let traced = traced(setup, &extent.words(Some(TRACED_OPERATIONS)))?;
    let are_alike = [second.len(), traced.len()].iter().all(|count| *count == first.len());
    if !are_alike {
        return Err(format!("{}: {} lines in one run, others in the next", setup.program(), first.len()));
    }
    let all = first.into_iter().zip(second).zip(traced);
    Ok(all.map(|((first, second), traced)| measured(setup, first, &second, &traced)).collect())
}

/// Counts the interrupts of one kernel whose device may interrupt, per burst of each line.
///
/// # Errors
/// As [`measure`].
///
/// # Panics
/// As [`measure`].
pub fn measure_interrupts(setup: &Setup, lines: &[&str]) -> Result<Vec<Interrupted>, String> {
    let words = format!("lines={} operations={TRACED_OPERATIONS}", lines.join(","));
    let lines = lines.iter().filter(|line| setup.kernel.lines.contains(*line));
    let traced = traced(setup, &words)?;
    Ok(lines
        .zip(traced)
        .map(|(line, traced)| Interrupted {
            line: (*line).into(),
            packed: setup.packed,
            per_burst: per(traced.interrupts, traced.bursts),
        })
        .collect())
}

/// What a trace shows of a kernel.
fn traced(setup: &Setup, words: &str) -> Result<Vec<Traced>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("trace");
    machine(setup, words).trace(&trace::EVENTS, &file).run_to(DONE);
    let text = fs::read(&file).map_err(|error| format!("QEMU wrote no trace: {error}"))?;
    Ok(trace::read(&String::from_utf8_lossy(&text)))
}

fn measured(setup: &Setup, first: Counted, second: &Counted, traced: &Traced) -> Measured {
    let repeats = first == *second;
    let operations = first.operations();
    let per_traced = |count| per(count, traced.bursts * first.burst);
    Measured {
        whose: setup.whose,
        packed: setup.packed,
        burst: first.burst,
        operations,
        submit: per(first.submit.sum, operations),
        complete: per(first.complete.sum, operations),
        least: per(first.submit.least + first.complete.least, first.burst),
        most: per(first.submit.most + first.complete.most, first.burst),
        repeats,
        second: per(second.submit.sum + second.complete.sum, second.operations()),
        doorbells: per_traced(traced.doorbells),
        reads: per_traced(traced.reads),
        writes: per_traced(traced.writes),
        interrupts: per_traced(traced.interrupts),
        allocations: per(first.allocations, operations),
        line: first.name,
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn per(count: u64, operations: u64) -> f64 {
    count as f64 / operations as f64
}
