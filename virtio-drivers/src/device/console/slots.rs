//! What a console keeps in memory of its own: the books of its queues, and what it knows of its ports.
//!
//! Spec: §5.3.2 Virtqueues. Lent by the caller for as long as the driver lives, or (with the `alloc` feature) allocated once.

use super::record::Record;
use crate::raw::Tag;
use crate::ring;

/// What queues of a console carry: the number of a buffer in their own memory.
pub type Buffer = Tag<u16>;

/// For the two queues of a port, of up to `N` descriptors each.
///
/// Devices behind the legacy interface of PCI choose themselves how many there are (QEMU's have 128).
#[derive(Debug)]
pub struct Storage<const N: usize> {
    receive: ring::Storage<Buffer, N>,
    transmit: ring::Storage<Buffer, N>,
}

impl<const N: usize> Storage<N> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self { receive: ring::Storage::new(), transmit: ring::Storage::new() }
    }
}

impl<const N: usize> Default for Storage<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a port keeps what its driver knows: a lent [`Storage`], or what an earlier driver gave back.
#[derive(Debug)]
pub struct Slots<'s> {
    /// For the receive queue.
    pub receive: ring::Slots<'s, Buffer>,
    /// For the transmit queue.
    pub transmit: ring::Slots<'s, Buffer>,
}

impl<'s, const N: usize> From<&'s mut Storage<N>> for Slots<'s> {
    fn from(storage: &'s mut Storage<N>) -> Self {
        let Storage { receive, transmit } = storage;
        Self { receive: receive.into(), transmit: transmit.into() }
    }
}

#[cfg(feature = "alloc")]
impl Slots<'_> {
    /// For queues of up to so many descriptors each, from the heap.
    pub fn allocate(descriptors: u16) -> Self {
        Self { receive: ring::Slots::allocate(descriptors), transmit: ring::Slots::allocate(descriptors) }
    }
}

impl Slots<'_> {
    /// Room for nothing.
    pub(super) const fn none() -> Self {
        Self { receive: ring::Slots::none(), transmit: ring::Slots::none() }
    }
}

/// For the control queues, of up to `N` descriptors each, and for what is known of up to `PORTS` ports.
///
/// Devices behind the legacy interface of PCI choose themselves how many descriptors there are (QEMU's have 32).
#[derive(Debug)]
pub struct ControlStorage<const PORTS: usize, const N: usize = 32> {
    receive: ring::Storage<Buffer, N>,
    transmit: ring::Storage<Buffer, N>,
    ports: [Record; PORTS],
}

impl<const PORTS: usize, const N: usize> ControlStorage<PORTS, N> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self {
            receive: ring::Storage::new(),
            transmit: ring::Storage::new(),
            ports: [const { Record::EMPTY }; PORTS],
        }
    }
}

impl<const PORTS: usize, const N: usize> Default for ControlStorage<PORTS, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the control half keeps what it knows: a lent [`ControlStorage`], or what an earlier driver gave back.
#[derive(Debug)]
pub struct ControlSlots<'s> {
    /// For the queues.
    pub(super) queues: Slots<'s>,
    /// For the ports.
    pub(super) ports: PortSlots<'s>,
}

impl<'s, const PORTS: usize, const N: usize> From<&'s mut ControlStorage<PORTS, N>> for ControlSlots<'s> {
    fn from(storage: &'s mut ControlStorage<PORTS, N>) -> Self {
        let ControlStorage { receive, transmit, ports } = storage;
        let queues = Slots { receive: receive.into(), transmit: transmit.into() };
        Self { queues, ports: PortSlots::Lent(ports) }
    }
}

#[cfg(feature = "alloc")]
impl ControlSlots<'_> {
    /// For queues of up to so many descriptors each, and so many ports, from the heap.
    pub fn allocate(descriptors: u16, ports: u16) -> Self {
        let ports = (0..ports).map(|_| Record::EMPTY).collect();
        Self { queues: Slots::allocate(descriptors), ports: PortSlots::Allocated(ports) }
    }
}

/// What is known of ports.
#[derive(Debug)]
pub(super) enum PortSlots<'s> {
    Lent(&'s mut [Record]),
    #[cfg(feature = "alloc")]
    Allocated(alloc::boxed::Box<[Record]>),
}

impl PortSlots<'_> {
    pub(super) fn records(&self) -> &[Record] {
        match self {
            Self::Lent(records) => records,
            #[cfg(feature = "alloc")]
            Self::Allocated(records) => records,
        }
    }

    pub(super) fn records_mut(&mut self) -> &mut [Record] {
        match self {
            Self::Lent(records) => records,
            #[cfg(feature = "alloc")]
            Self::Allocated(records) => records,
        }
    }
}
