//! Promises of the cache: which writes would survive a power failure.

use super::{Bench, Disk, SECTOR_BYTES, request_type, status};
use crate::mmio::MmioDevice;
use crate::pci::STANDARD_BAR;

const CONFIG_WCE: u128 = 1 << 11;
const WRITEBACK: u64 = 0x2020;

fn switch(bench: &Bench, mode: u32) {
    bench.device.bar_write(STANDARD_BAR, WRITEBACK, 1, mode);
}

fn stable(bench: &Bench, sector: usize) -> u8 {
    bench.disk.stable_contents()[sector * SECTOR_BYTES]
}

fn write(bench: &mut Bench, sector: u64) {
    assert_eq!(bench.ask_well(request_type::OUT, sector, &[5; 512], 512), status::OK);
}

/// Spec: §5.2.6.3, case 3.
#[test]
fn with_flush_a_write_is_stable_once_it_was_flushed() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    write(&mut bench, 2);
    assert_eq!((bench.disk.sector(2)[0], stable(&bench, 2), bench.disk.volatile_sectors()), (5, 0, vec![2]));
    bench.ask_well(request_type::FLUSH, 0, &[], 0);
    assert_eq!((stable(&bench, 2), bench.disk.volatile_sectors()), (5, vec![]));
}

#[test]
fn a_flush_is_about_writes_that_were_complete_when_it_was_sent() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.submit(0, request_type::OUT, 2, 512);
    bench.submit(1, request_type::FLUSH, 0, 0);
    assert_eq!((bench.serve(), bench.disk.volatile_sectors()), (2, vec![2]));
}

#[test]
fn a_flush_that_fails_makes_nothing_stable() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    write(&mut bench, 2);
    bench.disk.fail_nth(1, status::IOERR);
    assert_eq!(bench.ask_well(request_type::FLUSH, 0, &[], 0), status::IOERR);
    assert_eq!((bench.disk.volatile_sectors(), bench.disk.flushes()), (vec![2], 0));
}

/// Spec: §5.2.6.3, case 2.
#[test]
fn in_write_through_mode_a_write_is_stable_once_it_is_complete() {
    let mut bench = Bench::with_features(Disk::with_sectors(4).with_cache_switch(true), CONFIG_WCE);
    write(&mut bench, 0);
    switch(&bench, 0);
    assert_eq!(bench.device.bar_read(STANDARD_BAR, WRITEBACK, 1), 0);
    write(&mut bench, 1);
    assert_eq!(bench.disk.volatile_sectors(), [0], "what was written before is not made stable");
    switch(&bench, 1);
    write(&mut bench, 1);
    assert_eq!(bench.disk.volatile_sectors(), [0, 1]);
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_write_during_which_the_mode_changes_is_volatile() {
    for modes in [&[1][..], &[1, 0]] {
        let mut bench = Bench::with_features(Disk::with_sectors(4).with_cache_switch(false), CONFIG_WCE);
        bench.disk.hold();
        bench.submit(0, request_type::OUT, 2, 512);
        bench.serve();
        for mode in modes {
            switch(&bench, *mode);
        }
        bench.disk.release_all();
        bench.serve();
        assert_eq!(bench.disk.volatile_sectors(), [2]);
    }
}

/// Spec: §5.2.5 Device Initialization, §5.2.5.1 Driver Requirements.
#[test]
fn the_mode_is_written_where_that_was_agreed_on_and_nothing_else_is() {
    let plain = Bench::new(Disk::with_sectors(4).with_cache_switch(true));
    switch(&plain, 0);
    assert_eq!((plain.device.driver_errors().len(), plain.device.config()[0x20]), (1, 1));

    let bench = Bench::with_features(Disk::with_sectors(4).with_cache_switch(true), CONFIG_WCE);
    for (at, width, value) in [(WRITEBACK, 1, 2), (0x2000, 1, 9), (WRITEBACK, 2, 0), (WRITEBACK, 4, 0)] {
        bench.device.bar_write(STANDARD_BAR, at, width, value);
    }
    assert_eq!(
        (bench.device.driver_errors().len(), bench.device.config()),
        (4, bench.disk.config().bytes().to_vec())
    );
    bench.device.misbehave(|lies| lies.ignores_config_writes = true);
    switch(&bench, 0);
    assert_eq!((bench.device.driver_errors().len(), bench.device.config()[0x20]), (4, 1));

    let early = Disk::with_sectors(4).with_cache_switch(true).builder().build();
    early.config_write(0x04, 0b110);
    early.bar_read(STANDARD_BAR, WRITEBACK, 1);
    assert!(early.driver_errors()[0].contains("read before FEATURES_OK"));
}

#[test]
fn the_mode_is_written_through_mmio_too() {
    let disk = Disk::with_sectors(4).with_cache_switch(true);
    let mmio = MmioDevice::new(disk.builder().build(), 2);
    for (at, value) in
        [(0x070, 0), (0x070, 1), (0x070, 3), (0x024, 1), (0x020, 1), (0x024, 0), (0x020, 1 << 11 | 1 << 9)]
    {
        mmio.write(at, 4, value);
        mmio.read(0x070, 4);
    }
    mmio.write(0x070, 4, 0x0b);
    mmio.write(0x120, 1, 0);
    assert_eq!((mmio.read(0x120, 1), mmio.device().config()[0x20]), (0, 0));
    mmio.device().assert_driver_was_correct();
}
