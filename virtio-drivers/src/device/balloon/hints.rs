//! Hints: blocks that are free while a machine is moved to another host, so that they need not be copied.
//!
//! Spec: §5.5.6.5 Free Page Hinting.
//!
//! ```text
//!   command   Round(7)                                  Stop or Round(8)     Done
//!   queue     id 7 │ block │ block │ … │ id 0 (stop)    id 0, if it is due
//!   blocks    lent, with the device, then kept ─────────────────────────────▶ back to the kernel
//! ```

use core::fmt;

use super::control::HintCommand;
use super::driver::Balloon;
use super::kernel::FreeBlocks;
use super::places::Stack;
use super::slots::{HintSlots, Load};
use super::start::{StartError, Starting};
use crate::hal::{BalloonPage, Direction, DmaBuffer, Hal};
use crate::lifecycle::InstallFailed;
use crate::raw::{ConfirmedReset, MapRefused, MappedBuffer};
use crate::ring::{
    Broken, Chain, InstalledQueue, Portion, QueueSettings, QueueStatistics, Rearmed, Virtqueue,
};
use crate::transport::Transport;
use crate::wire::balloon::{BalloonFeatures, command};

/// Bytes of a command's id.
const ID_BYTES: u32 = 4;
/// Where the id of a round is in the queue's memory. It is not written again before the device has returned its chain.
const START: Portion = Portion { offset: 0, len: ID_BYTES };
/// Where the id is that ends a round: written once, for any number of chains.
const STOP: Portion = Portion { offset: ID_BYTES, len: ID_BYTES };

/// The queue for hints of a balloon that is up. `Send`, not `Sync`: one owner at a time.
///
/// Its interrupt is its own only where no queue is missing below it (there are statistics, or its device numbers queues without gaps); else it comes as a change of the configuration.
///
/// Dropping it leaks its memory and all blocks; [`reclaim`](Hints::reclaim) takes them back after a reset.
pub struct Hints<'s, H: Hal, B: DmaBuffer> {
    queue: Virtqueue<'s, H, Load<H, B>>,
    hal: H,
    /// Blocks that the device returned, and that the kernel is to have when the device is done with all of it.
    kept: Stack<'s, B>,
    /// Chains with blocks that are with the device.
    blocks_in_flight: usize,
    /// Chains with the id of a round that are with the device, which is one at most.
    start_in_flight: bool,
    /// Chains without a block that are with the device.
    ids_in_flight: usize,
    /// The round whose id was sent, until the device takes it back.
    round: Option<u32>,
    /// Whether the id that ends it is still to be sent.
    is_open: bool,
    /// Whether the device said after the last round that it is done.
    is_done: bool,
    is_legacy: bool,
}

/// A queue for hints whose balloon knows of it, and that may not be used yet: [`Balloon::activate_hints`] makes it usable.
#[must_use = "dropping it leaks its memory"]
pub struct IdleHints<'s, H: Hal, B: DmaBuffer> {
    queue: InstalledQueue<'s, H, Load<H, B>>,
    hal: H,
    kept: Stack<'s, B>,
    is_legacy: bool,
    notified: bool,
}

/// A queue for hints that was not installed: why, and the storage that was lent.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct HintsFailed<'s, H: Hal, B: DmaBuffer> {
    /// Why.
    pub error: StartError,
    /// The storage.
    pub slots: HintSlots<'s, H, B>,
}

/// Where hints are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintProgress {
    /// Nothing is to be done until the command changes.
    Idle,
    /// Something is with the device, or could not be sent before the device has returned something: again, when it has.
    Working,
}

impl<T: Transport> Starting<T> {
    /// Installs the queue for hints, with storage of its own.
    ///
    /// # Errors
    /// - [`HintsFailed`]: the storage comes back. The balloon can be started without it.
    #[allow(clippy::result_large_err, reason = "what was handed in comes back, once in a device's life")]
    pub fn install_hints<'s, H: Hal, B: DmaBuffer>(
        &mut self,
        hal: &H,
        slots: impl Into<HintSlots<'s, H, B>>,
    ) -> Result<IdleHints<'s, H, B>, HintsFailed<'s, H, B>> {
        let HintSlots { blocks, queue } = slots.into();
        if !self.features().contains(BalloonFeatures::FREE_PAGE_HINT) || self.has_hints {
            let slots = HintSlots { blocks, queue };
            return Err(HintsFailed { error: StartError::NoSuchQueue, slots });
        }
        let settings = QueueSettings {
            size_max: self.settings.queue_size_max,
            indirect_segments: 0,
            memory_bytes: 2 * ID_BYTES as usize,
        };
        let index = self.hints_index();
        match self.device.install_queue(index, hal, &settings, queue) {
            Ok(queue) => {
                self.has_hints = true;
                let (is_legacy, notified) = (self.is_legacy, self.settings.notifications);
                Ok(IdleHints { queue, hal: hal.clone(), kept: blocks, is_legacy, notified })
            }
            Err(InstallFailed { error, storage }) => {
                Err(HintsFailed { error: error.into(), slots: HintSlots { blocks, queue: storage } })
            }
        }
    }
}

