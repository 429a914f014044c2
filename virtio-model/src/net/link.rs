//! What a test does with a network device at work: it is the link.
//!
//! Spec: §5.1.4 Device configuration layout, §5.1.9.4 Processing of Incoming Packets.

use super::numbers::link_status;
use super::packet::{Arrival, Packet, RawBuffer, Transmitted};
use super::{Nic, NicConfig};
use crate::pci::{DRIVER_OK, PciDevice};

impl Nic {
    /// Has a packet arrive; it waits until there are buffers for it.
    pub fn inject(&self, packet: Packet) {
        self.lock().arriving.push_back(Arrival::Packet(packet));
    }

    /// Has buffers of a pair used together, with these bytes and lengths, whatever they mean.
    pub fn inject_raw(&self, pair: u16, buffers: Vec<RawBuffer>) {
        self.lock().arriving.push_back(Arrival::Raw { pair, buffers });
    }

    /// How many packets wait for buffers.
    pub fn arriving(&self) -> usize {
        self.lock().arriving.len()
    }

    /// How many packets were dropped: filtered out, or too large for a buffer.
    pub fn dropped(&self) -> usize {
        self.lock().dropped
    }

    /// The packets that were transmitted since the last call, oldest first.
    pub fn take_transmitted(&self) -> Vec<Transmitted> {
        std::mem::take(&mut self.lock().transmitted)
    }

    /// Transmitted packets that are not given back, and receive buffers that are not filled.
    pub fn held(&self) -> usize {
        self.lock().rings.work().map(std::collections::VecDeque::len).sum()
    }

    /// Changes the configuration of a device at work, with a new generation; a driver that is ready is notified.
    pub fn change_config(&self, device: &PciDevice, change: impl FnOnce(&mut NicConfig)) {
        let bytes = {
            let mut state = self.lock();
            change(&mut state.config);
            state.config.bytes()
        };
        device.set_config(bytes);
        if device.status() & DRIVER_OK != 0 {
            device.raise_config();
        }
    }

    /// Takes the link up, or down.
    pub fn set_link(&self, device: &PciDevice, is_up: bool) {
        self.change_config(device, |config| {
            config.status &= !link_status::LINK_UP;
            config.status |= if is_up { link_status::LINK_UP } else { 0 };
        });
    }

    /// Asks the driver to announce itself.
    pub fn ask_for_announcement(&self, device: &PciDevice) {
        self.change_config(device, |config| config.status |= link_status::ANNOUNCE);
    }

    /// Lets as much time pass as notifications may be held back for: the driver is told of what it was not told yet.
    pub fn let_time_pass(&self, device: &PciDevice) {
        let mut state = self.lock();
        let queues: Vec<u16> = state.counters.keys().copied().collect();
        for queue in queues {
            state.tell_now(device, queue);
        }
    }
}
