//! The local APIC's timer: an interrupt after a while, once.
//!
//! Intel SDM volume 3, section "APIC Timer". How fast it counts is nowhere written, so it is measured against the clock.

use core::time::Duration;

use spin::Once;

use super::entry::TIMER;
use super::local_apic::{MASKED, read, register, write};
use crate::clock;

/// Counts once in 16 ticks of its source, so that 32 bits are good for some seconds.
const DIVIDE_BY_16: u32 = 0b0011;
/// How long the measurement takes.
const MEASURED: Duration = Duration::from_millis(10);

static COUNTS_PER_MILLI: Once<u64> = Once::new();

/// Measures it on the boot processor: all processors' count alike.
pub(super) fn init() {
    write(register::TIMER_DIVIDE, DIVIDE_BY_16);
    write(register::TIMER, MASKED | u32::from(TIMER));
    let start = clock::now();
    write(register::TIMER_INITIAL_COUNT, u32::MAX);
    while clock::since(start) < MEASURED {
        core::hint::spin_loop();
    }
    let counted = u64::from(u32::MAX - read(register::TIMER_CURRENT_COUNT));
    let micros = u64::try_from(clock::since(start).as_micros()).unwrap_or(u64::MAX);
    stop();
    let per_milli = counted * 1000 / micros;
    assert!(per_milli > 0, "the local APIC's timer does not count");
    COUNTS_PER_MILLI.call_once(|| per_milli);
    enable();
}

/// Prepares this processor's timer.
pub(super) fn enable() {
    write(register::TIMER_DIVIDE, DIVIDE_BY_16);
    write(register::TIMER, u32::from(TIMER)); // once; not masked
}

/// Starts it anew. It comes early if the time is more than it can count, and may do so by a little anyhow: whoever waits looks at the clock.
pub(super) fn start(after: Duration) {
    let per_milli = COUNTS_PER_MILLI.get().copied().unwrap_or(1);
    let counts = after.as_nanos().saturating_mul(u128::from(per_milli)) / 1_000_000;
    write(register::TIMER_INITIAL_COUNT, u32::try_from(counts).unwrap_or(u32::MAX).max(1));
}

/// Stops it. Its interrupt may be on its way already.
pub(super) fn stop() {
    write(register::TIMER_INITIAL_COUNT, 0);
}
