//! The interrupt translation service: makes an interrupt of a message, by who sent it and what it says.
//!
//! Arm Generic Interrupt Controller Architecture Specification, version 3 and 4: chapter 5 (the service, its tables and commands), 12.19 (registers).
//!
//! ```text
//!   device ─▶ device table ─▶ event ─▶ its translation table ─▶ interrupt, collection ─▶ collection table ─▶ redistributor
//! ```
//!
//! The tables are the service's own; commands change them (`queue.rs`). An event has a source's number here, and so has its interrupt, counted from the first one of this
//! kind (`lpi.rs`). There is a collection for each processor, which has the processor's number.

mod queue;

use alloc::vec::Vec;
use core::ptr::NonNull;

use arm_gic::IntId;
use arm_gic::gicv3::registers::GicrSgi;
use safe_mmio::fields::{ReadPure, ReadPureWrite};
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use virtio_guest::hal::MsiMessage;

use super::lpi::{self, CACHED, INNER_SHAREABLE};
use crate::device_tree;
use crate::interrupts::SOURCES_MAX;
use crate::machine::cpus;
use queue::{Command, Queue};

/// The service's registers, as far as they are used.
#[repr(C)]
struct Gits {
    ctlr: ReadPureWrite<u32>,
    iidr: ReadPure<u32>,
    typer: ReadPure<u64>,
    reserved: [u64; 14],
    cbaser: ReadPureWrite<u64>,
    cwriter: ReadPureWrite<u64>,
    creadr: ReadPure<u64>,
    reserved_too: [u64; 13],
    baser: [ReadPureWrite<u64>; 8],
}

/// Where messages go, counted from the registers above.
const TRANSLATER: u64 = 0x1_0040;

const ENABLED: u32 = 1;
/// Of a table or queue: that it is there.
const VALID: u64 = 1 << 63;
/// Of a table: pages of 64 KiB.
const PAGES_64_KIB: u64 = 2 << 8;
const PAGE_BYTES: usize = 64 << 10;
const PAGES_MAX: usize = 256;
/// Kinds of tables.
const OF_DEVICES: u64 = 1;
const OF_COLLECTIONS: u64 = 4;

/// PCI's requesters have 16 bits.
const DEVICE_BITS_MAX: u32 = 16;
/// As many bits as the number of an event has.
const EVENT_BITS: u32 = SOURCES_MAX.ilog2();

/// What the service says of itself.
#[derive(Clone, Copy)]
struct Typer(u64);

impl Typer {
    fn translation_entry_bytes(self) -> usize {
        (self.0 >> 4 & 0xf) as usize + 1
    }

    fn event_bits(self) -> u32 {
        (self.0 >> 8 & 0x1f) as u32 + 1
    }

    fn device_bits(self) -> u32 {
        (self.0 >> 13 & 0x1f) as u32 + 1
    }

    /// Whether commands name redistributors by their addresses, instead of by their processors' numbers.
    fn targets_are_addresses(self) -> bool {
        self.0 >> 19 & 1 != 0
    }
}

/// A service that is ready.
pub(super) struct Its {
    queue: Queue,
    typer: Typer,
    /// The redistributors' table of what its interrupts are like.
    properties: u64,
    /// Processors that have a collection, and how commands name their redistributors.
    targets: Vec<(usize, u64)>,
    /// Where its registers are.
    address: u64,
    /// Devices that have a translation table.
    devices: Vec<u32>,
}

impl Its {
    /// The service that the device tree names, ready to send interrupts, but to nobody yet.
    pub(super) fn find() -> Option<Self> {
        let range = device_tree::registers(device_tree::compatible("arm,gic-v3-its")?)?;
        let registers: NonNull<Gits> = range.map()?.cast();
        // SAFETY: the device tree says that the service's registers are there, which are mapped for good and nobody else's.
        let mut registers = unsafe { UniqueMmioPointer::new(registers) };
        let typer = Typer(field_shared!(registers, typer).read());
        if typer.event_bits() < EVENT_BITS {
            return None;
        }
        field!(registers, ctlr).modify(|ctlr| ctlr & !ENABLED);
        for mut baser in field!(registers, baser).iter() {
            install_table(&mut baser, typer)?;
        }
        let queue = Queue::install(registers)?;
        let (properties, address) = (lpi::properties()?, range.address);
        Some(Self { queue, typer, properties, targets: Vec::new(), address, devices: Vec::new() })
    }

