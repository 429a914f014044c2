//! What a kernel does with a virtio disk, without an operating system: a mode for each way to use it.
//!
//! `make demo` boots it under QEMU; `make demo MODE=benchmark` has it measure the disk. The command line says what is to be done: `mode=`, and what the mode asks for.
//! Each mode is a file of its own, from bring-up to the way down.

#![no_std]
#![no_main]

extern crate alloc;

mod benchmark;
mod date;
mod discard;
mod options;
mod tasks;
mod tour;

use alloc::string::String;

use example_platform::println;

/// A mode, from bring-up to the way down.
type Mode = fn() -> Result<(), String>;

/// All of them; the first is what runs if none is asked for.
const MODES: [(&str, Mode); 4] =
    [("tour", tour::run), ("benchmark", benchmark::run), ("discard", discard::run), ("async", tasks::run)];

example_platform::entry!(run);

fn run() -> Result<(), String> {
    let mode = options::one_of("mode", &MODES)?;
    mode()?;
    println!("block example: done");
    Ok(())
}
