//! What a test does with a disk at work: changes it, has requests fail, and looks at what would survive.
//!
//! Spec: §5.2.6.3 Device Requirements: Device Operation.

use super::config::{DiskConfig, WRITEBACK};
use super::request::SECTOR_BYTES;
use super::{Disk, Zone};
use crate::pci::{DRIVER_OK, PciDevice};

impl Disk {
    /// Makes the disk larger, with zeros, or smaller; a driver that is ready is notified.
    ///
    /// # Panics
    /// If so many bytes are no `usize`, or the disk has zones.
    pub fn resize(&self, device: &PciDevice, sectors: u64) {
        let bytes = usize::try_from(sectors).ok().and_then(|count| count.checked_mul(SECTOR_BYTES));
        let bytes = bytes.expect("a disk that fits into memory");
        {
            let mut state = self.lock();
            assert!(state.zones.is_none(), "a disk with zones keeps its size");
            state.contents.resize(bytes, 0);
            state.cache.resize(bytes);
        }
        self.change_config(device, |config| config.capacity_sectors = sectors);
    }

    /// Changes the configuration of a device at work, with a new generation; a driver that is ready is notified. The mode of the cache stays the driver's.
    pub fn change_config(&self, device: &PciDevice, change: impl FnOnce(&mut DiskConfig)) {
        let mut bytes = {
            let mut state = self.lock();
            change(&mut state.config);
            state.config.bytes()
        };
        if let Some(mode) = device.config_byte(WRITEBACK) {
            bytes[WRITEBACK] = mode;
        }
        device.set_config(bytes);
        if device.status() & DRIVER_OK != 0 {
            device.raise_config();
        }
    }

    /// Has the `nth` request from now on fail with this status, and do nothing; 1 is the next one that is taken.
    pub fn fail_nth(&self, nth: u64, status: u8) {
        self.lock().failures.add_nth(nth, status);
    }

    /// Has every request fail with this status, and do nothing, that is about this sector.
    pub fn fail_sector(&self, sector: u64, status: u8) {
        self.lock().failures.add_sector(sector, status);
    }

    /// Has no more requests fail.
    pub fn fail_none(&self) {
        self.lock().failures.clear();
    }

    /// What would be left of the contents after a power failure, at the worst: of sectors whose last write is not stable, what was there before it.
    pub fn stable_contents(&self) -> Vec<u8> {
        self.lock().cache.stable().to_vec()
    }

    /// The sectors whose last write is complete, but not stable.
    pub fn volatile_sectors(&self) -> Vec<u64> {
        self.lock().cache.volatile_sectors()
    }

    /// The zones as they are.
    pub fn zones(&self) -> Vec<Zone> {
        self.lock().zones.as_ref().map_or_else(Vec::new, |zones| zones.all().to_vec())
    }

    /// Changes a zone, as a device may by itself: makes it read-only, or offline, or full.
    ///
    /// # Panics
    /// If there is no such zone.
    pub fn change_zone(&self, index: usize, change: impl FnOnce(&mut Zone)) {
        let mut state = self.lock();
        let zone = state.zones.as_mut().and_then(|zones| zones.get_mut(index));
        change(zone.expect("the disk has such a zone"));
    }
}
