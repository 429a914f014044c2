//! The interrupt controller, version 2, and the frame that makes interrupts of messages.
//!
//! Arm Generic Interrupt Controller Architecture Specification, version 2.0, chapter 4; Arm Server Base System Architecture 3.0, appendix E (GICv2m).

use alloc::boxed::Box;
use alloc::vec::Vec;

use arm_gic::gicv2::GicV2 as Gic;
use arm_gic::gicv2::registers::{Gicc, Gicd};
use arm_gic::{IntId, InterruptGroup, Trigger};
use safe_mmio::{UniqueMmioPointer, field};
use virtio_guest::hal::{AccessWidth, MsiMessage};
use virtio_guest::raw::Registers;

use super::Controller;
use crate::device_tree;
use crate::dma::MMIO;

/// We are told only of one security state's interrupts, through the registers that are called group 0's on either side.
const GROUP: InterruptGroup = InterruptGroup::Group0;

struct GicV2 {
    distributor: UniqueMmioPointer<'static, Gicd>,
    /// Each processor finds its own behind the same registers.
    interface: UniqueMmioPointer<'static, Gicc>,
    /// Which bit is each processor's in registers that say where an interrupt goes.
    targets: Vec<(usize, u8)>,
    frame: Option<MessageFrame>,
}

/// A frame of registers where messages go, and the interrupts that it has left to give: shared ones.
struct MessageFrame {
    address: u64,
    next: u32,
    end: u32,
}

/// The frame's registers: which interrupts are its own, and where to write the number of one.
const TYPER: usize = 0x8;
const SETSPI: u64 = 0x40;

/// The controller that the device tree names, if it is of this version: with everything masked.
pub(super) fn find() -> Option<Box<dyn Controller>> {
    let node = ["arm,cortex-a15-gic", "arm,gic-400"].into_iter().find_map(device_tree::compatible)?;
    let mut registers = device_tree::all_registers(node);
    let distributor = registers.next()?.map()?.cast();
    let interface = registers.next()?.map()?.cast();
    // SAFETY: the device tree says that these are the distributor's registers, which are mapped for good and nobody else's.
    let distributor = unsafe { UniqueMmioPointer::new(distributor) };
    // SAFETY: the same for the processors' interfaces.
    let interface = unsafe { UniqueMmioPointer::new(interface) };
    let mut controller = GicV2 { distributor, interface, targets: Vec::new(), frame: MessageFrame::find() };
    controller.gic().enable_all_interrupts(false);
    Some(Box::new(controller))
}

impl GicV2 {
    /// Whoever drives the registers, as this processor sees them.
    fn gic(&mut self) -> Gic<'_> {
        let (distributor, interface) = (self.distributor.ptr_mut(), self.interface.ptr_mut());
        // SAFETY: both are what they are called, mapped, and borrowed for as long as the result lives.
        unsafe { Gic::new(distributor, interface) }
    }

    /// The bit that is this processor's.
    fn own_target(&mut self) -> u8 {
        // The first registers tell who reads them. Where there is but one processor they tell nothing, and nothing is to be said.
        let mut targets = field!(self.distributor, itargetsr);
        // SAFETY: reading has no side effect.
        targets.get(0).map_or(0, |mut first| unsafe { first.read_unsafe() } as u8)
    }

    /// Has a shared interrupt go to a processor that has joined.
    fn route(&mut self, interrupt: IntId, processor: usize) -> Option<()> {
        let (_, target) = *self.targets.iter().find(|(joined, _)| *joined == processor)?;
        let (place, shift) = (interrupt.raw_value() as usize / 4, interrupt.raw_value() % 4 * 8);
        let mut targets = field!(self.distributor, itargetsr);
        let mut register = targets.get(place)?;
        // SAFETY: reading has no side effect.
        let others = unsafe { register.read_unsafe() } & !(0xff << shift);
        // SAFETY: says where an interrupt goes, which the caller asked for.
        unsafe { register.write_unsafe(others | u32::from(target) << shift) };
        Some(())
    }
}

impl MessageFrame {
    fn find() -> Option<Self> {
        let range = device_tree::registers(device_tree::compatible("arm,gic-v2m-frame")?)?;
        // SAFETY: the device tree says that the frame's registers are there, and nobody else uses them.
        let registers = unsafe { Registers::map(&MMIO, range.address, usize::try_from(range.bytes).ok()?) }?;
        let typer = registers.read(TYPER, AccessWidth::Long);
        let first = typer >> 16 & 0x3ff;
        let end = (first + (typer & 0x3ff)).min(32 + IntId::MAX_SPI_COUNT);
        Some(Self { address: range.address, next: first, end })
    }

    /// One more message.
    fn allocate(&mut self) -> Option<(IntId, MsiMessage)> {
        let number = Some(self.next).filter(|next| *next < self.end)?;
        let interrupt = IntId::spi(number.checked_sub(32)?);
        self.next += 1;
        // SAFETY: writing one of the frame's numbers there raises that interrupt, and does nothing else.
        Some((interrupt, unsafe { MsiMessage::new(self.address + SETSPI, number) }))
    }
}

impl Controller for GicV2 {
    fn join(&mut self, processor: usize) -> Option<()> {
        let target = self.own_target();
        self.targets.push((processor, target));
        // Of the distributor it says the same each time.
        self.gic().setup();
        Some(())
    }

    fn enable(&mut self, interrupt: IntId, trigger: Trigger) -> Option<()> {
        if !interrupt.is_private() {
            self.gic().set_trigger(interrupt, trigger);
            self.route(interrupt, 0)?;
        }
        self.gic().enable_interrupt(interrupt, true).ok()
    }

    fn message(&mut self, _: usize, _: u16, processor: usize) -> Option<(IntId, MsiMessage)> {
        let (interrupt, message) = self.frame.as_mut()?.allocate()?;
        self.gic().set_trigger(interrupt, Trigger::Edge);
        self.route(interrupt, processor)?;
        self.gic().enable_interrupt(interrupt, true).ok()?;
        Some((interrupt, message))
    }

    fn acknowledge(&mut self) -> Option<IntId> {
        self.gic().get_and_acknowledge_interrupt(GROUP)
    }

    fn end(&mut self, interrupt: IntId) {
        self.gic().end_interrupt(interrupt, GROUP);
    }
}
