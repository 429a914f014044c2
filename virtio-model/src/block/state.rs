//! What a disk holds behind its lock: contents, switches, and the queues at work.

use super::cache::Cache;
use super::config::DiskConfig;
use super::failures::Failures;
use super::misbehaviour::{DiskMisbehaviour, Order};
use super::request::{Request, SECTOR_BYTES};
use super::service::Waiting;
use super::zones::{ZoneLimits, Zones};
use crate::rings::Rings;
use std::collections::VecDeque;

/// The feature bits, by number, that change what a disk does.
pub(super) mod feature {
    pub(crate) const SIZE_MAX: u32 = 1;
    pub(crate) const SEG_MAX: u32 = 2;
    pub(crate) const GEOMETRY: u32 = 4;
    pub(crate) const RO: u32 = 5;
    pub(crate) const BLK_SIZE: u32 = 6;
    pub(crate) const FLUSH: u32 = 9;
    pub(crate) const TOPOLOGY: u32 = 10;
    pub(crate) const CONFIG_WCE: u32 = 11;
    pub(crate) const MQ: u32 = 12;
    pub(crate) const DISCARD: u32 = 13;
    pub(crate) const WRITE_ZEROES: u32 = 14;
    pub(crate) const LIFETIME: u32 = 15;
    pub(crate) const SECURE_ERASE: u32 = 16;
    pub(crate) const ZONED: u32 = 17;
}

/// The disk behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) contents: Vec<u8>,
    pub(super) cache: Cache,
    pub(super) read_only: bool,
    pub(super) id: Vec<u8>,
    pub(super) lifetime: [u16; 3],
    pub(super) zones: Option<Zones>,
    pub(super) config: DiskConfig,
    /// Features besides those of every disk.
    pub(super) features: u128,
    pub(super) lies: DiskMisbehaviour,
    pub(super) failures: Failures,
    pub(super) order: Order,
    /// How many more requests may be completed; `None` is no limit.
    pub(super) quota: Option<usize>,
    pub(super) suppresses_notifications: bool,
    pub(super) log: Vec<Request>,
    pub(super) flushes: usize,
    pub(super) running: Rings<VecDeque<Waiting>>,
}

impl State {
    pub(super) fn new(contents: Vec<u8>) -> Self {
        let config = DiskConfig {
            capacity_sectors: (contents.len() / SECTOR_BYTES) as u64,
            size_max: 1 << 20,
            seg_max: 126,
            blk_size: 512,
            writeback: 1,
            num_queues: 1,
            ..DiskConfig::default()
        };
        Self {
            cache: Cache::new(contents.clone()),
            contents,
            read_only: false,
            id: b"virtio-model".to_vec(),
            lifetime: [0; 3],
            zones: None,
            config,
            features: 0,
            lies: DiskMisbehaviour::default(),
            failures: Failures::default(),
            order: Order::Fifo,
            quota: None,
            suppresses_notifications: false,
            log: Vec::new(),
            flushes: 0,
            running: Rings::new(),
        }
    }

    pub(super) fn sectors(&self) -> u64 {
        (self.contents.len() / SECTOR_BYTES) as u64
    }

    pub(super) fn zone_limits(&self) -> ZoneLimits {
        let zoned = &self.config.zoned;
        ZoneLimits {
            open: zoned.max_open_zones,
            active: zoned.max_active_zones,
            write_granularity: zoned.write_granularity,
        }
    }

    /// Takes one completion off the quota, if there is one left.
    pub(super) fn may_complete(&mut self) -> bool {
        match &mut self.quota {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

impl Order {
    /// Takes the waiting request that is next in this order.
    pub(crate) fn next<W>(self, waiting: &mut VecDeque<W>) -> Option<W> {
        match self {
            Self::Fifo => waiting.pop_front(),
            Self::Reverse => waiting.pop_back(),
        }
    }
}
