//! A disk that is up, with a queue for each of some processors, and requests that own their buffers.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use example_platform::devices::{self, Device, Interrupts, Way, Wiring};
use example_platform::interrupts::wait;
use example_platform::{DMA, Dma, clock, println};
use spin::{Mutex, MutexGuard};
use virtio_guest::device::block::{
    Completion, Control, HANDLED, RequestError, RequestQueue, Sector, SectorRange, Settings, Slots, Starting,
    Storage, Ticket,
};
use virtio_guest::hal::{Direction, Patience};
use virtio_guest::lifecycle::{Signals, VectorRouting, Wants};
use virtio_guest::raw::MappedBuffer;
use virtio_guest::ring::Rearmed;
use virtio_guest::wire::device_type::DeviceType;

use crate::pattern::{self, SECTOR};

/// Most queues of a disk.
pub const QUEUES_MAX: usize = 4;
/// How long something may take, on a host that is busy, too.
const LIMIT: Duration = Duration::from_secs(20);

/// A buffer that travels with its request.
pub type Buffer = MappedBuffer<Dma, Vec<u8>>;
/// A request queue.
pub type Queue = RequestQueue<'static, Dma, Buffer>;

/// What each queue's driver keeps: too much for the stack.
static STORAGE: [Mutex<Storage<256, Buffer>>; QUEUES_MAX] =
    [const { Mutex::new(Storage::for_buffers()) }; QUEUES_MAX];

static SIGNALS: Signals<QUEUES_MAX> = Signals::new();

/// See the module's head.
pub struct Disk {
    pub control: Control<'static, Way>,
    pub queues: Vec<Queue>,
    pub wiring: Wiring,
    /// What those wait for who wait for a queue.
    pub interrupts: Interrupts,
}

/// What came back of a queue.
pub type Completions = Vec<Completion<Buffer>>;

/// Sectors beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: u64,
    pub count: u64,
}

impl Range {
    /// For requests without data.
    pub const fn sectors(self) -> SectorRange {
        SectorRange { first: Sector(self.first), sectors: self.count }
    }

    /// What these sectors hold.
    pub fn contents(self, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.count as usize * SECTOR];
        for (sector, into) in (self.first..).zip(bytes.chunks_mut(SECTOR)) {
            pattern::fill(seed, sector, into);
        }
        bytes
    }
}

/// Something that is waited for, for so long from now on: asleep if it interrupts.
pub struct Waited {
    interrupts: Interrupts,
    until: Duration,
}

impl Waited {
    pub fn by(interrupts: Interrupts) -> Self {
        Self { interrupts, until: clock::now() + LIMIT }
    }
}

impl Patience for Waited {
    fn keep_waiting(&mut self) -> bool {
        match self.interrupts {
            Interrupts::None => core::hint::spin_loop(),
            Interrupts::Messages | Interrupts::Line => wait(self.until),
        }
        clock::now() < self.until
    }
}

impl Disk {
    /// Brings the first disk up, with a queue for each of these processors.
    pub fn start(processors: &[usize]) -> Result<Self, String> {
        Self::start_taken(devices::take_disk()?, processors)
    }

    /// The same for a disk that was taken before.
    pub fn start_taken(device: Device, processors: &[usize]) -> Result<Self, String> {
        let storage = STORAGE.iter().take(processors.len()).map(|storage| {
            let storage: &'static mut Storage<256, Buffer> = MutexGuard::leak(storage.lock());
            storage.into()
        });
        Self::bring_up(device, processors, storage.collect())
    }

