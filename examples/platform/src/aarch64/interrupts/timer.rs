//! The timer: interrupts once, at a moment of the clock.
//!
//! Arm Architecture Reference Manual, D12.2 (the virtual timer, which compares with the counter that the clock reads).

use core::time::Duration;

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTV_CTL_EL0, CNTV_CVAL_EL0, Writeable};
use arm_gic::IntId;

use super::{clock, decode};
use crate::device_tree;

/// Which of the timer's interrupts in the device tree is this one: secure, not secure, virtual, hypervisor.
const VIRTUAL: usize = 2;

/// The timer's interrupt.
pub(super) fn find() -> Option<IntId> {
    let node = device_tree::compatible("arm,armv8-timer")?;
    let mut cells = device_tree::cells(node, "interrupts")?.skip(3 * VIRTUAL);
    decode([cells.next()?, cells.next()?, cells.next()?]).map(|(interrupt, _)| interrupt)
}

/// Raises the interrupt from that moment on, until the timer is stopped.
pub(super) fn start(at: Duration) {
    CNTV_CVAL_EL0.set(clock::ticks_at(at).saturating_add(1));
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
    barrier::isb(barrier::SY);
}

/// Lets go of the interrupt.
pub(super) fn stop() {
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::CLEAR);
    barrier::isb(barrier::SY);
}
