//! Status bits, feature bits, device types.

use virtio_bindings::{
    virtio_blk as linux_blk, virtio_config as linux, virtio_ids as linux_ids, virtio_ring as linux_ring,
};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::pci;
use virtio_guest::wire::status::Status;

use super::by_name;

/// Spec: §2.1 Device Status Field.
#[test]
fn status_bits_are_what_linux_and_virtio_spec_say() {
    let ours = by_name::<Status>();

    assert_eq!(ours, by_name::<virtio_spec::DeviceStatus>());
    let of_linux = [
        (Status::ACKNOWLEDGE, linux::VIRTIO_CONFIG_S_ACKNOWLEDGE),
        (Status::DRIVER, linux::VIRTIO_CONFIG_S_DRIVER),
        (Status::DRIVER_OK, linux::VIRTIO_CONFIG_S_DRIVER_OK),
        (Status::FEATURES_OK, linux::VIRTIO_CONFIG_S_FEATURES_OK),
        (Status::DEVICE_NEEDS_RESET, linux::VIRTIO_CONFIG_S_NEEDS_RESET),
        (Status::FAILED, linux::VIRTIO_CONFIG_S_FAILED),
    ];
    for (ours, theirs) in of_linux {
        assert_eq!(u32::from(ours.bits()), theirs, "{ours:?}");
    }
}

/// Spec: §6 Reserved Feature Bits.
#[test]
fn device_independent_feature_bits_are_what_linux_and_virtio_spec_say() {
    let theirs = by_name::<virtio_spec::F>();
    // That crate has no legacy ones.
    let mut ours = by_name::<CommonFeatures>();
    ours.retain(|(_, bits)| *bits != CommonFeatures::ANY_LAYOUT.bits());

    assert_eq!(ours, theirs.iter().map(|&(name, bits)| (name, bits.to_ne())).collect::<Vec<_>>());
    let of_linux = [
        (CommonFeatures::ANY_LAYOUT, linux::VIRTIO_F_ANY_LAYOUT),
        (CommonFeatures::INDIRECT_DESC, linux_ring::VIRTIO_RING_F_INDIRECT_DESC),
        (CommonFeatures::EVENT_IDX, linux_ring::VIRTIO_RING_F_EVENT_IDX),
        (CommonFeatures::VERSION_1, linux::VIRTIO_F_VERSION_1),
        (CommonFeatures::ACCESS_PLATFORM, linux::VIRTIO_F_ACCESS_PLATFORM),
        (CommonFeatures::RING_PACKED, linux::VIRTIO_F_RING_PACKED),
        (CommonFeatures::IN_ORDER, linux::VIRTIO_F_IN_ORDER),
        (CommonFeatures::ORDER_PLATFORM, linux::VIRTIO_F_ORDER_PLATFORM),
        (CommonFeatures::SR_IOV, linux::VIRTIO_F_SR_IOV),
        (CommonFeatures::NOTIFICATION_DATA, linux::VIRTIO_F_NOTIFICATION_DATA),
        (CommonFeatures::NOTIF_CONFIG_DATA, linux::VIRTIO_F_NOTIF_CONFIG_DATA),
        (CommonFeatures::RING_RESET, linux::VIRTIO_F_RING_RESET),
        (CommonFeatures::ADMIN_VQ, linux::VIRTIO_F_ADMIN_VQ),
    ];
    for (ours, theirs) in of_linux {
        assert_eq!(ours.bits(), 1 << theirs, "{ours:?}");
    }
}

/// Spec: §5.2.3 Feature bits.
#[test]
fn block_feature_bits_are_what_linux_and_virtio_spec_say() {
    let is_common = |name: &str| CommonFeatures::from_name(name).is_some();
    let theirs = by_name::<virtio_spec::blk::F>().into_iter().map(|(name, bits)| (name, bits.to_ne()));

    assert_eq!(by_name::<BlockFeatures>(), theirs.filter(|(name, _)| !is_common(name)).collect::<Vec<_>>());
    let of_linux = [
        (BlockFeatures::SIZE_MAX, linux_blk::VIRTIO_BLK_F_SIZE_MAX),
        (BlockFeatures::SEG_MAX, linux_blk::VIRTIO_BLK_F_SEG_MAX),
        (BlockFeatures::GEOMETRY, linux_blk::VIRTIO_BLK_F_GEOMETRY),
        (BlockFeatures::RO, linux_blk::VIRTIO_BLK_F_RO),
        (BlockFeatures::BLK_SIZE, linux_blk::VIRTIO_BLK_F_BLK_SIZE),
        (BlockFeatures::FLUSH, linux_blk::VIRTIO_BLK_F_FLUSH),
        (BlockFeatures::TOPOLOGY, linux_blk::VIRTIO_BLK_F_TOPOLOGY),
        (BlockFeatures::CONFIG_WCE, linux_blk::VIRTIO_BLK_F_CONFIG_WCE),
        (BlockFeatures::MQ, linux_blk::VIRTIO_BLK_F_MQ),
        (BlockFeatures::DISCARD, linux_blk::VIRTIO_BLK_F_DISCARD),
        (BlockFeatures::WRITE_ZEROES, linux_blk::VIRTIO_BLK_F_WRITE_ZEROES),
        (BlockFeatures::SECURE_ERASE, linux_blk::VIRTIO_BLK_F_SECURE_ERASE),
        (BlockFeatures::ZONED, linux_blk::VIRTIO_BLK_F_ZONED),
    ];
    for (ours, theirs) in of_linux {
        assert_eq!(ours.bits(), 1 << theirs, "{ours:?}");
    }
}

/// Spec: §5 Device Types, §4.1.2 PCI Device Discovery.
#[test]
fn device_types_are_what_linux_and_virtio_spec_say_transitional_ids_included() {
    use virtio_spec::Id;
    let types = [
        (DeviceType::NETWORK, linux_ids::VIRTIO_ID_NET, Id::Net, linux_ids::VIRTIO_TRANS_ID_NET),
        (DeviceType::BLOCK, linux_ids::VIRTIO_ID_BLOCK, Id::Block, linux_ids::VIRTIO_TRANS_ID_BLOCK),
        (DeviceType::CONSOLE, linux_ids::VIRTIO_ID_CONSOLE, Id::Console, linux_ids::VIRTIO_TRANS_ID_CONSOLE),
        (DeviceType::ENTROPY, linux_ids::VIRTIO_ID_RNG, Id::Rng, linux_ids::VIRTIO_TRANS_ID_RNG),
        (DeviceType::BALLOON, linux_ids::VIRTIO_ID_BALLOON, Id::Balloon, linux_ids::VIRTIO_TRANS_ID_BALLOON),
        (DeviceType::SCSI, linux_ids::VIRTIO_ID_SCSI, Id::Scsi, linux_ids::VIRTIO_TRANS_ID_SCSI),
        (DeviceType::NINE_P, linux_ids::VIRTIO_ID_9P, Id::NineP, linux_ids::VIRTIO_TRANS_ID_9P),
    ];
    for (ours, of_linux, of_spec, transitional) in types {
        assert_eq!(u32::from(ours.0), of_linux);
        assert_eq!(ours.0, u8::from(of_spec).into());
        let transitional = u16::try_from(transitional).unwrap();
        assert_eq!(pci::device_type(pci::VENDOR_ID, transitional), Some(ours));
    }
}
