//! What the command line asks for: words like `depth=16`.

use alloc::string::String;
use alloc::vec::Vec;

use example_platform::command_line;

/// What is behind `name=`, if that is there.
pub fn value(name: &str) -> Option<&'static str> {
    let mut words = command_line().split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// A number, if it is there; with `k` or `m` behind it so many times 1024, or that squared.
pub fn number(name: &str) -> Result<Option<u64>, String> {
    let Some(text) = value(name) else { return Ok(None) };
    let (digits, factor) = match text.strip_suffix('k') {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix('m').map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    let number = number.filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| alloc::format!("{name}={text} is no number from 1 on"))
}

/// One of these, by its name; the first, if nothing is asked for.
pub fn one_of<T: Copy>(name: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = match value(name) {
        None => choices.first(),
        Some(text) => choices.iter().find(|(choice, _)| *choice == text),
    };
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
        alloc::format!(
            "{name}={} is not known: take one of {}",
            value(name).unwrap_or_default(),
            names.join(", ")
        )
    })
}
