//! Commands to the interrupt translation service, and the queue that they go through.
//!
//! Arm Generic Interrupt Controller Architecture Specification, version 3 and 4: 5.3 (commands), 12.19 (`GITS_CBASER`, `GITS_CWRITER`, `GITS_CREADR`). One command is under way at a time.

use core::ptr;
use core::time::Duration;

use aarch64_cpu::asm::barrier;
use arm_gic::IntId;
use safe_mmio::{UniqueMmioPointer, field, field_shared};

use super::super::lpi::{self, CACHED, INNER_SHAREABLE};
use super::{ENABLED, Gits, VALID};
use crate::clock;

const QUEUE_BYTES: usize = 4096;
/// It is aligned as if it were as large as it can be.
const QUEUE_ALIGNMENT: usize = 64 << 10;
/// How long the service may take for a command.
const LIMIT: Duration = Duration::from_millis(100);

/// A command. A *target* is how commands name a redistributor.
#[derive(Clone, Copy)]
pub(super) struct Command([u64; 4]);

impl Command {
    /// `MAPC`: the collection is a redistributor's.
    pub(super) fn map_collection(collection: u16, target: u64) -> Self {
        Self([0x09, 0, VALID | target | u64::from(collection), 0])
    }

    /// `MAPD`: a device has events, so many bits of them, and a translation table.
    pub(super) fn map_device(device: u32, table: u64, event_bits: u32) -> Self {
        Self([0x08 | u64::from(device) << 32, u64::from(event_bits - 1), VALID | table, 0])
    }

    /// `MAPTI`: an event of a device becomes an interrupt of a collection.
    pub(super) fn map_event(device: u32, event: u32, interrupt: IntId, collection: u16) -> Self {
        let event = u64::from(event) | u64::from(interrupt.raw_value()) << 32;
        Self([0x0a | u64::from(device) << 32, event, collection.into(), 0])
    }

    /// `INV`: the properties of an event's interrupt may have changed.
    pub(super) fn invalidate(device: u32, event: u32) -> Self {
        Self([0x0c | u64::from(device) << 32, u64::from(event), 0, 0])
    }

    /// `INVALL`: those of all interrupts of a collection may have.
    pub(super) fn invalidate_all(collection: u16) -> Self {
        Self([0x0d, 0, collection.into(), 0])
    }

    /// `SYNC`: what was said to a redistributor has arrived there.
    pub(super) fn synchronize(target: u64) -> Self {
        Self([0x05, 0, target, 0])
    }
}

/// The queue, and the registers that go with it.
pub(super) struct Queue {
    registers: UniqueMmioPointer<'static, Gits>,
    memory: u64,
    /// Where the next command goes.
    offset: usize,
}

impl Queue {
    /// Gives the service, which has its tables, its queue, and lets it begin.
    pub(super) fn install(mut registers: UniqueMmioPointer<'static, Gits>) -> Option<Self> {
        let memory = lpi::allocate(QUEUE_BYTES, QUEUE_ALIGNMENT)?;
        // One page of 4 KiB is counted as 0.
        field!(registers, cbaser).write(VALID | CACHED << 59 | memory | INNER_SHAREABLE);
        field!(registers, cwriter).write(0);
        field!(registers, ctlr).modify(|ctlr| ctlr | ENABLED);
        Some(Self { registers, memory, offset: 0 })
    }

    /// Has the service execute a command. `None` if it does not, within its time.
    pub(super) fn run(&mut self, command: Command) -> Option<()> {
        let place = ptr::with_exposed_provenance_mut::<[u64; 4]>(self.memory as usize + self.offset);
        // SAFETY: the place is inside of the queue's memory, and the service has done with all commands before.
        unsafe { place.write_volatile(command.0) };
        self.offset = (self.offset + size_of::<Command>()) % QUEUE_BYTES;
        // The service sees the command before it hears of it.
        barrier::dsb(barrier::SY);
        field!(self.registers, cwriter).write(self.offset as u64);
        let start = clock::now();
        while field_shared!(self.registers, creadr).read() != self.offset as u64 {
            if clock::since(start) > LIMIT {
                return None;
            }
        }
        Some(())
    }
}
