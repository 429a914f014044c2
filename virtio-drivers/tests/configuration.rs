//! What reading and writing a device's configuration space promises.
//!
//! Spec: §2.5 Device Configuration Space.

mod support;

use support::Bench;
use virtio_guest::device::console::{Console, EmergencyError, HANDLED, Settings, Slots};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{ConfigError, Negotiating, Wants};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::field::Field;
use virtio_model::pci::{Bar, Capability, PciDevice, STANDARD_BAR, cfg_type};

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

/// Spec: §2.5.1 — a space that is longer than its device's type needs is no mistake: later versions add fields at the end.
#[test]
fn a_configuration_may_be_longer_than_all_that_is_known_of_it() {
    for bytes in [64_u16, 65, 4096, 40_000] {
        let config = (0..bytes).map(|at| at.to_le_bytes()[0]).collect::<Vec<_>>();
        let builder = PciDevice::builder().device_id(0x107e).config(config.clone());
        let builder = builder.bar(STANDARD_BAR, Bar::memory64(0x1_0000, 1 << 40)).edit_capabilities(|list| {
            let is_config = |entry: &&mut Capability| entry.cfg_type() == Some(cfg_type::DEVICE);
            let entry = list.iter_mut().find(is_config).expect("in the standard list");
            *entry = entry.clone().with_offset(0x4000);
        });
        let bench = Bench::new(builder.build());
        let device = Negotiating::begin(bench.transport(), PATIENCE).unwrap();

        let last = Field::<u8>::at(bytes - 1);
        assert_eq!(device.config().read(NARROW), Ok(0x0302));
        assert_eq!(device.config().read(last), Ok(config[usize::from(bytes - 1)]));
        let absent = ConfigError::Absent { offset: bytes, bytes: usize::from(bytes) };
        assert_eq!(device.config().read(Field::<u8>::at(bytes)), Err(absent));
        drop(device);
        bench.device.assert_driver_was_correct();
    }
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

/// Spec: §2.5.1 — a field that is there with a feature only is left alone where that is not offered; the model complains otherwise.
#[test]
fn a_console_that_offers_none_of_its_fields_is_asked_for_none() {
    let device = virtio_model::Console::new().builder().build();
    let bench = Bench::new(device);
    let (settings, wants) = (Settings::default(), Wants::features(HANDLED));

    let mut console = Console::start_with(
        bench.transport(),
        bench.hal.clone(),
        Slots::allocate(16),
        &settings,
        wants,
        PATIENCE,
    )
    .unwrap();

    let control = console.control();
    assert_eq!((control.size(), control.ports_max()), (Ok(None), 1));
    assert_eq!(control.emergency_write(b'a'), Err(EmergencyError::Unsupported));
    drop(console);
    assert!(bench.device.config_writes().is_empty());
    bench.device.assert_driver_was_correct();
}
