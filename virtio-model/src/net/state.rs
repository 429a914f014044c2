//! What a network device holds behind its lock.

use super::config::NicConfig;
use super::control::{Command, Settings};
use super::counters::Counters;
use super::judge::Rules;
use super::misbehaviour::NicMisbehaviour;
use super::numbers::feature;
use super::packet::{Arrival, Transmitted};
use crate::block::Order;
use crate::chain::Chain;
use crate::pci::PciDevice;
use crate::rings::Rings;
use std::collections::{BTreeMap, VecDeque};

/// The network device behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) config: NicConfig,
    /// How many pairs of queues there really are.
    pub(super) pairs: u16,
    /// Features besides those of every network device.
    pub(super) features: u128,
    pub(super) max_rss_contexts: u16,
    pub(super) lies: NicMisbehaviour,
    pub(super) order: Order,
    /// How many more transmitted packets may be given back; `None` is no limit.
    pub(super) quota: Option<usize>,
    pub(super) suppresses_notifications: bool,
    /// Whether packets are dropped that the driver did not ask for.
    pub(super) filters: bool,
    pub(super) dropped: usize,
    pub(super) arriving: VecDeque<Arrival>,
    pub(super) transmitted: Vec<Transmitted>,
    pub(super) commands: Vec<Command>,
    pub(super) settings: Settings,
    pub(super) counters: BTreeMap<u16, Counters>,
    /// The resets that the settings have seen.
    pub(super) resets: usize,
    /// By queue: receive buffers, packets, commands that were taken and are not given back.
    pub(super) rings: Rings<VecDeque<Chain>>,
}

impl State {
    pub(super) fn new(mac: [u8; 6]) -> Self {
        Self {
            config: NicConfig::plain(mac),
            pairs: 1,
            features: 0,
            max_rss_contexts: 4,
            lies: NicMisbehaviour::default(),
            order: Order::Fifo,
            quota: None,
            suppresses_notifications: false,
            filters: false,
            dropped: 0,
            arriving: VecDeque::new(),
            transmitted: Vec::new(),
            commands: Vec::new(),
            settings: Settings::default(),
            counters: BTreeMap::new(),
            resets: 0,
            rings: Rings::new(),
        }
    }

    /// Forgets what a driver set before the last reset, and takes the address that a legacy driver wrote.
    pub(super) fn follow_registers(&mut self, device: &PciDevice) {
        if self.resets != device.resets() {
            self.resets = device.resets();
            self.settings = Settings::default();
            self.counters.clear();
        }
        if let Some(mac) = device.config().first_chunk() {
            self.config.mac = *mac;
        }
    }

    /// How many pairs there are, by what was agreed on.
    pub(super) fn agreed_pairs(&self, device: &PciDevice) -> u16 {
        let several = 1 << feature::MQ | 1 << feature::RSS;
        if device.negotiated_features() & several == 0 { 1 } else { self.pairs }
    }

    /// The index of the control queue, if there is one.
    ///
    /// Spec: §5.1.2 Virtqueues.
    pub(super) fn control_queue(&self, device: &PciDevice) -> Option<u16> {
        let has_one = device.negotiated_features() & 1 << feature::CTRL_VQ != 0;
        has_one.then(|| 2 * self.agreed_pairs(device))
    }

    pub(super) fn rules(&self, device: &PciDevice) -> Rules {
        Rules {
            features: device.negotiated_features(),
            mtu: self.config.mtu,
            transmit_pairs: self.settings.transmit_pairs(),
        }
    }

    /// Takes one completion off the quota, if there is one left.
    pub(super) fn may_complete(&mut self) -> bool {
        match &mut self.quota {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Tells the driver that packets of a queue are used, if it wants to know, now or when enough have come together.
    ///
    /// Spec: §5.1.9.5.10 Notifications Coalescing.
    pub(super) fn tell(&mut self, device: &PciDevice, index: u16, packets: usize, is_wanted: bool) {
        let coalescing = self.settings.coalescing_of(index);
        let counters = self.counters.entry(index).or_default();
        counters.untold_packets += packets;
        counters.owes_interrupt |= is_wanted;
        let enough = usize::try_from(coalescing.max_packets).unwrap_or(usize::MAX);
        if !coalescing.is_on() || counters.untold_packets >= enough {
            self.tell_now(device, index);
        }
    }

    /// Tells the driver what it was not told yet.
    pub(super) fn tell_now(&mut self, device: &PciDevice, index: u16) {
        let counters = self.counters.entry(index).or_default();
        counters.untold_packets = 0;
        if std::mem::take(&mut counters.owes_interrupt) {
            counters.interrupts += 1;
            device.raise_used(index);
        }
    }
}
