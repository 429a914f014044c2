//! The serial port that the device tree names.
//!
//! The device tree names the port (`stdout-path`), which is the same as that of a PC, with registers in memory.

use core::ptr::NonNull;

use dtoolkit::standard::NodeStandard;
use spin::Mutex;
use uart_16550::backend::MmioBackend;
use uart_16550::{Config, Uart16550};

use crate::device_tree::{self, Range, TreeNode};

static CONSOLE: Mutex<Option<Uart16550<MmioBackend>>> = Mutex::new(None);

/// Writes a piece of text.
pub(crate) fn write(text: &str) {
    if let Some(port) = CONSOLE.lock().as_mut() {
        port.send_bytes_exact(text.as_bytes());
    }
}

/// Looks for the port, and prepares it.
pub(crate) fn init() {
    if let Some(port) = open() {
        *CONSOLE.lock() = Some(port);
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
