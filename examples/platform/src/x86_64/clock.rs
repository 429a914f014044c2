//! Time: the processor's time-stamp counter, measured once against the programmable interval timer; and the date.

use core::time::Duration;

use spin::Once;

use super::ports;

pub use crate::time::{Date, Deadline, since, within_millis};

/// Ticks per second of the interval timer.
const TIMER_HZ: u64 = 1_193_182;
/// How long the measurement takes, in those ticks: a hundredth of a second.
const TIMER_TICKS: u16 = (TIMER_HZ / 100) as u16;

/// How often it is done.
const MEASUREMENTS: u32 = 4;

/// No timer is looked at more often than this in a hundredth of a second.
const READS_MAX: u32 = 100_000_000;
/// No processor's counter is slower than 10 MHz.
const PLAUSIBLE_TICKS_PER_MILLI: u64 = 10_000;

static TICKS_PER_MILLI: Once<u64> = Once::new();

fn ticks() -> u64 {
    // SAFETY: every 64-bit processor has the counter; reading it changes nothing.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The interval timer's ports: its first channel, which every machine has, and its commands.
const CHANNEL_0: u16 = 0x40;
const COMMAND: u16 = 0x43;
/// Channel 0, both bytes, count down once.
const COUNT_DOWN: u8 = 0b0011_0000;
/// Show the status of channel 0, whose top bit is set when the count is over.
const SHOW_STATUS: u8 = 0b1110_0010;
const IS_OVER: u8 = 0b1000_0000;

/// Measures how fast the processor's counter goes. Of several measurements the shortest is the best: whatever kept this processor, or the hypervisor's, from looking made it longer.
pub(super) fn init() {
    let per_milli = (0..MEASUREMENTS).map(|_| count_down() / 10).min().unwrap_or(0);
    assert!(
        per_milli > PLAUSIBLE_TICKS_PER_MILLI,
        "the interval timer (PIT) does not count: this kernel has no other way to measure time"
    );
    TICKS_PER_MILLI.call_once(|| per_milli);
}

/// Lets the interval timer count down from a number, and counts the processor's ticks meanwhile; 0 if it does not end.
fn count_down() -> u64 {
    let [low, high] = TIMER_TICKS.to_le_bytes();
    // SAFETY: the timer is nobody else's, and its interrupt is not let through.
    unsafe { ports::write_u8(COMMAND, COUNT_DOWN) };
    // SAFETY: as above.
    unsafe { ports::write_u8(CHANNEL_0, low) };
    let start = ticks(); // before the count starts, so that nothing of it is missed
    // SAFETY: as above; the count starts.
    unsafe { ports::write_u8(CHANNEL_0, high) };
    let is_over = || {
        // SAFETY: as above.
        unsafe { ports::write_u8(COMMAND, SHOW_STATUS) };
        // SAFETY: the next read of the channel shows it.
        unsafe { ports::read_u8(CHANNEL_0) & IS_OVER != 0 }
    };
    let mut reads = 0;
    while !is_over() && reads < READS_MAX {
        reads += 1;
    }
    if reads < READS_MAX { ticks() - start } else { 0 }
}

/// Time since some moment before the program started. Never goes back.
pub fn now() -> Duration {
    let per_milli = TICKS_PER_MILLI.get().copied().unwrap_or(u64::MAX);
    let ticks = ticks();
    Duration::from_micros(ticks / per_milli * 1000 + ticks % per_milli * 1000 / per_milli)
}

/// Reads the battery-backed clock.
pub fn date() -> Date {
    let read = |register: u8| {
        // SAFETY: the clock's index port is nobody else's.
        unsafe { ports::write_u8(0x70, register) };
        // SAFETY: reading the clock's data port has no side effect.
        unsafe { ports::read_u8(0x71) }
    };
    let start = now();
    while read(0x0a) & 0x80 != 0 && since(start) < Duration::from_millis(10) {} // an update takes two
    let is_binary = read(0x0b) & 0b100 != 0;
    let number = |register| {
        let value = read(register);
        if is_binary { value } else { (value >> 4) * 10 + (value & 0xf) }
    };
    Date {
        year: 2000 + u16::from(number(0x09)),
        month: number(0x08),
        day: number(0x07),
        hour: number(0x04),
        minute: number(0x02),
        second: number(0x00),
    }
}
