//! A disk that becomes larger, and then smaller than it was, while its driver runs: seen by the interrupt for its configuration.

use alloc::string::{String, ToString};

use example_platform::println;
use virtio_guest::device::block::{RequestError, Sector};
use virtio_guest::hal::Patience;
use virtio_guest::lifecycle::Condition;

use crate::disk::{Disk, Queue, Range, Waited, bytes, empty, read, take, write};
use crate::pattern::SECTOR;
use crate::{Seeds, ensure};

/// Waits for the interrupt that says so, and tells the queue.
pub fn wait_for_another_size(disk: &mut Disk, queue: &mut Queue) -> Result<u64, String> {
    let before = disk.control.capacity_sectors();
    println!("capacity: {before} sectors");
    let mut patience = Waited::by(disk.interrupts);
    loop {
        if let Some(condition) = disk.control.take_configuration_change() {
            ensure(condition == Condition::Live, "a disk of another size is alive")?;
            let shape = disk.control.refresh_shape().map_err(|error| error.to_string())?;
            queue.set_shape(shape);
            if shape.capacity_sectors != before {
                return Ok(shape.capacity_sectors);
            }
        }
        ensure(patience.keep_waiting(), "an interrupt says that the disk has another size")?;
    }
}

/// Does what was handed in.
fn done(disk: &Disk, queue: &mut Queue) -> Result<alloc::vec::Vec<u8>, String> {
    queue.publish();
    let completion = take(queue, 1, disk.interrupts)?.pop().ok_or("nothing came back")?;
    bytes(completion).map_err(|error| error.to_string())
}

/// Asks for what is beyond the end.
fn refused(queue: &mut Queue, range: Range, capacity_sectors: u64) -> Result<(), String> {
    let sent = queue.statistics().chains;
    let refused = queue.submit_read(Sector(range.first), empty(range)?).map_err(|failed| failed.error);
    let Range { first: sector, count: sectors } = range;
    let expected = RequestError::OutOfRange { sector, sectors, capacity_sectors };
    ensure(refused == Err(expected), "what is beyond the end is refused")?;
    ensure(queue.statistics().chains == sent, "and the device is not asked")
}

pub fn run(seeds: Seeds) -> Result<(), String> {
    let mut disk = Disk::start(&[0])?;
    let mut queue = disk.queues.pop().ok_or("no queue")?;
    let first = disk.control.capacity_sectors();
    refused(&mut queue, Range { first, count: 1 }, first)?;

    let larger = wait_for_another_size(&mut disk, &mut queue)?;
    ensure(larger > first, "the disk is larger")?;
    read(&mut queue, Range { first, count: 8 })?;
    ensure(done(&disk, &mut queue)? == [0; 8 * SECTOR], "what is new is read")?;
    let last = Range { first: larger - 1, count: 1 };
    write(&mut queue, last, seeds.new)?;
    done(&disk, &mut queue)?;
    read(&mut queue, last)?;
    ensure(done(&disk, &mut queue)? == last.contents(seeds.new), "what is new is written")?;

    let smaller = wait_for_another_size(&mut disk, &mut queue)?;
    ensure(smaller < first, "the disk is smaller")?;
    refused(&mut queue, last, smaller)?;
    refused(&mut queue, Range { first: smaller - 1, count: 2 }, smaller)?;
    read(&mut queue, Range { first: smaller - 8, count: 8 })?;
    let left = Range { first: smaller - 8, count: 8 }.contents(seeds.old);
    ensure(done(&disk, &mut queue)? == left, "what is left is read")?;
    println!("capacity: {smaller} sectors, at last");
    disk.end([queue])
}
