//! The control queue: one command at a time, copied through the queue's own memory.
//!
//! Spec: §5.1.9.5 Control Virtqueue, §5.1.9.8 Legacy Interface: Framing Requirements. What the commands say is in the modules beside.
//!
//! ```text
//!   queue memory   │ class, command (2) │ answer (1) │ unused (5) │ data … │ result … │
//!   descriptors      device reads         device writes             reads    writes
//! ```
//!
//! A call that gives up leaves its command with the device, and no pointer into the caller's memory; until the device has answered there is no other command.

use core::fmt;

use zerocopy::IntoBytes;

use crate::hal::{Hal, Patience};
use crate::lifecycle::ConfigError;
use crate::raw::{ConfirmedReset, OutOfBounds, Tag};
use crate::ring::{
    self, Broken, Chain, Portion, QueueSettings, QueueStatistics, Rearmed, RefusedReason, Used, Virtqueue,
};
use crate::wire::net::control::{ControlHeader, ack};

/// Where a command's header, its answer and its data are, in bytes from the start of the queue's memory.
const HEADER: Portion = Portion { offset: 0, len: 2 };
const ANSWER: Portion = Portion { offset: 2, len: 1 };
const DATA: usize = 8;

/// Most descriptors of a command's data.
const DATA_PARTS_MAX: usize = 2;

/// Zeros, a few at a time.
const ZEROS: [u8; 64] = [0; 64];

/// Why a command did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The feature was not agreed on that the command needs. The device was not asked.
    #[error("the command needs a feature that was not agreed on")]
    Unsupported,
    /// The device says that it did not do it.
    #[error("the device refused the command")]
    Refused,
    /// The device returned the command without an answer, with one that means nothing, or with a result that does not fit.
    #[error("the device's answer makes no sense")]
    BadAnswer,
    /// The device did not answer in time. It may still do what it was asked for; until it answers there is no other command.
    #[error("the device did not answer in time")]
    TimedOut,
    /// An earlier command was not answered yet, nor while this call waited. The device was not asked.
    #[error("an earlier command was not answered yet")]
    Busy,
    /// The command, or its result, does not fit into the memory or the descriptors of the control queue. The device was not asked, or filled all the room that there is for its result.
    #[error("the command does not fit into the control queue")]
    TooLong,
    /// What is asked for cannot be, or not with this device. The device was not asked.
    #[error("what is asked for cannot be")]
    InvalidArgument,
    /// The device broke the protocol of the control queue, or the device was taken down: only another bring-up helps.
    #[error("the control queue is broken: {0}")]
    Broken(#[from] Broken),
    /// The configuration space cannot be accessed.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What the control queue keeps in memory of its own: lent by the caller for as long as the driver lives.
///
/// A command takes up to four descriptors, so four are enough; but devices behind the legacy interface of PCI choose themselves how many there are (QEMU's have 64).
#[derive(Debug, Default)]
pub struct ControlStorage<const N: usize = 64>(ring::Storage<Tag<()>, N>);

impl<const N: usize> ControlStorage<N> {
    /// Empty storage.
    pub const fn new() -> Self {
        Self(ring::Storage::new())
    }
}

/// Where the control queue keeps its own memory: a lent [`ControlStorage`], or what an earlier driver gave back.
#[derive(Debug)]
pub struct ControlSlots<'s>(pub(super) ring::Slots<'s, Tag<()>>);

impl<'s, const N: usize> From<&'s mut ControlStorage<N>> for ControlSlots<'s> {
    fn from(ControlStorage(storage): &'s mut ControlStorage<N>) -> Self {
        Self(storage.into())
    }
}

#[cfg(feature = "alloc")]
impl ControlSlots<'_> {
    /// For so many descriptors, from the heap; see [`ControlStorage`].
    pub fn allocate(descriptors: u16) -> Self {
        Self(ring::Slots::allocate(descriptors))
    }
}

/// The control queue of a live device.
pub(super) struct Commands<'s, H: Hal> {
    queue: Virtqueue<'s, H, Tag<()>>,
    /// Where the queue's memory ends.
    end: usize,
    /// Whether calls that wait are woken.
    notified: bool,
}

