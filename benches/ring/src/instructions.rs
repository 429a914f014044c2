//! Instructions, counted by callgrind: exact, and the same in each run of the same program.
//!
//! The program runs itself under valgrind, once, and does every case there. Callgrind sets its counters to zero when it comes by [`counting_begins`], and dumps
//! them when it comes by [`counting_ends`]; each case does so many rounds, then twice as many, and the difference is what so many rounds cost, without what
//! comes before and after.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io};

use crate::case::Case;
use crate::device::Wants;
use crate::results::Progress;
use crate::subject::{Subject, subject};

/// Rounds that are counted: so many that each case comes to the same place of its ring again.
const ROUNDS: u64 = 256;

/// Dumps per case: driver and device, then the device alone, each with so many and twice as many rounds.
const DUMPS: usize = 4;

/// What one operation costs.
#[derive(Clone, Copy, Debug)]
pub struct Instructions {
    /// The driver's side.
    pub driver: f64,
    /// The device's side, which was subtracted.
    pub device: f64,
}

/// A place for callgrind to see; of another number than the other, for equal functions may become one.
#[inline(never)]
fn counting_begins() {
    black_box(1);
}

/// See [`counting_begins`].
#[inline(never)]
fn counting_ends() {
    black_box(2);
}

fn count_rounds(subject: &mut dyn Subject, rounds: u64, with_driver: bool) {
    counting_begins();
    if with_driver {
        subject.rounds(rounds);
    } else {
        subject.device_rounds(rounds);
    }
    counting_ends();
}

/// What happens under valgrind.
///
/// # Errors
/// There is nowhere to say how far it is.
pub fn run_all() -> io::Result<()> {
    let cases = Case::all();
    let mut progress = Progress::new("instructions", cases.len())?;
    for case in &cases {
        progress.step(&case.to_string());
        let mut subject = subject(case, Wants::NoNotification);
        subject.rounds(ROUNDS);
        for with_driver in [true, false] {
            for rounds in [ROUNDS, 2 * ROUNDS] {
                count_rounds(&mut *subject, rounds, with_driver);
            }
        }
    }
    progress.end();
    Ok(())
}

/// Has all of [`Case::all`] counted, with files in `folder`, by this program called with `argument`.
///
/// # Errors
/// Valgrind is not there, or fails, or counted something else than was asked for.
pub fn count_all(folder: &Path, argument: &str) -> io::Result<Vec<Instructions>> {
    fs::create_dir_all(folder)?;
    let file = folder.join("callgrind.out");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--combine-dumps=no"])
        .args(["--zero-before=*counting_begins*", "--dump-before=*counting_ends*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe()?)
        .arg(argument)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| io::Error::other(format!("valgrind does not start: {error}")))?;
    if !status.success() {
        return Err(io::Error::other(format!("valgrind ended with {status}")));
    }
    let cases = Case::all();
    cases.iter().enumerate().map(|(index, case)| per_operation(&file, index * DUMPS, case)).collect()
}

/// The costs of one operation, from the case's dumps: those after the first `dumps_before`.
fn per_operation(file: &Path, dumps_before: usize, case: &Case) -> io::Result<Instructions> {
    let mut totals = [0.0; DUMPS];
    for (total, dump) in totals.iter_mut().zip(dumps_before + 1..) {
        *total = total_of(&fs::read_to_string(format!("{}.{dump}", file.display()))?)?;
    }
    let [both, both_twice, device, device_twice] = totals;
    let (both, device) = (both_twice - both, device_twice - device);
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let operations = (ROUNDS * u64::from(case.burst)) as f64;
    Ok(Instructions { driver: (both - device) / operations, device: device / operations })
}

/// What a dump says was counted in all.
fn total_of(dump: &str) -> io::Result<f64> {
    let total = dump.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| io::Error::other("a file of callgrind's has no total"))
}

#[cfg(test)]
mod tests {
    use super::total_of;

    #[test]
    fn a_dump_without_a_total_is_no_zero() {
        assert!((total_of("events: Ir\ntotals: 1234\n").unwrap() - 1234.0).abs() < 0.1);
        assert!(total_of("events: Ir\n").is_err());
    }
}
