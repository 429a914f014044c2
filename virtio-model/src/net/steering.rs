//! Which packets a driver gets, and through which pair.
//!
//! Spec: §5.1.9.5.1 Packet Receive Filtering, §5.1.9.5.2 Setting MAC Address Filtering, §5.1.9.5.3 VLAN Filtering, §5.1.9.5.6 Automatic receive
//! steering in multiqueue mode, §5.1.9.5.7 Receive-side scaling (RSS).

use super::control::{Settings, Steering};
use super::flow::{self, Flow};
use super::numbers::feature;
use super::packet::{Arrival, Packet};
use super::state::State;

impl State {
    /// The pair whose receive queue something comes to.
    pub(super) fn pair_of(&self, features: u128, arrival: &Arrival) -> u16 {
        match arrival {
            Arrival::Raw { pair, .. } | Arrival::Packet(Packet { pair: Some(pair), .. }) => *pair,
            Arrival::Packet(packet) => self.settings.steer(features, &packet.frame),
        }
    }
}

impl Settings {
    /// The pair of a frame: the first one, that through which its flow was transmitted, or as its hash says.
    fn steer(&self, features: u128, frame: &[u8]) -> u16 {
        match &self.steering {
            Steering::Rss(rss) if features & 1 << feature::RSS != 0 => {
                let Some((hash, _)) = self.hash_setup().of(frame) else {
                    return rss.unclassified_queue;
                };
                let mask = rss.table.len().saturating_sub(1);
                let entry = usize::try_from(hash).unwrap_or(0) & mask;
                rss.table.get(entry).copied().unwrap_or_default()
            }
            Steering::Rss(_) => 0,
            Steering::Automatic { pairs } => {
                let Some(flow) = Flow::of_frame(frame) else {
                    return 0;
                };
                let key = [flow.source, flow.destination, flow.ports].concat();
                let anywhere = || {
                    let sum = key.iter().fold(0u16, |sum, byte| sum.wrapping_add((*byte).into()));
                    sum % pairs.max(&1)
                };
                let known = self.pair_of_flow.get(&key).filter(|pair| *pair < pairs);
                known.copied().unwrap_or_else(anywhere)
            }
        }
    }

    /// Whether the driver wants a packet, by the modes, addresses and VLANs that it set.
    pub(super) fn accepts(&self, state: &State, features: u128, packet: &Packet) -> bool {
        let frame = &packet.frame;
        let has_vlans = features & 1 << feature::CTRL_VLAN != 0;
        let is_of_vlan = |vlan: u16| !has_vlans || self.vlans.contains(&vlan);
        let modes = &self.modes;
        if modes.promiscuous {
            return true;
        }
        if flow::vlan(frame).is_some_and(|vlan| !is_of_vlan(vlan)) {
            return false;
        }
        let Some(destination) = frame.first_chunk::<6>() else {
            return false;
        };
        if *destination == [0xff; 6] {
            !modes.no_broadcast
        } else if destination[0] & 1 != 0 {
            !modes.no_multicast && (modes.all_multicast || self.multicast.contains(destination))
        } else {
            let is_known = state.config.mac == *destination || self.unicast.contains(destination);
            !modes.no_unicast && (modes.all_unicast || is_known)
        }
    }
}
