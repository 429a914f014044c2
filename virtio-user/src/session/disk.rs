//! A disk that survives its back-end.
//!
//! Its data path is [`RequestQueue`](virtio_guest::device::block::RequestQueue)'s: requests own their buffers, go out in bursts, and come back in any order. Beside it is written down what is in flight, so that it
//! can be asked for again.

use std::mem;
use std::time::Duration;

use virtio_guest::device::block::{Control, Failed, HANDLED, RequestError, Sector, Shape};
use virtio_guest::hal::{Direction, DmaBuffer};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::MappedBuffer;
use virtio_guest::ring::{ActivePath, QueueStatistics};
use virtio_guest::wire::block::BlockFeatures;

use super::alive::Alive;
use super::back_end::{BackEnd, Wait, end_of};
use super::books::{Asked, Done, Entry, RequestId};
use super::disk_device::bring_up;
use super::disk_lane::RequestLane;
use super::trouble::Away;
use crate::memory::{SharedBuffer, SharedHal};
use crate::{Link, Settings, SharedMemory, VhostUser};

/// What may be chosen about a disk.
#[derive(Clone, Debug)]
pub struct DiskSettings {
    /// The connection.
    pub front_end: Settings,
    /// Most queues. There are as many as the first back-end has, and those that come later need to have as many.
    pub queues: u16,
    /// Most descriptors of each queue, and with them requests in flight.
    pub descriptors: u16,
    /// Features that are wanted.
    pub wants: Wants<BlockFeatures>,
    /// How long to wait for the back-end.
    pub wait: Wait,
}

impl Default for DiskSettings {
    /// One queue of 128 descriptors, whatever the back-end offers, and what [`Settings`] and [`Wait`] have.
    fn default() -> Self {
        Self {
            front_end: Settings::default(),
            queues: 1,
            descriptors: 128,
            wants: Wants::features(HANDLED),
            wait: Wait::default(),
        }
    }
}

/// A disk that survives its back-end. Buffers that are handed in come back once, with what became of them, however many back-ends that takes.
///
/// One thread's. Dropping it resets the device, within about two seconds, and drops what was in flight; whatever that does not get back is leaked.
#[derive(Debug)]
pub struct Disk<B: DmaBuffer = SharedBuffer> {
    alive: Alive<Control<'static, VhostUser>, RequestLane<B>>,
    hal: SharedHal,
    settings: DiskSettings,
    shape: Shape,
    features: BlockFeatures,
    last_id: RequestId,
}

impl<B: DmaBuffer> Disk<B> {
    /// Connects to a back-end, and brings its disk up.
    ///
    /// # Errors
    /// - [`Away`]: why there is none.
    pub fn connect(
        back_end: impl Into<BackEnd>,
        memory: &SharedMemory,
        settings: DiskSettings,
    ) -> Result<Self, Away> {
        let (hal, mut alive) = (memory.hal(), Alive::new(back_end.into(), memory.clone(), Vec::new()));
        let device = alive.keep_trying(settings.wait.connect_within, |back_end, memory, lanes, end| {
            // One that did not come up has not said how many there are.
            lanes.clear();
            bring_up(back_end, memory, &settings, lanes, end)
        })?;
        let (shape, features) = (device.control.shape(), device.control.features());
        Ok(Self { alive, hal, settings, shape, features, last_id: RequestId(0) })
    }

    /// How many queues there are.
    pub fn queues(&self) -> usize {
        self.alive.lanes.len()
    }

    /// How many requests can be in flight together on each queue; none while there is no back-end.
    pub fn requests(&self) -> usize {
        self.alive.lanes.first().map_or(0, RequestLane::places)
    }

    /// The disk's size in sectors of 512 bytes, as last read.
    pub const fn capacity_sectors(&self) -> u64 {
        self.shape.capacity_sectors
    }

    /// What was agreed on with the last back-end, of the features that are disks' own.
    pub const fn features(&self) -> BlockFeatures {
        self.features
    }

    /// Which of the rings' features are in use. `None` while there is no back-end.
    pub fn active_path(&self) -> Option<ActivePath> {
        self.alive.lanes.first()?.active_path()
    }

    /// What a queue has done with this back-end.
    pub fn statistics(&self, queue: usize) -> QueueStatistics {
        self.alive.lanes.get(queue).map(RequestLane::statistics).unwrap_or_default()
    }

    /// How often another back-end took over.
    pub const fn restarts(&self) -> u64 {
        self.alive.restarts
    }

    /// Requests that were handed in, and did not come back yet.
    pub fn in_flight(&self) -> usize {
        self.alive.lanes.iter().map(RequestLane::count).sum()
    }

    /// What to ask for the reason, when the back-end looks gone. `None` while there is none.
    pub fn link(&self) -> Option<&Link> {
        self.alive.link()
    }

