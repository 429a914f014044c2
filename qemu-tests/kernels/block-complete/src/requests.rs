//! Every kind of request that the disk offers, by blocking calls and in bursts, and what the disk says of itself.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use example_platform::println;
use virtio_guest::device::block::{
    Answer, CacheMode, RangeLimits, RequestError, Sector, SectorRange, Unmap, Zone, ZoneAction,
};

use crate::disk::{Disk, Queue, Range, Waited, take, write};
use crate::pattern::SECTOR;
use crate::resize::wait_for_another_size;
use crate::{Seeds, ensure};

/// Where each kind of request has its sectors, by blocking calls; in a burst, behind these. What is between them stays as it was.
const DISCARDED: Range = Range { first: 264, count: 240 };
const ZEROED: Range = Range { first: 520, count: 240 };
const UNMAPPED: Range = Range { first: 776, count: 240 };
const WRITTEN: [Range; 3] =
    [Range { first: 1032, count: 16 }, Range { first: 1064, count: 16 }, Range { first: 1096, count: 16 }];
const IN_A_BURST: u64 = 1024;
const BURST_SECTORS: u64 = 16;

impl Range {
    const fn in_a_burst(self) -> Self {
        Self { first: self.first + IN_A_BURST, count: BURST_SECTORS }
    }
}

/// The queue, and what is needed for calls.
struct Calls<'q> {
    queue: &'q mut Queue,
    disk: &'q Disk,
    seeds: Seeds,
}

fn text(error: RequestError) -> String {
    error.to_string()
}

fn limits(name: &str, limits: Option<RangeLimits>) {
    match limits {
        Some(RangeLimits { sectors_max, ranges_max, alignment_sectors }) => {
            println!("{name}: sectors={sectors_max} ranges={ranges_max} alignment={alignment_sectors}");
        }
        None => println!("{name}: none"),
    }
}

fn describe(disk: &Disk) {
    let (control, shape) = (&disk.control, disk.control.shape());
    println!("features: {:?}", control.features());
    println!("blocks: {:?}", control.block_bytes());
    println!("geometry: {:?}", control.geometry());
    println!("topology: {:?}", control.topology());
    limits("limits of discard", shape.discard);
    limits("limits of write zeroes", shape.write_zeroes);
    println!("write zeroes may unmap: {}", shape.write_zeroes_may_unmap);
}

