//! An interactive shell on a virtio console, without an operating system.
//!
//! `make demo EXAMPLE=shell` boots it under QEMU and types a short session; with `MODE=interactive` you type. It sleeps between keys, and shows what else the machine has: a disk, a network card, an entropy
//! device, a balloon, which follows the host's wishes while nobody types. The command line may say `interrupts=msi-x`, `line` or `polling`.

#![no_std]
#![no_main]

extern crate alloc;

mod balloon;
mod card;
mod commands;
mod disk;
mod editor;
mod machine;
mod random;
mod terminal;

use alloc::string::String;
use core::fmt::Write;

use commands::Next;
use example_platform::interrupts::idle;
use example_platform::println;
use machine::Machine;
use terminal::Terminal;

example_platform::entry!(run);

fn run() -> Result<(), String> {
    let mut terminal = Terminal::bring_up()?;
    let mut machine = Machine::bring_up()?;
    println!("shell: ready");
    terminal.say("Welcome. `help` lists the commands.\n")?;
    loop {
        let line = terminal.read_line("> ", || machine.serve())?;
        let mut answer = String::new();
        let next = commands::run(&line, &mut machine, &mut answer);
        // What went wrong with a device is an answer, too; the shell goes on.
        let next = next.or_else(|problem| writeln!(answer, "{problem}").map(|()| Next::Line));
        terminal.say(&answer)?;
        if matches!(next, Ok(Next::Exit)) {
            break;
        }
    }
    machine.take_down()?;
    terminal.take_down()?;
    println!("asleep: {} ms", idle().time.as_millis());
    println!("shell example: done");
    Ok(())
}
