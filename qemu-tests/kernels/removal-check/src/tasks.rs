//! Tasks on a disk that is taken out: those that wait end, those that come later are refused.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::cell::{Cell, RefCell};
use core::task::Poll;
use core::time::Duration;

use example_platform::devices::{Device, Interrupts, Way};
use example_platform::{DMA, Dma, clock, interrupts, println};
use virtio_guest::device::block::{
    Block, Control, Failed, HANDLED, RequestError, Requests, Sector, Settings, Shared, Storage, Waiters,
};
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::raw::MappedBuffer;

use crate::executor::Executor;
use crate::slot::Watched;
use crate::{GONE_PATIENCE_MILLIS, PATIENCE_MILLIS, REQUEST_BYTES, ensure};

/// Tasks that read: more than have a place, so that some of them wait for one.
const READERS: usize = 100;
/// How often the slot is looked at.
const LOOK: Duration = Duration::from_millis(5);

type Page = Box<[u8]>;
type Load = MappedBuffer<Dma, Page>;
type Disk = Shared<Dma, RefCell<Requests<'static, Dma, Load>>>;

static SIGNALS: Signals = Signals::new();

/// Reads with many tasks, until the slot is switched off in the middle of their reads, which all end with an error.
pub fn read_until_removed(mut device: Device, slot: &Watched) -> Result<(), String> {
    let prepared = device.prepare(Interrupts::asked_for()?, &[0])?;
    let settings = Settings { notifications: true, request_bytes: 512, ..Settings::default() };
    let storage: &'static mut Storage<256, Load> = Box::leak(Box::default());
    let (wants, patience) = (Wants::features(HANDLED), clock::within_millis(PATIENCE_MILLIS));
    let driver = Block::start_with(device.transport, DMA, storage, &settings, wants, patience);
    let driver = driver.map_err(|failed| failed.to_string())?;
    let layout = driver.active_paths().ring.layout;
    let (mut control, queue) = driver.split();
    let wiring = prepared.attach(&mut control, &SIGNALS)?;
    println!("disk at {}: layout={layout:?} interrupts={}", device.place, wiring.kind.name());
    let waiters: &'static mut Waiters<64, Load> = Box::leak(Box::default());
    let requests =
        Requests::new(queue, waiters, control.interrupts()).map_err(|in_use| in_use.to_string())?;
    let disk = Disk::new(RefCell::new(requests), DMA);

    let control = Cell::new(Some(control));
    let (done, kept, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let mut executor = Executor::new();
    for reader in 0..READERS {
        executor.spawn(format!("reader {reader}"), async {
            loop {
                match disk.read(Sector(0), page()).await {
                    Ok(_) => done.set(done.get() + 1),
                    Err(Failed { error: RequestError::Removed, payload: None }) => {
                        kept.set(kept.get() + 1);
                        return Ok(());
                    }
                    Err(Failed { error: RequestError::Removed, .. }) => {
                        refused.set(refused.get() + 1);
                        return Ok(());
                    }
                    Err(failed) => return Err(failed.error.to_string()),
                }
            }
        });
    }
    executor.spawn("slot".into(), watch(&disk, &control, slot));
    executor.run()?;

    println!("interrupts: {}", wiring.arrived());
    // What the disk had done before it went is there, though no interrupt told of it.
    println!("reads: {} done, {} kept by the disk, {} refused", done.get(), kept.get(), refused.get());
    ensure(done.get() > 0, "the disk has answered before")?;
    ensure(kept.get() + refused.get() == READERS, "every reader ends, and with an error")?;
    ask_in_vain(&disk)?;
    drop(control);
    println!("dropped");
    Ok(())
}

fn page() -> Page {
    alloc::vec![0; REQUEST_BYTES as usize].into()
}

/// Looks at the slot now and then; once it is off, the driver finds that the disk does not answer, and everybody is told.
async fn watch(
    disk: &Disk,
    control: &Cell<Option<Control<'static, Way>>>,
    slot: &Watched,
) -> Result<(), String> {
    let began = clock::now();
    while !slot.look(began) {
        pause().await;
    }
    ensure(disk.in_flight() > 0, "the slot is switched off in the middle of reads")?;
    let live = control.take().ok_or("the driver is down")?;
    let Err(failed) = live.take_down(clock::within_millis(GONE_PATIENCE_MILLIS)) else {
        return Err("a disk that is gone says that it was reset".into());
    };
    println!("close: {}", failed.error);
    control.set(Some(failed.control));
    disk.end(RequestError::Removed);
    Ok(())
}

/// Sleeps for a moment, or until an interrupt was handled; others have their turn then.
async fn pause() {
    let mut slept = false;
    core::future::poll_fn(|context| {
        if slept {
            return Poll::Ready(());
        }
        slept = true;
        interrupts::wait(clock::now() + LOOK);
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Who comes later is refused at once, with its buffer.
fn ask_in_vain(disk: &Disk) -> Result<(), String> {
    let mut executor = Executor::new();
    executor.spawn("late".into(), async {
        let Err(failed) = disk.read(Sector(0), page()).await else {
            return Err("success, of a disk that is gone".into());
        };
        println!("read: {}", failed.error);
        ensure(failed.payload.is_some(), "a read that is refused gives its buffer back")?;
        let flush = disk.flush().await;
        println!("flush: {}", flush.err().ok_or("a flush of a disk that is gone")?);
        Ok(())
    });
    executor.run().map(drop)
}
