//! One question to a modelled disk, asked at each level: blocking, in a burst, by a task.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use virtio_guest::device::block::{
    Answer, Completion, Control, DeviceId, Failed, Lifetime, RequestError, RequestQueue, Sector, SectorRange,
    Settings, Shape, Storage, Unmap, Zone, ZoneAction,
};
use virtio_guest::hal::{Attempts, Direction};
use virtio_guest::raw::MappedBuffer;
use virtio_model::Disk;

use super::tasks::{Load, Page, Pool, Running, Task, TaskBench, Tasks};
use super::{Either, TestHal};

const INDIRECT_DESC: u128 = 1 << 28;
const RING_PACKED: u128 = 1 << 34;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// Nobody needs it any more.
    Discard(SectorRange),
    /// It is to read as zeros.
    WriteZeroes(SectorRange, Unmap),
    /// It is to be gone for good.
    SecureErase(SectorRange),
    /// Make all of it safe.
    Flush,
    /// The id.
    DeviceId,
    /// The lifetime.
    Lifetime,
    /// Do something with a zone.
    Zone(ZoneAction, Sector),
    /// Empty all zones.
    ResetAllZones,
    /// Append so many bytes of this value to a zone.
    Append(Sector, u8, usize),
    /// Write so many bytes of this value.
    Write(Sector, u8, usize),
    /// Read so many bytes.
    Read(Sector, usize),
    /// Report so many zones.
    Report(Sector, usize),
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// It is done.
    Nothing,
    /// The id.
    Id(DeviceId),
    /// The lifetime.
    Lifetime(Lifetime),
    /// Where it was appended.
    Appended(Sector),
    /// What was read.
    Bytes(Vec<u8>),
    /// The zones.
    Zones(Vec<Zone>),
}

/// Range of so many sectors.
pub fn range(first: u64, sectors: u64) -> SectorRange {
    SectorRange { first: Sector(first), sectors }
}

/// How it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// By a call that waits.
    Blocking,
    /// With a ticket.
    Burst,
    /// By a future.
    Task,
}

/// The driver, as that level has it.
enum Driver {
    Queue(Box<(Control<'static, Either>, RequestQueue<'static, TestHal, Load>)>),
    Tasks(Box<Running>),
}

/// A disk, and its driver at one level.
pub struct LevelBench {
    /// The level.
    pub level: Level,
    /// The disk's side.
    pub bench: TaskBench,
    driver: Driver,
}

impl TaskBench {
    /// A disk like this, with these ring features besides its own.
    pub fn of(disk: Disk, ring: u128) -> Self {
        let features = disk.features() & !INDIRECT_DESC | ring;
        let device = disk.builder().features(features).msi_x(4).build();
        Self { disk, device, hal: TestHal::default() }
    }
}

impl LevelBench {
    /// The disk at each level, in both layouts, with and without indirect tables. Under miri, which is slow, one level and one ring, turn by turn.
    pub fn each(make: impl Fn() -> Disk) -> impl Iterator<Item = Self> {
        Self::at(&[Level::Blocking, Level::Burst, Level::Task], make)
    }

    /// The same, at these levels only.
    pub fn at(levels: &[Level], make: impl Fn() -> Disk) -> impl Iterator<Item = Self> {
        static TURN: AtomicUsize = AtomicUsize::new(0);
        let rings = [RING_PACKED | INDIRECT_DESC, 0, RING_PACKED, INDIRECT_DESC];
        let mut pairs: Vec<_> =
            rings.iter().flat_map(|ring| levels.iter().map(|level| (*level, *ring))).collect();
        if cfg!(miri) {
            pairs = vec![pairs[TURN.fetch_add(1, Relaxed) % pairs.len()]];
        }
        pairs.into_iter().map(move |(level, ring)| Self::new(level, TaskBench::of(make(), ring)))
    }

    /// A disk on its bench.
    pub fn new(level: Level, bench: TaskBench) -> Self {
        Self::with_settings(level, bench, |_| {})
    }

    /// The same, with other settings (not for tasks).
    pub fn with_settings(level: Level, bench: TaskBench, change: impl FnOnce(&mut Settings)) -> Self {
        let driver = if level == Level::Task {
            Driver::Tasks(Box::new(bench.start::<16>()))
        } else {
            let storage: &'static mut Storage<16, Load> = Box::leak(Box::default());
            Driver::Queue(Box::new(bench.bring_up_with(bench.open(2), storage, |settings| {
                settings.request_bytes = 2048;
                change(settings);
            })))
        };
        Self { level, bench, driver }
    }

    /// The disk.
    pub fn disk(&self) -> &Disk {
        &self.bench.disk
    }

