//! A balloon: the device model behind a virtio memory balloon.
//!
//! Spec: §5.5 Traditional Memory Balloon Device. A test makes a [`Balloon`], builds a PCI function for it with [`Balloon::builder`] (or
//! [`PciDevice::balloon`]), and calls [`Balloon::serve`] whenever the device should work, from any thread. The test says what the device wants
//! ([`Balloon::set_target`], [`Balloon::start_hinting`], ...) and sees what came of it. Whatever the driver supplies is judged; what is wrong becomes a
//! driver error of the PCI function.
//!
//! ```text
//!   set_target --> num_pages      inflateq, deflateq --> judge --> held; actual is held against it
//!   ask_for_statistics --> used buffer of statsq          --> statistics
//!   start_hinting --> command id         free_page_vq     --> hinted
//!                                        reporting_vq     --> reported
//! ```

mod config;
mod hints;
mod misbehaviour;
mod numbers;
mod pages;
mod queues;
mod service;
mod state;
mod statistics;
#[cfg(test)]
mod tests;
mod user;

pub use config::{BalloonConfig, CONFIG_BYTES};
pub use hints::Hint;
pub use misbehaviour::BalloonMisbehaviour;
pub use numbers::{feature, hint_command, statistic};
pub use queues::BalloonQueue;
pub use statistics::{ENTRY_BYTES, Entry};

use crate::block::Order;
use crate::memory::AddressSpace;
use crate::pci::{Builder, PciDevice};
use crate::queue::DeviceQueue;
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The PCI device id of a modern balloon.
pub const PCI_DEVICE_ID: u16 = 0x1045;

const CLASS_OTHERS: u32 = 0x00ff_0000;
const INDIRECT_DESC: u32 = 28;
const EVENT_IDX: u32 = 29;
const VERSION_1: u32 = 32;
/// The size of a queue.
const QUEUE_SIZE: u16 = 16;

/// A balloon; clones are handles to the same one.
#[derive(Debug, Clone, Default)]
pub struct Balloon {
    state: Arc<Mutex<State>>,
}

impl Balloon {
    /// Makes a balloon that wants nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds to the features that the device offers; queues that they need are there.
    #[must_use]
    pub fn with_features(self, features: u128) -> Self {
        self.lock().features |= features;
        self
    }

    /// Numbers the queues as QEMU does: those that are there, one after the other.
    #[must_use]
    pub fn with_compacted_queues(self) -> Self {
        self.lock().is_compacted = true;
        self
    }

    /// Changes the configuration; before the device is built.
    #[must_use]
    pub fn with_config(self, change: impl FnOnce(&mut BalloonConfig)) -> Self {
        change(&mut self.lock().config);
        self
    }

    /// Says where inflated pages are (page `n` at address 4096 × `n`), as far as the device reaches them: it overwrites them.
    #[must_use]
    pub fn with_guest_memory(self, guest: AddressSpace) -> Self {
        self.lock().guest = Some(guest);
        self
    }

    /// Leaves the contents of all pages as they are. Without this, the device overwrites pages that it may: inflated ones whose memory it was told of,
    /// hinted ones, and reported ones; these with the poison value, if that was agreed on.
    #[must_use]
    pub fn keeping_contents(self) -> Self {
        self.lock().keeps_contents = true;
        self
    }

    /// `INDIRECT_DESC`, `EVENT_IDX`, `VERSION_1`, and the features that it was made with. It can work with `RING_PACKED` and `IN_ORDER` as well:
    /// add them to the builder.
    pub fn features(&self) -> u128 {
        [INDIRECT_DESC, EVENT_IDX, VERSION_1]
            .into_iter()
            .fold(self.lock().features, |set, bit| set | 1 << bit)
    }

    /// Starts to build a PCI function for the device, with queues of 16.
    pub fn builder(&self) -> Builder {
        let features = self.features();
        let state = self.lock();
        PciDevice::builder()
            .device_id(PCI_DEVICE_ID)
            .class(CLASS_OTHERS)
            .features(features)
            .config(state.config.bytes())
            .config_fields(config::fields())
            .queue_sizes(&BalloonQueue::sizes(features, state.is_compacted, QUEUE_SIZE))
    }

    /// The number of a queue; of one that is not there, the number that it would have.
    pub fn queue_index(&self, queue: BalloonQueue) -> u16 {
        self.lock().index(queue)
    }

    /// Looks at what the driver wrote, takes all that is available, and gives back what is not held; tells how many buffers it gave back.
    ///
    /// Takes and gives back nothing while the driver is not ready or the function is no bus master.
    pub fn serve(&self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let mut state = self.lock();
        state.follow_registers(device);
        let pages = state.inflate_and_deflate(device, memory);
        let statistics = state.take_statistics(device, memory);
        let hints = state.take_hints(device, memory);
        pages + statistics + hints + state.take_reports(device, memory)
    }

    /// Gives access to the ring of a queue, for lies; `None` while there is no ring.
    pub fn with_queue<R>(
        &self,
        device: &PciDevice,
        memory: &AddressSpace,
        queue: BalloonQueue,
        act: impl FnOnce(&mut DeviceQueue) -> R,
    ) -> Option<R> {
        let mut state = self.lock();
        let index = state.index(queue);
        state.rings.adopt(device, memory, index).map(|ring| act(&mut ring.queue))
    }

    /// Holds back everything but statistics from now on: it is taken, and not given back.
    pub fn hold(&self) {
        self.lock().quota.hold();
    }

    /// Lets later calls of `serve` give back `count` more buffers.
    pub fn release(&self, count: usize) {
        self.lock().quota.release(count);
    }

    /// Holds nothing back any more, of no queue.
    pub fn release_all(&self) {
        let mut state = self.lock();
        state.quota.release_all();
        state.stopped.clear();
    }

    /// Holds back what comes through one queue, until all is released.
    pub fn hold_queue(&self, queue: BalloonQueue) {
        self.lock().stopped.insert(queue);
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
    pub fn misbehave(&self, change: impl FnOnce(&mut BalloonMisbehaviour)) {
        change(&mut self.lock().lies);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PciDevice {
    /// Builds the plain PCI function for a balloon; see [`Balloon::builder`] to change it first.
    pub fn balloon(balloon: &Balloon) -> Self {
        balloon.builder().build()
    }
}
