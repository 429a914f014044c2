//! Time: the `time` register, whose speed the device tree tells; and the date.
//!
//! RISC-V Instruction Set Manual, volume I, chapter "Zicntr". The date is that of a Goldfish RTC: two registers with the nanoseconds since 1970.

use core::time::Duration;

use spin::Once;
use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::Registers;

use super::csr;
use crate::device_tree::{self, number};
use crate::dma::MMIO;

pub use crate::time::{Date, Deadline, since, within_millis};

/// Ticks per second.
static FREQUENCY: Once<u32> = Once::new();

pub(super) fn init() {
    let frequency = device_tree::node("/cpus").and_then(|node| number(node, "timebase-frequency"));
    let frequency =
        frequency.and_then(|frequency| u32::try_from(frequency).ok()).filter(|frequency| *frequency > 0);
    let frequency = frequency.expect("the device tree says how fast time goes");
    FREQUENCY.call_once(|| frequency);
}

fn frequency() -> u64 {
    FREQUENCY.get().copied().unwrap_or(u32::MAX).into()
}

/// Time since some moment before the program started. Never goes back.
pub fn now() -> Duration {
    let frequency = frequency();
    let ticks = csr::time();
    // The rest is below 2^32, so that the product fits.
    let nanos = ticks % frequency * 1_000_000_000 / frequency;
    Duration::new(ticks / frequency, nanos as u32)
}

/// What the `time` register will show at a moment; the end of time if it has no number for it.
pub(super) fn ticks_at(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos() * u128::from(frequency()) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// Reads the machine's clock; the first second of 1970 if it has none.
pub fn date() -> Date {
    Date::at_seconds_since_1970(nanos_since_1970().unwrap_or(0) / 1_000_000_000)
}

fn nanos_since_1970() -> Option<u64> {
    let range = device_tree::registers(device_tree::compatible("google,goldfish-rtc")?)?;
    let bytes = usize::try_from(range.bytes).ok()?;
    // SAFETY: the device tree says that the clock's registers are there, and nobody else uses them.
    let registers = unsafe { Registers::map(&MMIO, range.address, bytes) }?;
    // Reading the lower half keeps the upper one of that moment.
    let low = registers.read(0, AccessWidth::Long);
    let high = registers.read(4, AccessWidth::Long);
    Some(u64::from(high) << 32 | u64::from(low))
}
