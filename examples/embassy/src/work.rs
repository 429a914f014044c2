//! The tasks: many that use the disk, and one that starts them and waits.
//!
//! Each of the many reads a page, changes it and writes it back, again and again. The one watches the disk's configuration meanwhile, and shows a time-out and a flush in the end.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::cell::RefCell;
use core::convert::Infallible;

use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{Duration, with_timeout};
use example_platform::devices::Way;
use example_platform::println;
use virtio_guest::device::block::{self, RequestError, Sector};
use virtio_guest::wire::block::SECTOR_BYTES;

use crate::{Disk, Page, executor};

const TASKS: usize = 32;
const PAGE_BYTES: usize = 4096;
const PAGE_SECTORS: u64 = (PAGE_BYTES / SECTOR_BYTES) as u64;
/// How long a read may take that is given up otherwise.
const READ_LIMIT: Duration = Duration::from_millis(1);

type Control = block::Control<'static, Way>;
/// How the program ended, once it has.
type End = RefCell<Option<Result<Control, String>>>;
/// How its tasks ended. All of them run on one processor.
type Ends = Channel<NoopRawMutex, Result<(), RequestError>, TASKS>;

/// Runs all tasks. The control half comes back.
pub fn run(disk: &'static Disk, control: Control) -> Result<Control, String> {
    let end: &'static End = Box::leak(Box::default());
    let start = |spawner: Spawner| match program_task(spawner, disk, control, end) {
        Ok(program) => spawner.spawn(program),
        Err(error) => drop(end.replace(Some(Err(error.to_string())))),
    };
    executor::run_until(start, || end.borrow().is_some());
    end.take().unwrap_or_else(|| Err("the program did not end".into()))
}

#[embassy_executor::task]
async fn program_task(spawner: Spawner, disk: &'static Disk, mut control: Control, end: &'static End) {
    let result = program(spawner, disk, &mut control).await;
    end.replace(Some(result.map(|()| control)));
}

async fn program(spawner: Spawner, disk: &'static Disk, control: &mut Control) -> Result<(), String> {
    let failed = |error: RequestError| alloc::format!("the disk failed: {error}");
    let ends: &'static Ends = Box::leak(Box::new(Channel::new()));
    let pages = control.capacity_sectors() / PAGE_SECTORS;
    for first in (0..pages).take(TASKS) {
        let task = invert_task(disk, first, pages, ends).map_err(|error| error.to_string())?;
        spawner.spawn(task);
    }
    // Both are looked at in turn, until the pages are done.
    match select(all(ends, pages), watch(disk, control)).await {
        Either::First(result) => result.map_err(failed)?,
        Either::Second(never) => match never {},
    }
    finish(disk).await.map_err(failed)
}

/// Waits for the tasks of the pages.
async fn all(ends: &Ends, pages: u64) -> Result<(), RequestError> {
    for _ in (0..pages).take(TASKS) {
        ends.receive().await?;
    }
    Ok(())
}

/// Says when the disk has another size.
async fn watch(disk: &Disk, control: &mut Control) -> Infallible {
    loop {
        let condition = control.configuration_change().await;
        match control.refresh_shape() {
            Ok(shape) => {
                disk.set_shape(shape);
                println!("configuration: {} sectors ({condition:?})", shape.capacity_sectors);
            }
            Err(error) => println!("configuration: {error} ({condition:?})"),
        }
    }
}

#[embassy_executor::task(pool_size = TASKS)]
async fn invert_task(disk: &'static Disk, first: u64, pages: u64, ends: &'static Ends) {
    ends.send(invert(disk, first, pages).await).await;
}

/// Inverts every 32nd page, one after the other.
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

/// A read with a time-out, a flush, and nothing is left in flight.
async fn finish(disk: &Disk) -> Result<(), RequestError> {
    // Dropping a future is all that a time-out takes. Its page stays with the queue until the disk is done with it.
    let page: Page = alloc::vec![0; PAGE_BYTES].into();
    match with_timeout(READ_LIMIT, disk.read(Sector(0), page)).await {
        Err(_) => println!(
            "a read was given up after {} ms, {} in flight",
            READ_LIMIT.as_millis(),
            disk.in_flight()
        ),
        Ok(read) => {
            read?;
            println!("a read took less than {} ms", READ_LIMIT.as_millis());
        }
    }
    disk.flush().await?;
    disk.drain().await;
    println!("flushed, {} in flight", disk.in_flight());
    Ok(())
}