    /// Has it send interrupts to a processor, too, whose redistributor this is. `None` if that does not take them.
    pub(super) fn join(
        &mut self,
        processor: usize,
        redistributor: &mut UniqueMmioPointer<'_, GicrSgi>,
    ) -> Option<()> {
        let collection = u16::try_from(processor).ok()?;
        lpi::enable(redistributor.reborrow(), self.properties)?;
        let target = target(self.typer, redistributor);
        self.queue.run(Command::map_collection(collection, target))?;
        self.queue.run(Command::invalidate_all(collection))?;
        self.queue.run(Command::synchronize(target))?;
        self.targets.push((processor, target));
        Some(())
    }

    /// A message for a source, to a processor that has joined, and the interrupt that it becomes.
    pub(super) fn message(
        &mut self,
        source: usize,
        requester: u16,
        processor: usize,
    ) -> Option<(IntId, MsiMessage)> {
        let (_, target) = *self.targets.iter().find(|(joined, _)| *joined == processor)?;
        let collection = u16::try_from(processor).ok()?;
        let device = device_tree::pci_host()?.message_requester(requester)?;
        if device >> self.typer.device_bits().min(DEVICE_BITS_MAX) != 0 {
            return None;
        }
        let event = u32::try_from(source).ok().filter(|event| event >> EVENT_BITS == 0)?;
        if !self.devices.contains(&device) {
            let bytes = self.typer.translation_entry_bytes() << EVENT_BITS;
            let table = lpi::allocate(bytes, 256)?;
            self.queue.run(Command::map_device(device, table, EVENT_BITS))?;
            self.devices.push(device);
        }
        let interrupt = IntId::lpi(event);
        self.queue.run(Command::map_event(device, event, interrupt, collection))?;
        self.queue.run(Command::invalidate(device, event))?;
        self.queue.run(Command::synchronize(target))?;
        // SAFETY: writing an event's number there raises its interrupt, if the device has that event, and does nothing else.
        Some((interrupt, unsafe { MsiMessage::new(self.address + TRANSLATER, event) }))
    }
}

/// Gives the service memory for one of its tables; not all registers have one.
fn install_table(baser: &mut UniqueMmioPointer<'_, ReadPureWrite<u64>>, typer: Typer) -> Option<()> {
    let was = baser.read();
    let entry_bytes = (was >> 48 & 0x1f) as usize + 1;
    let entries = match was >> 56 & 0x7 {
        OF_DEVICES => 1 << typer.device_bits().min(DEVICE_BITS_MAX),
        OF_COLLECTIONS => cpus::count(),
        _ => return Some(()),
    };
    let pages = (entry_bytes * entries).div_ceil(PAGE_BYTES);
    if pages > PAGES_MAX {
        return None;
    }
    let table = lpi::allocate(pages * PAGE_BYTES, PAGE_BYTES)?;
    baser.write(VALID | CACHED << 59 | table | INNER_SHAREABLE | PAGES_64_KIB | (pages - 1) as u64);
    // The size of pages may be what it is: then this is not the size that was asked for.
    let is = baser.read();
    (is & 0x3ff == PAGES_64_KIB | (pages - 1) as u64).then_some(())
}

/// How commands name a redistributor.
fn target(typer: Typer, redistributor: &UniqueMmioPointer<'_, GicrSgi>) -> u64 {
    if typer.targets_are_addresses() {
        // Registers are mapped at their physical addresses.
        redistributor.ptr() as u64
    } else {
        let registers = field_shared!(redistributor, gicr);
        u64::from(field_shared!(registers, typer).read().processor_number()) << 16
    }
}
