//! Promises of a disk that is changed, or made to fail, while it works.

use super::{Bench, Disk, SECTOR_BYTES, request_type, status};
use crate::pci::STANDARD_BAR;

#[test]
fn a_resize_is_a_new_generation_and_a_notification() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    let capacity = |bench: &Bench| bench.device.bar_read(STANDARD_BAR, 0x2000, 4);
    let generation = |bench: &Bench| bench.device.bar_read(STANDARD_BAR, 0x15, 1);
    let before = generation(&bench);

    bench.disk.resize(&bench.device, 8);

    assert_eq!((capacity(&bench), bench.device.config_interrupts()), (8, 1));
    assert_ne!(generation(&bench), before);
    assert_eq!(bench.ask_well(request_type::OUT, 7, &[1; 512], 512), status::OK);
    bench.disk.resize(&bench.device, 2);
    assert!(bench.ask(request_type::IN, 2, &[], 512).1.unwrap().contains("beyond the end"));
    assert_eq!((bench.disk.contents().len(), bench.disk.stable_contents().len()), (1024, 1024));
    assert_eq!(bench.disk.volatile_sectors(), []);
}

#[test]
fn a_driver_that_is_not_ready_is_not_told() {
    let disk = Disk::with_sectors(4);
    let device = disk.builder().build();
    disk.resize(&device, 8);
    assert_eq!((device.config_interrupts(), device.config()[0]), (0, 8));
}

#[test]
fn the_mode_of_the_cache_outlives_a_change() {
    let bench = Bench::with_features(Disk::with_sectors(4).with_cache_switch(true), 1 << 11);
    bench.device.bar_write(STANDARD_BAR, 0x2020, 1, 0);
    bench.disk.change_config(&bench.device, |config| config.blk_size = 4096);
    assert_eq!((bench.device.config()[0x20], bench.device.config()[0x15]), (0, 0x10));
}

#[test]
fn the_request_that_a_test_names_fails_and_does_nothing() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.disk.fail_nth(2, 77);
    let statuses: Vec<_> =
        (0..3).map(|sector| bench.ask_well(request_type::OUT, sector, &[1; SECTOR_BYTES], 512)).collect();
    assert_eq!(statuses, [status::OK, 77, status::OK]);
    assert_eq!((bench.disk.sector(1)[0], bench.disk.sector(2)[0]), (0, 1));
}

#[test]
fn every_request_about_a_sector_fails_until_it_is_mended() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.disk.fail_sector(2, status::IOERR);
    let read = |bench: &mut Bench, sector| bench.ask_well(request_type::IN, sector, &[], 1024);
    let statuses = [0, 1, 2].map(|sector| read(&mut bench, sector));
    assert_eq!(statuses, [status::OK, status::IOERR, status::IOERR]);
    assert_eq!(bench.used()[1].1, 0, "nothing was written in front of the status");
    bench.disk.fail_none();
    assert_eq!(read(&mut bench, 2), status::OK);
}

#[test]
fn an_answer_can_be_a_lie() {
    let mut bench = Bench::new(Disk::with_sectors(4));
    bench.disk.misbehave(|lies| lies.answer = Some(vec![0x5c; 4096]));
    assert_eq!(bench.ask_well(request_type::GET_ID, 0, &[], 20), status::OK);
    assert_eq!(bench.data(0, 21)[19..], [0x5c, 0], "not past its room");
    assert_eq!(bench.used(), [(0, 21)]);
}
