//! Statistics: one buffer, which the device keeps until it wants new ones.
//!
//! Spec: §5.5.6.3 Memory Statistics. Entries are 10 bytes; that a buffer be a multiple of 6 is a slip of the specification.

use super::queues::BalloonQueue;
use super::state::State;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use std::collections::BTreeSet;

/// A tag, and its value.
pub type Entry = (u16, u64);
/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 10;
const VERSION_1: u32 = 32;

/// What came, and what was asked for.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    /// All buffers that came, oldest first.
    pub(super) log: Vec<Vec<Entry>>,
    /// How often new ones were asked for, and the buffer was not given back.
    pub(super) asks: usize,
    /// How many buffers the device has.
    pub(super) held: usize,
    /// How many came since the last reset.
    count: usize,
    /// Their tags.
    tags: Option<BTreeSet<u16>>,
}

impl Statistics {
    /// After a reset, the device has no buffer, and what was asked for is forgotten.
    pub(super) fn forget(&mut self) {
        let log = std::mem::take(&mut self.log);
        *self = Self { log, ..Self::default() };
    }

    fn judge(&mut self, bytes: &[u8], is_legacy: bool) -> Result<(), String> {
        self.count += 1;
        if is_legacy && self.count == 1 {
            // It may not have been written at all. Spec: §5.5.6.3.3 Legacy Interface: Memory Statistics.
            return Ok(());
        }
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        let entries: Vec<Entry> = entries.iter().map(|entry| parse(*entry)).collect();
        let tags: BTreeSet<u16> = entries.iter().map(|(tag, _)| *tag).collect();
        let count = entries.len();
        self.log.push(entries);
        if !rest.is_empty() {
            return Err(format!("statistics of {} bytes", bytes.len()));
        }
        if tags.len() != count {
            return Err("a statistic is there twice".into());
        }
        let first = self.tags.get_or_insert_with(|| tags.clone());
        if *first == tags { Ok(()) } else { Err(format!("statistics {tags:?}, after {first:?}")) }
    }
}

fn parse(entry: [u8; ENTRY_BYTES]) -> Entry {
    let [low, high, value @ ..] = entry;
    (u16::from_le_bytes([low, high]), u64::from_le_bytes(value))
}

impl State {
    /// Takes statistics, and gives the buffer back if new ones are wanted; tells how many chains it gave back.
    pub(super) fn take_statistics(&mut self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let queue = BalloonQueue::Statistics;
        let is_legacy = device.negotiated_features() & 1 << VERSION_1 == 0;
        self.work(device, memory, queue, |state, ring| {
            state.take(device, queue, ring, |state, chain| {
                state.look_at_statistics(chain, memory, is_legacy)
            })?;
            if state.lies.floods_statistics && !ring.work.is_empty() {
                state.statistics.asks = state.statistics.asks.max(1);
            }
            let mut completed = 0;
            let (written, lie) = state.lies.of(queue);
            while state.statistics.asks != 0
                && !state.stopped.contains(&queue)
                && let Some(chain) = ring.work.pop_front()
            {
                state.statistics.asks -= 1;
                state.statistics.held -= 1;
                ring.give_back(chain.head, written, lie)?;
                completed += 1;
            }
            if completed != 0 {
                ring.publish(device, state.index(queue))?;
            }
            Ok(completed)
        })
    }

    fn look_at_statistics(
        &mut self,
        chain: &Chain,
        memory: &AddressSpace,
        is_legacy: bool,
    ) -> Result<Vec<String>, ModelError> {
        let mut complaints = Vec::new();
        self.statistics.held += 1;
        if self.statistics.held > 1 {
            complaints.push(format!("{} buffers for statistics", self.statistics.held));
        }
        if chain.writable_bytes() != 0 {
            complaints.push("statistics with writable bytes".into());
        }
        let bytes = chain.read_all(memory)?;
        complaints.extend(self.statistics.judge(&bytes, is_legacy).err());
        Ok(complaints)
    }
}
