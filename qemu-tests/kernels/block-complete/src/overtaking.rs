//! Many requests in flight that come back in another order: the first one is stopped in the drive, by the host, until the others are back.

use alloc::string::{String, ToString};
use alloc::vec;

use example_platform::println;

use crate::disk::{Disk, Range, bytes, read, take, write};
use crate::{Seeds, ensure};

/// In flight together.
const REQUESTS: usize = 64;

/// What the request with this number reads: sectors of its own, not as many as its neighbour.
const fn range(number: usize) -> Range {
    Range { first: number as u64 * 8, count: 1 + number as u64 * 5 % 8 }
}

pub fn run(seeds: Seeds) -> Result<(), String> {
    let mut disk = Disk::start(&[0])?;
    let mut queue = disk.queues.pop().ok_or("no queue")?;
    ensure(queue.requests() >= REQUESTS, "there is room for 64 requests")?;
    let places = queue.free_requests();
    let mut asked = vec![None; queue.requests()];

    let last = Range { first: disk.control.capacity_sectors() - 1, count: 1 };
    let first_request = write(&mut queue, last, seeds.new)?;
    for number in 1..REQUESTS {
        let ticket = read(&mut queue, range(number))?;
        let place = asked.get_mut(ticket.index()).ok_or("a ticket has a place")?;
        ensure(place.replace((ticket, number)).is_none(), "each request in flight has a place of its own")?;
    }
    ensure(places - queue.free_requests() == REQUESTS, "64 requests are in flight")?;
    queue.publish();

    let (mut latest, mut later) = (0, 0);
    for completion in take(&mut queue, REQUESTS - 1, disk.interrupts)? {
        ensure(completion.ticket != first_request, "the request that is stopped does not come back")?;
        let asked = asked.get_mut(completion.ticket.index()).and_then(Option::take);
        let (ticket, number) = asked.ok_or("a request came back that was not in flight")?;
        ensure(ticket == completion.ticket, "each request comes back once")?;
        let read = bytes(completion).map_err(|error| error.to_string())?;
        ensure(read == range(number).contents(seeds.old), "each buffer has its own contents")?;
        later += usize::from(number < latest);
        latest = latest.max(number);
    }
    println!("in flight: {REQUESTS}; {later} came after one that was sent later");
    println!("overtaken: by {} requests", REQUESTS - 1);
    ensure(queue.next_completion().map_err(|broken| broken.to_string())?.is_none(), "one is still out")?;

    for completion in take(&mut queue, 1, disk.interrupts)? {
        ensure(completion.ticket == first_request, "the request that was stopped comes back last")?;
        completion.result.map_err(|error| error.to_string())?;
    }
    ensure(queue.free_requests() == places, "every place is free again")?;
    disk.end([queue])
}