impl<T: Transport, H: Hal, P: BalloonPage> Balloon<'_, T, H, P> {
    /// Makes the queue for hints usable that was installed while the balloon came up. One of another balloon comes out of service.
    pub fn activate_hints<'q, B: DmaBuffer>(&self, idle: IdleHints<'q, H, B>) -> Hints<'q, H, B> {
        let IdleHints { queue, hal, kept, is_legacy, notified } = idle;
        let mut queue = self.live.control.half.activate(queue);
        if !notified {
            queue.suppress_notifications();
        }
        let (round, is_open) = (None, false);
        let (blocks_in_flight, ids_in_flight, start_in_flight) = (0, 0, false);
        Hints {
            queue,
            hal,
            kept,
            blocks_in_flight,
            start_in_flight,
            ids_in_flight,
            round,
            is_open,
            is_done: false,
            is_legacy,
        }
    }
}

impl<'s, H: Hal, B: DmaBuffer> Hints<'s, H, B> {
    /// Takes a step: takes back what the device is done with, and supplies what the command wants, which is [`Balloon::hint_command`]'s, read after the configuration last changed. To be called whenever it changed, and as long as it
    /// says [`HintProgress::Working`], after the queue's interrupt, with the same command: QEMU has [`HintCommand::Stop`] there as soon as it knows that a round began, for whoever reads it again.
    ///
    /// Ownership: blocks that were lent are with the device, or kept; at [`HintCommand::Done`] all that the device has returned go back to `blocks`, with this call or a later one.
    /// Work: as many blocks as the queue has descriptors; never waits, notifies once.
    ///
    /// # Errors
    /// - [`Broken`]: the device broke the protocol, now or earlier. Blocks that it has come back after a reset.
    ///
    /// Spec: §5.5.6.5.1 Driver Requirements: Free Page Hinting.
    pub fn poll(
        &mut self,
        command: HintCommand,
        blocks: &mut impl FreeBlocks<Block = B>,
    ) -> Result<HintProgress, Broken> {
        self.take_back()?;
        if command == HintCommand::Done {
            self.is_done = true;
            while let Some(block) = self.kept.pop() {
                blocks.take_back(block);
            }
        }
        let wanted = match command {
            HintCommand::Round(id) => Some(id),
            HintCommand::Stop | HintCommand::Done => None,
        };
        let all_sent = self.supply(wanted, blocks);
        self.queue.publish();
        if let Some(broken) = self.queue.broken() {
            return Err(broken);
        }
        let is_idle = all_sent && self.queue.in_flight() == 0;
        Ok(if is_idle { HintProgress::Idle } else { HintProgress::Working })
    }

    /// Takes what the device has returned. There is room for all blocks that were lent.
    fn take_back(&mut self) -> Result<(), Broken> {
        while let Some(used) = self.queue.take_used()? {
            match used.payload {
                Some(block) => {
                    self.blocks_in_flight = self.blocks_in_flight.saturating_sub(1);
                    // There is room: no more are lent.
                    let _ = self.kept.push(block.unmap());
                }
                None => self.ids_in_flight = self.ids_in_flight.saturating_sub(1),
            }
        }
        if self.ids_in_flight == 0 {
            self.start_in_flight = false;
        }
        Ok(())
    }

    /// Sends what is due in the round that is wanted; says whether all of it went.
    fn supply(&mut self, wanted: Option<u32>, blocks: &mut impl FreeBlocks<Block = B>) -> bool {
        if self.round != wanted {
            // What ends the last one goes before what begins the next one.
            if self.is_open && !self.end_round() {
                return false;
            }
            self.round = None;
            let Some(id) = wanted else { return true };
            if !self.begin_round(id) {
                return false;
            }
        }
        if !self.is_open {
            return true;
        }
        while self.kept.room() > self.blocks_in_flight && self.queue.free_descriptors() > 0 {
            if !self.hint(blocks) {
                return self.end_round();
            }
        }
        // Out of room for blocks is out of blocks; out of descriptors is not.
        self.kept.room() <= self.blocks_in_flight && self.end_round()
    }

    /// Sends the id of a round, once, as soon as the one before has come back.
    fn begin_round(&mut self, id: u32) -> bool {
        let bytes = if self.is_legacy { id.to_ne_bytes() } else { id.to_le_bytes() };
        if self.start_in_flight || self.queue.write_memory(START.offset as usize, &bytes).is_err() {
            return false;
        }
        if !self.send_id(START) {
            return false;
        }
        self.is_done = false;
        (self.round, self.is_open, self.start_in_flight) = (Some(id), true, true);
        true
    }

