//! What reading and writing a device's configuration space promises.
//!
//! Spec: §2.5 Device Configuration Space.

mod support;

use support::Bench;
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{ConfigError, Negotiating, Wants};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::field::Field;
use virtio_model::pci::PciDevice;

const VERSION_1: u128 = 1 << 32;
const PATIENCE: Attempts = Attempts(10);

fn device(features: u128) -> Bench {
    Bench::new(
        PciDevice::builder()
            .device_id(0x107e)
            .features(features)
            .config((0..64).collect::<Vec<u8>>())
            .build(),
    )
}

const WIDE: Field<u64> = Field::at(8);
const NARROW: Field<u16> = Field::at(2);
const BEYOND: Field<u32> = Field::at(62);

/// Spec: §2.5.3 — a field is accessed with its own width, 64-bit ones as two halves; the model complains otherwise.
#[test]
fn configuration_fields_are_read_with_their_own_width() {
    let bench = device(VERSION_1);
    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();

    assert_eq!(device.config().read(WIDE), Ok(0x0f0e_0d0c_0b0a_0908));
    assert_eq!(device.config().read(NARROW), Ok(0x0302));
    assert_eq!(device.config().read(BEYOND), Err(ConfigError::Absent { offset: 62, bytes: 64 }));
    drop(device);
    bench.device.assert_driver_was_correct();
}

#[test]
fn a_configuration_that_changes_between_two_halves_is_read_again() {
    let bench = device(VERSION_1);
    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();
    bench.device.set_config_after_reads(1, [0xff; 64]);

    assert_eq!(device.config().read(WIDE), Ok(u64::MAX));
}

#[test]
fn a_configuration_that_never_rests_is_an_error() {
    let bench = device(VERSION_1);
    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();
    bench.device.misbehave(|lies| lies.generation_never_rests = true);

    assert_eq!(device.config().read(NARROW), Err(ConfigError::Unstable));
}

#[test]
fn configuration_writes_have_the_fields_width() {
    let bench = device(VERSION_1);
    let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();
    let mut device = device.negotiate(Wants::<BlockFeatures>::none()).unwrap();

    device.write_config(NARROW, 0xbeef).unwrap();
    device.write_config(WIDE, 0x1_0000_0002).unwrap();

    assert_eq!(bench.device.config_writes(), [(2, 2, 0xbeef), (8, 4, 2), (12, 4, 1)]);
    assert!(device.write_config(BEYOND, 0).is_err());
}
