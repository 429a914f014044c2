//! A network device: the device model behind a virtio network device.
//!
//! Spec: §5.1 Network Device. A test makes a [`Nic`], builds a PCI function for it with [`Nic::builder`] (or [`PciDevice::network`]), and calls
//! [`Nic::serve`] whenever the device should work, from any thread. The test is the link: it has packets arrive with [`Nic::inject`], and takes
//! what was transmitted with [`Nic::take_transmitted`]. Whatever the driver supplies is judged; what is wrong becomes a driver error of the PCI function.
//!
//! ```text
//!   inject --> steering, hash --> receive --> buffers of receiveq
//!   take_transmitted <-- transmit <-- judge <-- transmitq
//!   settings <-- control <-- controlq
//! ```

mod config;
mod control;
mod counters;
mod flow;
mod hash;
mod header;
mod judge;
mod link;
mod misbehaviour;
mod numbers;
mod packet;
mod receive;
mod state;
mod steering;
#[cfg(test)]
mod tests;
mod transmit;

pub use config::{CONFIG_BYTES, NicConfig};
pub use control::{Coalescing, Command, ReceiveModes, RssSetup, Settings, Steering};
pub use counters::Counters;
pub use hash::{HashSetup, toeplitz};
pub use header::{Header, header_bytes};
pub use misbehaviour::NicMisbehaviour;
pub use numbers::{ack, command, feature, gso_type, hash_report, header_flag, link_status, tunnel_type};
pub use packet::{Packet, RawBuffer, Transmitted, ones_complement_sum};

use crate::block::Order;
use crate::memory::AddressSpace;
use crate::pci::{Builder, PciDevice};
use crate::queue::DeviceQueue;
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The PCI device id of a modern network device.
pub const PCI_DEVICE_ID: u16 = 0x1041;

const CLASS_ETHERNET: u32 = 0x0002_0000;
const INDIRECT_DESC: u32 = 28;
const EVENT_IDX: u32 = 29;
const VERSION_1: u32 = 32;
/// The size of a queue.
const QUEUE_SIZE: u16 = 16;

/// A network device; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Nic {
    state: Arc<Mutex<State>>,
}

impl Nic {
    /// Makes a network device of this address, with one pair of queues.
    pub fn new(mac: [u8; 6]) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(mac))) }
    }

    /// Adds to the features that the device offers; what these need is for the test to say.
    #[must_use]
    pub fn with_features(self, features: u128) -> Self {
        self.lock().features |= features;
        self
    }

    /// Gives the device a control queue and so many pairs of queues, with `MQ`.
    #[must_use]
    pub fn with_pairs(self, pairs: u16) -> Self {
        let mut state = self.lock();
        (state.pairs, state.config.max_virtqueue_pairs) = (pairs, pairs);
        state.features |= 1 << feature::MQ | 1 << feature::CTRL_VQ;
        drop(state);
        self
    }

    /// Changes the configuration; before the device is built.
    #[must_use]
    pub fn with_config(self, change: impl FnOnce(&mut NicConfig)) -> Self {
        change(&mut self.lock().config);
        self
    }

    /// Sets how many contexts there may be besides the first way to steer.
    #[must_use]
    pub fn with_rss_contexts(self, most: u16) -> Self {
        self.lock().max_rss_contexts = most;
        self
    }

    /// Has the device drop packets that its driver does not want, by modes, addresses and VLANs.
    #[must_use]
    pub fn with_filters(self) -> Self {
        self.lock().filters = true;
        self
    }

    /// The configuration that the device works by.
    pub fn config(&self) -> NicConfig {
        self.lock().config
    }

    /// The features that any driver can live with: `MAC`, `STATUS`, `INDIRECT_DESC`, `EVENT_IDX`, `VERSION_1`; and those that it was made with. It can
    /// work with `RING_PACKED` and `IN_ORDER` as well: add them to the builder.
    pub fn features(&self) -> u128 {
        let always = [feature::MAC, feature::STATUS, INDIRECT_DESC, EVENT_IDX, VERSION_1];
        always.into_iter().fold(self.lock().features, |set, bit| set | 1 << bit)
    }

    /// Starts to build a PCI function for the device, with queues of 16: a pair for each that there may be, and one for commands.
    pub fn builder(&self) -> Builder {
        let queues = 2 * usize::from(self.lock().pairs) + 1;
        PciDevice::builder()
            .device_id(PCI_DEVICE_ID)
            .class(CLASS_ETHERNET)
            .features(self.features())
            .config(self.config().bytes())
            .config_fields(config::fields(self.features()))
            .queue_sizes(&vec![QUEUE_SIZE; queues])
    }

    /// Carries out commands, takes what is transmitted, has packets arrive; tells how many buffers were given back.
    ///
    /// Does nothing while the driver is not ready or the function is no bus master.
    pub fn serve(&self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let mut state = self.lock();
        state.follow_registers(device);
        let commands = state.obey(device, memory);
        let pairs = state.agreed_pairs(device);
        let transmitted: usize = (0..pairs).map(|pair| state.transmit(device, memory, pair)).sum();
        let received: usize = (0..pairs).map(|pair| state.receive(device, memory, pair)).sum();
        commands + transmitted + received
    }

    /// Gives access to the ring of a queue, for lies; `None` while there is no ring.
    pub fn with_queue<R>(
        &self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
        act: impl FnOnce(&mut DeviceQueue) -> R,
    ) -> Option<R> {
        let mut state = self.lock();
        state.rings.adopt(device, memory, index).map(|ring| act(&mut ring.queue))
    }

    /// Holds back transmitted packets from now on: they are taken, and not given back.
    pub fn hold(&self) {
        self.lock().quota = Some(0);
    }

    /// Lets later calls of `serve` give back `count` more.
    pub fn release(&self, count: usize) {
        if let Some(quota) = &mut self.lock().quota {
            *quota += count;
        }
    }

    /// Holds nothing back any more.
    pub fn release_all(&self) {
        self.lock().quota = None;
    }

    /// Sets the order in which transmitted packets are given back; with `IN_ORDER` negotiated it stays the order in which they came.
    pub fn complete_in(&self, order: Order) {
        self.lock().order = order;
    }

    /// Asks the driver for no notifications, or for notifications again.
    pub fn suppress_notifications(&self, suppress: bool) {
        self.lock().suppresses_notifications = suppress;
    }

    /// Switches lies on and off.
    pub fn misbehave(&self, change: impl FnOnce(&mut NicMisbehaviour)) {
        change(&mut self.lock().lies);
    }

    /// What the driver set by commands since the last reset.
    pub fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    /// The commands that were taken since the last call, oldest first.
    pub fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut self.lock().commands)
    }

    /// What a queue counts.
    pub fn counters(&self, queue: u16) -> Counters {
        self.lock().counters.get(&queue).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PciDevice {
    /// Builds the plain PCI function for a network device; see [`Nic::builder`] to change it first.
    pub fn network(nic: &Nic) -> Self {
        nic.builder().build()
    }
}
