//! The serial console, and a `log` sink on it.

use core::fmt::{self, Write};

use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::{Config, Uart16550};

/// The first serial port of every PC.
const COM1: u16 = 0x3f8;

/// Locked for one piece of text at a time, never while something is being formatted: a panic or an exception in there can still print.
static CONSOLE: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);

struct Port;

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(port) = CONSOLE.lock().as_mut() {
            port.send_bytes_exact(text.as_bytes());
        }
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

pub(super) fn init() {
    // SAFETY: nobody else drives the first serial port, and this runs once.
    let port = unsafe { Uart16550::new_port(COM1) };
    if let Ok(mut port) = port
        && port.init(Config::default()).is_ok()
    {
        *CONSOLE.lock() = Some(port);
    }
    if log::set_logger(&Sink).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
