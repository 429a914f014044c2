//! What a console holds behind its lock.

use super::config::ConsoleConfig;
use super::message::{self, Control};
use super::misbehaviour::ConsoleMisbehaviour;
use super::numbers::{event, feature};
use super::ports::{Arrival, Port, Sent, Told};
use crate::block::Order;
use crate::chain::Chain;
use crate::pci::PciDevice;
use crate::rings::{Quota, Rings};
use std::collections::{BTreeMap, VecDeque};

/// The console behind the lock.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) config: ConsoleConfig,
    /// How many ports there may really be.
    pub(super) most_ports: u32,
    /// Features besides those of every console.
    pub(super) features: u128,
    /// Whether a message about the size says rows first.
    pub(super) rows_first: bool,
    pub(super) lies: ConsoleMisbehaviour,
    pub(super) order: Order,
    pub(super) quota: Quota,
    pub(super) suppresses_notifications: bool,
    pub(super) ports: BTreeMap<u32, Port>,
    /// What the driver was told of ports, those that are gone among them.
    pub(super) told: BTreeMap<u32, Told>,
    /// Whether the driver is ready for messages, if it said so.
    pub(super) driver_is_ready: Option<bool>,
    /// Messages to the driver that wait for a buffer.
    pub(super) outbox: VecDeque<Vec<u8>>,
    pub(super) controls: Vec<Control>,
    pub(super) arriving: BTreeMap<u32, VecDeque<Arrival>>,
    pub(super) sent: BTreeMap<u32, Vec<Sent>>,
    /// Bytes that came to ports that are not there.
    pub(super) discarded: usize,
    /// The resets that all this has seen.
    pub(super) resets: usize,
    /// By queue: buffers that were taken and are not given back.
    pub(super) rings: Rings<VecDeque<Chain>>,
}

impl State {
    /// Forgets what a driver said before the last reset.
    pub(super) fn follow_registers(&mut self, device: &PciDevice) {
        if self.resets == device.resets() {
            return;
        }
        self.resets = device.resets();
        self.driver_is_ready = None;
        self.told.clear();
        self.outbox.clear();
        for port in self.ports.values_mut() {
            (port.is_ready, port.is_open_by_driver) = (false, false);
        }
    }

    /// How many pairs of queues there are for ports, by what was agreed on.
    pub(super) fn agreed_ports(&self, device: &PciDevice) -> u32 {
        if Self::has_control(device) { self.most_ports } else { 1 }
    }

    pub(super) fn has_control(device: &PciDevice) -> bool {
        device.negotiated_features() & 1 << feature::MULTIPORT != 0
    }

    /// Whether bytes may come to a port.
    pub(super) fn may_receive(&self, device: &PciDevice, port: u32) -> bool {
        let is_open = || self.ports.get(&port).is_some_and(|port| port.is_ready && port.is_open_by_driver);
        !Self::has_control(device) || self.lies.ignores_open || is_open()
    }

    /// Tells the driver something, if it is ready to hear it.
    pub(super) fn tell(&mut self, id: u32, event: u16, value: u16, more: &[u8]) {
        if self.driver_is_ready == Some(true) {
            self.outbox.push_back(message::message(id, event, value, more));
        }
    }

    /// Tells the driver something about a port that it has ready.
    pub(super) fn tell_of(&mut self, id: u32, event: u16, value: u16, more: &[u8]) {
        if self.ports.get(&id).is_some_and(|port| port.is_ready) {
            self.tell(id, event, value, more);
        }
    }

    /// Tells the driver all about a port that it has just made ready.
    pub(super) fn introduce(&mut self, id: u32) {
        let Some(port) = self.ports.get(&id).cloned() else {
            return;
        };
        if port.is_console {
            self.tell(id, event::CONSOLE_PORT, 1, &[]);
        }
        if let Some(name) = &port.name {
            self.tell(id, event::PORT_NAME, 1, name);
        }
        if port.is_open {
            self.tell(id, event::PORT_OPEN, 1, &[]);
        }
    }
}
