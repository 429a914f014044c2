//! The interrupt controller, version 3 (and 4).
//!
//! Arm Generic Interrupt Controller Architecture Specification, version 3 and 4: chapter 4 (interrupts), 12.9 (distributor), 12.11 (redistributors). Each processor has system
//! registers to take interrupts with. Messages become interrupts by way of a translation service (`its.rs`), if there is one.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr::NonNull;

use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicDistributor, GicRedistributor};
use arm_gic::{IntId, InterruptGroup, Trigger};
use safe_mmio::{UniqueMmioPointer, field_shared};
use virtio_guest::hal::MsiMessage;

use super::Controller;
use super::its::Its;
use crate::device_tree;
use crate::machine::cpus::AFFINITY;

struct GicV3 {
    distributor: GicDistributor<'static>,
    /// Each processor's.
    redistributors: Vec<Redistributor>,
    /// The first processor, which lines go to.
    first: u64,
    its: Option<Its>,
}

type Redistributor = UniqueMmioPointer<'static, GicrSgi>;

/// The controller that the device tree names, if it is of this version: with everything masked.
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
    let redistributors = unsafe { all_redistributors(redistributors) };
    Some(Box::new(GicV3 { distributor, redistributors, first: own_affinity(), its: Its::find() }))
}

/// Which processor runs this.
fn own_affinity() -> u64 {
    MPIDR_EL1.get() & AFFINITY
}

/// # Safety
/// The redistributors' registers are there, up to the one that says that it is the last, mapped for good and nobody else's.
unsafe fn all_redistributors(first: NonNull<GicrSgi>) -> Vec<Redistributor> {
    let (mut all, mut next) = (Vec::new(), first);
    loop {
        // SAFETY: the caller's promise; there is no other pointer to this one.
        let redistributor = unsafe { UniqueMmioPointer::new(next) };
        let typer = field_shared!(field_shared!(redistributor, gicr), typer).read();
        all.push(redistributor);
        if typer.last_redistributor() {
            return all;
        }
        // Version 4 has twice as many registers for each.
        let frames = if typer.virtual_lpis_supported() { 2 } else { 1 };
        // SAFETY: this was not the last one.
        next = unsafe { next.add(frames) };
    }
}

/// The redistributor of the processor that runs this.
fn own(redistributors: &mut [Redistributor]) -> Option<&mut Redistributor> {
    let own = own_affinity();
    redistributors.iter_mut().find(|redistributor| {
        let registers = field_shared!(redistributor, gicr);
        field_shared!(registers, typer).read().core_mpidr() == own
    })
}

impl Controller for GicV3 {
    fn join(&mut self, processor: usize) -> Option<()> {
        let own = own(&mut self.redistributors)?;
        let mut redistributor = GicRedistributor::new(own.reborrow());
        // It may be awake already.
        let _ = redistributor.mark_core_awake();
        redistributor.configure_default_settings();
        // Who gets no messages has lines, or at least its timer.
        let _ = self.its.as_mut().and_then(|its| its.join(processor, own));
        GicCpuInterface::enable_system_register_el1();
        GicCpuInterface::set_priority_mask(u8::MAX);
        GicCpuInterface::enable_group1(true);
        Some(())
    }

    fn enable(&mut self, interrupt: IntId, trigger: Trigger) -> Option<()> {
        if interrupt.is_private() {
            let own = own(&mut self.redistributors)?.reborrow();
            return GicRedistributor::new(own).enable_interrupt(interrupt, true).ok();
        }
        self.distributor.set_trigger(interrupt, trigger).ok()?;
        self.distributor.set_routing(interrupt, Some(self.first)).ok()?;
        self.distributor.enable_interrupt(interrupt, true).ok()
    }

    fn message(&mut self, source: usize, requester: u16, processor: usize) -> Option<(IntId, MsiMessage)> {
        self.its.as_mut()?.message(source, requester, processor)
    }

    fn acknowledge(&mut self) -> Option<IntId> {
        GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1)
    }

    fn end(&mut self, interrupt: IntId) {
        GicCpuInterface::end_interrupt(interrupt, InterruptGroup::Group1);
    }
}