    /// The driver's control half.
    pub fn control(&mut self) -> &mut Control<'static, Either> {
        match &mut self.driver {
            Driver::Queue(both) => &mut both.0,
            Driver::Tasks(running) => &mut running.control,
        }
    }

    /// What tasks share, if they do.
    pub fn tasks(&self) -> Option<&Tasks> {
        match &self.driver {
            Driver::Queue(_) => None,
            Driver::Tasks(running) => Some(&running.tasks),
        }
    }

    /// The queue, unless tasks share it.
    pub fn queue(&mut self) -> &mut RequestQueue<'static, TestHal, Load> {
        match &mut self.driver {
            Driver::Queue(both) => &mut both.1,
            Driver::Tasks(_) => panic!("a queue was asked for that tasks share"),
        }
    }

    /// Asks, and has the disk answer.
    pub fn ask(&mut self, ask: Ask) -> Result<Got, RequestError> {
        let Self { level, bench, driver } = self;
        match driver {
            Driver::Queue(both) if *level == Level::Blocking => blocking(bench, &mut both.1, ask),
            Driver::Queue(both) => {
                let shape = both.0.shape();
                burst(bench, &shape, &mut both.1, ask)
            }
            Driver::Tasks(running) => {
                let Running { control, tasks, handlers, .. } = &**running;
                let mut task = [Task::new(by_task(tasks, control.shape(), ask))];
                bench.run_to_end(handlers, &mut task);
                task[0].result.take().expect("it ended")
            }
        }
    }

    /// Asks something that is to be refused: the device hears nothing of it.
    pub fn refusal(&mut self, ask: Ask) -> RequestError {
        let heard = |bench: &TaskBench| (bench.disk.requests().len(), bench.device.notifications(0));
        let before = heard(&self.bench);
        let refused = self.ask(ask).expect_err("it is refused");
        self.bench.disk.serve(&self.bench.device, &self.bench.hal.space);
        assert_eq!(heard(&self.bench), before, "{ask:?} was sent");
        refused
    }

    /// Takes the driver down: nothing is left, and nobody did anything wrong.
    pub fn finish(self) {
        match self.driver {
            Driver::Tasks(running) => self.bench.finish(*running),
            Driver::Queue(both) => {
                let (control, queue) = *both;
                let down = control.take_down(Attempts(10)).unwrap();
                drop(queue.reclaim(&down.reset).unwrap());
                self.bench.device.assert_driver_was_correct();
                self.bench.hal.assert_all_returned();
            }
        }
    }
}

fn page(fill: u8, bytes: usize) -> Page {
    Pool::new(1, bytes).take(fill)
}

/// Bytes of a report of so many zones.
const fn report_bytes(zones: usize) -> usize {
    64 * (zones + 1)
}

fn zones(shape: &Shape, report: &[u8]) -> Result<Got, RequestError> {
    Ok(Got::Zones(shape.zones_in(report).collect::<Result<_, _>>()?))
}

fn blocking(
    bench: &TaskBench,
    queue: &mut RequestQueue<'static, TestHal, Load>,
    ask: Ask,
) -> Result<Got, RequestError> {
    let mut rounds = 10_000;
    let patience = || {
        rounds -= 1;
        bench.disk.serve(&bench.device, &bench.hal.space);
        bench.device.take_messages();
        rounds > 0
    };
    let done = |()| Got::Nothing;
    match ask {
        Ask::Discard(range) => queue.discard_blocking(range, patience).map(done),
        Ask::WriteZeroes(range, unmap) => queue.write_zeroes_blocking(range, unmap, patience).map(done),
        Ask::SecureErase(range) => queue.secure_erase_blocking(range, patience).map(done),
        Ask::Flush => queue.flush_blocking(patience).map(done),
        Ask::DeviceId => queue.device_id_blocking(patience).map(Got::Id),
        Ask::Lifetime => queue.lifetime_blocking(patience).map(Got::Lifetime),
        Ask::Zone(action, zone) => queue.zone_blocking(action, zone, patience).map(done),
        Ask::ResetAllZones => queue.reset_all_zones_blocking(patience).map(done),
        Ask::Append(zone, fill, bytes) => {
            queue.append_blocking(zone, &vec![fill; bytes], patience).map(Got::Appended)
        }
        Ask::Write(sector, fill, bytes) => {
            queue.write_blocking(sector, &vec![fill; bytes], patience).map(done)
        }
        Ask::Read(sector, bytes) => {
            let mut into = vec![0xee; bytes];
            queue.read_blocking(sector, &mut into, patience).map(|()| Got::Bytes(into))
        }
        Ask::Report(sector, room) => {
            let mut zones = vec![Zone::NONE; room];
            let count = queue.report_zones_blocking(sector, &mut zones, patience)?;
            zones.truncate(count);
            Ok(Got::Zones(zones))
        }
    }
}

