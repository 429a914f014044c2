//! A disk: the device model behind a virtio block device.
//!
//! Spec: §5.2 Block Device. A test makes a [`Disk`], builds a PCI function for it with
//! [`Disk::builder`] (or [`PciDevice::block`]), and calls [`Disk::serve`] whenever the device
//! should work, from any thread. It reads, writes, flushes and tells its id, and what else it was made to do (`kinds`), and judges the form
//! of every request; what is wrong becomes a driver error of the PCI function.
//!
//! ```text
//!   service: take --> request, judge, ranges, zones/judge --> waiting
//!            complete --> failures? --> answer: contents, zones, cache --> used
//! ```

mod answer;
mod cache;
mod config;
mod failures;
mod judge;
mod kinds;
mod misbehaviour;
mod numbers;
mod ranges;
mod request;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod watch;
mod zones;

pub use config::{CONFIG_BYTES, DiskConfig, Geometry, RangeLimits, Topology, ZonedConfig};
pub use misbehaviour::{DiskMisbehaviour, Order, WrittenLen};
pub use numbers::{request_type, status, zone_state, zone_type, zoned_model};
pub use ranges::{DISCARDED, ERASED, RANGE_BYTES, SectorRange};
pub use request::{ID_BYTES, LIFETIME_BYTES, Request, SECTOR_BYTES};
pub use zones::{DESCRIPTOR_BYTES, REPORT_HEADER_BYTES, UNWRITTEN, Zone, ZoneSetup};

use crate::memory::AddressSpace;
use crate::pci::{Builder, PciDevice};
use crate::queue::DeviceQueue;
use state::{State, feature};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The PCI device id of a modern block device.
pub const PCI_DEVICE_ID: u16 = 0x1042;

const CLASS_MASS_STORAGE: u32 = 0x0001_0000;
const INDIRECT_DESC: u32 = 28;
const EVENT_IDX: u32 = 29;
const VERSION_1: u32 = 32;

/// A disk; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

impl Disk {
    /// Makes a disk of `count` sectors of zeros.
    ///
    /// # Panics
    /// If so many bytes are no `usize`.
    pub fn with_sectors(count: u64) -> Self {
        let bytes = usize::try_from(count).ok().and_then(|count| count.checked_mul(SECTOR_BYTES));
        Self::with_contents(vec![0; bytes.expect("a disk that fits into memory")])
    }

