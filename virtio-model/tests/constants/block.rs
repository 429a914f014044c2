//! The block device.

use std::mem::offset_of;

use virtio_bindings::{virtio_blk as linux, virtio_config, virtio_ids, virtio_ring};
use virtio_model::Disk;
use virtio_model::block::{
    CONFIG_BYTES, DESCRIPTOR_BYTES, DiskConfig, Geometry, ID_BYTES, LIFETIME_BYTES, PCI_DEVICE_ID,
    RANGE_BYTES, REPORT_HEADER_BYTES, RangeLimits, Topology, ZoneSetup, ZonedConfig, request_type, status,
    zone_state, zone_type, zoned_model,
};
use virtio_spec::blk::{
    Config, ConfigVolatileFieldAccess, F, Geometry as SpecGeometry, GeometryVolatileFieldAccess, S, T,
    Topology as SpecTopology, TopologyVolatileFieldAccess, Z, ZonedCharacteristics,
    ZonedCharacteristicsVolatileFieldAccess, Zs, Zt,
};

const CONFIG: DiskConfig = DiskConfig {
    capacity_sectors: 0x0123_4567_89ab_cdef,
    size_max: 0x0101_0102,
    seg_max: 0x0202_0203,
    geometry: Geometry { cylinders: 0x0304, heads: 0x41, sectors: 0x42 },
    blk_size: 0x0505_0506,
    topology: Topology {
        physical_block_exp: 0x61,
        alignment_offset: 0x62,
        min_io_size: 0x0708,
        opt_io_size: 0x0808_0809,
    },
    writeback: 0x77,
    num_queues: 0x88,
    discard: RangeLimits {
        sectors_max: 0x0a0a_0a0b,
        ranges_max: 0x0b0b_0b0c,
        alignment_sectors: 0x0c0c_0c0d,
    },
    write_zeroes: RangeLimits { sectors_max: 0x0d0d_0d0e, ranges_max: 0x0e0e_0e0f, alignment_sectors: 0 },
    write_zeroes_may_unmap: 0x99,
    secure_erase: RangeLimits {
        sectors_max: 0x1a1a_1a1b,
        ranges_max: 0x1b1b_1b1c,
        alignment_sectors: 0x1c1c_1c1d,
    },
    zoned: ZonedConfig {
        zone_sectors: 0x2a2a_2a2b,
        max_open_zones: 0x2b2b_2b2c,
        max_active_zones: 0x2c2c_2c2d,
        max_append_sectors: 0x2d2d_2d2e,
        write_granularity: 0x2e2e_2e2f,
        model: 0xaa,
    },
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

/// What the specification calls so, in its order; the parts of geometry, topology and zones follow.
fn fields() -> Vec<Vec<u8>> {
    let DiskConfig { geometry, topology, zoned, .. } = CONFIG;
    let word = |word: u32| word.to_le_bytes().to_vec();
    vec![
        CONFIG.capacity_sectors.to_le_bytes().to_vec(),
        word(CONFIG.size_max),
        word(CONFIG.seg_max),
        word(CONFIG.blk_size),
        vec![CONFIG.writeback],
        CONFIG.num_queues.to_le_bytes().to_vec(),
        word(CONFIG.discard.sectors_max),
        word(CONFIG.discard.ranges_max),
        word(CONFIG.discard.alignment_sectors),
        word(CONFIG.write_zeroes.sectors_max),
        word(CONFIG.write_zeroes.ranges_max),
        vec![CONFIG.write_zeroes_may_unmap],
        word(CONFIG.secure_erase.sectors_max),
        word(CONFIG.secure_erase.ranges_max),
        word(CONFIG.secure_erase.alignment_sectors),
        geometry.cylinders.to_le_bytes().to_vec(),
        vec![geometry.heads],
        vec![geometry.sectors],
        vec![topology.physical_block_exp],
        vec![topology.alignment_offset],
        topology.min_io_size.to_le_bytes().to_vec(),
        word(topology.opt_io_size),
        word(zoned.zone_sectors),
        word(zoned.max_open_zones),
        word(zoned.max_active_zones),
        word(zoned.max_append_sectors),
        word(zoned.write_granularity),
        vec![zoned.model],
    ]
}

/// Where Linux has them.
fn fields_of_linux() -> Vec<usize> {
    use linux::virtio_blk_config as Theirs;
    vec![
        offset_of!(Theirs, capacity),
        offset_of!(Theirs, size_max),
        offset_of!(Theirs, seg_max),
        offset_of!(Theirs, blk_size),
        offset_of!(Theirs, wce),
        offset_of!(Theirs, num_queues),
        offset_of!(Theirs, max_discard_sectors),
        offset_of!(Theirs, max_discard_seg),
        offset_of!(Theirs, discard_sector_alignment),
        offset_of!(Theirs, max_write_zeroes_sectors),
        offset_of!(Theirs, max_write_zeroes_seg),
        offset_of!(Theirs, write_zeroes_may_unmap),
        offset_of!(Theirs, max_secure_erase_sectors),
        offset_of!(Theirs, max_secure_erase_seg),
        offset_of!(Theirs, secure_erase_sector_alignment),
        offset_of!(Theirs, geometry.cylinders),
        offset_of!(Theirs, geometry.heads),
        offset_of!(Theirs, geometry.sectors),
        offset_of!(Theirs, physical_block_exp),
        offset_of!(Theirs, alignment_offset),
        offset_of!(Theirs, min_io_size),
        offset_of!(Theirs, opt_io_size),
        offset_of!(Theirs, zoned.zone_sectors),
        offset_of!(Theirs, zoned.max_open_zones),
        offset_of!(Theirs, zoned.max_active_zones),
        offset_of!(Theirs, zoned.max_append_sectors),
        offset_of!(Theirs, zoned.write_granularity),
        offset_of!(Theirs, zoned.model),
    ]
}

/// Where virtio-spec has them.
fn fields_of_spec() -> Vec<usize> {
    let all = offsets!(
        Config: capacity, size_max, seg_max, blk_size, writeback, num_queues, max_discard_sectors,
        max_discard_seg, discard_sector_alignment, max_write_zeroes_sectors, max_write_zeroes_seg,
        write_zeroes_may_unmap, max_secure_erase_sectors, max_secure_erase_seg,
        secure_erase_sector_alignment,
    );
    let [geometry, topology, zoned] = offsets!(Config: geometry, topology, zoned);
    let in_geometry = offsets!(SpecGeometry: cylinders, heads, sectors);
    let in_topology = offsets!(SpecTopology: physical_block_exp, alignment_offset, min_io_size, opt_io_size);
    let in_zoned = offsets!(
        ZonedCharacteristics: zone_sectors, max_open_zones, max_active_zones, max_append_sectors,
        write_granularity, model,
    );
    let within = |start: usize, parts: &[usize]| parts.iter().map(move |at| start + at).collect::<Vec<_>>();
    [all.to_vec(), within(geometry, &in_geometry), within(topology, &in_topology), within(zoned, &in_zoned)]
        .concat()
}

/// Spec: §5.2.4 Device configuration layout.
#[test]
fn the_configuration_is_laid_out_as_linux_and_virtio_spec_lay_it_out() {
    let bytes = CONFIG.bytes();
    for places in [fields_of_linux(), fields_of_spec()] {
        let mut left = bytes.to_vec();
        assert_eq!(places.len(), fields().len());
        for (at, field) in places.into_iter().zip(fields()) {
            // The number of queues is 16 bits wide to the specification and to Linux; virtio-spec 0.4 has the low 8 of them.
            assert_eq!(bytes[at..][..field.len()], field, "at {at:#x}");
            left[at..][..field.len()].fill(0);
        }
        assert_eq!(left, [0; CONFIG_BYTES], "what is no field is 0");
    }
    assert_eq!(CONFIG_BYTES, size_of::<linux::virtio_blk_config>());
    assert_eq!(CONFIG_BYTES, size_of::<Config>());
}

/// Spec: §5.2.3 Feature bits.
#[test]
fn what_a_disk_is_made_with_is_a_feature_of_that_name() {
    let plain = || Disk::with_sectors(8);
    let limits = RangeLimits::default();
    let zones = ZoneSetup::host_aware(4);
    for (disk, of_linux, of_spec) in [
        (plain().with_geometry(Geometry::default()), linux::VIRTIO_BLK_F_GEOMETRY, F::GEOMETRY),
        (plain().with_topology(Topology::default()), linux::VIRTIO_BLK_F_TOPOLOGY, F::TOPOLOGY),
        (plain().with_cache_switch(true), linux::VIRTIO_BLK_F_CONFIG_WCE, F::CONFIG_WCE),
        (plain().with_discard(limits), linux::VIRTIO_BLK_F_DISCARD, F::DISCARD),
        (plain().with_write_zeroes(limits, true), linux::VIRTIO_BLK_F_WRITE_ZEROES, F::WRITE_ZEROES),
        // The headers of Linux have no lifetime.
        (plain().with_lifetime(0, 0, 0), 15, F::LIFETIME),
        (plain().with_secure_erase(limits), linux::VIRTIO_BLK_F_SECURE_ERASE, F::SECURE_ERASE),
        (plain().with_zones(&zones), linux::VIRTIO_BLK_F_ZONED, F::ZONED),
    ] {
        let more = disk.features() & !plain().features();
        assert_eq!((more, more), (1 << of_linux, of_spec.bits().to_ne()));
    }
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn zones_are_numbered_and_described_as_linux_and_virtio_spec_have_it() {
    use linux::virtio_blk_zone_descriptor as Descriptor;
    use zone_state as state;

    for (ours, of_linux, of_spec) in [
        (zoned_model::NONE, linux::VIRTIO_BLK_Z_NONE, Z::None),
        (zoned_model::HOST_MANAGED, linux::VIRTIO_BLK_Z_HM, Z::Hm),
        (zoned_model::HOST_AWARE, linux::VIRTIO_BLK_Z_HA, Z::Ha),
    ] {
        assert_eq!((u32::from(ours), ours), (of_linux, of_spec.into()));
    }
    for (ours, of_linux, of_spec) in [
        (zone_type::CONVENTIONAL, linux::VIRTIO_BLK_ZT_CONV, Zt::Conv),
        (zone_type::SEQUENTIAL_REQUIRED, linux::VIRTIO_BLK_ZT_SWR, Zt::Swr),
        (zone_type::SEQUENTIAL_PREFERRED, linux::VIRTIO_BLK_ZT_SWP, Zt::Swp),
    ] {
        assert_eq!((u32::from(ours), ours), (of_linux, of_spec.into()));
    }
    for (ours, of_linux, of_spec) in [
        (state::NOT_WRITE_POINTER, linux::VIRTIO_BLK_ZS_NOT_WP, Zs::NotWp),
        (state::EMPTY, linux::VIRTIO_BLK_ZS_EMPTY, Zs::Empty),
        (state::IMPLICITLY_OPEN, linux::VIRTIO_BLK_ZS_IOPEN, Zs::Iopen),
        (state::EXPLICITLY_OPEN, linux::VIRTIO_BLK_ZS_EOPEN, Zs::Eopen),
        (state::CLOSED, linux::VIRTIO_BLK_ZS_CLOSED, Zs::Closed),
        (state::READ_ONLY, linux::VIRTIO_BLK_ZS_RDONLY, Zs::Rdonly),
        (state::FULL, linux::VIRTIO_BLK_ZS_FULL, Zs::Full),
        (state::OFFLINE, linux::VIRTIO_BLK_ZS_OFFLINE, Zs::Offline),
    ] {
        assert_eq!((u32::from(ours), ours), (of_linux, of_spec.into()));
    }
    assert_eq!(DESCRIPTOR_BYTES, size_of::<Descriptor>());
    assert_eq!(REPORT_HEADER_BYTES, offset_of!(linux::virtio_blk_zone_report, zones));
    assert_eq!(RANGE_BYTES, size_of::<linux::virtio_blk_discard_write_zeroes>());
    assert_eq!(LIFETIME_BYTES, size_of::<virtio_spec::blk::Lifetime>());
}

/// Spec: §5.2.6 Device Operation.
#[test]
fn request_types_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (request_type::IN, linux::VIRTIO_BLK_T_IN, T::In),
        (request_type::OUT, linux::VIRTIO_BLK_T_OUT, T::Out),
        (request_type::FLUSH, linux::VIRTIO_BLK_T_FLUSH, T::Flush),
        (request_type::GET_ID, linux::VIRTIO_BLK_T_GET_ID, T::GetId),
        // The headers of Linux have no lifetime.
        (request_type::GET_LIFETIME, 10, T::GetLifetime),
        (request_type::DISCARD, linux::VIRTIO_BLK_T_DISCARD, T::Discard),
        (request_type::WRITE_ZEROES, linux::VIRTIO_BLK_T_WRITE_ZEROES, T::WriteZeroes),
        (request_type::SECURE_ERASE, linux::VIRTIO_BLK_T_SECURE_ERASE, T::SecureErase),
        (request_type::ZONE_APPEND, linux::VIRTIO_BLK_T_ZONE_APPEND, T::ZoneAppend),
        (request_type::ZONE_REPORT, linux::VIRTIO_BLK_T_ZONE_REPORT, T::ZoneReport),
        (request_type::ZONE_OPEN, linux::VIRTIO_BLK_T_ZONE_OPEN, T::ZoneOpen),
        (request_type::ZONE_CLOSE, linux::VIRTIO_BLK_T_ZONE_CLOSE, T::ZoneClose),
        (request_type::ZONE_FINISH, linux::VIRTIO_BLK_T_ZONE_FINISH, T::ZoneFinish),
        (request_type::ZONE_RESET, linux::VIRTIO_BLK_T_ZONE_RESET, T::ZoneReset),
        (request_type::ZONE_RESET_ALL, linux::VIRTIO_BLK_T_ZONE_RESET_ALL, T::ZoneResetAll),
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
        (status::ZONE_INVALID_CMD, linux::VIRTIO_BLK_S_ZONE_INVALID_CMD, S::ZoneInvalidCmd),
        (status::ZONE_UNALIGNED_WP, linux::VIRTIO_BLK_S_ZONE_UNALIGNED_WP, S::ZoneUnalignedWp),
        (status::ZONE_OPEN_RESOURCE, linux::VIRTIO_BLK_S_ZONE_OPEN_RESOURCE, S::ZoneOpenResource),
        (status::ZONE_ACTIVE_RESOURCE, linux::VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE, S::ZoneActiveResource),
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
