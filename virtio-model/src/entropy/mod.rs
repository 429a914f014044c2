//! A source of random bytes: the device model behind a virtio entropy device.
//!
//! Spec: §5.4 Entropy Device. A test makes an [`Entropy`], builds a PCI function for it with [`Entropy::builder`] (or [`PciDevice::entropy`]), and calls
//! [`Entropy::serve`] whenever the device should work, from any thread. Its bytes come from a generator that says the same every time, and are kept, so that a
//! test can hold against them what the driver handed out. Whatever the driver supplies is judged; what is wrong becomes a driver error of the PCI function.

mod generator;
mod service;
#[cfg(test)]
mod tests;

use crate::block::{Order, WrittenLen};
use crate::memory::AddressSpace;
use crate::pci::{Builder, PciDevice};
use crate::queue::DeviceQueue;
use service::State;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The PCI device id of a modern entropy device.
pub const PCI_DEVICE_ID: u16 = 0x1044;

const CLASS_OTHERS: u32 = 0x00ff_0000;
const INDIRECT_DESC: u32 = 28;
const EVENT_IDX: u32 = 29;
const VERSION_1: u32 = 32;
/// The size of the queue.
const QUEUE_SIZE: u16 = 8;

/// What an entropy device does wrong; all of it is off by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntropyMisbehaviour {
    /// The length in used elements.
    pub written: WrittenLen,
    /// The id in used elements.
    pub used_id: Option<u32>,
    /// Buffers are used as if they were filled, and nothing is written.
    pub writes_nothing: bool,
}

/// A source of random bytes; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Entropy {
    state: Arc<Mutex<State>>,
}

impl Entropy {
    /// Makes a source; one of the same seed says the same bytes.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))) }
    }

    /// `INDIRECT_DESC`, `EVENT_IDX`, `VERSION_1`. It can work with `RING_PACKED` and `IN_ORDER` as well: add them to the builder.
    pub fn features(&self) -> u128 {
        1 << INDIRECT_DESC | 1 << EVENT_IDX | 1 << VERSION_1
    }

    /// Starts to build a PCI function for the device, with a queue of 8.
    pub fn builder(&self) -> Builder {
        PciDevice::builder()
            .device_id(PCI_DEVICE_ID)
            .class(CLASS_OTHERS)
            .features(self.features())
            .queue_sizes(&[QUEUE_SIZE])
    }

    /// Fills what was supplied, as far as it may; tells how many buffers were given back.
    ///
    /// Does nothing while the driver is not ready or the function is no bus master.
    pub fn serve(&self, device: &PciDevice, memory: &AddressSpace) -> usize {
        self.lock().serve(device, memory)
    }

    /// Gives access to the ring, for lies; `None` while there is none.
    pub fn with_queue<R>(
        &self,
        device: &PciDevice,
        memory: &AddressSpace,
        act: impl FnOnce(&mut DeviceQueue) -> R,
    ) -> Option<R> {
        let mut state = self.lock();
        state.rings.adopt(device, memory, 0).map(|ring| act(&mut ring.queue))
    }

    /// Writes no more than so many bytes into a buffer from now on, however large it is.
    pub fn fill_at_most(&self, bytes: usize) {
        self.lock().most_per_buffer = bytes;
    }

    /// Has no more than so many bytes until it is [supplied](Self::supply) with more: what does not get a byte waits.
    pub fn ration(&self, bytes: usize) {
        self.lock().rest = Some(bytes);
    }

    /// Adds to a ration.
    pub fn supply(&self, bytes: usize) {
        if let Some(rest) = &mut self.lock().rest {
            *rest = rest.saturating_add(bytes);
        }
    }

    /// Holds back all buffers from now on: they are taken, not filled, and not given back.
    pub fn hold(&self) {
        self.lock().quota.hold();
    }

    /// Lets later calls of `serve` fill and give back `count` more.
    pub fn release(&self, count: usize) {
        self.lock().quota.release(count);
    }

    /// Holds nothing back any more.
    pub fn release_all(&self) {
        self.lock().quota.release_all();
    }

    /// Sets the order in which buffers are given back; with `IN_ORDER` negotiated it stays the order in which they came.
    pub fn complete_in(&self, order: Order) {
        self.lock().order = order;
    }

    /// Asks the driver for no notifications, or for notifications again.
    pub fn suppress_notifications(&self, suppress: bool) {
        self.lock().suppresses_notifications = suppress;
    }

    /// Switches lies on and off.
    pub fn misbehave(&self, change: impl FnOnce(&mut EntropyMisbehaviour)) {
        change(&mut self.lock().lies);
    }

    /// All bytes that were written to the driver's buffers so far.
    pub fn given(&self) -> Vec<u8> {
        self.lock().given.clone()
    }

    /// The lengths of the buffers that were supplied so far, in bytes.
    pub fn requests(&self) -> Vec<u64> {
        self.lock().requests.clone()
    }

    /// Buffers that are not given back.
    pub fn held(&self) -> usize {
        self.lock().rings.work().map(VecDeque::len).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PciDevice {
    /// Builds the plain PCI function for an entropy device; see [`Entropy::builder`] to change it first.
    pub fn entropy(entropy: &Entropy) -> Self {
        entropy.builder().build()
    }
}
