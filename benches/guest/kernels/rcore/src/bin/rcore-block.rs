//! Reads from a disk with rcore's driver: `read_blocks_nb`, `peek_used`, `complete_read_blocks`. Its queue has 16 descriptors, so there are no more than 16 in flight.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use example_platform::println;
use guest_measure::line::{self, Failed, Line, Subject};
use guest_measure::place;
use guest_measure::watch::Watch;
use guest_rcore::{Platform, buffer, open};
use rcore::device::blk::{BlkReq, BlkResp, VirtIOBlk};
use rcore::transport::pci::PciTransport;
use virtio_guest::wire::device_type::DeviceType;

example_platform::entry!(run);

/// Most requests in flight.
const DEPTH_MAX: usize = 16;
/// Sectors of which some are read.
const SECTORS: usize = 1 << 20;

const SMALL: [Line; 2] =
    [Line { name: "block-512-depth1", burst: 1 }, Line { name: "block-512-depth16", burst: 16 }];
const PAGES: [Line; 2] =
    [Line { name: "block-4k-depth1", burst: 1 }, Line { name: "block-4k-depth16", burst: 16 }];

/// What a request in flight needs.
struct Request {
    head: BlkReq,
    response: BlkResp,
    buffer: &'static mut [u8],
}

/// See the module's head.
struct Reads<'d> {
    disk: &'d mut VirtIOBlk<Platform, PciTransport>,
    requests: &'static mut [Request; DEPTH_MAX],
    /// Which request has which token.
    by_token: [usize; DEPTH_MAX],
    sectors: usize,
    next: usize,
    watch: &'d mut Watch,
}

impl Subject for Reads<'_> {
    fn submit(&mut self, burst: usize) -> Result<(), Failed> {
        for (number, it) in self.requests.iter_mut().enumerate().take(burst) {
            let Request { head, response, buffer } = it;
            // SAFETY: nobody looks at the three before the request is complete.
            let token = unsafe { self.disk.read_blocks_nb(self.next, head, buffer, response) };
            let token = token.map_err(|_| Failed("a read was refused"))?;
            *self.by_token.get_mut(usize::from(token)).ok_or(Failed("the token is none"))? = number;
            self.next = (self.next + self.sectors) % SECTORS;
        }
        Ok(())
    }

    fn wait(&mut self, burst: usize) -> Result<(), &'static str> {
        self.watch.wait(burst)
    }

    fn complete(&mut self, burst: usize) -> Result<usize, Failed> {
        for done in 0..burst {
            let Some(token) = self.disk.peek_used() else { return Ok(done) };
            let number = self.by_token.get(usize::from(token)).ok_or(Failed("the token is none"))?;
            let it = self.requests.get_mut(*number).ok_or(Failed("the token is none"))?;
            let Request { head, response, buffer } = it;
            // SAFETY: what was handed in under this token.
            let completed = unsafe { self.disk.complete_read_blocks(token, head, buffer, response) };
            completed.map_err(|_| Failed("a read failed"))?;
        }
        Ok(burst)
    }
}

fn run() -> Result<(), String> {
    line::check()?;
    let at = place::functions(DeviceType::BLOCK).next().ok_or("there is no disk")?;
    let mut disk = VirtIOBlk::<Platform, _>::new(open(at)?).map_err(|error| error.to_string())?;
    disk.disable_interrupts();
    let mut watch = Watch::new(place::of(at, 0)?, false, 1);
    for (lines, bytes) in [(PAGES, 4096), (SMALL, 512)] {
        let request =
            |_| Request { head: BlkReq::default(), response: BlkResp::default(), buffer: buffer(bytes) };
        let requests = Box::leak(Box::new(core::array::from_fn(request)));
        let (by_token, sectors) = ([0; DEPTH_MAX], bytes / 512);
        let mut reads = Reads { disk: &mut disk, requests, by_token, sectors, next: 0, watch: &mut watch };
        for line in lines {
            line.measure(&mut reads)?;
        }
    }
    println!("guest benchmark: done");
    Ok(())
}
