//! What a disk says of itself, is asked for at bring-up, and answers in one piece.
//!
//! Spec: §5.2.3 Feature bits, §5.2.4 Device configuration layout, §5.2.5 Device Initialization. The model complains of every field that is read though it is not there.

mod support;

use support::levels::{Ask, Got, Level, LevelBench, range};
use support::tasks::{Load, TaskBench};
use support::{Either, TestHal};
use virtio_guest::device::block::{
    Block, CacheMode, Geometry, HANDLED, RangeLimits, RequestError, Sector, Settings, StartError, Storage,
    Topology, Unmap, Zone, ZoneAction,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{NegotiateError, Wants};
use virtio_guest::transport::mmio::MmioTransport;
use virtio_guest::wire::block::BlockFeatures;
use virtio_model::block::{self as model, SECTOR_BYTES, ZoneSetup, request_type, zone_state};
use virtio_model::{Disk, MmioDevice};
use virtio_test_hal::registers;

const ZONED: u128 = 1 << 17;
const READ_ONLY: u128 = 1 << 5;
const DISCARD: u128 = 1 << 13;
const LIMITS: model::RangeLimits = model::RangeLimits { sectors_max: 9, ranges_max: 3, alignment_sectors: 4 };

fn start(
    bench: &TaskBench,
    transport: Either,
    unwanted: BlockFeatures,
) -> Result<Block<'static, Either, TestHal, Load>, StartError> {
    let storage: &'static mut Storage<16, Load> = Box::leak(Box::default());
    let settings = Settings { drop_attempts: Attempts(5), ..Settings::default() };
    let wants = Wants::features(HANDLED.difference(unwanted));
    Ok(Block::start_with(transport, bench.hal.clone(), storage, &settings, wants, Attempts(10))?)
}

fn patience(bench: &TaskBench) -> impl FnMut() -> bool + '_ {
    let mut rounds = 1000;
    move || {
        rounds -= 1;
        bench.disk.serve(&bench.device, &bench.hal.space);
        rounds > 0
    }
}

#[test]
fn a_disk_says_its_geometry_its_topology_and_its_limits() {
    let disk = || {
        let geometry = model::Geometry { cylinders: 0x1234, heads: 16, sectors: 63 };
        let topology = model::Topology {
            physical_block_exp: 3,
            alignment_offset: 1,
            min_io_size: 0x4567,
            opt_io_size: 0x89ab_cdef,
        };
        let disk = Disk::with_sectors(64).with_geometry(geometry).with_topology(topology);
        disk.with_discard(LIMITS).with_write_zeroes(LIMITS, true).with_secure_erase(LIMITS)
    };
    for mut bench in LevelBench::at(&[Level::Blocking], disk) {
        let control = bench.control();
        assert_eq!(control.geometry(), Some(Geometry { cylinders: 0x1234, heads: 16, sectors: 63 }));
        let topology = Topology {
            physical_block_exponent: 3,
            alignment_offset: 1,
            min_transfer_blocks: 0x4567,
            optimal_transfer_blocks: 0x89ab_cdef,
        };
        assert_eq!((control.topology(), control.block_bytes()), (Some(topology), Some(512)));
        let shape = control.shape();
        let limits = RangeLimits { sectors_max: 9, ranges_max: 3, alignment_sectors: 4 };
        assert_eq!((shape.discard, shape.secure_erase), (Some(limits), Some(limits)));
        assert_eq!(shape.write_zeroes, Some(RangeLimits { alignment_sectors: 1, ..limits }));
        assert!(shape.write_zeroes_may_unmap && shape.zoned.is_none());
        bench.finish();
    }
}

#[test]
fn what_is_not_offered_is_not_read() {
    let bench = TaskBench::new(0, |builder| builder);
    let mut disk = start(&bench, bench.open(2), BlockFeatures::empty()).unwrap();
    let control = disk.control();
    assert_eq!((control.geometry(), control.topology(), control.block_bytes()), (None, None, None));
    let shape = control.refresh_shape().unwrap();
    assert_eq!(
        (shape.discard, shape.write_zeroes, shape.secure_erase, shape.zoned),
        (None, None, None, None)
    );
    disk.close(Attempts(10)).unwrap();
    bench.device.assert_driver_was_correct();
}