    fn bring_up(
        mut device: Device,
        processors: &[usize],
        storage: Vec<Slots<'static, Buffer>>,
    ) -> Result<Self, String> {
        println!("disk at {}", device.place);
        let prepared = device.prepare(Interrupts::asked_for()?, processors)?;
        let settings = Settings {
            queues_max: processors.len() as u16,
            notifications: prepared.kind != Interrupts::None,
            ..Settings::default()
        };
        let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(5000));
        let disk = Starting::begin(device.transport, &settings, wants, patience);
        let mut disk = disk.map_err(|error| error.to_string())?;
        if usize::from(disk.queues()) < processors.len() {
            return Err(alloc::format!("the disk has {} queues", disk.queues()));
        }
        let mut installed = Vec::new();
        for storage in storage {
            installed.push(disk.install_queue(&DMA, storage).map_err(|failed| failed.to_string())?);
        }
        let mut control = disk.start();
        let queues: Vec<Queue> = installed.into_iter().map(|queue| control.activate(queue)).collect();
        let wiring = prepared.attach(&mut control, &SIGNALS)?;
        // A processor that is not the first is only interrupted by a message of its own.
        let interrupts = match control.vectors() {
            VectorRouting::PerQueue => wiring.kind,
            _ if processors.iter().all(|processor| *processor == 0) => wiring.kind,
            _ => Interrupts::None,
        };
        println!("interrupts: {} ({:?})", interrupts.name(), control.vectors());
        for queue in &queues {
            let (index, requests) = (queue.index(), queue.requests());
            println!("queue {index}: {requests} requests");
        }
        Ok(Self { control, queues, wiring, interrupts })
    }

    /// Takes it down, whatever is in flight, and brings it up again. Says of each queue what came back with the reset.
    pub fn reset(self, queues: Vec<Queue>, processors: &[usize]) -> Result<(Self, Vec<Completions>), String> {
        let patience = clock::within_millis(5000);
        let down = self.control.take_down(patience).map_err(|failed| failed.error.to_string())?;
        down.handlers.map_err(|error| error.to_string())?;
        let (mut returned, mut storage) = (Vec::new(), Vec::new());
        for queue in queues {
            let mut reclaimed = queue.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
            returned.push(reclaimed.by_ref().collect());
            storage.push(reclaimed.into_slots());
        }
        // SAFETY: the driver that had the disk is gone, and nobody uses its way to the disk any more.
        let device = unsafe { devices::open_first(DeviceType::BLOCK) }?.ok_or("the disk is gone")?;
        Ok((Self::bring_up(device, processors, storage)?, returned))
    }

    /// Takes it down: every queue gives back its storage, and nothing was left in flight.
    pub fn end(self, queues: impl IntoIterator<Item = Queue>) -> Result<(), String> {
        let down =
            self.control.take_down(clock::within_millis(5000)).map_err(|failed| failed.error.to_string())?;
        down.handlers.map_err(|error| error.to_string())?;
        for queue in queues {
            let left = queue.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?.count();
            crate::ensure(left == 0, "nothing is left in flight")?;
        }
        Ok(())
    }
}

/// A buffer for a read.
pub fn empty(range: Range) -> Result<Buffer, String> {
    let bytes = vec![0; range.count as usize * SECTOR];
    Buffer::map(&DMA, bytes, Direction::DeviceWritable).map_err(|refused| refused.to_string())
}

/// Hands in a read.
pub fn read(queue: &mut Queue, range: Range) -> Result<Ticket, String> {
    let sent = queue.submit_read(Sector(range.first), empty(range)?);
    sent.map_err(|failed| failed.error.to_string())
}

/// Hands in a write of what belongs there.
pub fn write(queue: &mut Queue, range: Range, seed: u64) -> Result<Ticket, String> {
    let buffer = Buffer::map(&DMA, range.contents(seed), Direction::DeviceReadable);
    let buffer = buffer.map_err(|refused| refused.to_string())?;
    let sent = queue.submit_write(Sector(range.first), buffer);
    sent.map_err(|failed| failed.error.to_string())
}

/// Takes so many completions, in the order in which they come.
pub fn take(queue: &mut Queue, count: usize, interrupts: Interrupts) -> Result<Completions, String> {
    let mut patience = Waited::by(interrupts);
    let mut taken = Vec::new();
    while taken.len() < count {
        match queue.next_completion().map_err(|broken| broken.to_string())? {
            Some(completion) => taken.push(completion),
            None if queue.rearm() == Rearmed::MoreWaiting || patience.keep_waiting() => {}
            None => return Err(alloc::format!("{} of {count} requests came back", taken.len())),
        }
    }
    Ok(taken)
}

/// The bytes that a read brought.
pub fn bytes(completion: Completion<Buffer>) -> Result<Vec<u8>, RequestError> {
    let Completion { payload, result, .. } = completion;
    result.map(|()| payload.map(MappedBuffer::unmap).unwrap_or_default())
}
