//! The devices beside the balloon, whose drivers are in the middle of their lives when the machine is copied: each is used before and after.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use example_platform::devices::{self, Way};
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::block::{self, Block, Sector};
use virtio_guest::device::console::{self, Console};
use virtio_guest::device::net::{self, FramePool, Net, PoolSettings};
use virtio_guest::hal::Patience;
use virtio_guest::raw::PoolStorage;
use virtio_guest::wire::device_type::DeviceType;

use crate::ensure;
use crate::pattern::{SECTOR, fill};

/// Where QEMU's user network has its gateway, and this machine.
const GATEWAY: [u8; 4] = [10, 0, 2, 2];
const OWN: [u8; 4] = [10, 0, 2, 15];
/// Bytes of a question for an address, with the header of its frame.
const QUESTION_BYTES: usize = 42;

/// See the module's head.
pub struct Others {
    disk: Block<'static, Way, Dma>,
    card: Net<'static, Way, Dma>,
    console: Console<'static, Way, Dma>,
    seed: u64,
}

fn within_a_while() -> impl Patience + Copy {
    clock::within_millis(10_000)
}

impl Others {
    /// Brings them up: a disk, a card in QEMU's user network, and a console.
    pub fn start(seed: u64) -> Result<Self, String> {
        let disk = devices::take_disk()?;
        println!("disk at {}", disk.place);
        let storage: &'static mut block::Storage<256> = Box::leak(Box::default());
        let disk = Block::start(disk.transport, DMA, storage, within_a_while());
        let disk = disk.map_err(|error| error.to_string())?;

        let card = devices::take_network_cards()?.remove(0);
        println!("card at {}", card.place);
        let frames = Box::leak(Box::new(PoolStorage::<512>::new()));
        let pool =
            FramePool::new(&DMA, frames, PoolSettings::default()).map_err(|error| error.to_string())?;
        let pool: &'static FramePool<'static, Dma> = Box::leak(Box::new(pool));
        let supply = pool.supply().ok_or("a new pool has its supply")?;
        let storage: &'static mut net::Storage<'static, Dma, 256> = Box::leak(Box::default());
        let card = Net::start(card.transport, DMA, storage, supply, within_a_while());
        let card = card.map_err(|failed| failed.to_string())?;

        let console = devices::take_all(DeviceType::CONSOLE)?.into_iter().next();
        let console = console.ok_or("no virtio console found")?;
        println!("console at {}", console.place);
        let storage: &'static mut console::Storage<16> = Box::leak(Box::default());
        let console = Console::start(console.transport, DMA, storage, within_a_while());
        let console = console.map_err(|failed| failed.to_string())?;
        Ok(Self { disk, card, console, seed })
    }

    /// Uses all: writes a sector and reads it, asks the gateway for its address, and answers a question.
    pub fn check(&mut self, number: u64) -> Result<(), String> {
        self.check_disk(number)?;
        self.check_card()?;
        self.check_console(number)?;
        println!("disk, card and console: used, {number}");
        Ok(())
    }

    fn check_disk(&mut self, sector: u64) -> Result<(), String> {
        let (mut written, mut read) = ([0; SECTOR], [0; SECTOR]);
        fill(self.seed, sector, &mut written);
        let done = self.disk.write_blocking(Sector(sector), &written, within_a_while());
        done.map_err(|error| error.to_string())?;
        let done = self.disk.read_blocking(Sector(sector), &mut read, within_a_while());
        done.map_err(|error| error.to_string())?;
        ensure(read == written, "the disk has what was written")
    }

    fn check_card(&mut self) -> Result<(), String> {
        let own = self.card.mac();
        let question = [
            // To everybody: an address is asked for (RFC 826).
            [0xff; 6].as_slice(),
            &own,
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
            &own,
            &OWN,
            &[0; 6],
            &GATEWAY,
        ]
        .concat();
        ensure(question.len() == QUESTION_BYTES, "the question is complete")?;
        let sent = self.card.transmit_blocking(&question, within_a_while());
        sent.map_err(|error| error.to_string())?;
        let patience = within_a_while();
        loop {
            let mut frame = [0; 1514];
            let received = self.card.receive_blocking(&mut frame, patience);
            received.map_err(|error| error.to_string())?;
            // An answer, of whoever has the gateway's address.
            if frame.get(12..22) == Some(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2])
                && frame.get(28..32) == Some(&GATEWAY)
            {
                return Ok(());
            }
        }
    }

    fn check_console(&mut self, number: u64) -> Result<(), String> {
        let question = alloc::format!("question {number}\n").into_bytes();
        let mut asked = alloc::vec![0; question.len()];
        let mut read = 0;
        while let Some(rest) = asked.get_mut(read..).filter(|rest| !rest.is_empty()) {
            let received = self.console.read_blocking(rest, within_a_while());
            read += received.map_err(|error| error.to_string())?;
        }
        ensure(asked == question, "the question is the next one")?;
        let answer = alloc::format!("answer {number}\n");
        let sent = self.console.write_all_blocking(answer.as_bytes(), within_a_while());
        sent.map_err(|error| error.to_string())?;
        let sent = self.console.transmit_queue().drain_blocking(within_a_while());
        sent.map_err(|error| error.to_string())
    }

    /// Takes all of them down.
    pub fn end(self) -> Result<(), String> {
        self.disk.close(within_a_while()).map_err(|failed| failed.to_string())?;
        self.card.close(within_a_while()).map_err(|failed| failed.to_string())?;
        self.console.close(within_a_while()).map_err(|failed| failed.to_string())?;
        Ok(())
    }
}
