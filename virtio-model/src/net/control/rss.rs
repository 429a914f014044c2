//! Commands about pairs of queues, and about how packets are steered to them.
//!
//! Spec: §5.1.9.5.6 Automatic receive steering in multiqueue mode, §5.1.9.5.7 Receive-side scaling (RSS), §5.1.9.5.8 RSS Context,
//! §5.1.9.4.4 Inner Header Hash.
//!
//! ```text
//!   rss    hash_types le32 | mask le16 | unclassified le16 | table le16[mask + 1] | max_tx_vq le16 | key_len u8 | key
//!   hash   hash_types le32 | reserved le16[4]                                                      | key_len u8 | key
//! ```

use super::super::numbers::command;
use super::super::state::State;
use super::{Outcome, Refusal, Steering, exactly, expect};
use crate::pci::PciDevice;

/// One way to steer packets by their hash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RssSetup {
    /// The hash types that are enabled.
    pub hash_types: u32,
    /// The pair of packets without a hash.
    pub unclassified_queue: u16,
    /// The pair of each masked hash.
    pub table: Vec<u16>,
    /// How many transmit queues the driver uses.
    pub max_tx_vq: u16,
    /// The key of the hash.
    pub key: Vec<u8>,
}

/// Reads words of a command one after the other.
struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    fn take<const LEN: usize>(&mut self) -> Result<[u8; LEN], Refusal> {
        let (first, rest) = self.0.split_first_chunk().ok_or_else(|| Refusal::wrong("cut short"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn word(&mut self) -> Result<u16, Refusal> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    /// The key, which is the rest.
    fn key(mut self, longest: u8) -> Result<&'d [u8], Refusal> {
        let [len] = self.take()?;
        expect(len <= longest, || format!("a key of {len} bytes, more than {longest}"))?;
        let rest = self.0.len();
        expect(rest == usize::from(len), || format!("{rest} bytes for a key of {len}"))?;
        Ok(self.0)
    }
}

impl State {
    pub(super) fn set_steering(&mut self, device: &PciDevice, number: u8, data: &[u8]) -> Outcome {
        match number {
            command::MQ_VQ_PAIRS_SET => self.set_pairs(device, data)?,
            command::MQ_RSS_CONFIG => {
                self.settings.steering = Steering::Rss(self.parse_rss(device, data)?);
            }
            _ => self.set_hash(data)?,
        }
        Ok(Vec::new())
    }

    fn set_pairs(&mut self, device: &PciDevice, data: &[u8]) -> Result<(), Refusal> {
        let pairs = u16::from_le_bytes(exactly(data)?);
        let most = self.pairs;
        expect((1..=most).contains(&pairs), || format!("{pairs} pairs of {most}"))?;
        expect(self.settings.contexts.is_empty(), || "pairs set though there is a context".into())?;
        for index in 0..2 * pairs {
            expect_enabled(device, index)?;
        }
        self.settings.steering = Steering::Automatic { pairs };
        Ok(())
    }

    fn set_hash(&mut self, data: &[u8]) -> Result<(), Refusal> {
        let mut reader = Reader(data);
        let types = u32::from_le_bytes(reader.take()?);
        let reserved: [u8; 8] = reader.take()?;
        expect(reserved == [0; 8], || format!("reserved bytes {reserved:?}"))?;
        self.expect_known_hashes(types)?;
        let key = reader.key(self.config.rss_max_key_size)?.to_vec();
        (self.settings.hash.types, self.settings.hash.key) = (types, key);
        Ok(())
    }

    pub(super) fn set_tunnels(&mut self, data: &[u8]) -> Outcome {
        let tunnels = u32::from_le_bytes(exactly(data)?);
        let unknown = tunnels & !self.config.supported_tunnel_types;
        expect(unknown == 0, || format!("tunnel types {unknown:#x}"))?;
        self.settings.hash.tunnels = tunnels;
        Ok(Vec::new())
    }

    pub(super) fn set_context(&mut self, device: &PciDevice, number: u8, data: &[u8]) -> Outcome {
        if number == command::RSS_CTX_CAP_GET {
            exactly::<0>(data)?;
            return Ok(self.max_rss_contexts.to_le_bytes().to_vec());
        }
        let mut reader = Reader(data);
        let id = reader.word()?;
        let most = self.max_rss_contexts;
        expect((1..=most).contains(&id), || format!("context {id} of {most}"))?;
        let is_there = self.settings.contexts.contains_key(&id);
        if is_there == (number == command::RSS_CTX_ADD) {
            return Err(Refusal::Unable);
        }
        if number == command::RSS_CTX_DEL {
            exactly::<2>(data)?;
            self.settings.contexts.remove(&id);
        } else {
            let _reserved: [u8; 6] = reader.take()?;
            let setup = self.parse_rss(device, reader.0)?;
            self.settings.contexts.insert(id, setup);
        }
        Ok(Vec::new())
    }

    fn parse_rss(&self, device: &PciDevice, data: &[u8]) -> Result<RssSetup, Refusal> {
        let mut reader = Reader(data);
        let hash_types = u32::from_le_bytes(reader.take()?);
        self.expect_known_hashes(hash_types)?;
        let mask = reader.word()?;
        let (entries, most) = (u32::from(mask) + 1, self.config.rss_max_indirection_table_length);
        let is_fine = entries.is_power_of_two() && mask < most;
        expect(is_fine, || format!("a table of {entries} entries, at most {most}"))?;
        let unclassified_queue = reader.word()?;
        let mut table = Vec::new();
        for _ in 0..entries {
            table.push(reader.word()?);
        }
        for pair in table.iter().chain([&unclassified_queue]) {
            let most = self.pairs;
            expect(*pair < most, || format!("pair {pair} of {most} in the table"))?;
            expect_enabled(device, 2 * pair)?;
        }
        let max_tx_vq = reader.word()?;
        let pairs = self.pairs;
        expect((1..=pairs).contains(&max_tx_vq), || format!("{max_tx_vq} transmit queues of {pairs}"))?;
        let key = reader.key(self.config.rss_max_key_size)?.to_vec();
        Ok(RssSetup { hash_types, unclassified_queue, table, max_tx_vq, key })
    }

    fn expect_known_hashes(&self, types: u32) -> Result<(), Refusal> {
        let unknown = types & !self.config.supported_hash_types;
        expect(unknown == 0, || format!("hash types {unknown:#x}"))
    }
}

fn expect_enabled(device: &PciDevice, index: u16) -> Result<(), Refusal> {
    let is_enabled = device.queue(index).is_some_and(|queue| queue.enabled);
    expect(is_enabled, || format!("queue {index} is not enabled"))
}
