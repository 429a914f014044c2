//! The tasks: what a program does with a disk that it shares with itself.
//!
//! Each of many reads a page, changes it and writes it back, again and again, so that there is a request of each in flight. One watches the disk's configuration, and the last one
//! shows a time-out and a flush.

use core::time::Duration;

use example_platform::devices::Way;
use example_platform::{command_line, println};
use virtio_guest::device::block::{Control, RequestError, Sector};
use virtio_guest::wire::block::SECTOR_BYTES;

use crate::executor::Executor;
use crate::timer::Alarm;
use crate::{Disk, Page};

const TASKS: usize = 32;
const PAGE_BYTES: usize = 4096;
const PAGE_SECTORS: u64 = (PAGE_BYTES / SECTOR_BYTES) as u64;
/// How long a read may take that is given up otherwise.
const READ_LIMIT: Duration = Duration::from_millis(1);

/// Runs all tasks.
pub fn run(disk: &Disk, control: &mut Control<'static, Way>) -> Result<(), RequestError> {
    let alarm = Alarm::new();
    let mut tasks = Executor::new(&alarm);
    let pages = control.capacity_sectors() / PAGE_SECTORS;
    // `changes=n`: the program goes on until the disk's configuration has changed so often. Else that is watched as long as there is something to do.
    let changes = command_line().split_ascii_whitespace().find_map(|word| word.strip_prefix("changes="));
    let changes: Option<u64> = changes.and_then(|word| word.parse().ok());
    tasks.spawn(changes.is_none(), watch(disk, control, changes.unwrap_or(u64::MAX)));
    for first in (0..pages).take(TASKS) {
        tasks.spawn(false, invert(disk, first, pages));
    }
    tasks.run()?;
    tasks.spawn(false, finish(disk, &alarm));
    tasks.run()
}

/// A task: inverts every 32nd page, one after the other.
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

/// A task: says when the disk has another size.
async fn watch(disk: &Disk, control: &mut Control<'static, Way>, changes: u64) -> Result<(), RequestError> {
    for _ in 0..changes {
        let condition = control.configuration_change().await;
        match control.refresh_shape() {
            Ok(shape) => {
                disk.set_shape(shape);
                println!("configuration: {} sectors ({condition:?})", shape.capacity_sectors);
            }
            Err(error) => println!("configuration: {error} ({condition:?})"),
        }
    }
    Ok(())
}

/// The last task: a read with a time-out, a flush, and nothing is left in flight.
async fn finish(disk: &Disk, alarm: &Alarm) -> Result<(), RequestError> {
    // Dropping a future is all that a time-out takes. Its page stays with the queue until the disk is done with it.
    let page: Page = alloc::vec![0; PAGE_BYTES].into();
    match alarm.within(READ_LIMIT, disk.read(Sector(0), page)).await {
        None => println!(
            "a read was given up after {} ms, {} in flight",
            READ_LIMIT.as_millis(),
            disk.in_flight()
        ),
        Some(read) => {
            read?;
            println!("a read took less than {} ms", READ_LIMIT.as_millis());
        }
    }
    disk.flush().await?;
    disk.drain().await;
    println!("flushed, {} in flight", disk.in_flight());
    Ok(())
}
