//! A test kernel: what the platform promises when a program goes wrong.
//!
//! And that its clock goes on, that it sleeps, that all processors can be used at once, and that each takes its own interrupts.
//!
//! Command line: `do=` and what to do; each up to `write-to-constants` must end in a message and a failure. With `handlers` also `interrupts=msi-x|line`.

#![no_std]
#![no_main]

extern crate alloc;

mod interrupts;
mod sleep;

use alloc::string::{String, ToString};
use core::fmt;
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use example_platform::{clock, command_line, cpus, println};

example_platform::entry!(run);

/// Formatting it panics.
struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a panic while a line is printed")
    }
}

/// Calls itself until the stack is full.
#[expect(unconditional_recursion, reason = "that is the point")]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    overflow(depth + 1) + frame[1]
}

fn run() -> Result<(), String> {
    let mut words = command_line().split_ascii_whitespace();
    let action = words.find_map(|word| word.strip_prefix("do=")).ok_or("no do= on the command line")?;
    println!("doing {action}");
    match action {
        "panic" => panic!("a panic on purpose"),
        "panic-while-printing" => println!("{Unprintable}"),
        "overflow-the-stack" => println!("{}", overflow(0)),
        "write-to-null" => {
            // SAFETY: it is not, which is the point: the platform promises an exception.
            unsafe { black_box(core::ptr::without_provenance_mut::<u32>(16)).write_volatile(1) };
        }
        "write-to-constants" => {
            let constant: &'static str = black_box("constant");
            // SAFETY: as above.
            unsafe { constant.as_ptr().cast_mut().write_volatile(1) };
        }
        "clock" => return done(clock_goes_on()),
        "sleep" => return done(sleep::ends()),
        "idle" => return done(sleep::is_counted()),
        "processors" => return done(processors_run_at_once()),
        "handlers" => return done(interrupts::handlers()),
        "messages" => return done(interrupts::messages()),
        _ => return Err("an unknown thing to do".into()),
    }
    Err("it went through".into())
}

fn done<E: ToString>(result: Result<(), E>) -> Result<(), String> {
    result.map_err(|error| error.to_string())?;
    println!("platform check: done");
    Ok(())
}

fn clock_goes_on() -> Result<(), &'static str> {
    let start = clock::now();
    let mut last = start;
    while last < start + Duration::from_millis(300) {
        let now = clock::now();
        if now < last {
            return Err("the clock went back");
        }
        last = now;
    }
    Ok(())
}

/// Processors that are here, and those whose number is what it should be.
static HERE: AtomicUsize = AtomicUsize::new(0);
static NUMBERS: AtomicUsize = AtomicUsize::new(0);

/// Each waits for all others: they have to run at the same time.
fn meet(index: usize) {
    NUMBERS.fetch_or(1 << index, Ordering::SeqCst);
    HERE.fetch_add(1, Ordering::SeqCst);
    while HERE.load(Ordering::SeqCst) < cpus::count() {
        core::hint::spin_loop();
    }
}

fn processors_run_at_once() -> Result<(), &'static str> {
    let count = cpus::count();
    for index in 1..count {
        cpus::start(index, meet)?;
    }
    if cpus::start(count, meet).is_ok() {
        return Err("a processor was started that is not there");
    }
    meet(0);
    if NUMBERS.load(Ordering::SeqCst) != (1 << count) - 1 {
        return Err("a processor has a number that is not its own");
    }
    if (1..count).any(|index| cpus::start(index, meet).is_ok()) {
        return Err("a processor was started twice");
    }
    println!("{count} processors met");
    Ok(())
}
