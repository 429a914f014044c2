//! Reads from a disk, in bursts of requests that own their buffers; the queue is looked at, and never interrupts unless it is asked to (`interrupts=msi-x`).

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem::replace;
use core::ptr::NonNull;

use example_platform::devices::Interrupts;
use example_platform::{DMA, Dma, clock, devices, println};
use guest_measure::line::{self, Failed, Line, Subject};
use guest_measure::place;
use guest_measure::watch::Watch;
use virtio_guest::device::block::{Access, Block, HANDLED, RequestQueue, Sector, Settings, Storage};
use virtio_guest::hal::{DeviceAddress, Direction, Domain};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::{Payload, Segment, SegmentVisitor};
use virtio_guest::ring::{Layout, Rearmed};

example_platform::entry!(run);

/// Most requests in flight.
const DEPTH_MAX: usize = 64;
/// Sectors of which some are read.
const SECTORS: u64 = 1 << 20;
const LIMIT_MILLIS: u64 = 1000;

const SMALL: [Line; 3] = [
    Line { name: "block-512-depth1", burst: 1 },
    Line { name: "block-512-depth16", burst: 16 },
    Line { name: "block-512-depth64", burst: 64 },
];
const PAGES: [Line; 3] = [
    Line { name: "block-4k-depth1", burst: 1 },
    Line { name: "block-4k-depth16", burst: 16 },
    Line { name: "block-4k-depth64", burst: 64 },
];

/// Memory that is the program's for ever, for a device to write: as small as a kernel's handle of its page frames is.
struct Page {
    place: NonNull<u8>,
    bytes: u32,
}

// SAFETY: one segment of leaked memory, which nothing else uses, and which devices find where it is; the value gives no access to it.
unsafe impl Payload for Page {
    fn segment_count(&self) -> usize {
        1
    }

    #[inline]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        let address = DeviceAddress(self.place.addr().get() as u64);
        let (direction, domain) = (Direction::DeviceWritable, Domain(0));
        visitor.segment(&Segment { address, len: self.bytes, direction, domain });
    }
}

/// See the module's head.
struct Reads<'q> {
    queue: &'q mut RequestQueue<'static, Dma, Page>,
    pages: Vec<Page>,
    sectors: u64,
    next: u64,
    watch: &'q mut Watch,
    interrupts: bool,
}

impl<'q> Reads<'q> {
    fn new(
        queue: &'q mut RequestQueue<'static, Dma, Page>,
        watch: &'q mut Watch,
        bytes: u32,
        interrupts: bool,
    ) -> Self {
        let page = |_| {
            let memory = Box::leak(alloc::vec![0; bytes as usize].into_boxed_slice());
            Page { place: NonNull::from(memory).cast(), bytes }
        };
        let pages = (0..DEPTH_MAX).map(page).collect();
        Self { queue, pages, sectors: u64::from(bytes) / 512, next: 0, watch, interrupts }
    }
}

/// Where to read from, and where the next time.
fn advance(next: &mut u64, sectors: u64) -> Sector {
    Sector(replace(next, (*next + sectors) % SECTORS))
}

impl Subject for Reads<'_> {
    fn prepare(&mut self, _: usize) -> Result<(), Failed> {
        if self.interrupts && self.queue.rearm() == Rearmed::MoreWaiting {
            return Err(Failed("something is left of the burst before"));
        }
        Ok(())
    }

    fn submit(&mut self, burst: usize) -> Result<(), Failed> {
        let Self { queue, pages, next, sectors, .. } = self;
        if burst == 1 {
            let page = pages.pop().ok_or(Failed("all pages are out"))?;
            queue.submit_read(advance(next, *sectors), page).map_err(|_| Failed("a read was refused"))?;
        } else {
            let first = pages.len().checked_sub(burst).ok_or(Failed("all pages are out"))?;
            let reads = pages.drain(first..).map(|into| Access::Read { from: advance(next, *sectors), into });
            queue.submit_burst(reads, |_| ()).map_err(|_| Failed("a read was refused"))?;
        }
        queue.publish();
        Ok(())
    }

    fn wait(&mut self, burst: usize) -> Result<(), &'static str> {
        self.watch.wait(burst)
    }

    fn complete(&mut self, burst: usize) -> Result<usize, Failed> {
        let Self { queue, pages, .. } = self;
        if burst == 1 {
            let done = queue.next_completion().map_err(|_| Failed("the queue is broken"))?;
            let Some(done) = done else { return Ok(0) };
            done.result.map_err(|_| Failed("a read failed"))?;
            pages.extend(done.payload);
            return Ok(1);
        }
        let mut failed = false;
        let done = queue.complete_burst(burst, |done| {
            failed |= done.result.is_err();
            pages.extend(done.payload);
        });
        if failed { Err(Failed("a read failed")) } else { done.map_err(|_| Failed("the queue is broken")) }
    }
}

fn run() -> Result<(), String> {
    line::check()?;
    let mut device = devices::take_disk()?;
    let interrupts = Interrupts::asked_for()? == Some(Interrupts::Messages);
    let _wiring = if interrupts { Some(device.connect(Some(Interrupts::Messages))?) } else { None };
    let address = device.address().ok_or("the disk is not behind PCI")?;
    let storage: &'static mut Storage<256, Page> = Box::leak(Box::new(Storage::for_buffers()));
    let patience = clock::within_millis(LIMIT_MILLIS);
    let settings = Settings { notifications: interrupts, ..Settings::default() };
    let wants = Wants::features(HANDLED);
    let disk = Block::start_with(device.transport, DMA, storage, &settings, wants, patience);
    let mut disk = disk.map_err(|failed| failed.to_string())?;
    let paths = disk.active_paths();
    println!("paths: {paths:?}");

    let per_chain = if paths.requests == usize::from(paths.queue_size) { 1 } else { 3 };
    let mut watch = Watch::new(place::of(address, 0)?, paths.ring.layout == Layout::Packed, per_chain);
    for (lines, bytes) in [(PAGES, 4096), (SMALL, 512)] {
        let mut reads = Reads::new(disk.queue(), &mut watch, bytes, interrupts);
        for line in lines {
            line.measure(&mut reads)?;
        }
    }
    println!("guest benchmark: done");
    Ok(())
}
