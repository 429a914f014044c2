//! Our network card, polled: frames of a pool in shared memory, in bursts of 32.

use std::path::Path;

use virtio_guest::device::net::{
    Frame, FramePool, Net, PLAIN, PoolSettings, ReceiveQueue, Settings, Slots, Storage, TransmitQueue,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolStorage;
use virtio_guest::ring::Layout;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::net::NetFeatures;
use virtio_user::memory::{MemorySettings, SharedHal, SharedMemory};
use virtio_user::{Settings as Connection, VhostUser};

use super::middle::Middle;
use super::{Subject, cycles};
use crate::line::NetLine;
use crate::sample::{Task, Window};

/// Frames of a burst.
const BURST: usize = 32;
const FRAME_BYTES: usize = 64;
/// Buffers: those of both rings, and those of a burst, and some that are on their way.
const BUFFERS: usize = 1024;
/// Descriptors of each ring, as DPDK's card has them.
const QUEUE_SIZE: u16 = 256;
/// How often the device is looked at until it is reset.
const PATIENCE: Attempts = Attempts(1000);

/// Sent to everybody, with a type that is for experiments.
const FRAME: [u8; FRAME_BYTES] = {
    let mut frame = [0; FRAME_BYTES];
    let (start, _) = frame.split_at_mut(14);
    start.copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame
};

/// Brings a card up, has it work, and takes it down.
pub fn run(line: NetLine, socket: &Path, task: Task) -> Result<(), String> {
    let memory = SharedMemory::new(&MemorySettings::default()).map_err(|error| error.to_string())?;
    let connection = Connection { interrupts: false, mac: Some([2, 0, 0, 0, 0, 1]), ..Connection::default() };
    let transport = VhostUser::connect(socket, DeviceType::NETWORK, &memory, &connection);
    let transport = transport.map_err(|error| error.to_string())?;

    let mut entries = Box::new(PoolStorage::<BUFFERS>::new());
    let pool = FramePool::new(&memory.hal(), &mut *entries, PoolSettings::default());
    let pool = pool.map_err(|error| error.to_string())?;
    let supply = pool.supply().ok_or("a new pool has its supply")?;
    let mut storage: Box<Storage<'_, SharedHal, { QUEUE_SIZE as usize }>> = Box::default();
    let settings = Settings { queue_size_max: QUEUE_SIZE, ..Settings::default() };
    let slots = Slots::from(&mut *storage);
    let card = Net::start_with(transport, memory.hal(), slots, supply, &settings, wants(line), PATIENCE);
    let (control, receive, transmit) = card.map_err(|failed| failed.to_string())?.split();
    check(line, &transmit)?;
    let worked = if line.transmit {
        super::work(
            &mut Transmit {
                queue: transmit,
                receive,
                frames: Vec::with_capacity(BURST),
                spent: 0,
                middle: Middle::new(),
            },
            task,
        )
    } else {
        super::work(&mut Receive { queue: receive, _transmit: transmit, middle: Middle::new() }, task)
    };
    drop(control);
    worked
}

/// What the line says, and no more: a back-end that is polled looks at no event index.
fn wants(line: NetLine) -> Wants<NetFeatures> {
    let mut without = CommonFeatures::EVENT_IDX;
    without.set(CommonFeatures::RING_PACKED, !line.mode.is_packed());
    without.set(CommonFeatures::IN_ORDER, !line.mode.is_in_order());
    let features = if line.mergeable { PLAIN } else { PLAIN - NetFeatures::MRG_RXBUF };
    Wants::features(features).without(without)
}

/// Measures nothing else than the line says.
fn check(line: NetLine, queue: &TransmitQueue<'_, SharedHal>) -> Result<(), String> {
    let path = queue.active_path();
    let is_packed = path.layout == Layout::Packed;
    if (is_packed, path.in_order) == (line.mode.is_packed(), line.mode.is_in_order()) {
        Ok(())
    } else {
        Err(format!("the back-end offers something else than that: {path:?}"))
    }
}

struct Transmit<'s> {
    queue: TransmitQueue<'s, SharedHal>,
    /// Whose supply makes the frames.
    receive: ReceiveQueue<'s, SharedHal>,
    frames: Vec<Frame<'s, SharedHal>>,
    /// Cycles spent on the next burst until now: to take back what was sent, while there was no room.
    spent: u64,
    middle: Middle,
}

impl Subject for Transmit<'_> {
    #[inline]
    fn turn(&mut self, window: &mut Window) -> Result<(), String> {
        let Self { queue, receive, frames, spent, middle } = self;
        if frames.is_empty() {
            for _ in 0..BURST {
                frames.push(receive.supply().frame().ok_or("all frames are out")?);
            }
            for frame in frames.iter_mut() {
                frame.append(&FRAME).map_err(|error| error.to_string())?;
            }
        }
        let begin = cycles();
        let (sent, worked) = counted_submit(queue, frames)?;
        if worked {
            *spent += cycles() - begin;
        }
        if sent > 0 {
            middle.add(std::mem::take(spent));
            window.operations += sent as u64;
            window.counted += sent as u64;
            window.bursts += 1;
        }
        Ok(())
    }

    fn kicks(&self) -> u64 {
        self.queue.statistics().notifications_sent
    }

    fn settle(&mut self, window: &mut Window) {
        window.cycles = self.middle.take();
    }
}

/// Hands in a burst if there is room for it, and else takes back what was sent. Says how many frames went, and whether anything was done. A function with a name, for callgrind to find.
#[inline(never)]
fn counted_submit<'s>(
    queue: &mut TransmitQueue<'s, SharedHal>,
    frames: &mut Vec<Frame<'s, SharedHal>>,
) -> Result<(usize, bool), String> {
    if usize::from(queue.free_frames()) < BURST {
        let reaped = queue.reap().map_err(|broken| broken.to_string())?;
        if usize::from(queue.free_frames()) < BURST {
            return Ok((0, reaped > 0));
        }
    }
    let sent = queue.transmit_burst(frames.drain(..)).map_err(|burst| burst.to_string())?;
    Ok((sent, true))
}

struct Receive<'s> {
    queue: ReceiveQueue<'s, SharedHal>,
    /// It has a ring, too.
    _transmit: TransmitQueue<'s, SharedHal>,
    middle: Middle,
}

impl Subject for Receive<'_> {
    #[inline]
    fn turn(&mut self, window: &mut Window) -> Result<(), String> {
        let begin = cycles();
        let received = counted_complete(&mut self.queue)? as u64;
        let taken = cycles() - begin;
        window.operations += received;
        window.bursts += u64::from(received > 0);
        if received == BURST as u64 {
            window.counted += received;
            self.middle.add(taken);
        }
        Ok(())
    }

    fn kicks(&self) -> u64 {
        self.queue.statistics().notifications_sent
    }

    fn settle(&mut self, window: &mut Window) {
        window.cycles = self.middle.take();
    }
}

/// Takes up to a burst, drops the frames, and gives their buffers to the device again. See [`counted_submit`].
#[inline(never)]
fn counted_complete(queue: &mut ReceiveQueue<'_, SharedHal>) -> Result<usize, String> {
    queue.receive_burst(BURST, drop).map_err(|broken| broken.to_string())
}
