//! Instructions, counted by callgrind: those of two functions of the subject, one that hands in and one that takes back.
//!
//! The subject runs under valgrind, beside the back-end, does so many bursts, and pauses before each: so there is something to take back each time, and room, and nothing of the
//! waiting is counted. System calls are not, either: callgrind counts what a program does itself.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::back_end::BackEnd;
use crate::line::{Line, Whose};
use crate::sample::{Sampling, Task, Window};

/// Bursts that are counted.
const BURSTS: u64 = 512;

/// The function that hands in; see `subject/disk.rs` and `dpdk/card.c`.
const SUBMIT: &str = "counted_submit";
/// The function that takes back.
const COMPLETE: &str = "counted_complete";

/// Instructions of an operation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Instructions {
    /// To hand it in.
    pub submit: f64,
    /// To take it back.
    pub complete: f64,
    /// Operations of a burst, on average.
    pub burst: f64,
}

impl Instructions {
    /// Both halves.
    pub fn both(&self) -> f64 {
        self.submit + self.complete
    }
}

/// Counts those of somebody's driver at a line; callgrind's file stays in `folder`.
///
/// # Errors
/// Valgrind is not there, or the subject fails under it.
pub fn count(
    sampling: &Sampling,
    line: Line,
    whose: Whose,
    back_end: &BackEnd,
    folder: &Path,
) -> Result<Instructions, String> {
    let (program, arguments) = sampling.subject(line, whose, back_end, Task::Bursts(BURSTS))?;
    let file = folder.join(format!("callgrind.{line}.{}", whose.name()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no", "--dump-instr=no"])
        .args(["--compress-strings=no", "--compress-pos=no"])
        .args([SUBMIT, COMPLETE].map(|name| format!("--toggle-collect=*{name}*")))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let window = said.lines().find_map(|line| serde_json::from_str::<Window>(line).ok());
    let window = window.filter(|window| window.operations > 0).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!(
            "{line}, {}: no figures under valgrind, which ended with {}\n{errors}",
            whose.name(),
            output.status
        )
    })?;
    let counted = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    #[allow(clippy::cast_precision_loss, reason = "few")]
    let per_operation = |name| inclusive(&counted, name) as f64 / window.operations as f64;
    #[allow(clippy::cast_precision_loss, reason = "few")]
    let burst = window.operations as f64 / window.bursts as f64;
    Ok(Instructions { submit: per_operation(SUBMIT), complete: per_operation(COMPLETE), burst })
}

/// What a function cost, with all that it called: its own lines, and those of its calls.
fn inclusive(file: &str, function: &str) -> u64 {
    let (mut inside, mut total) = (false, 0);
    for line in file.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            inside = name.contains(function);
        } else if inside && line.starts_with(|first: char| first.is_ascii_digit()) {
            total += line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::inclusive;

    #[test]
    fn a_function_costs_its_own_lines_and_its_calls() {
        let file = "fn=other\n1 1000\ncfn=x::counted_submit\ncalls=1 5\n2 42\n\nfn=x::counted_submit\n5 7\nfi=inlined.rs\n9 3\nfe=a.rs\ncfn=deeper\ncalls=2 8\n6 32\n\nfn=deeper\n8 32\n";

        assert_eq!(inclusive(file, "counted_submit"), 42);
        assert_eq!(inclusive(file, "counted_complete"), 0);
    }
}
