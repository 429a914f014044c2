//! What the command line asks for: words like `address=10.0.2.15/24`.

use alloc::string::String;
use core::str::FromStr;

use example_platform::command_line;

/// What is behind `name=`, or this if nothing is there.
pub fn value<T: FromStr>(name: &str, otherwise: T) -> Result<T, String> {
    let mut words = command_line().split_ascii_whitespace();
    match words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')) {
        None => Ok(otherwise),
        Some(text) => text.parse().map_err(|_| alloc::format!("{name}={text} makes no sense")),
    }
}