/// The settings of a control queue with room for so many bytes of data and result.
pub(super) fn queue_settings(control_bytes: u32) -> QueueSettings {
    QueueSettings { size_max: u16::MAX, indirect_segments: 0, memory_bytes: memory_bytes(control_bytes) }
}

fn memory_bytes(control_bytes: u32) -> usize {
    usize::try_from(control_bytes).unwrap_or(usize::MAX).saturating_add(DATA)
}

impl<'s, H: Hal> Commands<'s, H> {
    /// Commands through a live queue that was installed with [`queue_settings`] for so many bytes.
    pub(super) fn new(mut queue: Virtqueue<'s, H, Tag<()>>, control_bytes: u32, notified: bool) -> Self {
        if !notified {
            queue.suppress_notifications();
        }
        Self { queue, end: memory_bytes(control_bytes), notified }
    }

    /// What the queue has done.
    pub(super) fn statistics(&self) -> QueueStatistics {
        self.queue.statistics()
    }

    /// Takes the queue out of service while the reset of its device is under way.
    pub(super) const fn retire(&mut self) {
        self.queue.retire();
    }

    /// The storage, after the reset of the device. None, if it was another one's.
    pub(super) fn reclaim(self, reset: &ConfirmedReset) -> Option<ControlSlots<'s>> {
        let returned = self.queue.reclaim(reset).ok()?;
        Some(ControlSlots(returned.into_slots()))
    }

    /// Begins a command, once the one before is answered.
    pub(super) fn begin(
        &mut self,
        class: u8,
        command: u8,
        patience: &mut dyn Patience,
    ) -> Result<Writing<'_, 's, H>, ControlError> {
        // An answer that comes too late is nobody's.
        if self.queue.in_flight() > 0 && self.wait(patience)?.is_none() {
            return Err(ControlError::Busy);
        }
        self.write(HEADER.offset as usize, ControlHeader { class, command }.as_bytes())?;
        self.write(ANSWER.offset as usize, &[ack::NOT_WRITTEN])?;
        Ok(Writing { commands: self, at: DATA, starts: [DATA; DATA_PARTS_MAX], parts: 0 })
    }

    /// Waits for the command that is in flight; `None` if it does not come back in time.
    fn wait(&mut self, patience: &mut dyn Patience) -> Result<Option<Used<Tag<()>>>, Broken> {
        let (mut looked_again, mut out_of_patience) = (false, false);
        loop {
            let used = self.queue.take_used()?;
            // After the last wait there is one more look: a sleep may have ended with what was waited for.
            if used.is_some() || out_of_patience {
                return Ok(used);
            }
            if self.notified && !looked_again && self.queue.rearm() == Rearmed::MoreWaiting {
                looked_again = true;
            } else {
                (out_of_patience, looked_again) = (!patience.keep_waiting(), false);
            }
        }
    }

    fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), ControlError> {
        self.queue.write_memory(offset, from).map_err(|OutOfBounds| ControlError::TooLong)
    }
}

impl<H: Hal> fmt::Debug for Commands<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("index", &self.queue.index()).finish_non_exhaustive()
    }
}

/// A command whose data is being written.
pub(super) struct Writing<'c, 's, H: Hal> {
    commands: &'c mut Commands<'s, H>,
    /// Where its next byte goes.
    at: usize,
    /// Where each part of it starts.
    starts: [usize; DATA_PARTS_MAX],
    /// How many parts are over.
    parts: usize,
}

