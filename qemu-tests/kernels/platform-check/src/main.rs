//! A test kernel: what the platform promises when a program goes wrong.
//!
//! And that its clock goes on.
//!
//! Command line: `do=` and what to do; each but `clock` must end in a message and a failure.

#![no_std]
#![no_main]

use core::fmt;
use core::hint::black_box;
use core::time::Duration;

use example_platform::{clock, command_line, println};

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

fn run() -> Result<(), &'static str> {
    let action = command_line().strip_prefix("do=").ok_or("no do= on the command line")?;
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
        "clock" => return clock_goes_on(),
        _ => return Err("an unknown thing to do"),
    }
    Err("it went through")
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
    println!("platform check: done");
    Ok(())
}
