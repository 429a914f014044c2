//! What a driver set by commands; a reset brings it back to what it was.
//!
//! Spec: §5.1.9.5 Control Virtqueue.

use super::super::hash::HashSetup;
use super::rss::RssSetup;
use std::collections::{BTreeMap, BTreeSet};

/// Which packets a driver wants, whatever their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiveModes {
    /// All packets.
    pub promiscuous: bool,
    /// All multicast packets.
    pub all_multicast: bool,
    /// All unicast packets.
    pub all_unicast: bool,
    /// No multicast packet.
    pub no_multicast: bool,
    /// No unicast packet.
    pub no_unicast: bool,
    /// No broadcast packet.
    pub no_broadcast: bool,
}

/// How packets are steered; the last command counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steering {
    /// The device sees to it.
    Automatic {
        /// How many pairs there are.
        pairs: u16,
    },
    /// By their hash.
    Rss(RssSetup),
}

/// When the driver wants to hear of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coalescing {
    /// When there are so many.
    pub max_packets: u32,
    /// When so many microseconds have passed.
    pub max_usecs: u32,
}

impl Coalescing {
    pub(in super::super) fn is_on(self) -> bool {
        self.max_packets != 0 && self.max_usecs != 0
    }
}

/// All that a driver set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which packets it wants, whatever their addresses.
    pub modes: ReceiveModes,
    /// Unicast addresses besides its own.
    pub unicast: Vec<[u8; 6]>,
    /// Multicast addresses.
    pub multicast: Vec<[u8; 6]>,
    /// The VLANs that it is in.
    pub vlans: BTreeSet<u16>,
    /// How often it acknowledged an announcement.
    pub acknowledgements: usize,
    /// How packets are steered.
    pub steering: Steering,
    /// How hashes are made, as set for reports alone; with the tunnels, which hold for all.
    pub hash: HashSetup,
    /// More ways to steer, by their number.
    pub contexts: BTreeMap<u16, RssSetup>,
    /// What it bears; `None` is all that was agreed on.
    pub guest_offloads: Option<u64>,
    /// Coalescing by queue; where there is none, packets are told at once.
    pub coalescing: BTreeMap<u16, Coalescing>,
    /// How many commands came, and how many were carried out.
    pub commands: u64,
    /// How many were carried out.
    pub commands_done: u64,
    /// The pair through which a flow was transmitted, by what packets look like that come back.
    pub(in super::super) pair_of_flow: BTreeMap<Vec<u8>, u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            modes: ReceiveModes::default(),
            unicast: Vec::new(),
            multicast: Vec::new(),
            vlans: BTreeSet::new(),
            acknowledgements: 0,
            steering: Steering::Automatic { pairs: 1 },
            hash: HashSetup::default(),
            contexts: BTreeMap::new(),
            guest_offloads: None,
            coalescing: BTreeMap::new(),
            commands: 0,
            commands_done: 0,
            pair_of_flow: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// How many transmit queues the driver may use.
    pub fn transmit_pairs(&self) -> u16 {
        match &self.steering {
            Steering::Automatic { pairs } => *pairs,
            Steering::Rss(rss) => rss.max_tx_vq,
        }
    }

    /// How hashes are made.
    pub fn hash_setup(&self) -> HashSetup {
        match &self.steering {
            Steering::Automatic { .. } => self.hash.clone(),
            Steering::Rss(rss) => {
                HashSetup { types: rss.hash_types, key: rss.key.clone(), tunnels: self.hash.tunnels }
            }
        }
    }

    /// When the driver wants to hear of the packets of a queue.
    pub fn coalescing_of(&self, queue: u16) -> Coalescing {
        self.coalescing.get(&queue).copied().unwrap_or_default()
    }
}
