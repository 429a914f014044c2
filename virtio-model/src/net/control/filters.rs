//! Commands about which packets a driver gets, and what they may look like.
//!
//! Spec: §5.1.9.5.1 Packet Receive Filtering to §5.1.9.5.4 Gratuitous Packet Sending, §5.1.9.5.9 Offloads State Configuration.

use super::super::numbers::{command, feature, link_status};
use super::super::state::State;
use super::{Outcome, Refusal, exactly, expect};
use crate::pci::PciDevice;

/// What a driver bears: the bit of the command, and the feature.
const OFFLOADS: [(u32, u32); 9] = [
    (1, feature::GUEST_CSUM),
    (7, feature::GUEST_TSO4),
    (8, feature::GUEST_TSO6),
    (9, feature::GUEST_ECN),
    (10, feature::GUEST_UFO),
    (46, feature::GUEST_UDP_TUNNEL_GSO),
    (47, feature::GUEST_UDP_TUNNEL_GSO_CSUM),
    (54, feature::GUEST_USO4),
    (55, feature::GUEST_USO6),
];

impl State {
    pub(super) fn set_mode(&mut self, number: u8, data: &[u8]) -> Outcome {
        let [switch] = exactly(data)?;
        expect(switch <= 1, || format!("a switch of {switch}"))?;
        let modes = &mut self.settings.modes;
        let mode = match number {
            0 => &mut modes.promiscuous,
            1 => &mut modes.all_multicast,
            2 => &mut modes.all_unicast,
            3 => &mut modes.no_multicast,
            4 => &mut modes.no_unicast,
            _ => &mut modes.no_broadcast,
        };
        *mode = switch == 1;
        Ok(Vec::new())
    }

    pub(super) fn set_addresses(&mut self, device: &PciDevice, number: u8, data: &[u8]) -> Outcome {
        // Commands of this class take the feature of the filters, whatever else one of them takes.
        let has_filters = device.negotiated_features() & 1 << feature::CTRL_RX != 0;
        expect(has_filters, || format!("sent without feature {}", feature::CTRL_RX))?;
        if number == command::MAC_ADDR_SET {
            self.config.mac = exactly(data)?;
            self.show_config(device);
            return Ok(Vec::new());
        }
        let (unicast, rest) = table(data)?;
        let (multicast, rest) = table(rest)?;
        expect(rest.is_empty(), || format!("{} bytes after the tables", rest.len()))?;
        let is_group = |mac: &[u8; 6]| mac[0] & 1 != 0;
        expect(!unicast.iter().any(is_group), || "a multicast address among the others".into())?;
        expect(multicast.iter().all(is_group), || "a unicast address among the others".into())?;
        (self.settings.unicast, self.settings.multicast) = (unicast, multicast);
        Ok(Vec::new())
    }

    pub(super) fn set_vlan(&mut self, number: u8, data: &[u8]) -> Outcome {
        let vlan = u16::from_le_bytes(exactly(data)?);
        expect(vlan < 4096, || format!("VLAN {vlan}"))?;
        if number == command::VLAN_ADD {
            self.settings.vlans.insert(vlan);
        } else {
            self.settings.vlans.remove(&vlan);
        }
        Ok(Vec::new())
    }

    pub(super) fn take_acknowledgement(&mut self, device: &PciDevice, data: &[u8]) -> Outcome {
        exactly::<0>(data)?;
        self.config.status &= !link_status::ANNOUNCE;
        self.show_config(device);
        self.settings.acknowledgements += 1;
        Ok(Vec::new())
    }

    pub(super) fn set_guest_offloads(&mut self, features: u128, data: &[u8]) -> Outcome {
        let offloads = u64::from_le_bytes(exactly(data)?);
        let is_agreed = |&(_, feature): &(u32, u32)| features & 1 << feature != 0;
        let permitted = OFFLOADS.iter().filter(|offload| is_agreed(offload));
        let permitted = permitted.fold(0u64, |set, (bit, _)| set | 1 << bit);
        expect(offloads & !permitted == 0, || format!("offloads {offloads:#x} of {permitted:#x}"))?;
        self.settings.guest_offloads = Some(offloads);
        Ok(Vec::new())
    }

    /// Shows the driver the configuration as it is now; nothing is notified.
    fn show_config(&self, device: &PciDevice) {
        device.set_config(self.config.bytes());
    }
}

/// A table of addresses, and what follows it.
fn table(data: &[u8]) -> Result<(Vec<[u8; 6]>, &[u8]), Refusal> {
    let cut_short = || Refusal::wrong(format!("a table of {} bytes", data.len()));
    let (count, rest) = data.split_first_chunk().ok_or_else(cut_short)?;
    let bytes = usize::try_from(u32::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(6));
    let (macs, rest) = bytes.and_then(|bytes| rest.split_at_checked(bytes)).ok_or_else(cut_short)?;
    let (macs, _) = macs.as_chunks();
    Ok((macs.to_vec(), rest))
}
