//! What a balloon holds behind its lock.

use super::config::BalloonConfig;
use super::hints::Hints;
use super::misbehaviour::BalloonMisbehaviour;
use super::numbers::feature;
use super::pages::Pages;
use super::queues::BalloonQueue;
use super::statistics::Statistics;
use crate::block::Order;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use crate::rings::{Quota, Ring, Rings};
use std::collections::{BTreeSet, VecDeque};

/// A ring, and the chains that were taken from it and are not given back.
pub(super) type Running = Ring<VecDeque<Chain>>;

/// The balloon behind the lock.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) config: BalloonConfig,
    /// Features besides those of every balloon.
    pub(super) features: u128,
    pub(super) is_compacted: bool,
    pub(super) lies: BalloonMisbehaviour,
    pub(super) order: Order,
    pub(super) quota: Quota,
    /// Queues of which nothing is given back.
    pub(super) stopped: BTreeSet<BalloonQueue>,
    pub(super) suppresses_notifications: bool,
    /// Whether the contents of pages stay, though they need not.
    pub(super) keeps_contents: bool,
    /// Where inflated pages are, if the device can reach them.
    pub(super) guest: Option<AddressSpace>,
    pub(super) pages: Pages,
    pub(super) statistics: Statistics,
    pub(super) hints: Hints,
    /// The pages of each inflation and deflation.
    pub(super) bursts: Vec<(BalloonQueue, Vec<u32>)>,
    /// Blocks that were reported, as address and length.
    pub(super) reported: Vec<(u64, u32)>,
    /// The resets that all this has seen.
    pub(super) resets: usize,
    /// How much of what the driver wrote to the configuration since then.
    pub(super) writes_seen: usize,
    /// Whether the driver was seen ready since then.
    pub(super) was_live: bool,
    pub(super) rings: Rings<VecDeque<Chain>>,
}

impl State {
    /// Forgets what a driver said before the last reset, and judges what it wrote to the configuration.
    pub(super) fn follow_registers(&mut self, device: &PciDevice) {
        if self.resets != device.resets() {
            self.resets = device.resets();
            (self.writes_seen, self.was_live) = (0, false);
            self.pages.forget();
            self.statistics.forget();
            self.hints.forget();
        }
        if device.is_live() && !std::mem::replace(&mut self.was_live, true) {
            Self::begin(device);
        }
        for (at, width, value) in device.config_writes_since_reset(self.writes_seen) {
            self.writes_seen += 1;
            if let Some(actual) = self.pages.actual_written(at, width, value)
                && let Err(complaint) = self.pages.judge_actual(actual)
            {
                device.report_driver_error(complaint);
            }
        }
        self.config = BalloonConfig::from_bytes(&device.config());
        self.pages.see_target(self.config.num_pages);
    }

    /// The driver is ready for the first time since a reset.
    ///
    /// Spec: §5.5.6.6.1 Driver Requirements: Page Poison.
    fn begin(device: &PciDevice) {
        let writes = device.config_writes_since_reset(0);
        let is_said = writes.iter().any(|(at, ..)| usize::try_from(*at) == Ok(super::config::POISON));
        if Self::agreed(device, feature::PAGE_POISON) && !is_said {
            device.report_driver_error("poison_val was not written before DRIVER_OK");
        }
    }

    pub(super) fn agreed(device: &PciDevice, bit: u32) -> bool {
        device.negotiated_features() & 1 << bit != 0
    }

    /// The number of a queue.
    pub(super) fn index(&self, queue: BalloonQueue) -> u16 {
        queue.index(self.features, self.is_compacted)
    }

    /// Works on a queue, if it is there; tells what came of it.
    pub(super) fn work(
        &mut self,
        device: &PciDevice,
        memory: &AddressSpace,
        queue: BalloonQueue,
        act: impl FnOnce(&mut Self, &mut Running) -> Result<usize, ModelError>,
    ) -> usize {
        if !queue.is_there(device.negotiated_features()) {
            return 0;
        }
        let index = self.index(queue);
        let Some(mut ring) = self.rings.take_out(device, memory, index) else {
            return 0;
        };
        let outcome = act(self, &mut ring);
        let count = *outcome.as_ref().unwrap_or(&0);
        self.rings.put_back(device, index, ring, outcome.map(drop));
        count
    }

    /// Takes what is available in a queue, and looks at it; what is wrong with it is an error of the driver.
    pub(super) fn take(
        &mut self,
        device: &PciDevice,
        queue: BalloonQueue,
        ring: &mut Running,
        mut look: impl FnMut(&mut Self, &Chain) -> Result<Vec<String>, ModelError>,
    ) -> Result<(), ModelError> {
        for chain in ring.take_available(device, !self.suppresses_notifications)? {
            for complaint in look(self, &chain)? {
                device.report_driver_error(format!("{queue:?} {}: {complaint}", chain.head));
            }
            ring.work.push_back(chain);
        }
        Ok(())
    }

    /// Gives back what is not held; tells how much that was.
    pub(super) fn give_back(
        &mut self,
        device: &PciDevice,
        queue: BalloonQueue,
        ring: &mut Running,
        mut done: impl FnMut(&mut Self, &Chain),
    ) -> Result<usize, ModelError> {
        let mut completed = 0;
        let (written, lie) = self.lies.of(queue);
        while !ring.work.is_empty() && !self.stopped.contains(&queue) && self.quota.take_one() {
            let order = if ring.queue.is_in_order() { Order::Fifo } else { self.order };
            let Some(chain) = order.next(&mut ring.work) else {
                break;
            };
            done(self, &chain);
            ring.give_back(chain.head, written, lie)?;
            completed += 1;
        }
        if completed != 0 {
            ring.publish(device, self.index(queue))?;
        }
        Ok(completed)
    }
}
