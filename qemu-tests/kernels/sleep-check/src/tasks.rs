//! Tasks that share the disk: one of them sees to it that the guest sleeps, the others notice nothing.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

use example_platform::{DMA, Dma, println};
use virtio_guest::device::block::{
    Block, Control, Down, HANDLED, RequestQueue, Requests, Shared, Slots, Storage, Waiters,
};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::MappedBuffer;

use crate::bed::{Bed, SIGNALS, Transport, patience, settings};
use crate::executor::Executor;
use crate::{PAGE, PAGES, SLEEPS, ensure, is_page, places};

/// How many tasks there are, and how long all of them may wait.
const TASKS: usize = 8;

type Load = MappedBuffer<Dma, Vec<u8>>;
type Queue = RequestQueue<'static, Dma, Load>;

/// A disk, for tasks.
struct Live<'b> {
    bed: &'b Bed,
    disk: Shared<Dma, spin::Mutex<Requests<'static, Dma, Load>>>,
    /// `None` while somebody is about to sleep.
    control: Cell<Option<Control<'static, Transport>>>,
    copied: Cell<u64>,
    seed: u64,
}

fn start(
    transport: Transport,
    storage: Slots<'static, Load>,
) -> Result<(Control<'static, Transport>, Queue), String> {
    let wants = Wants::features(HANDLED);
    let disk = Block::start_with(transport, DMA, storage, &settings(), wants, patience());
    let (mut control, queue) = disk.map_err(|failed| failed.error.to_string())?.split();
    Bed::connect(control.connect_interrupts(&SIGNALS).map_err(|error| error.to_string())?)?;
    Ok((control, queue))
}

impl Live<'_> {
    /// Copies every so many pages, from this one on.
    async fn copy(&self, first: u64) -> Result<(), String> {
        for page in (first..PAGES).step_by(TASKS) {
            let (from, to) = places(page);
            let bytes = self.disk.read(from, vec![0; PAGE]).await.map_err(|failed| failed.to_string())?;
            ensure(is_page(self.seed, page, &bytes), "a page is what the host wrote")?;
            self.disk.write(to, bytes).await.map_err(|failed| failed.to_string())?;
            self.copied.set(self.copied.get() + 1);
            if SLEEPS.contains(&self.copied.get()) {
                self.sleep().await?;
            }
        }
        Ok(())
    }

    /// Takes the driver down, sleeps, and brings it up again.
    async fn sleep(&self) -> Result<(), String> {
        let control = self.control.take().ok_or("somebody else is about to sleep")?;
        let in_flight = self.disk.in_flight();
        self.disk.drain().await;
        ensure(self.disk.in_flight() == 0, "a queue that was drained has nothing in flight")?;
        println!("drained: {in_flight} requests were in flight");
        let (transport, storage) = self.take_down(control)?;
        let (control, queue) = start(self.bed.sleep(transport)?, storage)?;
        let put_up = self.disk.put_up(queue, control.interrupts());
        self.control.set(Some(control));
        put_up.map_err(|in_use| in_use.to_string())
    }

    fn take_down(
        &self,
        control: Control<'static, Transport>,
    ) -> Result<(Transport, Slots<'static, Load>), String> {
        let down = control.take_down(patience()).map_err(|failed| failed.error.to_string())?;
        let Down { transport, reset, handlers } = down;
        ensure(handlers.is_ok(), "no handler is inside")?;
        let storage = self.disk.take_down(&reset).ok_or("a queue comes down after its own reset")?;
        Ok((transport, storage))
    }
}

/// Copies all pages.
pub fn copy(bed: &Bed, transport: Transport, seed: u64) -> Result<(), String> {
    let storage: &'static mut Storage<64, Load> = Box::leak(Box::default());
    let waiters: &'static mut Waiters<64, Load> = Box::leak(Box::default());
    let (control, queue) = start(transport, storage.into())?;
    let requests =
        Requests::new(queue, waiters, control.interrupts()).map_err(|in_use| in_use.to_string())?;
    let disk = Shared::new(spin::Mutex::new(requests), DMA);
    let live = Live { bed, disk, control: Cell::new(Some(control)), copied: Cell::new(0), seed };

    let mut executor = Executor::new();
    for first in (0..).take(TASKS) {
        executor.spawn(format!("task {first}"), live.copy(first));
    }
    executor.run()?;
    let mut executor = Executor::new();
    executor.spawn("flush".into(), async { live.disk.flush().await.map_err(|error| error.to_string()) });
    executor.run()?;
    let control = live.control.take().ok_or("the driver is down")?;
    live.take_down(control).map(drop)
}
