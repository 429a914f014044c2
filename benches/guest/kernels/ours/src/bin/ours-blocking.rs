//! Reads from a disk by calls that wait, and copy. While they wait, nothing is counted.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;

use example_platform::devices::Way;
use example_platform::{DMA, Dma, clock, devices, println};
use guest_measure::line::{self, Failed, Line, Subject};
use guest_measure::mark::{Mark, mark};
use guest_measure::outside::outside;
use guest_measure::place;
use guest_measure::watch::Watch;
use virtio_guest::device::block::{Block, Sector, Storage};
use virtio_guest::hal::Patience;
use virtio_guest::ring::Layout;

example_platform::entry!(run);

/// Sectors of which some are read.
const SECTORS: u64 = 1 << 20;
const LIMIT_MILLIS: u64 = 1000;

const LINES: [(Line, usize); 2] =
    [(Line { name: "blocking-4k", burst: 1 }, 4096), (Line { name: "blocking-512", burst: 1 }, 512)];

/// See the module's head.
struct Reads<'d> {
    disk: &'d mut Block<'static, Way, Dma>,
    buffer: Vec<u8>,
    next: u64,
    watch: &'d mut Watch,
    has_waited: bool,
}

/// Waits by itself, for one request.
struct Uncounted<'w> {
    watch: &'w mut Watch,
    has_waited: &'w mut bool,
}

impl Patience for Uncounted<'_> {
    fn keep_waiting(&mut self) -> bool {
        outside(|| {
            *self.has_waited = true;
            let is_done = self.watch.wait(1).is_ok();
            // Here the device comes to rest.
            mark(Mark::Submit);
            is_done
        })
    }
}

impl Subject for Reads<'_> {
    fn submit(&mut self, _: usize) -> Result<(), Failed> {
        let patience = Uncounted { watch: self.watch, has_waited: &mut self.has_waited };
        let read = self.disk.read_blocking(Sector(self.next), &mut self.buffer, patience);
        self.next = (self.next + self.buffer.len() as u64 / 512) % SECTORS;
        read.map_err(|_| Failed("a read failed"))
    }

    fn wait(&mut self, burst: usize) -> Result<(), &'static str> {
        // The disk may have been done before anybody waited.
        if mem::take(&mut self.has_waited) { Ok(()) } else { self.watch.wait(burst) }
    }

    fn complete(&mut self, burst: usize) -> Result<usize, Failed> {
        Ok(burst)
    }
}

fn run() -> Result<(), String> {
    line::check()?;
    let device = devices::take_disk()?;
    let address = device.address().ok_or("the disk is not behind PCI")?;
    let storage: &'static mut Storage<256> = Box::leak(Box::new(Storage::new()));
    let disk = Block::start(device.transport, DMA, storage, clock::within_millis(LIMIT_MILLIS));
    let mut disk = disk.map_err(|failed| failed.to_string())?;
    let paths = disk.active_paths();
    println!("paths: {paths:?}");

    let per_chain = if paths.requests == usize::from(paths.queue_size) { 1 } else { 3 };
    let mut watch = Watch::new(place::of(address, 0)?, paths.ring.layout == Layout::Packed, per_chain);
    for (line, bytes) in LINES {
        let (buffer, watch) = (alloc::vec![0; bytes], &mut watch);
        line.measure(&mut Reads { disk: &mut disk, buffer, next: 0, watch, has_waited: false })?;
    }
    println!("guest benchmark: done");
    Ok(())
}
