//! What a disk holds behind its lock: contents, switches, and the queues at work.

use super::config::DiskConfig;
use super::misbehaviour::{DiskMisbehaviour, Order};
use super::request::{Request, SECTOR_BYTES};
use super::service::Running;
use crate::chain::Chain;
use std::collections::VecDeque;

/// The feature bits, by number, that change what a disk does.
pub(super) mod feature {
    pub(crate) const SIZE_MAX: u32 = 1;
    pub(crate) const SEG_MAX: u32 = 2;
    pub(crate) const RO: u32 = 5;
    pub(crate) const BLK_SIZE: u32 = 6;
    pub(crate) const FLUSH: u32 = 9;
}

/// The disk behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) contents: Vec<u8>,
    pub(super) read_only: bool,
    pub(super) id: Vec<u8>,
    pub(super) config: DiskConfig,
    pub(super) lies: DiskMisbehaviour,
    pub(super) order: Order,
    /// How many more requests may be completed; `None` is no limit.
    pub(super) quota: Option<usize>,
    pub(super) suppresses_notifications: bool,
    pub(super) log: Vec<Request>,
    pub(super) flushes: usize,
    pub(super) running: Vec<Option<Running>>,
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
        };
        Self {
            contents,
            read_only: false,
            id: b"virtio-model".to_vec(),
            config,
            lies: DiskMisbehaviour::default(),
            order: Order::Fifo,
            quota: None,
            suppresses_notifications: false,
            log: Vec::new(),
            flushes: 0,
            running: Vec::new(),
        }
    }

    pub(super) fn sectors(&self) -> u64 {
        (self.contents.len() / SECTOR_BYTES) as u64
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
    pub(super) fn next(self, waiting: &mut VecDeque<(Chain, Request)>) -> Option<(Chain, Request)> {
        match self {
            Self::Fifo => waiting.pop_front(),
            Self::Reverse => waiting.pop_back(),
        }
    }
}
