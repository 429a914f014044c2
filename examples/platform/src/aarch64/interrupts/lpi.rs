//! Interrupts that are made of messages: those whose properties and pending bits are in memory.
//!
//! Arm Generic Interrupt Controller Architecture Specification, version 3 and 4: 6.1 (locality-specific peripheral interrupts), 12.11 (`GICR_PROPBASER`, `GICR_PENDBASER`).

use core::alloc::Layout;
use core::slice;

use aarch64_cpu::asm::barrier;
use arm_gic::gicv3::registers::{GicrCtlr, GicrSgi};
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use virtio_guest::hal::Hal;

use crate::dma::DMA;
use crate::interrupts::SOURCES_MAX;

/// How registers say that memory is shared with processors as they share it: write-back, allocated on reads and writes; inner shareable.
pub(super) const CACHED: u64 = 7;
pub(super) const INNER_SHAREABLE: u64 = 1 << 10;

/// Interrupts have numbers with as few bits as there can be; those of this kind begin at 8192.
const NUMBER_BITS: u32 = 14;
const FIRST: usize = 8192;
const PROPERTY_BYTES: usize = (1 << NUMBER_BITS) - FIRST;
const PENDING_BYTES: usize = (1 << NUMBER_BITS) / 8;

/// Of an interrupt: a middle priority, its group, enabled.
const ENABLED: u8 = 0xa0 | 1 << 1 | 1;
/// Of the pending table: there are only zeros.
const IS_ZERO: u64 = 1 << 62;

/// A table that says that as many such interrupts as there are sources are enabled: its address. Redistributors share it. `None` if there is no memory for it.
pub(super) fn properties() -> Option<u64> {
    let properties = allocate(PROPERTY_BYTES, 4096)?;
    // SAFETY: the memory was just allocated, and is initialized; no redistributor knows of it yet.
    unsafe { slice::from_raw_parts_mut(properties as *mut u8, SOURCES_MAX) }.fill(ENABLED);
    Some(properties)
}

/// Has a redistributor take such interrupts, as that table has them. `None` if it cannot.
pub(super) fn enable(mut redistributor: UniqueMmioPointer<'_, GicrSgi>, properties: u64) -> Option<()> {
    let mut registers = field!(redistributor, gicr);
    if !field_shared!(registers, typer).read().physical_lpis_supported() {
        return None;
    }
    // Somebody may have done it before, and may not be able to take it back.
    if field_shared!(registers, ctlr).read().contains(GicrCtlr::EnableLPIs) {
        return None;
    }
    let pending = allocate(PENDING_BYTES, 64 << 10)?;
    barrier::dsb(barrier::SY);
    let attributes = CACHED << 7 | INNER_SHAREABLE;
    field!(registers, propbaser).write(properties | attributes | u64::from(NUMBER_BITS - 1));
    field!(registers, pendbaser).write(IS_ZERO | pending | attributes);
    field!(registers, ctlr).modify(|ctlr| ctlr | GicrCtlr::EnableLPIs);
    barrier::dsb(barrier::SY);
    Some(())
}

/// Zeroed memory that the interrupt controller keeps for good: its physical address.
pub(super) fn allocate(bytes: usize, alignment: usize) -> Option<u64> {
    let region = DMA.allocate_dma(Layout::from_size_align(bytes, alignment).ok()?).ok()?;
    Some(region.device_address.0)
}