    /// Makes a disk with these contents; a last sector that is not whole is out of reach.
    pub fn with_contents(contents: Vec<u8>) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(contents))) }
    }

    /// Makes the disk read-only; before the device is built, for it is a feature.
    #[must_use]
    pub fn read_only(self) -> Self {
        self.lock().read_only = true;
        self
    }

    /// Sets the device id string; what is longer than 20 bytes is cut off.
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        self.lock().id = id.bytes().take(ID_BYTES).collect();
        self
    }

    /// Changes the configuration; before the device is built.
    #[must_use]
    pub fn with_config(self, change: impl FnOnce(&mut DiskConfig)) -> Self {
        change(&mut self.lock().config);
        self
    }

    /// The configuration that the disk works by.
    pub fn config(&self) -> DiskConfig {
        self.lock().config
    }

    /// The features that a plain driver can live with: `SEG_MAX`, `BLK_SIZE`, `FLUSH`, `RO` if
    /// read-only, `INDIRECT_DESC`, `EVENT_IDX`, `VERSION_1`; and those of what it was made with. It can work with
    /// `RING_PACKED` and `IN_ORDER` as well: add them to the builder.
    pub fn features(&self) -> u128 {
        let always =
            [feature::SEG_MAX, feature::BLK_SIZE, feature::FLUSH, INDIRECT_DESC, EVENT_IDX, VERSION_1];
        let state = self.lock();
        let features = always.into_iter().fold(state.features, |set, bit| set | 1 << bit);
        if state.read_only { features | 1 << feature::RO } else { features }
    }

    /// Starts to build a PCI function for the disk, with one queue of 16.
    pub fn builder(&self) -> Builder {
        let builder = PciDevice::builder()
            .device_id(PCI_DEVICE_ID)
            .class(CLASS_MASS_STORAGE)
            .features(self.features())
            .config(self.config().bytes())
            .config_fields(config::fields())
            .queue_sizes(&[16]);
        if self.config().zoned.model != zoned_model::HOST_MANAGED {
            return builder;
        }
        builder.insist_on(1 << feature::ZONED).forbid(1 << feature::DISCARD)
    }

    /// Takes all available requests, then completes those not held back; tells how many.
    ///
    /// Does nothing while the driver is not ready or the function is no bus master.
    pub fn serve(&self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let mut state = self.lock();
        for index in 0..device.queue_count() {
            state.take(device, memory, index);
        }
        (0..device.queue_count()).map(|index| state.complete(device, memory, index)).sum()
    }

    /// Gives access to the ring of a queue, for lies; `None` while there is no ring. The lies of
    /// one layout are behind [`DeviceQueue::split`] and [`DeviceQueue::packed`].
    pub fn with_queue<R>(
        &self,
        device: &PciDevice,
        memory: &AddressSpace,
        index: u16,
        act: impl FnOnce(&mut DeviceQueue) -> R,
    ) -> Option<R> {
        let mut state = self.lock();
        state.running.adopt(device, memory, index).map(|running| act(&mut running.queue))
    }

    /// Holds back completions from now on; requests are still taken.
    pub fn hold(&self) {
        self.lock().quota = Some(0);
    }

    /// Lets later calls of `serve` complete `count` more requests.
    pub fn release(&self, count: usize) {
        if let Some(quota) = &mut self.lock().quota {
            *quota += count;
        }
    }

    /// Holds nothing back any more.
    pub fn release_all(&self) {
        self.lock().quota = None;
    }

    /// The number of requests taken and not completed.
    pub fn waiting(&self) -> usize {
        self.lock().running.work().map(VecDeque::len).sum()
    }

    /// Sets the order in which requests are completed; with `IN_ORDER` negotiated it stays the
    /// order in which they were made available.
    pub fn complete_in(&self, order: Order) {
        self.lock().order = order;
    }

    /// Asks the driver for no notifications, or for notifications again.
    pub fn suppress_notifications(&self, suppress: bool) {
        self.lock().suppresses_notifications = suppress;
    }

    /// Switches lies on and off.
    pub fn misbehave(&self, change: impl FnOnce(&mut DiskMisbehaviour)) {
        change(&mut self.lock().lies);
    }

    /// Every request seen so far, in the order in which they were taken.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().log.clone()
    }

    /// Forgets the requests seen so far.
    pub fn clear_requests(&self) {
        self.lock().log.clear();
    }

    /// The number of flushes done.
    pub fn flushes(&self) -> usize {
        self.lock().flushes
    }

    /// A copy of the contents.
    pub fn contents(&self) -> Vec<u8> {
        self.lock().contents.clone()
    }

    /// A copy of one sector.
    ///
    /// # Panics
    /// If the disk has no such sector.
    pub fn sector(&self, index: usize) -> Vec<u8> {
        self.lock().contents[index * SECTOR_BYTES..][..SECTOR_BYTES].to_vec()
    }

    /// Overwrites the contents from sector `index` on.
    ///
    /// # Panics
    /// If the bytes do not fit.
    pub fn fill(&self, index: usize, bytes: &[u8]) {
        let mut state = self.lock();
        let state = &mut *state;
        state.contents[index * SECTOR_BYTES..][..bytes.len()].copy_from_slice(bytes);
        let end = index + bytes.len().div_ceil(SECTOR_BYTES);
        state.cache.write(&state.contents, index as u64..end as u64, true);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PciDevice {
    /// Builds the plain PCI function for a disk; see [`Disk::builder`] to change it first.
    pub fn block(disk: &Disk) -> Self {
        disk.builder().build()
    }
}
