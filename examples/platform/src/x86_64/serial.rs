//! The first serial port.

use spin::Mutex;
use uart_16550::backend::PioBackend;
use uart_16550::{Config, Uart16550};

/// The first serial port of every PC.
const COM1: u16 = 0x3f8;

static CONSOLE: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);

/// Writes a piece of text.
pub(crate) fn write(text: &str) {
    if let Some(port) = CONSOLE.lock().as_mut() {
        port.send_bytes_exact(text.as_bytes());
    }
}

pub(crate) fn init() {
    // SAFETY: nobody else drives the first serial port, and this runs once.
    let port = unsafe { Uart16550::new_port(COM1) };
    if let Ok(mut port) = port
        && port.init(Config::default()).is_ok()
    {
        *CONSOLE.lock() = Some(port);
    }
}
