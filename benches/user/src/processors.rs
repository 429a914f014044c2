//! Which processor the back-end has, and which the subject.

use std::fs;
use std::process::Command;

/// One each.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    /// The back-end's.
    pub back_end: usize,
    /// The subject's.
    pub subject: usize,
}

impl Processors {
    /// The last two that this process may use: Linux and its interrupts like the first one.
    ///
    /// # Errors
    /// There is only one.
    pub fn find() -> Result<Self, String> {
        let status = fs::read_to_string("/proc/self/status").map_err(|error| format!("/proc: {error}"))?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let all = parse_list(list.unwrap_or_default().trim());
        match all[..] {
            [.., subject, back_end] => Ok(Self { back_end, subject }),
            _ => Err("it takes two processors: one for the back-end, one for the driver".into()),
        }
    }
}

/// Reads `0-3,8`.
fn parse_list(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (least, most) = part.split_once('-').unwrap_or((part, part));
        Some(least.parse::<usize>().ok()?..=most.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// A program that stays on one processor, and ends when the thread that started it does.
pub fn pinned(processor: usize, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "-c", &processor.to_string(), program]);
    command
}

/// What Linux says the processor is.
pub fn name() -> String {
    let description = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = description.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| format!("an {} processor", std::env::consts::ARCH), |(_, name)| name.trim().into())
}

#[cfg(test)]
mod tests {
    use super::parse_list;

    #[test]
    fn a_list_of_processors_has_ranges_and_single_ones() {
        assert_eq!(parse_list("0-2,8"), [0, 1, 2, 8]);
        assert_eq!(parse_list("1"), [1]);
        assert!(parse_list("").is_empty());
    }
}
