//! Blocking calls: the driver is closed before the guest sleeps, and started again afterwards.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;

use example_platform::DMA;
use virtio_guest::device::block::{Block, Closed, HANDLED, RequestError, Slots, Storage};
use virtio_guest::lifecycle::Wants;

use crate::bed::{Bed, SIGNALS, Transport, patience, settings};
use crate::{PAGE, PAGES, SLEEPS, ensure, is_page, places};

type Disk = Block<'static, Transport, example_platform::Dma>;

fn start(transport: Transport, storage: Slots<'static>) -> Result<Disk, String> {
    let wants = Wants::features(HANDLED);
    let disk = Block::start_with(transport, DMA, storage, &settings(), wants, patience());
    let mut disk = disk.map_err(|failed| failed.error.to_string())?;
    Bed::connect(disk.connect_interrupts(&SIGNALS).map_err(|error| error.to_string())?)?;
    Ok(disk)
}

fn close(disk: Disk) -> Result<Closed<'static, Transport>, String> {
    let closed = disk.close(patience()).map_err(|failed| failed.error.to_string())?;
    ensure(closed.handlers.is_ok(), "no handler is inside")?;
    Ok(closed)
}

fn copy_page(disk: &mut Disk, seed: u64, page: u64) -> Result<bool, RequestError> {
    let (mut bytes, (from, to)) = (vec![0; PAGE], places(page));
    disk.read_blocking(from, &mut bytes, patience())?;
    disk.write_blocking(to, &bytes, patience())?;
    Ok(is_page(seed, page, &bytes))
}

/// Copies all pages.
pub fn copy(bed: &Bed, transport: Transport, seed: u64) -> Result<(), String> {
    let storage: &'static mut Storage<64> = Box::leak(Box::default());
    let mut disk = start(transport, storage.into())?;
    for page in 0..PAGES {
        if SLEEPS.contains(&page) {
            let Closed { transport, storage, .. } = close(disk)?;
            disk = start(bed.sleep(transport)?, storage)?;
        }
        let is_right = copy_page(&mut disk, seed, page).map_err(|error| error.to_string())?;
        ensure(is_right, "a page is what the host wrote")?;
    }
    disk.flush_blocking(patience()).map_err(|error| error.to_string())?;
    close(disk).map(drop)
}
