//! The block device.

use std::mem::offset_of;

use virtio_bindings::{virtio_blk as linux, virtio_config, virtio_ids, virtio_ring};
use virtio_model::Disk;
use virtio_model::block::{CONFIG_BYTES, DiskConfig, ID_BYTES, PCI_DEVICE_ID, request_type, status};
use virtio_spec::blk::{Config, ConfigVolatileFieldAccess, F, S, T};

const CONFIG: DiskConfig = DiskConfig {
    capacity_sectors: 0x0123_4567_89ab_cdef,
    size_max: 0x1111_2222,
    seg_max: 0x3333_4444,
    blk_size: 0x5555_6666,
    writeback: 0x77,
    num_queues: 0x88,
};

/// Spec: §5.2.3 Feature bits, §6 Reserved Feature Bits.
#[test]
fn a_disk_offers_the_features_that_linux_and_virtio_spec_call_so() {
    let of_linux = [
        linux::VIRTIO_BLK_F_SEG_MAX,
        linux::VIRTIO_BLK_F_BLK_SIZE,
        linux::VIRTIO_BLK_F_FLUSH,
        linux::VIRTIO_BLK_F_RO,
        virtio_ring::VIRTIO_RING_F_INDIRECT_DESC,
        virtio_ring::VIRTIO_RING_F_EVENT_IDX,
        virtio_config::VIRTIO_F_VERSION_1,
    ];
    let of_spec =
        F::SEG_MAX | F::BLK_SIZE | F::FLUSH | F::RO | F::INDIRECT_DESC | F::EVENT_IDX | F::VERSION_1;

    let plain = Disk::with_sectors(1).features();
    let read_only = Disk::with_sectors(1).read_only().features();

    assert_eq!(read_only, of_linux.iter().fold(0, |set, bit| set | 1 << bit));
    assert_eq!(read_only, of_spec.bits().to_ne());
    assert_eq!(plain, (of_spec - F::RO).bits().to_ne());
}

/// Spec: §5.2.4 Device configuration layout.
#[test]
fn the_configuration_is_laid_out_as_linux_and_virtio_spec_lay_it_out() {
    let bytes = CONFIG.bytes();
    let of_linux = {
        use linux::virtio_blk_config as Theirs;
        [
            offset_of!(Theirs, capacity),
            offset_of!(Theirs, size_max),
            offset_of!(Theirs, seg_max),
            offset_of!(Theirs, blk_size),
            offset_of!(Theirs, wce),
            offset_of!(Theirs, num_queues),
        ]
    };
    let of_spec = offsets!(Config: capacity, size_max, seg_max, blk_size, writeback, num_queues);

    for [capacity, size_max, seg_max, blk_size, writeback, num_queues] in [of_linux, of_spec] {
        assert_eq!(bytes[capacity..][..8], CONFIG.capacity_sectors.to_le_bytes());
        assert_eq!(bytes[size_max..][..4], CONFIG.size_max.to_le_bytes());
        assert_eq!(bytes[seg_max..][..4], CONFIG.seg_max.to_le_bytes());
        assert_eq!(bytes[blk_size..][..4], CONFIG.blk_size.to_le_bytes());
        assert_eq!(bytes[writeback], CONFIG.writeback);
        // 16 bits wide to the specification and to Linux; virtio-spec 0.4 has the low 8 of them.
        assert_eq!(bytes[num_queues..][..2], CONFIG.num_queues.to_le_bytes());
    }
    assert_eq!(CONFIG_BYTES, size_of::<linux::virtio_blk_config>());
    assert_eq!(CONFIG_BYTES, size_of::<Config>());
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn request_types_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (request_type::IN, linux::VIRTIO_BLK_T_IN, T::In),
        (request_type::OUT, linux::VIRTIO_BLK_T_OUT, T::Out),
        (request_type::FLUSH, linux::VIRTIO_BLK_T_FLUSH, T::Flush),
        (request_type::GET_ID, linux::VIRTIO_BLK_T_GET_ID, T::GetId),
    ] {
        assert_eq!(ours, of_linux);
        assert_eq!(ours, of_spec.into());
    }
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn status_values_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (status::OK, linux::VIRTIO_BLK_S_OK, S::Ok),
        (status::IOERR, linux::VIRTIO_BLK_S_IOERR, S::Ioerr),
        (status::UNSUPP, linux::VIRTIO_BLK_S_UNSUPP, S::Unsupp),
    ] {
        assert_eq!(u32::from(ours), of_linux);
        assert_eq!(ours, of_spec.into());
    }
}

/// Spec: §5.2.1 Device ID, §5.2.6 Device Operation.
#[test]
fn ids_are_as_long_and_as_numbered_as_linux_has_them() {
    assert_eq!(ID_BYTES, linux::VIRTIO_BLK_ID_BYTES as usize);
    // 0x1040 is the transport's base for all device types; neither of the two knows it.
    assert_eq!(u32::from(PCI_DEVICE_ID), 0x1040 + virtio_ids::VIRTIO_ID_BLOCK);
}
