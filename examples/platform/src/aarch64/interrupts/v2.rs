//! The interrupt controller, version 2, and the frame that makes interrupts of messages.
//!
//! Arm Generic Interrupt Controller Architecture Specification, version 2.0, chapter 4; Arm Server Base System Architecture 3.0, appendix E (GICv2m).

use alloc::boxed::Box;

use arm_gic::gicv2::GicV2 as Gic;
use arm_gic::gicv2::registers::Gicd;
use arm_gic::{IntId, InterruptGroup, Trigger};
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use virtio_guest::hal::{AccessWidth, MsiMessage};
use virtio_guest::raw::Registers;

use super::Controller;
use crate::device_tree;
use crate::dma::MMIO;

/// We are told only of one security state's interrupts, through the registers that are called group 0's on either side.
const GROUP: InterruptGroup = InterruptGroup::Group0;

struct GicV2 {
    gic: Gic<'static>,
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

/// The controller that the device tree names, if it is of this version: ready, with everything masked.
pub(super) fn find() -> Option<Box<dyn Controller>> {
    let node = ["arm,cortex-a15-gic", "arm,gic-400"].into_iter().find_map(device_tree::compatible)?;
    let mut registers = device_tree::all_registers(node);
    let distributor = registers.next()?.map()?.cast::<Gicd>();
    let interface = registers.next()?.map()?;
    // SAFETY: the device tree says that these are the distributor's registers, which are mapped for good and nobody else's.
    route_to_this_processor(unsafe { UniqueMmioPointer::new(distributor) });
    // SAFETY: the same for both; the pointer of before is gone.
    let mut gic = unsafe { Gic::new(distributor.as_ptr(), interface.cast().as_ptr()) };
    gic.enable_all_interrupts(false);
    gic.setup();
    Some(Box::new(GicV2 { gic, frame: MessageFrame::find() }))
}

/// Has all shared interrupts go to the processor that runs this.
fn route_to_this_processor(mut distributor: UniqueMmioPointer<'_, Gicd>) {
    let count = field_shared!(distributor, typer).read().num_irqs() as usize;
    let mut targets = field!(distributor, itargetsr);
    let mut registers = targets.iter();
    // The first ones tell who reads them. Where there is but one processor they tell nothing, and nothing is to be said.
    // SAFETY: reading has no side effect.
    let own = registers.next().map_or(0, |mut first| unsafe { first.read_unsafe() });
    // Eight registers are of private interrupts; each has four interrupts.
    for mut register in registers.skip(7).take((count / 4).saturating_sub(8)) {
        // SAFETY: says where interrupts go, of which none is enabled.
        unsafe { register.write_unsafe(own) };
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
    fn enable(&mut self, interrupt: IntId, trigger: Trigger) -> Option<()> {
        if !interrupt.is_private() {
            self.gic.set_trigger(interrupt, trigger);
        }
        self.gic.enable_interrupt(interrupt, true).ok()
    }

    fn message(&mut self, _: usize, _: u16) -> Option<(IntId, MsiMessage)> {
        let (interrupt, message) = self.frame.as_mut()?.allocate()?;
        self.enable(interrupt, Trigger::Edge)?;
        Some((interrupt, message))
    }

    fn acknowledge(&mut self) -> Option<IntId> {
        self.gic.get_and_acknowledge_interrupt(GROUP)
    }

    fn end(&mut self, interrupt: IntId) {
        self.gic.end_interrupt(interrupt, GROUP);
    }
}
