//! What a function may have beside the structures that it must have: shared memory, vendors' data, fields that later features added.
//!
//! Spec: §4.1.4.7 Shared memory capability, §4.1.4.8 Vendor data capability, §4.1.4.3.2 (fields beyond the end of the common configuration).

mod support;

use support::{Mapper, Pci, claim};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Negotiating, Wants};
use virtio_guest::transport::{SharedMemory, Transport};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::features::CommonFeatures;
use virtio_model::pci::{Bar, Capability, PciDevice, STANDARD_BAR, cfg_type};

const BASE: u64 = 0x40_0000_0000;
const SIZE: u64 = 1 << 34;
const VERSION_1: u128 = 1 << 32;

/// Opens a function with these capabilities behind the standard ones, and a BAR of 16 GiB for what they place.
fn open(capabilities: &[Capability]) -> Pci {
    let device = PciDevice::builder()
        .device_id(0x1042)
        .config([0; 64])
        .bar(2, Bar::memory64(SIZE, BASE))
        .bar(0, Bar::io(0x100, 0xc000))
        .edit_capabilities(|list| {
            // Without the window there is room for five regions.
            list.retain(|entry| entry.cfg_type() != Some(cfg_type::PCI_WINDOW));
            list.extend_from_slice(capabilities);
        })
        .build();
    Pci::open(claim(&device), &Mapper(device.clone())).expect("it opens")
}

const fn region(offset: u64, size_bytes: u64) -> SharedMemory {
    SharedMemory { physical_address: BASE + offset, size_bytes }
}

/// Spec: §4.1.4.7 — offset and length have 64 bits.
#[test]
fn a_shared_memory_region_is_where_64_bits_say() {
    let mut transport = open(&[
        Capability::shared_memory(7, 2, 0x1_2345_6000, 0x2_0000_1000),
        Capability::shared_memory(0, 2, 0, SIZE),
        Capability::shared_memory(255, 2, SIZE - 1, 1),
    ]);

    assert_eq!(transport.shared_memory(7), Some(region(0x1_2345_6000, 0x2_0000_1000)));
    assert_eq!(transport.shared_memory(0), Some(region(0, SIZE)));
    assert_eq!(transport.shared_memory(255), Some(region(SIZE - 1, 1)));
    assert_eq!(transport.shared_memory(1), None);
}

#[test]
fn a_shared_memory_region_that_is_not_inside_of_its_bar_is_none() {
    for (what, unsound) in [
        ("beyond the end", Capability::shared_memory(1, 2, SIZE - 0x1000, 0x1001)),
        ("far beyond the end", Capability::shared_memory(1, 2, 1 << 40, 1)),
        ("wrapping", Capability::shared_memory(1, 2, u64::MAX - 0xfff, 0x2000)),
        ("larger in its upper half", Capability::shared_memory(1, 2, 0, 1 << 40)),
        ("empty", Capability::shared_memory(1, 2, 0x1000, 0)),
        ("all ones", Capability::shared_memory(1, 2, u64::MAX, u64::MAX)),
        ("in no BAR", Capability::shared_memory(1, 1, 0, 16)),
        ("in I/O space", Capability::shared_memory(1, 0, 0, 16)),
        ("in the upper half of a BAR", Capability::shared_memory(1, 3, 0, 16)),
        ("in a reserved BAR", Capability::shared_memory(1, 6, 0, 16)),
        ("without its upper halves", Capability::shared_memory(1, 2, 0, 16).with_cap_len(16)),
        ("without its upper length", Capability::shared_memory(1, 2, 0, 16).with_cap_len(20)),
    ] {
        assert_eq!(open(std::slice::from_ref(&unsound)).shared_memory(1), None, "{what}");

        let mut transport = open(&[unsound, Capability::shared_memory(1, 2, 0x5000, 0x1000)]);
        assert_eq!(
            transport.shared_memory(1),
            Some(region(0x5000, 0x1000)),
            "{what}: the first sound one counts"
        );
    }
}

#[test]
fn of_several_regions_with_one_number_the_first_counts() {
    let mut transport = open(&[
        Capability::shared_memory(1, 2, 0x1000, 0x1000),
        Capability::shared_memory(1, 2, 0x8000, 0x1000),
        Capability::shared_memory(1, 2, 0x9000, 0x1000),
        Capability::shared_memory(1, 2, 0xa000, 0x1000),
        Capability::shared_memory(2, 2, 0x3000, 0x1000),
    ]);

    assert_eq!(transport.shared_memory(1), Some(region(0x1000, 0x1000)));
    assert_eq!(transport.shared_memory(2), Some(region(0x3000, 0x1000)));
}

/// More regions than any device has: four are kept, and the others are no harm.
#[test]
fn regions_beyond_the_fourth_are_not_kept() {
    let many: Vec<_> = (1..=4).map(|id| Capability::shared_memory(id, 2, u64::from(id) << 12, 16)).collect();
    let mut transport = open(&[&many[..], &[Capability::shared_memory(9, 2, 0, 16)]].concat());

    let found = [1, 2, 3, 4, 9].map(|id| transport.shared_memory(id).is_some());

    assert_eq!(found, [true, true, true, true, false]);
}

/// Spec: §4.1.4.8 — what a vendor says there is nobody's else.
#[test]
fn a_vendors_capability_is_skipped() {
    let vendors = Capability::raw(
        0x09,
        &[16, 9, 0x12, 0x34, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    );
    let short = Capability::raw(0x09, &[4, 9]);
    let device = PciDevice::builder()
        .device_id(0x1042)
        .edit_capabilities(|list| {
            list.insert(0, vendors);
            list.insert(2, short);
        })
        .build();

    let mut transport = Pci::open(claim(&device), &Mapper(device.clone())).unwrap();

    assert_eq!(transport.device_features(), VERSION_1);
    device.assert_driver_was_correct();
}

/// Spec: §4.1.4.3.2 — a feature whose register is beyond the end of the common configuration is not accepted; reading there would be somebody else's register.
#[test]
fn a_feature_whose_register_is_not_there_is_not_accepted() {
    let (config_data, reset) = (CommonFeatures::NOTIF_CONFIG_DATA, CommonFeatures::RING_RESET);
    for (length, expected) in [
        (0x38, CommonFeatures::empty()),
        (0x39, CommonFeatures::empty()),
        (0x3a, config_data),
        (0x3b, config_data),
        (0x3c, config_data | reset),
        (0x1000, config_data | reset),
    ] {
        let device = PciDevice::builder()
            .device_id(0x1042)
            .features(VERSION_1 | 1 << 39 | 1 << 40)
            .edit_capabilities(|list| {
                let common = list.iter_mut().find(|entry| entry.cfg_type() == Some(cfg_type::COMMON));
                let common = common.expect("in the standard list");
                assert_eq!(common.body[2], STANDARD_BAR);
                *common = common.clone().with_length(length);
            })
            .build();
        let transport = Pci::open(claim(&device), &Mapper(device.clone())).unwrap();

        let negotiating = Negotiating::begin(transport, Attempts(10)).unwrap();
        let installing = negotiating.negotiate(Wants::<BlockFeatures>::none()).unwrap();

        assert_eq!(installing.features().common, expected | CommonFeatures::VERSION_1, "{length:#x} bytes");
        device.assert_driver_was_correct();
    }
}
