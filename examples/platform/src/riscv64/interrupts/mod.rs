//! Interrupts: where they come from, and sleeping until one does.
//!
//! Three kinds of controller are known: PLIC (lines only), APLIC (lines), and IMSIC (messages), with an APLIC that turns lines into messages. Lines go to the hart that booted, messages to
//! any.
//!
//! No interrupt is taken as a trap. The instruction `wfi` ends when an interrupt is pending, taken or not (RISC-V Instruction Set Manual, volume II, §"Wait for
//! Interrupt"), and what is pending stays so until the controller is asked for it. So [`wait`] asks, sleeps, and asks again, and no wake-up is lost in between.

mod aplic;
mod imsic;
mod plic;

use core::time::Duration;

use dtoolkit::Node;
use dtoolkit::standard::NodeStandard;
use pci_types::PciAddress;
use spin::{Mutex, Once};
use virtio_guest::hal::MsiMessage;
use virtio_guest::raw::Registers;

use super::{clock, cpus, csr};
use crate::device_tree::{self, TreeNode};
use crate::dma::MMIO;
use crate::interrupts::{Line, SOURCES_MAX, arrived, halt, set_up};

/// What `interrupts-extended` calls the external interrupt of supervisor mode.
const SUPERVISOR_EXTERNAL: u32 = 9;

/// The machine's way to make interrupts known.
enum Controller {
    Plic(plic::Plic),
    Aplic(aplic::Direct),
    Imsic(imsic::Imsic),
}

/// What a controller has to say when it is asked.
enum Arrived {
    /// This line is raised; the controller is to be told when it was handled.
    Line(u32),
    /// A message came for this source.
    Message(usize),
}

static CONTROLLER: Once<Option<Controller>> = Once::new();

fn controller() -> Option<&'static Controller> {
    CONTROLLER.get()?.as_ref()
}

/// Which line each source has, if it has one. Several may have the same. Locked while a line is let through.
static LINES: Mutex<[Option<u32>; SOURCES_MAX]> = Mutex::new([None; SOURCES_MAX]);

/// Finds the interrupt controller, and gets the hart that booted ready to wait.
pub(crate) fn init() {
    CONTROLLER.call_once(find);
    init_other();
}

/// Gets another hart ready to wait: the one that runs this.
pub(super) fn init_other() {
    if let Some(Controller::Imsic(imsic)) = controller() {
        imsic.join();
    }
    csr::wake_on_interrupts();
    set_up();
}

fn find() -> Option<Controller> {
    let own = hart_handle(0)?;
    imsic::Imsic::find(own)
        .map(Controller::Imsic)
        .or_else(|| aplic::Direct::find(own).map(Controller::Aplic))
        .or_else(|| plic::Plic::find(own).map(Controller::Plic))
}

/// The message which, when a device sends it, is an interrupt of a source's at a processor that was started. `None` if the machine has no such thing.
pub(crate) fn message(source: usize, _function: PciAddress, processor: usize) -> Option<MsiMessage> {
    match controller() {
        Some(Controller::Imsic(imsic)) => imsic.message(source, processor),
        _ => None,
    }
}

/// Lets a line through, for a source. `None` if that cannot be done.
pub(crate) fn connect(source: usize, line: Line) -> Option<()> {
    let [number, kind, _] = match line {
        Line::Cells(cells) => cells,
        Line::Pci { root_device, root_pin, .. } => device_tree::pci_host()?.line(root_device, root_pin)?,
    };
    let mut lines = LINES.lock();
    *lines.get_mut(source)? = Some(number);
    match controller() {
        Some(Controller::Plic(plic)) => plic.connect(number),
        Some(Controller::Aplic(aplic)) => aplic.connect(number, kind),
        Some(Controller::Imsic(imsic)) => imsic.connect(number, kind),
        None => None,
    }
}

/// Has this processor sleep until it has handled an interrupt, or until a moment of the clock.
pub(crate) fn wait(until: Duration) {
    // A timer that cannot be set ends no sleep; then a device does, or nobody.
    sbi_rt::set_timer(clock::ticks_at(until));
    while !handle_pending() && clock::now() < until {
        halt(csr::wait_for_interrupt);
    }
    sbi_rt::set_timer(u64::MAX);
}

/// Handles what is pending. Whether there was anything.
fn handle_pending() -> bool {
    let Some(controller) = controller() else { return false };
    let mut was_any = false;
    // A line that nobody quiets is not to keep us here.
    for what in (0..SOURCES_MAX).map_while(|_| controller.claim()) {
        was_any = true;
        match what {
            Arrived::Message(source) => arrived(source),
            Arrived::Line(number) => {
                let lines = *LINES.lock();
                let sharing = (0..).zip(lines).filter(|(_, line)| *line == Some(number));
                sharing.for_each(|(source, _)| arrived(source));
                controller.complete(number);
            }
        }
    }
    // An interrupt that is taken is gone: whoever looks at memory next must see what it was about.
    csr::order_input_before_reads();
    was_any
}

impl Controller {
    /// Asks for an interrupt that is pending for this hart.
    fn claim(&self) -> Option<Arrived> {
        match self {
            // Lines are the business of the hart that booted.
            Self::Plic(_) | Self::Aplic(_) if cpus::current() != 0 => None,
            Self::Plic(plic) => plic.claim().map(Arrived::Line),
            Self::Aplic(aplic) => aplic.claim().map(Arrived::Line),
            Self::Imsic(_) => imsic::claim(),
        }
    }

    /// Says that a line was handled: if it is still raised, that is another interrupt.
    fn complete(&self, line: u32) {
        match self {
            Self::Plic(plic) => plic.complete(line),
            Self::Aplic(_) => {}
            Self::Imsic(imsic) => imsic.complete(line),
        }
    }
}

/// The number by which the device tree refers to the interrupts of a processor.
fn hart_handle(processor: usize) -> Option<u32> {
    let (processors, hart) = (device_tree::node("/cpus")?, cpus::hart(processor)?);
    let node = processors.children().find(|node| device_tree::number(*node, "reg") == Some(hart))?;
    node.children().find(|node| node.is_compatible("riscv,cpu-intc"))?.phandle().ok()?
}

/// Which of a controller's outputs, counted from 0, is the external interrupt of our hart in supervisor mode.
fn own_output(node: TreeNode, own: u32) -> Option<u32> {
    let mut cells = device_tree::cells(node, "interrupts-extended")?;
    let mut output = 0;
    while let (Some(handle), Some(interrupt)) = (cells.next(), cells.next()) {
        if (handle, interrupt) == (own, SUPERVISOR_EXTERNAL) {
            return Some(output);
        }
        output += 1;
    }
    None
}

/// A controller's registers.
fn registers(node: TreeNode) -> Option<Registers> {
    let range = device_tree::registers(node)?;
    // SAFETY: the device tree says that they are there, and each controller is found once.
    unsafe { Registers::map(&MMIO, range.address, usize::try_from(range.bytes).ok()?) }
}
