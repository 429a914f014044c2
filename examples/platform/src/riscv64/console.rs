//! The serial console, and a `log` sink on it.
//!
//! The device tree names the port (`stdout-path`), which is the same as that of a PC, with registers in memory.

use core::fmt::{self, Write};
use core::ptr::NonNull;

use dtoolkit::standard::NodeStandard;
use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;
use uart_16550::backend::MmioBackend;
use uart_16550::{Config, Uart16550};

use crate::device_tree::{self, Range, TreeNode};

/// Locked for one piece of text at a time, never while something is being formatted: a panic or an exception in there can still print.
static CONSOLE: Mutex<Option<Uart16550<MmioBackend>>> = Mutex::new(None);

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

/// Looks for the port, and prepares it.
pub(super) fn init() {
    if let Some(port) = open() {
        *CONSOLE.lock() = Some(port);
    }
    if log::set_logger(&Sink).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// The port, if the firmware's console is one.
fn port() -> Option<TreeNode> {
    device_tree::console().filter(|node| node.is_compatible("ns16550a"))
}

/// Its registers, which are to be mapped.
pub(super) fn registers() -> Option<Range> {
    device_tree::registers(port()?)
}

fn open() -> Option<Uart16550<MmioBackend>> {
    let number = |name| u32::try_from(device_tree::number(port()?, name)?).ok();
    let shift = number("reg-shift").unwrap_or(0);
    let base = NonNull::new(registers()?.address as *mut u8)?;
    // SAFETY: the device tree says that the port is there, nobody else drives it, and its registers stay mapped.
    let mut port = unsafe { Uart16550::new_mmio(base, 1u8.checked_shl(shift)?) }.ok()?;
    let frequency = number("clock-frequency").unwrap_or(Config::DEFAULT.frequency);
    port.init(Config { frequency, ..Config::DEFAULT }).ok()?;
    Some(port)
}
