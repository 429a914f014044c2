//! Interrupts: lines and messages of devices, and the timer that ends a wait.
//!
//! Arm Generic Interrupt Controller Architecture Specification, versions 2 and 3. Interrupts are never taken as exceptions: they stay masked at the processor, which wakes from
//! `wfi` all the same, and [`wait`] then asks the interrupt controller which ones there are. So none is lost between a look and the sleep, and no handler runs beside
//! other code.
//!
//! ```text
//!   device ─ line ──────────────────────────▶ distributor ─▶ processor      version 2 and 3
//!   device ─ message ─▶ MSI frame ──────────▶ distributor ─▶ processor      version 2
//!   device ─ message ─▶ translation (ITS) ─▶ redistributor ─▶ processor     version 3
//! ```

mod its;
mod lpi;
mod timer;
mod v2;
mod v3;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use aarch64_cpu::asm;
use arm_gic::{IntId, Trigger};
use pci_types::PciAddress;
use spin::Mutex;
use virtio_guest::hal::MsiMessage;

use super::clock;
use crate::device_tree;
use crate::interrupts::{Line, arrived};

/// An interrupt controller. All processors but the first are none of its business.
trait Controller: Send {
    /// Lets an interrupt through to this processor. `None` if there is no such interrupt.
    fn enable(&mut self, interrupt: IntId, trigger: Trigger) -> Option<()>;

    /// A message for a source, from the device that is the requester with this number; and the interrupt which it becomes, enabled.
    fn message(&mut self, source: usize, requester: u16) -> Option<(IntId, MsiMessage)>;

    /// Takes an interrupt that has arrived, if one has.
    fn acknowledge(&mut self) -> Option<IntId>;

    /// Says that it was handled.
    fn end(&mut self, interrupt: IntId);
}

/// The machine's controller, and which source each interrupt is for. Lines may be shared.
struct State {
    controller: Box<dyn Controller>,
    timer: IntId,
    routes: Vec<(IntId, usize)>,
}

/// Numbers that are none of an interrupt.
const SPECIAL: RangeInclusive<IntId> = IntId::SPECIAL_SECURE..=IntId::SPECIAL_NONE;

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Finds the interrupt controller, and masks all interrupts but the timer's. Without one, nothing ever interrupts, and no wait lasts.
pub(super) fn init() {
    let controller = v3::find().or_else(v2::find).zip(timer::find());
    *STATE.lock() = controller.and_then(|(mut controller, timer)| {
        controller.enable(timer, Trigger::Level)?;
        Some(State { controller, timer, routes: Vec::new() })
    });
}

/// A message which, when a device sends it, is counted for a source.
pub(crate) fn message(source: usize, function: PciAddress) -> Option<MsiMessage> {
    let requester =
        u16::from(function.bus()) << 8 | u16::from(function.device()) << 3 | u16::from(function.function());
    let mut state = STATE.lock();
    let state = state.as_mut()?;
    let (interrupt, message) = state.controller.message(source, requester)?;
    state.routes.push((interrupt, source));
    Some(message)
}

/// Routes a line, and lets its interrupts through.
pub(crate) fn connect(source: usize, line: Line) -> Option<()> {
    let cells = match line {
        Line::Cells(cells) => cells,
        Line::Pci { root_device, root_pin, .. } => device_tree::pci_host()?.line(root_device, root_pin)?,
    };
    let (interrupt, trigger) = decode(cells)?;
    let mut state = STATE.lock();
    let state = state.as_mut()?;
    state.controller.enable(interrupt, trigger)?;
    state.routes.push((interrupt, source));
    Some(())
}

/// What the cells of an interrupt specifier say (Linux's binding `arm,gic`): shared or private, the number, and flags.
fn decode([kind, number, flags]: [u32; 3]) -> Option<(IntId, Trigger)> {
    let interrupt = match kind {
        0 if number < IntId::MAX_SPI_COUNT => IntId::spi(number),
        1 if number < 16 => IntId::ppi(number),
        _ => return None,
    };
    let is_edge = matches!(flags & 0xf, 1 | 2);
    Some((interrupt, if is_edge { Trigger::Edge } else { Trigger::Level }))
}

/// Sleeps until an interrupt was handled, or until that moment. For the first processor only.
pub(crate) fn wait(until: Duration) {
    let mut state = STATE.lock();
    let Some(state) = state.as_mut() else { return };
    timer::start(until);
    while !state.handle_one() && clock::now() < until {
        asm::wfi();
    }
    timer::stop();
}

impl State {
    /// Handles an interrupt that has arrived, if one has. Not all that have: a line that its device never lets go of must not keep us.
    fn handle_one(&mut self) -> bool {
        let Some(interrupt) = self.controller.acknowledge().filter(|interrupt| !SPECIAL.contains(interrupt))
        else {
            return false;
        };
        if interrupt == self.timer {
            timer::stop();
        }
        for (_, source) in self.routes.iter().filter(|(routed, _)| *routed == interrupt) {
            arrived(*source);
        }
        self.controller.end(interrupt);
        true
    }
}
