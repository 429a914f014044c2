//! Characters for the host when nothing else works: before the driver is up, while it is, and through the queue as well.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use example_platform::devices::{self, Interrupts};
use example_platform::{DMA, clock, println};
use virtio_guest::device::console::{Console, HANDLED, Settings, Storage, emergency_write};
use virtio_guest::lifecycle::Wants;

use crate::{LIMIT_MILLIS, argument, ensure};

pub fn run() -> Result<(), String> {
    let mut device = devices::take_console()?;
    println!("console at {}", device.place);
    let is_expected = argument("offered") != Some("no");
    for byte in b"before bring-up\n" {
        let written = emergency_write(&mut device.transport, *byte);
        ensure(written.is_ok() == is_expected, "a device takes emergency writes if it offers that")?;
    }
    // Without interrupts: none is waited for.
    device.prepare(Some(Interrupts::None), &[0, 0])?;
    let storage: &'static mut Storage<128> = Box::leak(Box::default());
    let patience = || clock::within_millis(LIMIT_MILLIS);
    let (settings, wants) = (Settings::default(), Wants::features(HANDLED));
    let console = Console::start_with(device.transport, DMA, storage, &settings, wants, patience());
    let (mut control, receive, mut transmit) = console.map_err(|failed| failed.to_string())?.split();
    for byte in b"after bring-up\n" {
        let written = control.emergency_write(*byte);
        ensure(written.is_ok() == is_expected, "it takes them while its driver is up, too")?;
    }
    transmit.write_all_blocking(b"through the queue\n", patience()).map_err(|error| error.to_string())?;
    transmit.drain_blocking(patience()).map_err(|error| error.to_string())?;

    let down = control.take_down(patience()).map_err(|failed| failed.error.to_string())?;
    receive.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
    transmit.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
    let mut transport = down.transport;
    for byte in b"after the reset\n" {
        let written = emergency_write(&mut transport, *byte);
        ensure(written.is_ok() == is_expected, "it takes them when its driver is down again")?;
    }
    Ok(())
}
