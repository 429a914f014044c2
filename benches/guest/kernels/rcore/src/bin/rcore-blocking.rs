//! Reads from a disk with rcore's call that waits. While it waits, nothing is counted.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};

use example_platform::println;
use guest_measure::line::{self, Failed, Line, Subject};
use guest_measure::place;
use guest_measure::watch::Watch;
use guest_rcore::waiting::{WATCH, Waiting};
use guest_rcore::{Platform, buffer, open};
use rcore::device::blk::VirtIOBlk;
use virtio_guest::wire::device_type::DeviceType;

example_platform::entry!(run);

/// Sectors of which some are read.
const SECTORS: usize = 1 << 20;

const LINES: [(Line, usize); 2] =
    [(Line { name: "blocking-4k", burst: 1 }, 4096), (Line { name: "blocking-512", burst: 1 }, 512)];

/// See the module's head.
struct Reads<'d> {
    disk: &'d mut VirtIOBlk<Platform, Waiting>,
    buffer: &'static mut [u8],
    next: usize,
}

impl Subject for Reads<'_> {
    fn submit(&mut self, _: usize) -> Result<(), Failed> {
        let read = self.disk.read_blocks(self.next, self.buffer);
        self.next = (self.next + self.buffer.len() / 512) % SECTORS;
        read.map_err(|_| Failed("a read failed"))
    }

    fn wait(&mut self, _: usize) -> Result<(), &'static str> {
        Ok(())
    }

    fn complete(&mut self, burst: usize) -> Result<usize, Failed> {
        Ok(burst)
    }
}

fn run() -> Result<(), String> {
    line::check()?;
    let at = place::functions(DeviceType::BLOCK).next().ok_or("there is no disk")?;
    let mut disk = VirtIOBlk::<Platform, _>::new(Waiting(open(at)?)).map_err(|error| error.to_string())?;
    disk.disable_interrupts();
    *WATCH.lock() = Some(Watch::new(place::of(at, 0)?, false, 1));
    for (line, bytes) in LINES {
        line.measure(&mut Reads { disk: &mut disk, buffer: buffer(bytes), next: 0 })?;
    }
    println!("guest benchmark: done");
    Ok(())
}
