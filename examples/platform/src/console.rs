//! The console, and a `log` sink on it: lines for the machine's serial port.

use core::fmt::{self, Write};

use log::{LevelFilter, Log, Metadata, Record};

use crate::machine::serial;

struct Port;

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Locked for one piece of text at a time, never while something is being formatted: a panic or an exception in there can still print.
        serial::write(text);
        Ok(())
    }
}

/// Prints a line. Use [`println!`](crate::println).
pub fn print_line(line: fmt::Arguments<'_>) {
    // A serial port takes everything; a formatter that fails has printed what it could.
    let _ = writeln!(Port, "{line}");
}

struct Sink;

impl Log for Sink {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        print_line(format_args!("[{}] {}: {}", record.level(), record.target(), record.args()));
    }

    fn flush(&self) {}
}

/// Opens the serial port, and has `log` write to it.
pub(crate) fn init() {
    serial::init();
    if log::set_logger(&Sink).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
