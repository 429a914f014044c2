//! Interrupts: lines and messages of devices, and the timer that ends a wait.
//!
//! Arm Generic Interrupt Controller Architecture Specification, versions 2 and 3. Interrupts are never taken as exceptions: they stay masked at each processor, which wakes from
//! `wfi` all the same, and [`wait`] then asks the interrupt controller which ones there are. So none is lost between a look and the sleep, and no handler runs beside
//! other code.
//!
//! ```text
//!   device ─ line ──────────────────────────▶ distributor ─▶ the first processor      version 2 and 3
//!   device ─ message ─▶ MSI frame ──────────▶ distributor ─▶ any processor            version 2
//!   device ─ message ─▶ translation (ITS) ─▶ redistributor ─▶ any processor           version 3
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

use super::{clock, cpus};
use crate::device_tree;
use crate::interrupts::{Line, SOURCES_MAX, arrived, halt, set_up};

/// An interrupt controller. *This processor* is the one that runs the call.
trait Controller: Send {
    /// Gets this processor, which has this number, ready to take interrupts. `None` if it takes none.
    fn join(&mut self, processor: usize) -> Option<()>;

    /// Lets an interrupt through: a private one to this processor, others to the first. `None` if there is no such interrupt.
    fn enable(&mut self, interrupt: IntId, trigger: Trigger) -> Option<()>;

    /// A message for a source, from the device that is the requester with this number, to a processor that has joined; and the interrupt which it becomes, enabled.
    fn message(&mut self, source: usize, requester: u16, processor: usize) -> Option<(IntId, MsiMessage)>;

    /// Takes an interrupt that has arrived at this processor, if one has.
    fn acknowledge(&mut self) -> Option<IntId>;

    /// Says that it was handled.
    fn end(&mut self, interrupt: IntId);
}

/// The machine's controller, the interrupt that each processor's timer has, and the processors that take interrupts.
struct State {
    controller: Box<dyn Controller>,
    timer: IntId,
    joined: Vec<usize>,
}

/// Numbers that are none of an interrupt.
const SPECIAL: RangeInclusive<IntId> = IntId::SPECIAL_SECURE..=IntId::SPECIAL_NONE;

/// Locked for moments only, and never while a handler runs.
static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Which interrupt each source has. Several may have the same: lines are shared.
static ROUTES: Mutex<[Option<IntId>; SOURCES_MAX]> = Mutex::new([None; SOURCES_MAX]);

/// Finds the interrupt controller, and masks all interrupts but the timer's. Without one, nothing ever interrupts, and no wait lasts.
pub(super) fn init() {
    let found = v3::find().or_else(v2::find).zip(timer::find());
    *STATE.lock() = found.map(|(controller, timer)| State { controller, timer, joined: Vec::new() });
    init_processor(0);
}

/// Gets this processor, which has this number, ready to wait.
pub(super) fn init_processor(processor: usize) {
    let mut state = STATE.lock();
    let joined = state.as_mut().and_then(|state| {
        state.controller.join(processor)?;
        state.controller.enable(state.timer, Trigger::Level)?;
        state.joined.push(processor);
        Some(())
    });
    // Lines are the first one's.
    if joined.is_none() && processor == 0 {
        *state = None;
    }
    set_up();
}

/// A message which, when a device sends it, is an interrupt of a source's at a processor that was started.
pub(crate) fn message(source: usize, function: PciAddress, processor: usize) -> Option<MsiMessage> {
    let requester =
        u16::from(function.bus()) << 8 | u16::from(function.device()) << 3 | u16::from(function.function());
    let (interrupt, message) = STATE.lock().as_mut()?.controller.message(source, requester, processor)?;
    *ROUTES.lock().get_mut(source)? = Some(interrupt);
    Some(message)
}

/// Routes a line, and lets its interrupts through.
pub(crate) fn connect(source: usize, line: Line) -> Option<()> {
    let cells = match line {
        Line::Cells(cells) => cells,
        Line::Pci { root_device, root_pin, .. } => device_tree::pci_host()?.line(root_device, root_pin)?,
    };
    let (interrupt, trigger) = decode(cells)?;
    *ROUTES.lock().get_mut(source)? = Some(interrupt);
    STATE.lock().as_mut()?.controller.enable(interrupt, trigger)
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

/// Has this processor sleep until it has handled an interrupt, or until that moment.
pub(crate) fn wait(until: Duration) {
    let own = cpus::current();
    if !STATE.lock().as_ref().is_some_and(|state| state.joined.contains(&own)) {
        return;
    }
    timer::start(until);
    while !handle_one() && clock::now() < until {
        halt(asm::wfi);
    }
    timer::stop();
}

/// Handles an interrupt that has arrived, if one has. Not all that have: a line that its device never lets go of must not keep us.
fn handle_one() -> bool {
    let Some(interrupt) = acknowledge().filter(|interrupt| !SPECIAL.contains(interrupt)) else {
        return false;
    };
    let routes = *ROUTES.lock();
    let sources = (0..).zip(routes).filter(|(_, routed)| *routed == Some(interrupt));
    sources.for_each(|(source, _)| arrived(source));
    if let Some(state) = &mut *STATE.lock() {
        state.controller.end(interrupt);
    }
    true
}

/// Takes an interrupt that has arrived; the timer's does not come again.
fn acknowledge() -> Option<IntId> {
    let mut state = STATE.lock();
    let state = state.as_mut()?;
    let interrupt = state.controller.acknowledge()?;
    if interrupt == state.timer {
        timer::stop();
    }
    Some(interrupt)
}