fn burst(
    bench: &TaskBench,
    shape: &Shape,
    queue: &mut RequestQueue<'static, TestHal, Load>,
    ask: Ask,
) -> Result<Got, RequestError> {
    let load = |fill, bytes, direction| MappedBuffer::map(&bench.hal, page(fill, bytes), direction).unwrap();
    let readable = |fill, bytes| load(fill, bytes, Direction::DeviceReadable);
    let why = |failed: Failed<Load>| {
        assert!(failed.payload.is_some(), "what was handed in comes back");
        failed.error
    };
    let ticket = match ask {
        Ask::Discard(range) => queue.submit_discard(&[range])?,
        Ask::WriteZeroes(range, unmap) => queue.submit_write_zeroes(&[range], unmap)?,
        Ask::SecureErase(range) => queue.submit_secure_erase(&[range])?,
        Ask::Flush => match queue.submit_flush()? {
            Some(ticket) => ticket,
            None => return Ok(Got::Nothing),
        },
        Ask::DeviceId => queue.submit_device_id()?,
        Ask::Lifetime => queue.submit_lifetime()?,
        Ask::Zone(action, zone) => queue.submit_zone(action, zone)?,
        Ask::ResetAllZones => queue.submit_reset_all_zones()?,
        Ask::Append(zone, fill, bytes) => queue.submit_append(zone, readable(fill, bytes)).map_err(why)?,
        Ask::Write(sector, fill, bytes) => queue.submit_write(sector, readable(fill, bytes)).map_err(why)?,
        Ask::Read(sector, bytes) => {
            let into = load(0xee, bytes, Direction::DeviceWritable);
            queue.submit_read(sector, into).map_err(why)?
        }
        Ask::Report(sector, room) => {
            let into = load(0xee, report_bytes(room), Direction::DeviceWritable);
            queue.submit_report_zones(sector, into).map_err(why)?
        }
    };
    queue.publish();
    let mut done = None;
    while done.is_none() {
        assert_ne!(bench.disk.serve(&bench.device, &bench.hal.space), 0, "nothing is left to be done");
        bench.device.take_messages();
        done = queue.next_completion()?;
    }
    let Completion { ticket: whose, payload, answer, result } = done.expect("it is done");
    assert_eq!(whose, ticket);
    result?;
    let page = payload.map(MappedBuffer::unmap);
    match (ask, answer) {
        (Ask::Append(..), Some(Answer::Appended(sector))) => Ok(Got::Appended(sector)),
        (Ask::Lifetime, Some(Answer::Lifetime(lifetime))) => Ok(Got::Lifetime(lifetime)),
        (Ask::DeviceId, Some(Answer::DeviceId(id))) => Ok(Got::Id(id)),
        (Ask::Report(..), Some(Answer::Report(bytes))) => {
            zones(shape, &page.expect("it comes back").bytes()[..bytes])
        }
        (Ask::Read(..), None) => Ok(Got::Bytes(page.expect("it comes back").bytes().to_vec())),
        (_, None) => Ok(Got::Nothing),
        (ask, answer) => panic!("{answer:?} to {ask:?}"),
    }
}

/// The same, as a future.
pub async fn by_task(tasks: &Tasks, shape: Shape, ask: Ask) -> Result<Got, RequestError> {
    let done = |()| Got::Nothing;
    match ask {
        Ask::Discard(range) => tasks.discard(range).await.map(done),
        Ask::WriteZeroes(range, unmap) => tasks.write_zeroes(range, unmap).await.map(done),
        Ask::SecureErase(range) => tasks.secure_erase(range).await.map(done),
        Ask::Flush => tasks.flush().await.map(done),
        Ask::DeviceId => tasks.device_id().await.map(Got::Id),
        Ask::Lifetime => tasks.lifetime().await.map(Got::Lifetime),
        Ask::Zone(action, zone) => tasks.zone(action, zone).await.map(done),
        Ask::ResetAllZones => tasks.reset_all_zones().await.map(done),
        Ask::Append(zone, fill, bytes) => tasks
            .append(zone, page(fill, bytes))
            .await
            .map(|(sector, _)| Got::Appended(sector))
            .map_err(|failed| why(&failed)),
        Ask::Write(sector, fill, bytes) => {
            tasks.write(sector, page(fill, bytes)).await.map(|_| Got::Nothing).map_err(|failed| why(&failed))
        }
        Ask::Read(sector, bytes) => {
            let read = tasks.read(sector, page(0xee, bytes)).await;
            read.map(|page| Got::Bytes(page.bytes().to_vec())).map_err(|failed| why(&failed))
        }
        Ask::Report(sector, room) => {
            let (bytes, page) = tasks
                .report_zones(sector, page(0xee, report_bytes(room)))
                .await
                .map_err(|failed| why(&failed))?;
            zones(&shape, &page.bytes()[..bytes])
        }
    }
}

/// What was handed in comes back with the reason.
fn why(failed: &Failed<Page>) -> RequestError {
    assert!(failed.payload.is_some());
    failed.error
}
