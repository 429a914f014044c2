//! What can be typed, and what is answered.

use alloc::string::String;
use core::fmt::Write;

use example_platform::{Usage, usage};

use crate::machine::{Machine, Problem};

const HELP: &str = "\
help        this list
mem         memory in use
disk        the disk's size, and how its first sectors begin
net         the network card, and what went through it
random      16 random bytes
balloon     how much memory the host wants, and has
echo TEXT   the text
log TEXT    the text, through the log
exit        ends the machine
";

/// What comes after a command.
pub enum Next {
    Line,
    Exit,
}

/// Does what a line says.
pub fn run(line: &str, machine: &mut Machine, answer: &mut String) -> Result<Next, Problem> {
    let (command, text) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let absent = |what: &str| Problem(alloc::format!("absent: this machine has no virtio {what}"));
    match command {
        "" => {}
        "help" => answer.push_str(HELP),
        "mem" => {
            for (name, Usage { used_bytes, bytes }) in usage() {
                writeln!(answer, "{name}: {} of {} KiB used", used_bytes >> 10, bytes >> 10)?;
            }
        }
        "disk" => machine.disk.as_mut().ok_or_else(|| absent("disk"))?.describe(answer)?,
        "net" => machine.card.as_mut().ok_or_else(|| absent("network card"))?.describe(answer)?,
        "random" => machine.random.as_mut().ok_or_else(|| absent("entropy device"))?.describe(answer)?,
        "balloon" => machine.balloon.as_mut().ok_or_else(|| absent("balloon"))?.describe(answer)?,
        "echo" => writeln!(answer, "{text}")?,
        "log" => log::info!("{text}"),
        "exit" => return Ok(Next::Exit),
        _ => writeln!(answer, "{command} is no command; help lists them")?,
    }
    Ok(Next::Line)
}
