//! A console: the device model behind a virtio console device, with one port or several.
//!
//! Spec: §5.3 Console Device. A test makes a [`Console`], builds a PCI function for it with [`Console::builder`] (or [`PciDevice::console`]), and calls
//! [`Console::serve`] whenever the device should work, from any thread. The test is at the other end of each port: it types with [`Console::send`], and
//! reads with [`Console::take_sent`]. Whatever the driver supplies is judged; what is wrong becomes a driver error of the PCI function.
//!
//! ```text
//!   send --> receive --> buffers of receiveq(port), once the driver has opened the port
//!   take_sent <-- transmit <-- transmitq(port)
//!   add_port, name_port, ... --> messages --> buffers of control receiveq, once the driver is ready
//!   take_control <-- judge <-- control transmitq
//! ```

mod config;
mod control;
mod judge;
mod message;
mod misbehaviour;
mod numbers;
mod ports;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod user;

pub use config::{CONFIG_BYTES, ConsoleConfig};
pub use message::{Control, message};
pub use misbehaviour::ConsoleMisbehaviour;
pub use numbers::{event, feature};
pub use ports::{RawInput, Sent};

use crate::block::Order;
use crate::memory::AddressSpace;
use crate::pci::{Builder, PciDevice};
use crate::queue::DeviceQueue;
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The PCI device id of a modern console.
pub const PCI_DEVICE_ID: u16 = 0x1043;

const CLASS_COMMUNICATION: u32 = 0x0007_8000;
const INDIRECT_DESC: u32 = 28;
const EVENT_IDX: u32 = 29;
const VERSION_1: u32 = 32;
/// The size of a queue.
const QUEUE_SIZE: u16 = 16;

/// A console; clones are handles to the same one.
#[derive(Debug, Clone, Default)]
pub struct Console {
    state: Arc<Mutex<State>>,
}

impl Console {
    /// Makes a console of one port, which has no size.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds to the features that the device offers; what these need is for the test to say.
    #[must_use]
    pub fn with_features(self, features: u128) -> Self {
        self.lock().features |= features;
        self
    }

    /// Gives the console a size, with `SIZE`.
    #[must_use]
    pub fn with_size(self, cols: u16, rows: u16) -> Self {
        let mut state = self.lock();
        (state.config.cols, state.config.rows) = (cols, rows);
        state.features |= 1 << feature::SIZE;
        drop(state);
        self
    }

    /// Gives the console room for so many ports, none of which is there before the test adds it, and control queues, with `MULTIPORT`.
    #[must_use]
    pub fn with_ports(self, most: u32) -> Self {
        let mut state = self.lock();
        (state.most_ports, state.config.max_nr_ports) = (most, most);
        state.features |= 1 << feature::MULTIPORT;
        drop(state);
        self
    }

    /// Lets the driver write characters through the configuration, with `EMERG_WRITE`.
    #[must_use]
    pub fn with_emergency_write(self) -> Self {
        self.with_features(1 << feature::EMERG_WRITE)
    }

    /// Has messages about the size of a port say rows first, as Linux has long read them.
    #[must_use]
    pub fn with_rows_first(self) -> Self {
        self.lock().rows_first = true;
        self
    }

    /// Changes the configuration, and nothing else; before the device is built.
    #[must_use]
    pub fn with_config(self, change: impl FnOnce(&mut ConsoleConfig)) -> Self {
        change(&mut self.lock().config);
        self
    }

    /// The configuration that the device works by.
    pub fn config(&self) -> ConsoleConfig {
        self.lock().config
    }

    /// `INDIRECT_DESC`, `EVENT_IDX`, `VERSION_1`, and the features that it was made with. It can work with `RING_PACKED` and `IN_ORDER` as well:
    /// add them to the builder.
    pub fn features(&self) -> u128 {
        [INDIRECT_DESC, EVENT_IDX, VERSION_1]
            .into_iter()
            .fold(self.lock().features, |set, bit| set | 1 << bit)
    }

    /// Starts to build a PCI function for the device, with queues of 16: a pair for each port that there may be, and one for control messages.
    pub fn builder(&self) -> Builder {
        let features = self.features();
        let queues = match features & 1 << feature::MULTIPORT {
            0 => 2,
            _ => 2 + 2 * usize::try_from(self.lock().most_ports.max(1)).unwrap_or(1),
        };
        PciDevice::builder()
            .device_id(PCI_DEVICE_ID)
            .class(CLASS_COMMUNICATION)
            .features(features)
            .config(self.config().bytes())
            .config_fields(config::fields())
            .queue_sizes(&vec![QUEUE_SIZE; queues])
    }

    /// Takes the driver's messages and bytes, and has messages and bytes arrive; tells how many buffers were given back.
    ///
    /// Does nothing while the driver is not ready or the function is no bus master.
    pub fn serve(&self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let mut state = self.lock();
        state.follow_registers(device);
        let mut completed = state.hear(device, memory);
        for port in 0..state.agreed_ports(device) {
            completed += state.transmit(device, memory, port);
        }
        completed += state.say(device, memory);
        for port in 0..state.agreed_ports(device) {
            completed += state.receive(device, memory, port);
        }
        completed
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

    /// Holds back transmitted buffers from now on: their bytes are taken, and they are not given back.
    pub fn hold(&self) {
        self.lock().quota.hold();
    }

    /// Lets later calls of `serve` give back `count` more.
    pub fn release(&self, count: usize) {
        self.lock().quota.release(count);
    }

    /// Holds nothing back any more.
    pub fn release_all(&self) {
        self.lock().quota.release_all();
    }

    /// Sets the order in which transmitted buffers are given back; with `IN_ORDER` negotiated it stays the order in which they came.
    pub fn complete_in(&self, order: Order) {
        self.lock().order = order;
    }

    /// Asks the driver for no notifications, or for notifications again.
    pub fn suppress_notifications(&self, suppress: bool) {
        self.lock().suppresses_notifications = suppress;
    }

    /// Switches lies on and off.
    pub fn misbehave(&self, change: impl FnOnce(&mut ConsoleMisbehaviour)) {
        change(&mut self.lock().lies);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PciDevice {
    /// Builds the plain PCI function for a console; see [`Console::builder`] to change it first.
    pub fn console(console: &Console) -> Self {
        console.builder().build()
    }
}
