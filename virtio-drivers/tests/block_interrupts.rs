//! Calls that sleep until the disk interrupts.
//!
//! Spec: §2.7.7 Used Buffer Notification Suppression, §4.1.5.3 Notifications From The Device. A patience here sleeps as a kernel would: it goes on when there was an
//! interrupt, and a sleep for ever is a failure.

mod support;

use support::{DiskBench, Either, Mapper, TestHal, claim, message};
use virtio_guest::device::block::{Block, RequestError, Sector, Settings, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{VectorRouting, Wants};
use virtio_guest::transport::InterruptLine;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::Disk;
use virtio_model::pci::{Builder, PciDevice};

const EVENT_IDX: u128 = 1 << 29;
const VERSION_1: u128 = 1 << 32;
const RING_PACKED: u128 = 1 << 34;

struct Bench {
    disk: Disk,
    device: PciDevice,
    hal: TestHal,
}

impl Bench {
    /// A disk with these ring features, that is otherwise like this.
    fn new(features: u128, change: impl Fn(Builder) -> Builder) -> Self {
        let disk = Disk::with_sectors(16);
        let device = change(disk.builder().features(VERSION_1 | features)).build();
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        Self { disk, device, hal }
    }

    /// With and without event index, in each layout, and through the legacy interface. Under miri, which is slow, the first and the last of them.
    fn each(change: impl Fn(Builder) -> Builder) -> Vec<Self> {
        let modern = [0, EVENT_IDX, RING_PACKED, EVENT_IDX | RING_PACKED];
        let legacy = |builder| change(builder).device_id(0x1001).legacy();
        let modern = modern.map(|features| Self::new(features, &change));
        let all = modern.into_iter().chain([Self::new(0, legacy)]);
        all.step_by(if cfg!(miri) { 4 } else { 1 }).collect()
    }

    fn start<'s>(
        &self,
        messages: u32,
        notifications: bool,
        storage: &'s mut Storage<16>,
    ) -> Block<'s, Either, TestHal> {
        let mut transport = Either::open_pci(claim(&self.device), &Mapper(self.device.clone())).unwrap();
        if messages > 0 {
            let messages: Vec<_> = (0..messages).map(message).collect();
            transport.enable_msi_x(&messages).unwrap();
        }
        let settings = Settings { request_bytes: 512, notifications, ..Settings::default() };
        let wants = Wants::features(BlockFeatures::all());
        Block::start_with(transport, self.hal.clone(), storage, &settings, wants, Attempts(10)).unwrap()
    }

    /// Sleeps until the disk, which works meanwhile, sends a message.
    fn until_message(&self) -> impl FnMut() -> bool + '_ {
        || {
            self.disk.serve(&self.device, &self.hal.space);
            assert!(!self.device.take_messages().is_empty(), "asleep for ever");
            true
        }
    }

    /// The same, until the line is raised; its handler quiets it.
    fn until_line(&self, line: InterruptLine) -> impl FnMut() -> bool + '_ {
        move || {
            self.disk.serve(&self.device, &self.hal.space);
            assert!(self.device.line_is_raised() && line.acknowledge().used_buffer, "asleep for ever");
            assert!(!self.device.line_is_raised(), "interrupted for ever");
            true
        }
    }

    fn finish(&self, block: Block<'_, Either, TestHal>) {
        block.close(Attempts(10)).unwrap();
        self.device.assert_driver_was_correct();
        self.hal.assert_all_returned();
    }
}

/// Work that takes several requests at once, and several calls.
fn use_disk(block: &mut Block<'_, Either, TestHal>, mut sleeping: impl FnMut() -> bool) {
    for round in 1..=if cfg!(miri) { 1 } else { 4 } {
        block.write_blocking(Sector(2), &[round; 6 * 512], &mut sleeping).unwrap();
        let mut read = [0; 8 * 512];
        block.read_blocking(Sector(1), &mut read, &mut sleeping).unwrap();
        assert_eq!((read[511], read[512], read[7 * 512 - 1], read[7 * 512]), (0, round, round, 0));
    }
}

/// Each time a call sleeps the disk was asked to interrupt: by the queue's own message, or the one that everything shares.
#[test]
fn a_call_that_sleeps_is_woken_by_a_message() {
    for (messages, routing) in
        [(2, VectorRouting::PerQueue), (5, VectorRouting::PerQueue), (1, VectorRouting::SharedByAll)]
    {
        for bench in Bench::each(|builder| builder.msi_x(5)) {
            let mut storage = Storage::<16>::new();
            let mut block = bench.start(messages, true, &mut storage);
            assert_eq!(block.active_paths().vectors, routing);
            assert!(block.use_interrupt_line().is_none());

            use_disk(&mut block, bench.until_message());

            assert_eq!(bench.device.withheld_messages(), 0);
            bench.finish(block);
        }
    }
}

/// The same with the line: where there is no MSI-X, and where the device takes no vector.
#[test]
fn a_call_that_sleeps_is_woken_by_the_line() {
    for messages in [0, 2] {
        for bench in Bench::each(|builder| builder.msi_x(2).vectors(0)) {
            let mut storage = Storage::<16>::new();
            let mut block = bench.start(messages, true, &mut storage);
            assert_eq!(block.active_paths().vectors, VectorRouting::NoVectors);
            let line = block.use_interrupt_line().expect("there is one");

            use_disk(&mut block, bench.until_line(line));

            assert!(bench.device.take_messages().is_empty());
            bench.finish(block);
        }
    }
}

/// Who polls is not interrupted, and takes no vector. (Not all rings can say so for good: with an event index, once in 65536 times there is one.)
#[test]
fn a_disk_that_is_polled_does_not_interrupt() {
    for bench in Bench::each(|builder| builder.msi_x(2)) {
        let mut storage = Storage::<16>::new();
        let mut block = bench.start(2, false, &mut storage);
        assert_eq!(block.active_paths().vectors, VectorRouting::NoVectors);

        let served = || bench.disk.serve(&bench.device, &bench.hal.space) > 0;
        use_disk(&mut block, served);

        assert_eq!((bench.device.used_interrupts(), bench.device.queue(0).unwrap().vector), (0, 0xffff));
        bench.finish(block);
    }
}

/// A sleep that ends at its deadline may have ended with what was waited for.
#[test]
fn what_is_done_during_the_last_wait_counts() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    let mut sector = [0; 512];

    disk.read_blocking(Sector(3), &mut sector, || {
        bench.serve();
        false
    })
    .unwrap();

    assert_eq!(sector, [3; 512]);
    assert_eq!(disk.read_blocking(Sector(3), &mut sector, || false), Err(RequestError::TimedOut));
    bench.serve();
    disk.close(Attempts(10)).unwrap();
}

/// What came back at the last look makes room, which is not filled again: nobody would wait for it.
#[test]
fn a_call_whose_patience_is_over_sends_nothing_more() {
    let bench = DiskBench::new(|config| config.queue_size = 4);
    let mut storage = Storage::<4>::new();
    let mut disk = bench.start(&mut storage).unwrap();
    let requests = disk.active_paths().requests as u64;
    let mut sectors = [0; 32 * 512]; // more requests of 4 sectors than there is room for

    let read = disk.read_blocking(Sector(0), &mut sectors, || {
        bench.serve();
        false
    });

    assert!(requests < 8);
    assert_eq!((read, disk.statistics().chains), (Err(RequestError::TimedOut), requests));
    disk.close(Attempts(10)).unwrap();
    bench.assert_all_returned();
}
