//! Our disk, polled: bursts of requests that own their buffers, which are shared memory.

use std::path::Path;

use virtio_guest::device::block::{Access, HANDLED, RequestQueue, Sector, Settings, Starting, Storage};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::lifecycle::Wants;
use virtio_guest::wire::device_type::DeviceType;
use virtio_user::memory::{MemorySettings, RequestBuffer, SharedHal, SharedMemory};
use virtio_user::{Settings as Connection, VhostUser};

use super::disk::{Disk, QUEUE_SIZE, REQUEST_BYTES, RequestQueue as Asked, connected};
use crate::line::BlockLine;
use crate::sample::Task;

/// How often the device is looked at until it is reset.
const PATIENCE: Attempts = Attempts(1000);
/// Sectors of a request.
const SECTORS: u64 = REQUEST_BYTES as u64 / 512;

/// Brings a disk up, has it work, and takes it down.
pub fn run(line: BlockLine, socket: &Path, task: Task) -> Result<(), String> {
    let memory = SharedMemory::new(&MemorySettings::default()).map_err(|error| error.to_string())?;
    let connection = Connection { interrupts: false, ..Connection::default() };
    let transport = connected(|| VhostUser::connect(socket, DeviceType::BLOCK, &memory, &connection))?;

    let mut storage: Vec<Box<Storage<{ QUEUE_SIZE as usize }, RequestBuffer>>> =
        (0..line.queues).map(|_| Box::new(Storage::for_buffers())).collect();
    let settings = Settings { queues_max: line.queues, ..Settings::default() };
    let disk = Starting::begin(transport, &settings, Wants::features(HANDLED), PATIENCE);
    let mut disk = disk.map_err(|error| error.to_string())?;
    let mut installed = Vec::new();
    for storage in &mut storage {
        let queue = disk.install_queue(&memory.hal(), &mut **storage);
        installed.push(queue.map_err(|failed| failed.error.to_string())?);
    }
    let control = disk.start();
    let each = usize::from(line.depth / line.queues);
    let mut queues = Vec::new();
    for queue in installed {
        let pages = pages(&memory, each, line.write)?;
        queues.push(Queue { requests: control.activate(queue), pages, write: line.write });
    }
    super::work(&mut Disk::new(line, queues), task)?;
    drop(control);
    Ok(())
}

fn pages(memory: &SharedMemory, count: usize, write: bool) -> Result<Vec<RequestBuffer>, String> {
    let direction = if write { Direction::DeviceReadable } else { Direction::DeviceWritable };
    // Taken once: they go out, and come back.
    let pool = memory.pool(count, REQUEST_BYTES).ok_or("the shared memory is full")?;
    (0..count).map(|_| pool.request_buffer(direction).ok_or("all pages are out".into())).collect()
}

struct Queue<'s> {
    requests: RequestQueue<'s, SharedHal, RequestBuffer>,
    /// Those that are not in flight.
    pages: Vec<RequestBuffer>,
    write: bool,
}

impl Asked for Queue<'_> {
    #[inline]
    fn submit(&mut self, count: usize, mut place: impl FnMut() -> u64) -> Result<(), String> {
        let Self { requests, pages, write } = self;
        let first = pages.len().checked_sub(count).ok_or("all pages are out")?;
        let mut sector = move || Sector(place() * SECTORS);
        let pages = pages.drain(first..);
        if *write {
            let writes = pages.map(move |from| Access::Write { to: sector(), from });
            requests.submit_burst(writes, |_| ()).map_err(|burst| burst.to_string())?;
        } else {
            let reads = pages.map(move |into| Access::Read { from: sector(), into });
            requests.submit_burst(reads, |_| ()).map_err(|burst| burst.to_string())?;
        }
        requests.publish();
        Ok(())
    }

    #[inline]
    fn complete(&mut self) -> Result<usize, String> {
        let Self { requests, pages, .. } = self;
        let mut failed = None;
        let done = requests.complete_burst(usize::MAX, |done| match (done.result, done.payload) {
            // There is room: no page is new.
            (Ok(()), Some(page)) if pages.len() < pages.capacity() => pages.push(page),
            (Ok(()), _) => {}
            (Err(error), _) => failed = Some(error),
        });
        match failed {
            Some(error) => Err(format!("a request failed: {error}")),
            None => done.map_err(|broken| broken.to_string()),
        }
    }

    fn kicks(&self) -> u64 {
        self.requests.statistics().notifications_sent
    }
}