impl Calls<'_> {
    fn patience(&self) -> Waited {
        Waited::by(self.disk.interrupts)
    }

    fn read(&mut self, range: Range) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; range.count as usize * SECTOR];
        let patience = self.patience();
        self.queue.read_blocking(Sector(range.first), &mut bytes, patience).map_err(text)?;
        Ok(bytes)
    }

    /// Looks at the sectors before and behind.
    fn neighbours_are_untouched(&mut self, range: Range) -> Result<(), String> {
        for first in [range.first - 8, range.first + range.count] {
            let beside = Range { first, count: 8 };
            let expected = beside.contents(self.seeds.old);
            ensure(self.read(beside)? == expected, "what is beside a range is untouched")?;
        }
        Ok(())
    }

    fn is_zero(&mut self, range: Range) -> Result<(), String> {
        ensure(self.read(range)?.iter().all(|byte| *byte == 0), "zeros that were written are read")?;
        self.neighbours_are_untouched(range)
    }

    /// What was discarded reads as anything; here it is zeros, or as before.
    fn is_discarded(&mut self, range: Range) -> Result<(), String> {
        let (read, old) = (self.read(range)?, range.contents(self.seeds.old));
        let is_zero = read.iter().all(|byte| *byte == 0);
        println!("discarded: {}", if is_zero { "zeros" } else { "as before" });
        ensure(is_zero || read == old, "what was discarded is zeros, or as before")?;
        self.neighbours_are_untouched(range)
    }

    /// A blocking call: says what it took, or why it was refused. Whether it was done.
    fn call(
        &mut self,
        name: &str,
        call: impl FnOnce(&mut Queue, Waited) -> Result<(), RequestError>,
    ) -> Result<bool, String> {
        let (sent, patience) = (self.queue.statistics().chains, self.patience());
        let result = call(self.queue, patience);
        let requests = self.queue.statistics().chains - sent;
        match result {
            Ok(()) => println!("{name}: {requests} requests"),
            Err(RequestError::Unsupported) => {
                println!("{name}: not supported");
                ensure(requests == 0, "a disk is not asked for what it does not offer")?;
            }
            Err(error) => return Err(alloc::format!("{name}: {error}")),
        }
        Ok(result.is_ok())
    }

    fn blocking(&mut self) -> Result<(), String> {
        if self.call("discard", |queue, patience| queue.discard_blocking(DISCARDED.sectors(), patience))? {
            self.is_discarded(DISCARDED)?;
        }
        for (range, unmap) in [(ZEROED, Unmap::Forbidden), (UNMAPPED, Unmap::Allowed)] {
            let name = alloc::format!("write zeroes ({unmap:?})");
            let zeroes =
                |queue: &mut Queue, patience| queue.write_zeroes_blocking(range.sectors(), unmap, patience);
            if self.call(&name, zeroes)? {
                self.is_zero(range)?;
            }
        }
        self.call("flush", Queue::flush_blocking)?;
        let id = self.queue.device_id_blocking(self.patience()).map_err(text)?;
        println!("id: {id}");
        Ok(())
    }

    /// What no disk of QEMU's offers.
    fn not_offered(&mut self) -> Result<(), String> {
        let range = ZEROED.sectors();
        self.call("secure erase", |queue, patience| queue.secure_erase_blocking(range, patience))?;
        self.call("lifetime", |queue, patience| queue.lifetime_blocking(patience).map(|_| ()))?;
        self.call("append", |queue, patience| {
            queue.append_blocking(Sector(0), &[0; SECTOR], patience).map(|_| ())
        })?;
        self.call("zone", |queue, patience| queue.zone_blocking(ZoneAction::Reset, Sector(0), patience))?;
        self.call("reset all zones", Queue::reset_all_zones_blocking)?;
        let mut zones: [Zone; 0] = [];
        self.call("report zones", |queue, patience| {
            queue.report_zones_blocking(Sector(0), &mut zones, patience).map(|_| ())
        })?;
        Ok(())
    }

    /// The same in one burst, with one notification at most.
    fn burst(&mut self) -> Result<(), String> {
        let shape = self.disk.control.shape();
        let (mut expected, notified) = (2, self.queue.statistics().notifications_sent);
        let queue = &mut *self.queue;
        if shape.discard.is_some() {
            queue.submit_discard(&[DISCARDED.in_a_burst().sectors()]).map_err(text)?;
            expected += 1;
        }
        if shape.write_zeroes.is_some() {
            queue.submit_write_zeroes(&[ZEROED.in_a_burst().sectors()], Unmap::Forbidden).map_err(text)?;
            queue.submit_write_zeroes(&[UNMAPPED.in_a_burst().sectors()], Unmap::Allowed).map_err(text)?;
            expected += 2;
        }
        let id = queue.submit_device_id().map_err(text)?;
        queue.submit_flush().map_err(text)?.ok_or("the disk is not flushed")?;
        queue.publish();
        ensure(queue.statistics().notifications_sent - notified <= 1, "a burst has one notification")?;
        for completion in take(queue, expected, self.disk.interrupts)? {
            completion.result.map_err(text)?;
            let has_id = matches!(completion.answer, Some(Answer::DeviceId(_)));
            ensure(has_id == (completion.ticket == id), "the id comes with its own request")?;
        }
        if shape.discard.is_some() {
            self.is_discarded(DISCARDED.in_a_burst())?;
        }
        if shape.write_zeroes.is_some() {
            self.is_zero(ZEROED.in_a_burst())?;
            self.is_zero(UNMAPPED.in_a_burst())?;
        }
        println!("burst: {expected} requests");
        Ok(())
    }

    /// Ranges that are beyond the end, or beyond a limit, or none.
    fn refused(&mut self) -> Result<(), String> {
        let (capacity, shape) = (self.disk.control.capacity_sectors(), self.disk.control.shape());
        let sent = self.queue.statistics().chains;
        let range = |first, sectors| SectorRange { first: Sector(first), sectors };
        if let Some(RangeLimits { sectors_max, ranges_max, .. }) = shape.write_zeroes {
            let beyond =
                RequestError::OutOfRange { sector: capacity - 1, sectors: 2, capacity_sectors: capacity };
            let patience = self.patience();
            let refused = self.queue.write_zeroes_blocking(range(capacity - 1, 2), Unmap::Allowed, patience);
            ensure(refused == Err(beyond), "zeros beyond the end are refused")?;
            let refused = self.queue.submit_write_zeroes(&[], Unmap::Allowed);
            ensure(refused.err() == Some(RequestError::Empty), "zeros nowhere are refused")?;
            if u64::from(sectors_max) < capacity {
                let range = range(0, u64::from(sectors_max) + 1);
                let refused = self.queue.submit_write_zeroes(&[range], Unmap::Allowed);
                ensure(refused.is_err(), "a burst takes no range that is too long")?;
            }
            if ranges_max == 1 {
                let refused = self.queue.submit_write_zeroes(&[range(0, 1), range(8, 1)], Unmap::Allowed);
                ensure(refused.is_err(), "a burst takes no more ranges than the device")?;
            }
        }
        ensure(self.queue.statistics().chains == sent, "the device was not asked")?;
        println!("refusals: ok");
        Ok(())
    }

    /// Writes, and reads what was written.
    fn write(&mut self, range: Range) -> Result<(), String> {
        write(self.queue, range, self.seeds.new)?;
        self.queue.publish();
        for completion in take(self.queue, 1, self.disk.interrupts)? {
            completion.result.map_err(text)?;
        }
        let expected = range.contents(self.seeds.new);
        ensure(self.read(range)? == expected, "what is written is read, whatever the cache does")
    }
}

/// Has the cache write through, then not.
fn cache(disk: &mut Disk, queue: &mut Queue, seeds: Seeds) -> Result<(), String> {
    let [first, second, third] = WRITTEN;
    let before = disk.control.cache_mode().map_err(|error| error.to_string())?;
    println!("cache: {before:?}");
    Calls { queue, disk, seeds }.write(first)?;
    for (wanted, range) in [(CacheMode::WriteThrough, second), (CacheMode::WriteBack, third)] {
        let mode = disk.control.set_cache_mode(wanted).map_err(|error| error.to_string())?;
        println!("cache, asked for {wanted:?}: {mode:?}");
        Calls { queue, disk, seeds }.write(range)?;
        if wanted == CacheMode::WriteThrough {
            // The host looks at what the device has made of it, and has the guest go on by another size.
            wait_for_another_size(disk, queue)?;
        }
    }
    Ok(())
}

pub fn run(seeds: Seeds) -> Result<(), String> {
    let mut disk = Disk::start(&[0])?;
    let mut queue = disk.queues.pop().ok_or("no queue")?;
    let places = queue.free_requests();
    describe(&disk);
    let mut calls = Calls { queue: &mut queue, disk: &disk, seeds };
    calls.blocking()?;
    calls.burst()?;
    calls.not_offered()?;
    calls.refused()?;
    cache(&mut disk, &mut queue, seeds)?;
    ensure(queue.free_requests() == places, "every place is free again")?;
    disk.end([queue])
}
