//! The block device.

use std::mem::offset_of;

use virtio_bindings::virtio_blk as linux;
use virtio_guest::wire::block::{self, RequestHeader, config, request, request_status};
use virtio_spec::blk::{Config, ConfigVolatileFieldAccess, S, T};

/// Spec: §5.2.4 Device configuration layout.
#[test]
fn block_configuration_fields_are_where_linux_and_virtio_spec_have_them() {
    let ours = [
        config::CAPACITY.offset(),
        config::SIZE_MAX.offset(),
        config::SEG_MAX.offset(),
        config::BLK_SIZE.offset(),
    ]
    .map(usize::from);

    assert_eq!(ours, {
        use linux::virtio_blk_config as Theirs;
        [
            offset_of!(Theirs, capacity),
            offset_of!(Theirs, size_max),
            offset_of!(Theirs, seg_max),
            offset_of!(Theirs, blk_size),
        ]
    });
    assert_eq!(ours, offsets!(Config: capacity, size_max, seg_max, blk_size));
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn block_request_types_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (request::IN, linux::VIRTIO_BLK_T_IN, T::In),
        (request::OUT, linux::VIRTIO_BLK_T_OUT, T::Out),
        (request::FLUSH, linux::VIRTIO_BLK_T_FLUSH, T::Flush),
        (request::GET_ID, linux::VIRTIO_BLK_T_GET_ID, T::GetId),
    ] {
        assert_eq!(ours, of_linux);
        assert_eq!(ours, of_spec.into());
    }
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn block_status_values_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (request_status::OK, linux::VIRTIO_BLK_S_OK, S::Ok),
        (request_status::IOERR, linux::VIRTIO_BLK_S_IOERR, S::Ioerr),
        (request_status::UNSUPP, linux::VIRTIO_BLK_S_UNSUPP, S::Unsupp),
    ] {
        assert_eq!(u32::from(ours), of_linux);
        assert_eq!(ours, of_spec.into());
    }
    assert!(S::try_from(request_status::NOT_WRITTEN).is_err(), "no device has a reason to write it");
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn a_block_request_starts_as_linux_starts_it() {
    use linux::virtio_blk_outhdr as Theirs;
    assert_eq!(block::REQUEST_HEADER_BYTES, size_of::<Theirs>());
    assert_eq!(offset_of!(RequestHeader, request_type), offset_of!(Theirs, type_));
    assert_eq!(offset_of!(RequestHeader, reserved), offset_of!(Theirs, ioprio));
    assert_eq!(offset_of!(RequestHeader, sector), offset_of!(Theirs, sector));
    assert_eq!(block::DEVICE_ID_BYTES, linux::VIRTIO_BLK_ID_BYTES as usize);
}
