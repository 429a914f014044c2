//! Which writes are safe from a power failure.
//!
//! Spec: §5.2.6.3 Device Requirements: Device Operation, the three cases in which a write becomes stable. The submission of a write is the moment at
//! which the device takes it.

use super::config::WRITEBACK;
use super::request::SECTOR_BYTES;
use super::state::feature;
use crate::pci::PciDevice;
use std::collections::BTreeMap;
use std::ops::Range;

/// What would be left after a power failure, and what would not.
#[derive(Debug)]
pub(super) struct Cache {
    /// The contents, as far as they are stable.
    stable: Vec<u8>,
    /// Sectors whose last write is not, and which write that was.
    volatile: BTreeMap<u64, u64>,
    /// Writes completed so far.
    pub(super) completed: u64,
}

impl Cache {
    pub(super) fn new(contents: Vec<u8>) -> Self {
        Self { stable: contents, volatile: BTreeMap::new(), completed: 0 }
    }

    pub(super) fn stable(&self) -> &[u8] {
        &self.stable
    }

    pub(super) fn volatile_sectors(&self) -> Vec<u64> {
        self.volatile.keys().copied().collect()
    }

    /// Notes that a write of these sectors is complete.
    pub(super) fn write(&mut self, contents: &[u8], span: Range<u64>, is_stable: bool) {
        self.completed += 1;
        for sector in span {
            self.volatile.insert(sector, self.completed);
            if is_stable {
                self.keep(contents, sector);
            }
        }
    }

    /// Makes stable what was complete after so many writes.
    pub(super) fn flush(&mut self, contents: &[u8], completed: u64) {
        let sectors: Vec<_> = self
            .volatile
            .iter()
            .filter(|(_, write)| **write <= completed)
            .map(|(sector, _)| *sector)
            .collect();
        for sector in sectors {
            self.keep(contents, sector);
        }
    }

    /// Changes the size.
    pub(super) fn resize(&mut self, bytes: usize) {
        self.stable.resize(bytes, 0);
        let sectors = (bytes / SECTOR_BYTES) as u64;
        self.volatile.retain(|sector, _| *sector < sectors);
    }

    fn keep(&mut self, contents: &[u8], sector: u64) {
        self.volatile.remove(&sector);
        let start = usize::try_from(sector).unwrap_or(usize::MAX).saturating_mul(SECTOR_BYTES);
        let range = start..start.saturating_add(SECTOR_BYTES);
        if let (Some(kept), Some(new)) = (self.stable.get_mut(range.clone()), contents.get(range)) {
            kept.copy_from_slice(new);
        }
    }
}

/// The mode of the cache at a moment, and how often the configuration was written so far: there is nothing else to be written in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CacheMode {
    is_writeback: bool,
    writes: usize,
}

impl CacheMode {
    pub(super) fn of(device: &PciDevice) -> Self {
        let is_writeback = device.config_byte(WRITEBACK).is_some_and(|byte| byte != 0);
        Self { is_writeback, writes: device.config_write_count() }
    }

    /// Whether a write that was taken in this mode is stable once it is complete, which it is now.
    pub(super) fn is_stable_at_once(self, device: &PciDevice) -> bool {
        let agreed = |bit: u32| device.negotiated_features() & 1 << bit != 0;
        let has_cache = device.offered_features() & 1 << feature::FLUSH != 0;
        if agreed(feature::CONFIG_WCE) {
            // Without a flush, the device begins in write-through mode, and stays in it.
            return !agreed(feature::FLUSH) || !self.is_writeback && self == Self::of(device);
        }
        !has_cache || !agreed(feature::FLUSH)
    }
}
