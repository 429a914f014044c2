//! The console, and a `log` sink on it: lines for the machine's serial port.

use core::fmt::{self, Write};

use log::{LevelFilter, Log, Metadata, Record};
use spin::Once;

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

/// Where a program wants to have log messages as well.
static PROGRAMS_SINK: Once<&'static dyn Log> = Once::new();

/// Has `log` write to a program's own sink, too, from now on; the first one that is named.
pub fn log_to(sink: &'static dyn Log) {
    PROGRAMS_SINK.call_once(|| sink);
}

struct Sink;

impl Log for Sink {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        print_line(format_args!("[{}] {}: {}", record.level(), record.target(), record.args()));
        if let Some(sink) = PROGRAMS_SINK.get().filter(|sink| sink.enabled(record.metadata())) {
            sink.log(record);
        }
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
