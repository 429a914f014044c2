//! The block device.

use std::mem::offset_of;

use virtio_bindings::virtio_blk as linux;
use virtio_guest::wire::block::{
    self, RangeFlags, RequestHeader, WireRange, WireZone, ZoneReportHeader, config, request, request_status,
    zone_model, zone_state, zone_type,
};
use virtio_spec::blk::{Config, ConfigVolatileFieldAccess, S, T};

/// Fields that are named alike in Linux: `ours => theirs`.
macro_rules! fields {
    ($($ours:ident => $($theirs:ident).+),*) => {
        [$([config::$ours.offset().into(), offset_of!(linux::virtio_blk_config, $($theirs).+)],)*]
    };
}

/// Spec: §5.2.4 Device configuration layout.
#[test]
fn block_configuration_fields_are_where_linux_has_them() {
    let fields: [[usize; 2]; 27] = fields!(
        CAPACITY => capacity, SIZE_MAX => size_max, SEG_MAX => seg_max,
        CYLINDERS => geometry.cylinders, HEADS => geometry.heads, SECTORS => geometry.sectors,
        BLK_SIZE => blk_size, PHYSICAL_BLOCK_EXP => physical_block_exp,
        ALIGNMENT_OFFSET => alignment_offset, MIN_IO_SIZE => min_io_size, OPT_IO_SIZE => opt_io_size,
        WRITEBACK => wce, NUM_QUEUES => num_queues,
        MAX_DISCARD_SECTORS => max_discard_sectors, MAX_DISCARD_SEG => max_discard_seg,
        DISCARD_SECTOR_ALIGNMENT => discard_sector_alignment,
        MAX_WRITE_ZEROES_SECTORS => max_write_zeroes_sectors, MAX_WRITE_ZEROES_SEG => max_write_zeroes_seg,
        WRITE_ZEROES_MAY_UNMAP => write_zeroes_may_unmap,
        MAX_SECURE_ERASE_SECTORS => max_secure_erase_sectors, MAX_SECURE_ERASE_SEG => max_secure_erase_seg,
        SECURE_ERASE_SECTOR_ALIGNMENT => secure_erase_sector_alignment,
        ZONE_SECTORS => zoned.zone_sectors, MAX_OPEN_ZONES => zoned.max_open_zones,
        MAX_ACTIVE_ZONES => zoned.max_active_zones, MAX_APPEND_SECTORS => zoned.max_append_sectors,
        WRITE_GRANULARITY => zoned.write_granularity
    );
    for [ours, theirs] in fields {
        assert_eq!(ours, theirs);
    }
    assert_eq!(usize::from(config::MODEL.offset()), offset_of!(linux::virtio_blk_config, zoned.model));
}

