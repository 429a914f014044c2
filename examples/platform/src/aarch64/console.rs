//! The serial console, and a `log` sink on it.

use core::fmt::{self, Write};

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};
use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;

use super::memory;
use crate::device_tree;

/// How fast the line is, in bits per second.
const BAUD_RATE: u32 = 115_200;
/// What drives it, unless the device tree says otherwise: 24 MHz.
const CLOCK_HZ: u32 = 24_000_000;

/// Locked for one piece of text at a time, never while something is being formatted: a panic or an exception in there can still print.
static CONSOLE: Mutex<Option<Uart<'static>>> = Mutex::new(None);

struct Port;

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        CONSOLE.lock().as_mut().map_or(Ok(()), |uart| uart.write_str(text))
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
    *CONSOLE.lock() = uart();
    if log::set_logger(&Sink).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// The one that the device tree names, made ready.
fn uart() -> Option<Uart<'static>> {
    let node = device_tree::console()?;
    let registers = memory::map_registers(device_tree::registers(node)?)?.cast::<PL011Registers>();
    // SAFETY: the registers are mapped for good, and nobody else has them.
    let registers = unsafe { UniqueMmioPointer::new(registers) };
    let mut uart = Uart::new(registers);
    let line = LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
    let clock = device_tree::cells(node, "clocks").and_then(|mut clocks| clocks.next());
    let clock = clock.and_then(device_tree::with_handle);
    let clock_hz = clock.and_then(|clock| device_tree::number(clock, "clock-frequency"));
    let clock_hz = clock_hz.and_then(|hz| u32::try_from(hz).ok()).unwrap_or(CLOCK_HZ);
    uart.enable(line, BAUD_RATE, clock_hz).ok()?;
    Some(uart)
}