impl<'c, 's, H: Hal> Writing<'c, 's, H> {
    /// The next bytes of its data.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), ControlError> {
        self.commands.write(self.at, bytes)?;
        // What was written is inside of the memory.
        self.at += bytes.len();
        Ok(())
    }

    /// What comes next has a descriptor of its own.
    pub(super) fn cut(&mut self) {
        self.parts = self.parts.saturating_add(1);
        if let Some(start) = self.starts.get_mut(self.parts) {
            *start = self.at;
        }
    }

    /// Bytes that there is room for, of data and result.
    pub(super) const fn room(&self) -> usize {
        self.commands.end.saturating_sub(self.at)
    }

    /// Sends the command, and waits for success.
    pub(super) fn run(self, patience: &mut dyn Patience) -> Result<(), ControlError> {
        self.ask(0, patience).map(|_| ())
    }

    /// Sends the command with room for a result of so many bytes, and waits for success.
    pub(super) fn ask(
        self,
        result_bytes: usize,
        patience: &mut dyn Patience,
    ) -> Result<Answered<'c, 's, H>, ControlError> {
        let Self { commands, at, starts, parts } = self;
        // There is room for it then, and what an earlier command left there is not to be taken for an answer.
        for offset in (0..result_bytes).step_by(ZEROS.len()) {
            let zeros = ZEROS.get(..result_bytes - offset).unwrap_or(&ZEROS);
            commands.write(at + offset, zeros)?;
        }
        let mut readable = [HEADER; DATA_PARTS_MAX + 1];
        let mut count = 1;
        let ends = starts.iter().skip(1).take(parts).copied().chain([at]);
        for (start, end) in starts.into_iter().zip(ends).filter(|(start, end)| start < end) {
            if let Some(place) = readable.get_mut(count) {
                *place = portion(start, end - start)?;
                count += 1;
            }
        }
        let mut writable = [ANSWER; 2];
        let results = usize::from(result_bytes > 0);
        if let (Some(place), 1) = (writable.get_mut(1), results) {
            *place = portion(at, result_bytes)?;
        }
        let chain = Chain {
            readable: readable.get(..count).unwrap_or_default(),
            writable: writable.get(..=results).unwrap_or_default(),
        };
        if let Err(refused) = commands.queue.make_available(chain, Tag(())) {
            return Err(match (refused.reason, commands.queue.broken()) {
                (RefusedReason::Broken, Some(broken)) => broken.into(),
                _ => ControlError::TooLong,
            });
        }
        commands.queue.publish();
        let used = commands.wait(patience)?.ok_or(ControlError::TimedOut)?;
        Answered { commands, at, bytes: 0 }.judge(used.written_len, result_bytes)
    }
}

/// A command that succeeded, and its result.
pub(super) struct Answered<'c, 's, H: Hal> {
    commands: &'c Commands<'s, H>,
    at: usize,
    /// Bytes of the result that the device wrote.
    bytes: usize,
}

impl<H: Hal> Answered<'_, '_, H> {
    /// Looks at the answer, once. How many bytes a device says that it wrote counts only where there is a result: the answer itself tells whether it is there, and devices of old say anything.
    fn judge(mut self, written_len: u32, result_bytes: usize) -> Result<Self, ControlError> {
        let mut answer = [ack::NOT_WRITTEN];
        let read = self.commands.queue.read_memory(ANSWER.offset as usize, &mut answer);
        read.map_err(|OutOfBounds| ControlError::BadAnswer)?;
        match answer {
            [ack::OK] => {
                let written = usize::try_from(written_len.saturating_sub(ANSWER.len)).unwrap_or(usize::MAX);
                self.bytes = written.min(result_bytes);
                Ok(self)
            }
            [ack::ERR] => Err(ControlError::Refused),
            _ => Err(ControlError::BadAnswer),
        }
    }

    /// Bytes of the result that the device wrote.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Some bytes of the result.
    pub(super) fn read<const N: usize>(&self, offset: usize) -> Result<[u8; N], ControlError> {
        let mut bytes = [0; N];
        let is_written = offset.checked_add(N).is_some_and(|end| end <= self.bytes);
        let place = self.at.checked_add(offset).filter(|_| is_written).ok_or(ControlError::BadAnswer)?;
        let read = self.commands.queue.read_memory(place, &mut bytes);
        read.map_err(|OutOfBounds| ControlError::BadAnswer).map(|()| bytes)
    }
}

fn portion(offset: usize, len: usize) -> Result<Portion, ControlError> {
    match (u32::try_from(offset), u32::try_from(len)) {
        (Ok(offset), Ok(len)) => Ok(Portion { offset, len }),
        _ => Err(ControlError::TooLong),
    }
}
