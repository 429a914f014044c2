//! Commands about counters.
//!
//! Spec: §5.1.9.5.11 Device Statistics.
//!
//! ```text
//!   asked for   vq_index le16 | reserved le16[3] | types le64              again and again
//!   result      type u8 | reserved u8 | vq_index le16 | reserved le16 | size le16 | counters le64[]      again and again
//! ```

use super::super::numbers::{command, feature};
use super::super::state::State;
use super::{Outcome, expect};
use crate::pci::PciDevice;

/// Types of receive queues, of transmit queues, and of the control queue.
const RECEIVE: u64 = 0xf;
const TRANSMIT: u64 = 0xf << 16;
const CONTROL: u64 = 1 << 32;
const HEADER_BYTES: usize = 8;

/// The types that there are, by the features that were agreed on.
fn supported(features: u128) -> u64 {
    let has = |bits: &[u32]| bits.iter().any(|bit| features & 1 << bit != 0);
    let optional = [
        (1, has(&[feature::GUEST_CSUM])),
        (2, has(&[feature::GUEST_TSO4, feature::GUEST_TSO6])),
        (17, has(&[feature::CSUM])),
        (18, has(&[feature::HOST_TSO4, feature::HOST_TSO6, feature::HOST_USO])),
    ];
    let always = CONTROL | 1 | 1 << 3 | 1 << 16 | 1 << 19;
    optional.iter().filter(|(_, is_there)| *is_there).fold(always, |types, (bit, _)| types | 1 << bit)
}

impl State {
    pub(super) fn tell_statistics(
        &self,
        device: &PciDevice,
        number: u8,
        data: &[u8],
        control: u16,
    ) -> Outcome {
        let supported = supported(device.negotiated_features());
        if number == command::STATS_QUERY {
            expect(data.is_empty(), || format!("{} bytes of data", data.len()))?;
            return Ok(supported.to_le_bytes().to_vec());
        }
        let (entries, rest) = data.as_chunks::<16>();
        expect(rest.is_empty() && !entries.is_empty(), || format!("{} bytes of data", data.len()))?;
        let mut result = Vec::new();
        for entry in entries {
            let index = u16::from_le_bytes([entry[0], entry[1]]);
            let types = entry[8..].iter().rev().fold(0, |types, byte| types << 8 | u64::from(*byte));
            let of_queue = match index {
                _ if index == control => CONTROL,
                _ if index > control => 0,
                _ if index % 2 == 0 => RECEIVE,
                _ => TRANSMIT,
            };
            let permitted = supported & of_queue;
            expect(types & !permitted == 0, || format!("types {types:#x} of queue {index}"))?;
            for kind in (0..64).filter(|kind| types & 1 << kind != 0) {
                result.extend(self.reply(device, index, kind));
            }
        }
        Ok(result)
    }

    fn reply(&self, device: &PciDevice, index: u16, kind: u8) -> Vec<u8> {
        let counters = if 1 << kind == CONTROL {
            vec![self.settings.commands, self.settings.commands_done + 1]
        } else {
            let counters = self.counters.get(&index).copied().unwrap_or_default();
            counters.of_type(kind, device.notifications(index) as u64)
        };
        let size = u16::try_from(HEADER_BYTES + 8 * counters.len()).unwrap_or(u16::MAX);
        let mut reply = vec![kind, 0];
        reply.extend(index.to_le_bytes());
        reply.extend([0, 0]);
        reply.extend(size.to_le_bytes());
        reply.extend(counters.into_iter().flat_map(u64::to_le_bytes));
        reply
    }
}
