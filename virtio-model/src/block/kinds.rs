//! What a disk can be made with, beyond reading, writing and flushing.
//!
//! Spec: §5.2.3 Feature bits. Each adds its feature to those that the disk offers, and its fields to the configuration; all of that before the
//! device is built.

use super::config::{Geometry, RangeLimits, Topology, ZonedConfig};
use super::state::feature;
use super::zones::{UNWRITTEN, ZoneSetup, Zones};
use super::{Disk, DiskConfig};

impl Disk {
    fn offering(self, bit: u32, change: impl FnOnce(&mut DiskConfig)) -> Self {
        self.lock().features |= 1 << bit;
        self.with_config(change)
    }

    /// Takes discard requests. What was discarded reads as [`DISCARDED`](super::DISCARDED).
    #[must_use]
    pub fn with_discard(self, limits: RangeLimits) -> Self {
        self.offering(feature::DISCARD, |config| config.discard = limits)
    }

    /// Takes requests to write zeros.
    #[must_use]
    pub fn with_write_zeroes(self, limits: RangeLimits, may_unmap: bool) -> Self {
        self.offering(feature::WRITE_ZEROES, |config| {
            config.write_zeroes = limits;
            config.write_zeroes_may_unmap = may_unmap.into();
        })
    }

    /// Takes secure erase requests. What was erased reads as [`ERASED`](super::ERASED).
    #[must_use]
    pub fn with_secure_erase(self, limits: RangeLimits) -> Self {
        self.offering(feature::SECURE_ERASE, |config| config.secure_erase = limits)
    }

    /// Tells its lifetime: what is used of the reserved blocks, and of cells of a single level and of multiple ones.
    #[must_use]
    pub fn with_lifetime(self, pre_end_of_life: u16, single_level: u16, multi_level: u16) -> Self {
        self.lock().lifetime = [pre_end_of_life, single_level, multi_level];
        self.offering(feature::LIFETIME, |_| {})
    }

    /// Lets the driver switch its cache.
    #[must_use]
    pub fn with_cache_switch(self, writeback: bool) -> Self {
        self.offering(feature::CONFIG_WCE, |config| config.writeback = writeback.into())
    }

    /// Has a geometry.
    #[must_use]
    pub fn with_geometry(self, geometry: Geometry) -> Self {
        self.offering(feature::GEOMETRY, |config| config.geometry = geometry)
    }

    /// Has a topology.
    #[must_use]
    pub fn with_topology(self, topology: Topology) -> Self {
        self.offering(feature::TOPOLOGY, |config| config.topology = topology)
    }

    /// Has zones, all of them empty: what was in the sequential ones reads as [`UNWRITTEN`].
    ///
    /// A host-managed disk insists on `ZONED`, and does not bear `DISCARD`.
    #[must_use]
    pub fn with_zones(self, setup: &ZoneSetup) -> Self {
        {
            let mut state = self.lock();
            let zones = Zones::new(setup, state.sectors());
            let sequential = zones.all().iter().skip(setup.conventional).map(super::Zone::span);
            for span in sequential {
                // The zones divide what there is.
                let _ = state.fill(span, UNWRITTEN, true);
            }
            state.zones = Some(zones);
        }
        self.offering(feature::ZONED, |config| {
            config.zoned = ZonedConfig {
                zone_sectors: setup.zone_sectors,
                max_open_zones: setup.max_open,
                max_active_zones: setup.max_active,
                max_append_sectors: setup.max_append_sectors,
                write_granularity: setup.write_granularity,
                model: setup.model,
            };
        })
    }
}
