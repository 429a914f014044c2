//! How much of the processors other programs used during a sample.
//!
//! From `/proc/stat`, which has what all programs used, and the host took (steal), less what back-end, subject and this program used themselves. All of it in ticks of a hundredth of a second.

use std::fs;
use std::time::Instant;

/// Ticks of a second.
const TICKS: f64 = 100.0;
/// A sample counts if others used no more than this part of a processor.
pub const LIMIT: f64 = 0.06;

/// A moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    at: Instant,
    all: u64,
    known: u64,
}

impl Reading {
    /// Now, with these processes known.
    pub fn take(processes: &[u32]) -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let known = processes.iter().chain([&std::process::id()]).map(|process| ticks_of(*process)).sum();
        Self { at: Instant::now(), all: busy(&stat), known }
    }

    /// The part of a processor that others used since then. More than one is possible.
    #[allow(clippy::cast_precision_loss, reason = "few ticks")]
    pub fn others_since(&self, earlier: &Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all) as f64;
        let known = self.known.saturating_sub(earlier.known) as f64;
        (all - known).max(0.0) / TICKS / self.at.duration_since(earlier.at).as_secs_f64()
    }
}

/// Ticks of all processors in programs, in the kernel for them, and stolen by the host.
fn busy(stat: &str) -> u64 {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let numbers: Vec<u64> =
        all.unwrap_or_default().split_whitespace().map_while(|word| word.parse().ok()).collect();
    // user, nice, system; and steal, after idle, iowait, irq and softirq.
    [0, 1, 2, 7].iter().filter_map(|index| numbers.get(*index)).sum()
}

/// Ticks of a process, with all its threads; none if it is gone.
fn ticks_of(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    used(&stat).unwrap_or(0)
}

/// Its name is in parentheses, and may have any of them in it.
fn used(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut numbers = rest.split_whitespace().skip(11);
    Some(numbers.next()?.parse::<u64>().ok()? + numbers.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::{busy, used};

    #[test]
    fn a_program_may_be_called_anything() {
        assert_eq!(used("7 (a) b) S 1 7 7 0 -1 4 1 0 0 0 30 12 0 0 20"), Some(42));
        assert_eq!(used(""), None);
    }

    #[test]
    fn idle_time_is_not_use_and_stolen_time_is() {
        assert_eq!(busy("cpu  1 2 4 100 100 0 100 8 0 0\ncpu0 9 9 9"), 15);
    }
}