    /// Sends the id that ends a round.
    fn end_round(&mut self) -> bool {
        // The same bytes, whichever end they are for: whatever is in flight may be read at any time.
        let written = self.queue.write_memory(STOP.offset as usize, &command::STOP.to_le_bytes());
        if written.is_err() || !self.send_id(STOP) {
            return false;
        }
        self.is_open = false;
        true
    }

    fn send_id(&mut self, id: Portion) -> bool {
        let sent = self.queue.make_available(Chain { readable: &[id], writable: &[] }, None).is_ok();
        self.ids_in_flight += usize::from(sent);
        sent
    }

    /// Sends a block of the kernel's; says whether there was one.
    fn hint(&mut self, blocks: &mut impl FreeBlocks<Block = B>) -> bool {
        let Some(block) = blocks.lend() else { return false };
        let mapped = match MappedBuffer::map(&self.hal, block, Direction::DeviceWritable) {
            Ok(mapped) => mapped,
            Err(MapRefused { buffer }) => {
                blocks.take_back(buffer);
                return false;
            }
        };
        match self.queue.make_available(Chain::default(), Some(mapped)) {
            Ok(()) => {
                self.blocks_in_flight += 1;
                true
            }
            Err(refused) => {
                if let Some(block) = refused.payload {
                    blocks.take_back(block.unmap());
                }
                false
            }
        }
    }

    /// Gives all blocks back to the kernel that are kept, before the device is done, for a kernel that needs them: each by [`FreeBlocks::take_back_early`].
    pub fn release(&mut self, blocks: &mut impl FreeBlocks<Block = B>) {
        while let Some(block) = self.kept.pop() {
            blocks.take_back_early(block);
        }
    }

    /// Blocks that the device has returned, and that are kept.
    pub const fn kept_blocks(&self) -> usize {
        self.kept.len()
    }

    /// Blocks that are with the device.
    pub const fn blocks_in_flight(&self) -> usize {
        self.blocks_in_flight
    }

    /// Asks for an interrupt when the device returns something, and looks once more: what it has returned already brings none.
    pub fn rearm(&mut self) -> Rearmed {
        self.queue.rearm()
    }

    /// The queue's index in its device.
    pub const fn index(&self) -> u16 {
        self.queue.index()
    }

    /// Why the queue is out of service, if it is.
    pub const fn broken(&self) -> Option<Broken> {
        self.queue.broken()
    }

    /// What the queue has done.
    pub fn statistics(&self) -> QueueStatistics {
        self.queue.statistics()
    }

    /// Takes the queue out of service after a confirmed reset of its balloon: its memory is freed, and all blocks go back to the kernel.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(
        mut self,
        reset: &ConfirmedReset,
        blocks: &mut impl FreeBlocks<Block = B>,
    ) -> Result<HintSlots<'s, H, B>, Self> {
        match self.queue.reclaim(reset) {
            Ok(mut returned) => {
                let mut take_back = |block| {
                    if self.is_done { blocks.take_back(block) } else { blocks.take_back_early(block) }
                };
                returned.by_ref().flatten().for_each(|block| take_back(block.unmap()));
                while let Some(block) = self.kept.pop() {
                    take_back(block);
                }
                Ok(HintSlots { blocks: self.kept, queue: returned.into_slots() })
            }
            Err(queue) => Err(Self { queue, ..self }),
        }
    }
}

impl<'s, H: Hal, B: DmaBuffer> IdleHints<'s, H, B> {
    /// Takes the queue back after a reset of its device.
    ///
    /// # Errors
    /// The queue itself, if `reset` is not of the bring-up that it belongs to.
    #[allow(clippy::result_large_err, reason = "the queue itself comes back, once in its life")]
    pub fn reclaim(self, reset: &ConfirmedReset) -> Result<HintSlots<'s, H, B>, Self> {
        match self.queue.reclaim(reset) {
            Ok(returned) => Ok(HintSlots { blocks: self.kept, queue: returned.into_slots() }),
            Err(queue) => Err(Self { queue, ..self }),
        }
    }
}

impl<H: Hal, B: DmaBuffer> fmt::Debug for Hints<'_, H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { round, blocks_in_flight, kept, .. } = self;
        let mut fields = f.debug_struct("Hints");
        fields.field("round", round).field("blocks_in_flight", blocks_in_flight);
        fields.field("kept_blocks", &kept.len()).finish_non_exhaustive()
    }
}

impl<H: Hal, B: DmaBuffer> fmt::Debug for IdleHints<'_, H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdleHints").field("index", &self.queue.index()).finish_non_exhaustive()
    }
}

impl<H: Hal, B: DmaBuffer> fmt::Debug for HintsFailed<'_, H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HintsFailed").field("error", &self.error).finish_non_exhaustive()
    }
}
