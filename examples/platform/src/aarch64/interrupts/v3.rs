//! The interrupt controller, version 3 (and 4).
//!
//! Arm Generic Interrupt Controller Architecture Specification, version 3 and 4: chapter 4 (interrupts), 12.9 (distributor), 12.11 (redistributors). The processor has system
//! registers to take interrupts with. Messages become interrupts by way of a translation service (`its.rs`), if there is one.

use alloc::boxed::Box;
use core::ptr::NonNull;

use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicDistributor, GicRedistributor};
use arm_gic::{IntId, InterruptGroup, Trigger};
use safe_mmio::{UniqueMmioPointer, field_shared};
use virtio_guest::hal::MsiMessage;

use super::its::Its;
use super::{Controller, lpi};
use crate::device_tree;
use crate::machine::cpus::AFFINITY;

struct GicV3 {
    distributor: GicDistributor<'static>,
    /// This processor's.
    redistributor: GicRedistributor<'static>,
    its: Option<Its>,
}

/// The controller that the device tree names, if it is of this version: ready, with everything masked.
pub(super) fn find() -> Option<Box<dyn Controller>> {
    let node = device_tree::compatible("arm,gic-v3")?;
    let mut registers = device_tree::all_registers(node);
    let distributor = registers.next()?.map()?.cast::<Gicd>();
    let redistributors = registers.next()?.map()?.cast::<GicrSgi>();
    // SAFETY: the device tree says that these are the distributor's registers, which are mapped for good and nobody else's.
    let mut distributor = GicDistributor::new(unsafe { UniqueMmioPointer::new(distributor) });
    distributor.enable_all_interrupts(false);
    distributor.configure_default_settings();

    // SAFETY: the same for redistributors.
    let mut own = unsafe { own_redistributor(redistributors) };
    let mut redistributor = GicRedistributor::new(own.reborrow());
    // It may be awake already.
    let _ = redistributor.mark_core_awake();
    redistributor.configure_default_settings();
    let its = lpi::enable(own.reborrow()).and_then(|()| Its::find(&own));

    GicCpuInterface::enable_system_register_el1();
    GicCpuInterface::set_priority_mask(u8::MAX);
    GicCpuInterface::enable_group1(true);
    let redistributor = GicRedistributor::new(own);
    Some(Box::new(GicV3 { distributor, redistributor, its }))
}

/// The redistributor of the processor that runs this; the first one, if none says so.
///
/// # Safety
/// The redistributors' registers are there, up to the one that says that it is the last, mapped for good and nobody else's.
unsafe fn own_redistributor(first: NonNull<GicrSgi>) -> UniqueMmioPointer<'static, GicrSgi> {
    let mut next = first;
    loop {
        // SAFETY: the caller's promise; the last pointer is gone.
        let redistributor = unsafe { UniqueMmioPointer::new(next) };
        let typer = field_shared!(field_shared!(redistributor, gicr), typer).read();
        if typer.core_mpidr() == MPIDR_EL1.get() & AFFINITY {
            return redistributor;
        }
        if typer.last_redistributor() {
            // SAFETY: as above.
            return unsafe { UniqueMmioPointer::new(first) };
        }
        // Version 4 has twice as many registers for each.
        let frames = if typer.virtual_lpis_supported() { 2 } else { 1 };
        // SAFETY: this was not the last one.
        next = unsafe { next.add(frames) };
    }
}

impl Controller for GicV3 {
    fn enable(&mut self, interrupt: IntId, trigger: Trigger) -> Option<()> {
        if interrupt.is_private() {
            return self.redistributor.enable_interrupt(interrupt, true).ok();
        }
        self.distributor.set_trigger(interrupt, trigger).ok()?;
        self.distributor.set_routing(interrupt, Some(MPIDR_EL1.get())).ok()?;
        self.distributor.enable_interrupt(interrupt, true).ok()
    }

    fn message(&mut self, source: usize, requester: u16) -> Option<(IntId, MsiMessage)> {
        self.its.as_mut()?.message(source, requester)
    }

    fn acknowledge(&mut self) -> Option<IntId> {
        GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1)
    }

    fn end(&mut self, interrupt: IntId) {
        GicCpuInterface::end_interrupt(interrupt, InterruptGroup::Group1);
    }
}
