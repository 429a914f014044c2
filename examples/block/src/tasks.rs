//! Mode `async`: tasks share the disk, and the processor sleeps while none can go on.
//!
//! Each task reads pages, inverts every bit, and writes them back. All it takes to run them is below: one waker for all tasks, which says that there is something to do. `examples/tasks` has an executor
//! that polls those only that were woken, with time-outs; any other will do.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use example_platform::devices::{self, Interrupts};
use example_platform::interrupts::wait;
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::block::{
    Block, HANDLED, RequestError, Requests, Sector, Settings, Shared, Storage, Waiters,
};
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::raw::MappedBuffer;
use virtio_guest::wire::block::SECTOR_BYTES;

/// What a request carries: memory of the program's own, which goes to the disk and comes back.
type Page = Box<[u8]>;
type Load = MappedBuffer<Dma, Page>;
/// The disk, for all tasks. They run on one processor, one after the other, so a cell is lock enough.
type Disk = Shared<Dma, RefCell<Requests<'static, Dma, Load>>>;
/// A task, which ends with success or an error.
type Task<'a> = Pin<Box<dyn Future<Output = Result<(), RequestError>> + 'a>>;

const TASKS: usize = 8;
const PAGE_BYTES: usize = 4096;
const PAGE_SECTORS: u64 = (PAGE_BYTES / SECTOR_BYTES) as u64;
/// How long nothing may happen.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Where interrupt handlers wake tasks.
static SIGNALS: Signals = Signals::new();

/// Brings the disk up, has tasks invert it, and takes it down.
pub fn run() -> Result<(), String> {
    let mut device = devices::take_disk()?;
    println!("disk at {}", device.place);
    let prepared = device.prepare(Interrupts::asked_for()?, &[0])?;

    // Pages go to the disk as they are, so a request needs no memory for copies. Storage is lent for good.
    let storage: &'static mut Storage<256, Load> = Box::leak(Box::default());
    let notifications = prepared.kind != Interrupts::None;
    let settings = Settings { notifications, request_bytes: 512, ..Settings::default() };
    let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(1000));
    let disk = Block::start_with(device.transport, DMA, storage, &settings, wants, patience);
    let (mut control, queue) = disk.map_err(|failed| failed.to_string())?.split();
    let wiring = prepared.attach(&mut control, &SIGNALS)?;
    println!("interrupts: {} ({:?})", wiring.kind.name(), control.vectors());
    let waiters: &'static mut Waiters<TASKS, Load> = Box::leak(Box::default());
    let requests =
        Requests::new(queue, waiters, control.interrupts()).map_err(|in_use| in_use.to_string())?;
    let disk = Disk::new(RefCell::new(requests), DMA);

    let pages = control.capacity_sectors() / PAGE_SECTORS;
    let tasks = (0..pages).take(TASKS).map(|first| Box::pin(invert(&disk, first, pages)) as Task<'_>);
    run_all(tasks.collect())?;
    run_all(alloc::vec![Box::pin(disk.flush())])?;
    println!("async: {pages} pages inverted by {TASKS} tasks, flushed");
    println!("requests: {}, interrupts that arrived: {}", disk.statistics().chains, wiring.arrived());

    // The way down: the device is reset; then the queue may give back what it has.
    let down = control.take_down(clock::within_millis(1000)).map_err(|failed| failed.error.to_string())?;
    down.handlers.map_err(|error| error.to_string())?;
    disk.take_down(&down.reset).ok_or("the queue is of another bring-up")?;
    Ok(())
}

/// A task: inverts its pages, one after the other. A page moves into a request, and comes back with its end.
async fn invert(disk: &Disk, first: u64, pages: u64) -> Result<(), RequestError> {
    let mut page: Page = alloc::vec![0; PAGE_BYTES].into();
    for number in (first..pages).step_by(TASKS) {
        let sector = Sector(number * PAGE_SECTORS);
        page = disk.read(sector, page).await?;
        for byte in &mut page {
            *byte = !*byte;
        }
        page = disk.write(sector, page).await?;
    }
    Ok(())
}

/// Whether a task can go on.
struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs tasks until all have ended, or one has failed. No wake-up is lost: this platform takes interrupts inside of `wait` only, so none comes between the look at the flag and the sleep.
fn run_all(mut tasks: Vec<Task<'_>>) -> Result<(), String> {
    let ready = Arc::new(Ready(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&ready));
    while !tasks.is_empty() {
        let start = clock::now();
        while !ready.0.swap(false, Ordering::Acquire) {
            if clock::since(start) > SILENCE_MAX {
                return Err("the disk does not answer".into());
            }
            wait(start + SILENCE_MAX);
        }
        let mut result = Ok(());
        tasks.retain_mut(|task| match task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                result = result.and(ended);
                false
            }
        });
        result.map_err(|error| alloc::format!("the disk failed: {error}"))?;
    }
    Ok(())
}
