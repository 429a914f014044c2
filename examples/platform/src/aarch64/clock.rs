//! Time: the generic timer's counter, which says itself how fast it goes; and the date.
//!
//! Arm Architecture Reference Manual, D12 (generic timer); Arm PrimeCell Real Time Clock (PL031), §3.3.

use core::time::Duration;

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTVCT_EL0, Readable};
use virtio_guest::hal::AccessWidth;
use virtio_guest::raw::Registers;

use crate::device_tree;
use crate::dma::MMIO;

pub use crate::time::{Date, Deadline, since, within_millis};

/// Time since some moment before the program started. Never goes back.
pub fn now() -> Duration {
    // The counter is not read before what comes before it in the program.
    barrier::isb(barrier::SY);
    let (ticks, frequency) = (CNTVCT_EL0.get(), frequency());
    // The rest is below 2^32, so that the product fits.
    let nanos = ticks % frequency * 1_000_000_000 / frequency;
    Duration::new(ticks / frequency, nanos as u32)
}

/// What the counter will show at a moment; the end of time if it has no number for it.
pub(super) fn ticks_at(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos() * u128::from(frequency()) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// Ticks per second.
fn frequency() -> u64 {
    CNTFRQ_EL0.get().max(1)
}

/// Reads the machine's clock; the first second of 1970 if it has none.
pub fn date() -> Date {
    Date::at_seconds_since_1970(seconds_since_1970().unwrap_or(0))
}

fn seconds_since_1970() -> Option<u64> {
    let range = device_tree::registers(device_tree::compatible("arm,pl031")?)?;
    // SAFETY: the device tree says that the clock's registers are there, and nobody else uses them.
    let registers = unsafe { Registers::map(&MMIO, range.address, usize::try_from(range.bytes).ok()?) }?;
    Some(registers.read(0, AccessWidth::Long).into())
}
