//! Commands about coalesced notifications.
//!
//! Spec: §5.1.9.5.10 Notifications Coalescing. The last command that is about a queue counts.

use super::super::numbers::command;
use super::super::state::State;
use super::settings::Coalescing;
use super::{Outcome, Refusal, exactly, expect};
use crate::pci::PciDevice;

impl Coalescing {
    fn parse(data: &[u8]) -> Result<Self, Refusal> {
        let words: [u8; 8] = exactly(data)?;
        let (words, _) = words.as_chunks();
        let [max_packets, max_usecs] = [0, 1].map(|word| u32::from_le_bytes(words[word]));
        Ok(Self { max_packets, max_usecs })
    }

    fn bytes(self) -> Vec<u8> {
        [self.max_packets.to_le_bytes(), self.max_usecs.to_le_bytes()].concat()
    }
}

impl State {
    pub(super) fn coalesce(&mut self, device: &PciDevice, number: u8, data: &[u8]) -> Outcome {
        if matches!(number, command::NOTF_COAL_TX_SET | command::NOTF_COAL_RX_SET) {
            let coalescing = Coalescing::parse(data)?;
            let first = u16::from(number == command::NOTF_COAL_TX_SET);
            for pair in 0..self.agreed_pairs(device) {
                self.change(device, 2 * pair + first, coalescing);
            }
            return Ok(Vec::new());
        }
        // What follows the index is reserved, and not looked at.
        let (index, rest) = data.split_first_chunk().ok_or_else(|| Refusal::wrong("cut short"))?;
        let index = u16::from_le_bytes(*index);
        let (_reserved, rest) = rest.split_first_chunk::<2>().ok_or_else(|| Refusal::wrong("cut short"))?;
        let is_enabled = device.queue(index).is_some_and(|queue| queue.enabled);
        let is_fine = is_enabled && index < 2 * self.agreed_pairs(device);
        expect(is_fine, || format!("queue {index} is no enabled receive or transmit queue"))?;
        if number == command::NOTF_COAL_VQ_GET {
            exactly::<0>(rest)?;
            return Ok(self.settings.coalescing_of(index).bytes());
        }
        self.change(device, index, Coalescing::parse(rest)?);
        Ok(Vec::new())
    }

    fn change(&mut self, device: &PciDevice, index: u16, coalescing: Coalescing) {
        self.settings.coalescing.insert(index, coalescing);
        self.tell(device, index, 0, false);
    }
}