/// Spec: §5.2.5.1 — nor is it asked for DISCARD by who does not want its zones.
#[test]
fn a_disk_whose_zones_have_to_be_written_in_order_is_not_asked_for_discard() {
    let managed = || Disk::with_sectors(64).with_zones(&ZoneSetup::host_managed(8)).with_discard(LIMITS);
    for mut bench in LevelBench::each(managed) {
        assert_eq!(bench.refusal(Ask::Discard(range(0, 1))), RequestError::Unsupported);
        assert_eq!(bench.bench.device.negotiated_features() & (ZONED | DISCARD), ZONED);
        bench.finish();
    }
    let bench = TaskBench::of(managed(), 0);
    let refused = start(&bench, bench.open(2), BlockFeatures::ZONED).err();
    assert!(matches!(refused, Some(StartError::Negotiate(NegotiateError::Refused { .. }))), "{refused:?}");
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_disk_whose_zones_can_be_written_anywhere_has_both_and_can_be_used_without() {
    let aware = || Disk::with_sectors(64).with_zones(&ZoneSetup::host_aware(8)).with_discard(LIMITS);
    for mut bench in LevelBench::each(aware) {
        assert_eq!(bench.bench.device.negotiated_features() & (ZONED | DISCARD), ZONED | DISCARD);
        assert!(!bench.control().shape().zoned.unwrap().is_host_managed);
        assert_eq!(bench.ask(Ask::Discard(range(5, 6))), Ok(Got::Nothing));
        assert_eq!(bench.ask(Ask::Write(Sector(13), 1, SECTOR_BYTES)), Ok(Got::Nothing));
        bench.finish();
    }
    let bench = TaskBench::of(aware(), 0);
    let mut disk = start(&bench, bench.open(2), BlockFeatures::ZONED).unwrap();
    assert_eq!(disk.control().shape().zoned, None);
    disk.write_blocking(Sector(5), &[1; 8 * SECTOR_BYTES], patience(&bench)).unwrap();
    assert_eq!(bench.disk.requests().len(), 1, "zones are nobody's business");
    disk.close(Attempts(10)).unwrap();
    bench.device.assert_driver_was_correct();
}

/// Spec: §5.2.6.1 — `RO` is accepted whenever it is offered.
#[test]
fn a_read_only_disk_is_known_as_one_whatever_the_driver_wants() {
    let bench = TaskBench::of(Disk::with_sectors(8).read_only(), 0);
    let mut disk = start(&bench, bench.open(2), BlockFeatures::all()).unwrap();

    assert!(disk.is_read_only());
    assert_eq!(bench.device.negotiated_features() & READ_ONLY, READ_ONLY);
    let refused = disk.write_blocking(Sector(0), &[0; SECTOR_BYTES], patience(&bench));
    assert_eq!((refused, bench.disk.requests().len()), (Err(RequestError::ReadOnly), 0));
    disk.close(Attempts(10)).unwrap();
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_disk_in_one_piece_answers_every_call() {
    let setup = ZoneSetup { conventional: 4, ..ZoneSetup::host_managed(8) };
    let disk = Disk::with_sectors(64).with_zones(&setup).with_lifetime(1, 2, 3).with_id("in one piece");
    let erased = model::RangeLimits { sectors_max: 0, ..LIMITS };
    let bench = TaskBench::of(disk.with_write_zeroes(LIMITS, true).with_secure_erase(erased), 0);
    let mut disk = start(&bench, bench.open(2), BlockFeatures::empty()).unwrap();
    let patience = || patience(&bench);

    disk.write_zeroes_blocking(range(2, 3), Unmap::Allowed, patience()).unwrap();
    assert_eq!(disk.lifetime_blocking(patience()).unwrap().single_level_cells, Some(2));
    assert_eq!(disk.device_id_blocking(patience()).unwrap().as_bytes(), b"in one piece");
    assert_eq!(disk.append_blocking(Sector(40), &[7; 2 * SECTOR_BYTES], patience()), Ok(Sector(40)));
    disk.zone_blocking(ZoneAction::Finish, Sector(40), patience()).unwrap();
    disk.zone_blocking(ZoneAction::Open, Sector(48), patience()).unwrap();
    let mut zones = [Zone::NONE; 8];
    assert_eq!(disk.report_zones_blocking(Sector(0), &mut zones, patience()), Ok(8));
    assert_eq!(zones[6].start, Sector(48));
    let states = || bench.disk.zones()[5..7].iter().map(|zone| zone.state).collect::<Vec<_>>();
    assert_eq!(states(), [zone_state::FULL, zone_state::EXPLICITLY_OPEN]);
    disk.secure_erase_blocking(range(40, 8), patience()).unwrap();
    assert_eq!(states(), [zone_state::EMPTY, zone_state::EXPLICITLY_OPEN]);
    disk.reset_all_zones_blocking(patience()).unwrap();
    assert_eq!(states(), [zone_state::EMPTY; 2]);
    let kinds: Vec<_> = bench.disk.requests().iter().map(|request| request.request_type).collect();
    let (first, last) = (request_type::WRITE_ZEROES, request_type::ZONE_RESET_ALL);
    assert_eq!((kinds.first(), kinds.last()), (Some(&first), Some(&last)));
    disk.close(Attempts(10)).unwrap();
    bench.device.assert_driver_was_correct();
    bench.hal.assert_all_returned();
}

/// What is written to the configuration, and changes in it, comes through registers of any transport.
#[test]
fn a_disk_behind_mmio_is_switched_and_resized() {
    let disk = Disk::with_sectors(8).with_cache_switch(true).with_discard(LIMITS);
    let bench = TaskBench::of(disk, 0);
    let mmio = MmioDevice::new(bench.device.clone(), 2);
    let transport = MmioTransport::open(registers(&mmio, 0x200)).unwrap().unwrap();
    let mut disk = start(&bench, transport.into(), BlockFeatures::empty()).unwrap();

    assert_eq!(disk.control().set_cache_mode(CacheMode::WriteThrough), Ok(CacheMode::WriteThrough));
    disk.write_blocking(Sector(3), &[1; SECTOR_BYTES], patience(&bench)).unwrap();
    assert_eq!(bench.disk.volatile_sectors(), []);
    bench.disk.resize(&bench.device, 20);
    assert_eq!(disk.refresh_capacity_sectors(), Ok(20));
    disk.discard_blocking(range(11, 9), patience(&bench)).unwrap();
    assert_eq!(disk.control().cache_mode(), Ok(CacheMode::WriteThrough), "not changed by another size");
    disk.close(Attempts(10)).unwrap();
    bench.device.assert_driver_was_correct();
}
