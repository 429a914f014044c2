//! Which QEMU there is, and whether it will do.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The oldest major version that will do.
static OLDEST: LazyLock<u32> = LazyLock::new(|| {
    include_str!("../../scripts/qemu-version").trim().parse().expect("scripts/qemu-version holds a number")
});

/// Checks, once per process, that an emulator is there and new enough.
///
/// # Errors
/// What is wrong, and the next step.
pub fn check_qemu(emulator: &'static str) -> Result<String, String> {
    static VERSIONS: LazyLock<Mutex<HashMap<&'static str, Result<String, String>>>> =
        LazyLock::new(Mutex::default);
    let mut versions = VERSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let version = versions.entry(emulator).or_insert_with(|| {
        let output = Command::new(emulator).arg("--version").output();
        let output = output.map_err(|_| format!("{emulator} was not found: run `make setup`"))?;
        judge(&String::from_utf8_lossy(&output.stdout))
    });
    version.clone()
}

fn judge(printed: &str) -> Result<String, String> {
    let version =
        printed.split_once("version ").map(|(_, rest)| rest.split_whitespace().next().unwrap_or(rest));
    let version = version.ok_or_else(|| format!("QEMU does not say its version: {printed:?}"))?;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= *OLDEST => Ok(version.to_owned()),
        _ => Err(format!("QEMU {version} is too old, {} is the least: run `make setup`", *OLDEST)),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn a_qemu_that_is_too_old_or_unreadable_is_refused_with_the_next_step() {
        assert_eq!(judge("QEMU emulator version 10.0.2 (Debian 1:10.0.2)\n"), Ok("10.0.2".into()));
        assert!(judge("QEMU emulator version 7.2.17 (Debian)").unwrap_err().contains("make setup"));
        assert!(judge("nonsense").is_err());
    }
}
