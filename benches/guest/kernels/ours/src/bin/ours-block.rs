//! Reads from a disk, in bursts of requests that own their buffers; the queue is looked at, and never interrupts unless it is asked to (`interrupts=msi-x`).

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ptr::NonNull;

use example_platform::devices::Interrupts;
use example_platform::{DMA, Dma, clock, devices, println};
use guest_measure::line::{self, Failed, Line, Subject};
use guest_measure::place;
use guest_measure::watch::Watch;
use virtio_guest::device::block::{Block, HANDLED, RequestQueue, Sector, Settings, Storage};
use virtio_guest::hal::{Direction, DmaBuffer};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::MappedBuffer;
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

/// Memory that is the program's for ever.
struct Memory(NonNull<[u8]>);

// SAFETY: leaked memory that nothing else uses: valid for ever, wherever this value is.
unsafe impl DmaBuffer for Memory {
    fn bytes(&mut self) -> NonNull<[u8]> {
        self.0
    }
}

type Page = MappedBuffer<Dma, Memory>;

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
        bytes: usize,
        interrupts: bool,
    ) -> Result<Self, String> {
        let page = |_| {
            let memory = Memory(NonNull::from(Box::leak(alloc::vec![0; bytes].into_boxed_slice())));
            MappedBuffer::map(&DMA, memory, Direction::DeviceWritable).map_err(|error| error.to_string())
        };
        let pages = (0..DEPTH_MAX).map(page).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { queue, pages, sectors: bytes as u64 / 512, next: 0, watch, interrupts })
    }
}

impl Subject for Reads<'_> {
    fn prepare(&mut self, _: usize) -> Result<(), Failed> {
        if self.interrupts && self.queue.rearm() == Rearmed::MoreWaiting {
            return Err(Failed("something is left of the burst before"));
        }
        Ok(())
    }

    fn submit(&mut self, burst: usize) -> Result<(), Failed> {
        for _ in 0..burst {
            let page = self.pages.pop().ok_or(Failed("all pages are out"))?;
            self.queue.submit_read(Sector(self.next), page).map_err(|_| Failed("a read was refused"))?;
            self.next = (self.next + self.sectors) % SECTORS;
        }
        self.queue.publish();
        Ok(())
    }

    fn wait(&mut self, burst: usize) -> Result<(), &'static str> {
        self.watch.wait(burst)
    }

    fn complete(&mut self, burst: usize) -> Result<usize, Failed> {
        for done in 0..burst {
            let Some(completion) = self.queue.next_completion().map_err(|_| Failed("the queue is broken"))?
            else {
                return Ok(done);
            };
            completion.result.map_err(|_| Failed("a read failed"))?;
            self.pages.extend(completion.payload);
        }
        Ok(burst)
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
        let mut reads = Reads::new(disk.queue(), &mut watch, bytes, interrupts)?;
        for line in lines {
            line.measure(&mut reads)?;
        }
    }
    println!("guest benchmark: done");
    Ok(())
}
