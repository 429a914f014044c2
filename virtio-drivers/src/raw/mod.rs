//! The only raw access to anything that a device can touch.
//!
//! Shared memory, registers, PCI configuration space.
//!
//! Everything above this floor is safe code. Three rules hold here:
//!
//! - No reference, shared or exclusive, to memory that a device can write: a pointer, one atomic access (volatile for
//!   registers), a private copy, and the copy is judged.
//! - Memory that a device may still use is never freed: it is [`Lent`], and only a [`ConfirmedReset`] of the same
//!   bring-up gets it back.
//! - Barriers have names, and each says what it pairs with on the device's side (`order/`).

mod areas;
mod cell;
mod doorbell;
mod fetch;
mod lent;
mod mapped;
mod memory;
pub(crate) mod order;
mod pci_bar;
mod pci_function;
mod pci_segment;
mod physical_function;
mod pool;
mod register_access;
mod registers;
#[cfg(virtio_guest_stand_in)]
pub mod stand_in;
mod window;
mod windowed_function;

pub use areas::{AreaPlacement, QueueAddresses};
pub(crate) use areas::{
    FrameWords, IndirectTables, PackedAreas, PackedCursor, PackedDescriptor, PackedWords, RequestFrames,
    SplitAreas, SplitWords, Table,
};
pub use doorbell::{Doorbell, Notification};
pub(crate) use lent::QueueReset;
pub use lent::{ConfirmedReset, Lent, Session};
pub(crate) use mapped::{Either, Single};
pub use mapped::{MapRefused, MappedBuffer, Payload, Segment, SegmentVisitor, Tag};
pub use memory::{DmaMemory, OutOfBounds};
pub(crate) use pci_bar::{MemoryBar, first_port_bar, has_port_bar, memory_bars};
pub use pci_function::PciFunction;
pub use pci_segment::{Apertures, PciSegment};
pub(crate) use physical_function::BarPlace;
pub use physical_function::{PhysicalFunction, VirtualFunction, VirtualFunctionMemory};
pub use pool::{BufferPool, Buffers, PoolEntries, PoolStorage, Supply};
pub(crate) use pool::{Homecoming, Lead, Leads, Least};
pub use registers::Registers;
pub use window::{Fit, Window};
pub(crate) use windowed_function::{CommandRegister, STRUCTURES, StructurePlace, WindowedFunction};
