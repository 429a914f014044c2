//! The serial port that the device tree names.

use core::fmt::Write;

use arm_pl011_uart::{DataBits, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer};
use spin::Mutex;

use crate::device_tree;

/// How fast the line is, in bits per second.
const BAUD_RATE: u32 = 115_200;
/// What drives it, unless the device tree says otherwise: 24 MHz.
const CLOCK_HZ: u32 = 24_000_000;

static CONSOLE: Mutex<Option<Uart<'static>>> = Mutex::new(None);

/// Writes a piece of text.
pub(crate) fn write(text: &str) {
    if let Some(uart) = CONSOLE.lock().as_mut() {
        // It takes everything.
        let _ = uart.write_str(text);
    }
}

pub(crate) fn init() {
    *CONSOLE.lock() = uart();
}

/// The one that the device tree names, made ready.
fn uart() -> Option<Uart<'static>> {
    let node = device_tree::console()?;
    let registers = device_tree::registers(node)?.map()?.cast::<PL011Registers>();
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
