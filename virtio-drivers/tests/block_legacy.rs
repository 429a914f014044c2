//! A disk behind the legacy interface: how its requests are laid out, and what it is not asked for.
//!
//! Spec: §5.2.6.3 Legacy Interface: Device Operation, §5.2.6.4 Legacy Interface: Framing Requirements.

mod support;

use support::{Either, Mapper, TestHal, claim};
use virtio_guest::device::block::{Block, Sector, SectorRange, Settings, Storage, Unmap};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::Disk;
use virtio_model::block::{RangeLimits, SECTOR_BYTES};
use virtio_model::pci::{Builder, PciDevice};

const BARRIER: u128 = 1 << 0;
const SCSI: u128 = 1 << 7;
const FLUSH: u128 = 1 << 9;
const WRITE_ZEROES: u128 = 1 << 14;
const ANY_LAYOUT: u128 = 1 << 27;
const INDIRECT_DESC: u128 = 1 << 28;

struct Bench {
    disk: Disk,
    device: PciDevice,
    hal: TestHal,
}

impl Bench {
    fn new(features: u128) -> Self {
        let limits = RangeLimits { sectors_max: 4, ranges_max: 2, alignment_sectors: 1 };
        let disk = Disk::with_sectors(32).with_write_zeroes(limits, true);
        let change = |builder: Builder| builder.features(features).device_id(0x1001).legacy();
        let device = change(disk.builder()).build();
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000); // where such a device finds it
        Self { disk, device, hal }
    }

    fn start<'s>(&self, storage: &'s mut Storage<16>) -> Block<'s, Either, TestHal> {
        let transport = Either::open_pci(claim(&self.device), &Mapper(self.device.clone())).unwrap();
        let settings = Settings { request_bytes: 2048, ..Settings::default() };
        let wants = Wants::features(BlockFeatures::all());
        Block::start_with(transport, self.hal.clone(), storage, &settings, wants, Attempts(10)).unwrap()
    }

    fn working(&self) -> impl FnMut() -> bool + '_ {
        || self.disk.serve(&self.device, &self.hal.space) > 0
    }
}

/// With and without `ANY_LAYOUT`, for this driver lays all requests out as devices without it need them: a header of 16 bytes, then data, then one byte. A flush is of type 4, never 5.
#[test]
fn header_data_and_status_are_in_descriptors_of_their_own() {
    for layout in [0, ANY_LAYOUT, INDIRECT_DESC, ANY_LAYOUT | INDIRECT_DESC] {
        let bench = Bench::new(FLUSH | WRITE_ZEROES | layout);
        let mut storage = Storage::<16>::new();
        let mut disk = bench.start(&mut storage);

        disk.read_blocking(Sector(1), &mut [0; 3 * SECTOR_BYTES], bench.working()).unwrap();
        disk.write_blocking(Sector(2), &[1; 2 * SECTOR_BYTES], bench.working()).unwrap();
        let (mut one, mut two) = ([0; 100], [0; 412]);
        disk.read_vectored_blocking(Sector(2), &mut [&mut one, &mut two], bench.working()).unwrap();
        disk.flush_blocking(bench.working()).unwrap();
        disk.device_id_blocking(bench.working()).unwrap();
        let range = SectorRange { first: Sector(0), sectors: 8 };
        disk.write_zeroes_blocking(range, Unmap::Allowed, bench.working()).unwrap();

        let seen = bench.disk.requests();
        let kinds: Vec<_> = seen.iter().map(|request| request.request_type).collect();
        assert_eq!(kinds, [0, 1, 0, 4, 8, 13]);
        for request in seen {
            let (header, out) = request.readable_lens.split_first().unwrap();
            let (status, inward) = request.writable_lens.split_last().unwrap();
            assert_eq!((*header, *status), (16, 1), "{request:?}");
            let data = out.iter().chain(inward).map(|len| u64::from(*len)).sum::<u64>();
            assert_eq!(data, request.data_bytes);
        }
        disk.close(Attempts(10)).unwrap();
        bench.device.assert_driver_was_correct();
        bench.hal.assert_all_returned();
    }
}

/// Nor are barriers, which the specification has no more.
#[test]
fn scsi_commands_are_not_accepted() {
    let bench = Bench::new(BARRIER | SCSI | FLUSH);
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage);

    assert_eq!(bench.device.negotiated_features() & (BARRIER | SCSI | FLUSH), FLUSH);

    disk.read_blocking(Sector(0), &mut [0; SECTOR_BYTES], bench.working()).unwrap();
    disk.close(Attempts(10)).unwrap();
    bench.device.assert_driver_was_correct();
}