/// Spec: §5.2.4 Device configuration layout.
#[test]
fn block_configuration_fields_are_where_virtio_spec_has_them() {
    let ours = [
        config::CAPACITY.offset(),
        config::SIZE_MAX.offset(),
        config::SEG_MAX.offset(),
        config::BLK_SIZE.offset(),
    ];
    assert_eq!(ours.map(usize::from), offsets!(Config: capacity, size_max, seg_max, blk_size));
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn block_request_types_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (request::IN, linux::VIRTIO_BLK_T_IN, T::In),
        (request::OUT, linux::VIRTIO_BLK_T_OUT, T::Out),
        (request::FLUSH, linux::VIRTIO_BLK_T_FLUSH, T::Flush),
        (request::GET_ID, linux::VIRTIO_BLK_T_GET_ID, T::GetId),
        (request::GET_LIFETIME, 10, T::GetLifetime),
        (request::DISCARD, linux::VIRTIO_BLK_T_DISCARD, T::Discard),
        (request::WRITE_ZEROES, linux::VIRTIO_BLK_T_WRITE_ZEROES, T::WriteZeroes),
        (request::SECURE_ERASE, linux::VIRTIO_BLK_T_SECURE_ERASE, T::SecureErase),
    ] {
        assert_eq!(ours, of_linux);
        assert_eq!(ours, of_spec.into());
    }
    for (ours, of_linux) in [
        (request::ZONE_APPEND, linux::VIRTIO_BLK_T_ZONE_APPEND),
        (request::ZONE_REPORT, linux::VIRTIO_BLK_T_ZONE_REPORT),
        (request::ZONE_OPEN, linux::VIRTIO_BLK_T_ZONE_OPEN),
        (request::ZONE_CLOSE, linux::VIRTIO_BLK_T_ZONE_CLOSE),
        (request::ZONE_FINISH, linux::VIRTIO_BLK_T_ZONE_FINISH),
        (request::ZONE_RESET, linux::VIRTIO_BLK_T_ZONE_RESET),
        (request::ZONE_RESET_ALL, linux::VIRTIO_BLK_T_ZONE_RESET_ALL),
    ] {
        assert_eq!(ours, of_linux);
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
    for (ours, of_linux) in [
        (request_status::ZONE_INVALID_COMMAND, linux::VIRTIO_BLK_S_ZONE_INVALID_CMD),
        (request_status::ZONE_UNALIGNED_WRITE_POINTER, linux::VIRTIO_BLK_S_ZONE_UNALIGNED_WP),
        (request_status::ZONE_OPEN_RESOURCE, linux::VIRTIO_BLK_S_ZONE_OPEN_RESOURCE),
        (request_status::ZONE_ACTIVE_RESOURCE, linux::VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE),
    ] {
        assert_eq!(u32::from(ours), of_linux);
    }
    assert!(S::try_from(request_status::NOT_WRITTEN).is_err(), "no device has a reason to write it");
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn block_ranges_and_zones_are_laid_out_as_in_linux() {
    use linux::{virtio_blk_discard_write_zeroes as Range, virtio_blk_zone_descriptor as Zone};
    assert_eq!(block::RANGE_BYTES, size_of::<Range>());
    assert_eq!(offset_of!(WireRange, num_sectors), offset_of!(Range, num_sectors));
    assert_eq!(offset_of!(WireRange, flags), offset_of!(Range, flags));
    assert_eq!(RangeFlags::UNMAP.bits(), linux::VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
    assert_eq!(block::ZONE_BYTES, size_of::<Zone>());
    assert_eq!(size_of::<ZoneReportHeader>(), size_of::<linux::virtio_blk_zone_report>());
    let ours = [
        offset_of!(WireZone, capacity),
        offset_of!(WireZone, start),
        offset_of!(WireZone, write_pointer),
        offset_of!(WireZone, zone_type),
        offset_of!(WireZone, state),
    ];
    let theirs = [
        offset_of!(Zone, z_cap),
        offset_of!(Zone, z_start),
        offset_of!(Zone, z_wp),
        offset_of!(Zone, z_type),
        offset_of!(Zone, z_state),
    ];
    assert_eq!(ours, theirs);
}

/// Spec: §5.2.4 and §5.2.6: models, types and states.
#[test]
fn zone_numbers_are_those_of_linux() {
    use virtio_blk_zone_numbers as theirs;
    let ours = [zone_model::NONE, zone_model::HOST_MANAGED, zone_model::HOST_AWARE].map(u32::from);
    assert_eq!(ours, theirs::MODELS);
    let ours = [
        zone_type::CONVENTIONAL,
        zone_type::SEQUENTIAL_WRITE_REQUIRED,
        zone_type::SEQUENTIAL_WRITE_PREFERRED,
    ];
    assert_eq!(ours.map(u32::from), theirs::TYPES);
    let ours = [
        zone_state::NOT_WRITE_POINTER,
        zone_state::EMPTY,
        zone_state::IMPLICITLY_OPEN,
        zone_state::EXPLICITLY_OPEN,
        zone_state::CLOSED,
        zone_state::READ_ONLY,
        zone_state::FULL,
        zone_state::OFFLINE,
    ];
    assert_eq!(ours.map(u32::from), theirs::STATES);
}

/// What Linux calls them.
mod virtio_blk_zone_numbers {
    use virtio_bindings::virtio_blk::*;

    pub const MODELS: [u32; 3] = [VIRTIO_BLK_Z_NONE, VIRTIO_BLK_Z_HM, VIRTIO_BLK_Z_HA];
    pub const TYPES: [u32; 3] = [VIRTIO_BLK_ZT_CONV, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZT_SWP];
    pub const STATES: [u32; 8] = [
        VIRTIO_BLK_ZS_NOT_WP,
        VIRTIO_BLK_ZS_EMPTY,
        VIRTIO_BLK_ZS_IOPEN,
        VIRTIO_BLK_ZS_EOPEN,
        VIRTIO_BLK_ZS_CLOSED,
        VIRTIO_BLK_ZS_RDONLY,
        VIRTIO_BLK_ZS_FULL,
        VIRTIO_BLK_ZS_OFFLINE,
    ];
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