    /// The driver's control half. `None` while there is no back-end.
    pub fn control(&mut self) -> Option<&mut Control<'static, VhostUser>> {
        self.alive.control()
    }

    /// Reads the disk's size again, in sectors of 512 bytes: disks can be resized while they run.
    pub fn refresh_capacity_sectors(&mut self) -> u64 {
        if let Some(control) = self.alive.control()
            && let Ok(shape) = control.refresh_shape()
        {
            self.shape = shape;
            self.alive.lanes.iter_mut().for_each(|lane| lane.set_shape(shape));
        }
        self.shape.capacity_sectors
    }

    /// Hands in a read: all of `into` is to be filled, whole sectors. The device sees it with the next [`publish`](Disk::publish).
    ///
    /// Ownership: accepted, the buffer comes back with [`Done`], once; refused, in the error.
    /// Work: bounded, never waits; a buffer in the shared memory costs nothing to map.
    ///
    /// # Errors
    /// See [`RequestError`]: [`Full`](RequestError::Full) if as many are in flight as there can be, [`Removed`](RequestError::Removed) while there is no back-end.
    #[inline]
    pub fn submit_read(&mut self, queue: usize, from: Sector, into: B) -> Result<RequestId, Failed<B>> {
        self.submit(queue, Asked::Read(from), into, Direction::DeviceWritable)
    }

    /// Hands in a write of all of `from`, whole sectors. It happens at least once: again, if the back-end goes before it says that it is done.
    ///
    /// Ownership and work: as for [`submit_read`](Disk::submit_read).
    ///
    /// # Errors
    /// As for [`submit_read`](Disk::submit_read).
    #[inline]
    pub fn submit_write(&mut self, queue: usize, to: Sector, from: B) -> Result<RequestId, Failed<B>> {
        self.submit(queue, Asked::Write(to), from, Direction::DeviceReadable)
    }

    /// Hands in a flush: when it is done, all that was written and done before is safe from a power failure. Of what an earlier back-end kept it knows nothing; see [`restarts`](Disk::restarts).
    ///
    /// # Errors
    /// As for [`submit_read`](Disk::submit_read).
    pub fn submit_flush(&mut self, queue: usize) -> Result<RequestId, RequestError> {
        let entry = self.entry(Asked::Flush);
        let lane = self.alive.lanes.get_mut(queue).ok_or(RequestError::Unsupported)?;
        lane.submit(entry, None)?;
        self.last_id = entry.id;
        Ok(entry.id)
    }

    #[inline]
    fn submit(
        &mut self,
        queue: usize,
        asked: Asked,
        buffer: B,
        direction: Direction,
    ) -> Result<RequestId, Failed<B>> {
        let entry = self.entry(asked);
        let Some(lane) = self.alive.lanes.get_mut(queue) else {
            return Err(Failed { error: RequestError::Unsupported, payload: Some(buffer) });
        };
        let mapped = MappedBuffer::map(&self.hal, buffer, direction)
            .map_err(|refused| Failed { error: RequestError::NotMapped, payload: Some(refused.buffer) })?;
        lane.submit(entry, Some(mapped)).map_err(|Failed { error, payload }| Failed {
            error,
            payload: payload.map(MappedBuffer::unmap),
        })?;
        self.last_id = entry.id;
        Ok(entry.id)
    }

    const fn entry(&self, asked: Asked) -> Entry {
        Entry { id: RequestId(self.last_id.0 + 1), asked, sent: 0 }
    }

    /// Shows the device what was handed in to a queue, and notifies it if it wants that.
    #[inline]
    pub fn publish(&mut self, queue: usize) {
        if let Some(lane) = self.alive.lanes.get_mut(queue) {
            lane.publish();
        }
    }

    /// Takes up to `limit` requests of a queue that are done, and says how many there were.
    ///
    /// If there are none because the back-end has gone, this waits for the next one, and sends it all that was in flight.
    ///
    /// # Errors
    /// - [`Away`]: none came in time: everything is kept, and the next call tries again. Or it breaks the rules of the rings ([`Trouble::Broken`](super::Trouble::Broken)): everything is kept, too, until [`restart`](Self::restart) is called.
    #[inline]
    pub fn complete_burst(
        &mut self,
        queue: usize,
        limit: usize,
        mut done: impl FnMut(Done<B>),
    ) -> Result<usize, Away> {
        let Some(lane) = self.alive.lanes.get_mut(queue) else { return Ok(0) };
        match lane.complete(limit, &mut done) {
            Ok(0) => {}
            Ok(came) => return Ok(came),
            Err(broken) => return Err(Away { waited: Duration::ZERO, trouble: broken.into() }),
        }
        if !self.alive.is_down_after_all() {
            return Ok(0);
        }
        self.restart()?;
        // What the back-end had done before it went.
        let Some(lane) = self.alive.lanes.get_mut(queue) else { return Ok(0) };
        lane.complete(limit, &mut done)
            .map_err(|broken| Away { waited: Duration::ZERO, trouble: broken.into() })
    }

    /// Sleeps until something is done on any queue, the back-end goes, or the time is over. Without [`Settings::interrupts`] it looks at once for others to run, and that is all.
    pub fn wait(&mut self, limit: Duration) {
        self.alive.wait(limit);
    }

    /// Resets the device, and goes on with the back-end that is there then: with the next one, if this one went. All that is in flight is sent again.
    ///
    /// # Errors
    /// - [`Away`]: none came in time. Everything is kept.
    pub fn restart(&mut self) -> Result<(), Away> {
        let Self { alive, settings, shape, features, .. } = self;
        let device = alive.keep_trying(settings.wait.return_within, |back_end, memory, lanes, end| {
            bring_up(back_end, memory, settings, lanes, end)
        })?;
        (*shape, *features) = (device.control.shape(), device.control.features());
        alive.restarts += 1;
        alive.lanes.iter_mut().for_each(RequestLane::send_waiting);
        Ok(())
    }

    /// Resets the device, and hands out what was not done yet, with [`RequestError::Reset`]. The limit is as [`Wait`]'s are.
    ///
    /// # Errors
    /// - [`Away`]: the back-end does not stop within the limit, and has not gone. What is in flight is lost to it.
    pub fn close(mut self, limit: Duration) -> Result<Vec<Done<B>>, Away> {
        self.alive.take_down(end_of(limit)).map_err(|trouble| Away { waited: limit, trouble })?;
        let mut unfinished = Vec::new();
        for lane in mem::take(&mut self.alive.lanes) {
            lane.end(&mut unfinished);
        }
        Ok(unfinished)
    }
}
