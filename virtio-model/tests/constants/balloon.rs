//! The balloon. Linux's header of balloons is not among the bindings, and virtio-spec has neither statistics nor hints: those numbers
//! are typed from Linux's header.

use virtio_bindings::virtio_ids;
use virtio_model::Balloon;
use virtio_model::balloon::{BalloonConfig, CONFIG_BYTES, PCI_DEVICE_ID, feature, hint_command, statistic};
use virtio_spec::balloon::{Config, ConfigVolatileFieldAccess, F};

/// Spec: §5.5.3 Feature bits.
#[test]
fn features_of_balloons_are_numbered_as_virtio_spec_has_it() {
    for (ours, of_spec) in [
        (feature::MUST_TELL_HOST, F::MUST_TELL_HOST),
        (feature::STATS_VQ, F::STATS_VQ),
        (feature::DEFLATE_ON_OOM, F::DEFLATE_ON_OOM),
        (feature::FREE_PAGE_HINT, F::FREE_PAGE_HINT),
        (feature::PAGE_POISON, F::PAGE_POISON),
        (feature::PAGE_REPORTING, F::PAGE_REPORTING),
    ] {
        assert_eq!(1 << ours, of_spec.bits().to_ne());
    }
    let plain = F::INDIRECT_DESC | F::EVENT_IDX | F::VERSION_1;
    assert_eq!(Balloon::new().features(), plain.bits().to_ne());
    assert_eq!(u32::from(PCI_DEVICE_ID), 0x1040 + virtio_ids::VIRTIO_ID_BALLOON);
}

/// Spec: §5.5.4 Device configuration layout.
#[test]
fn the_configuration_of_a_balloon_is_laid_out_as_virtio_spec_lays_it_out() {
    let config = BalloonConfig {
        num_pages: 0x0102_0304,
        actual: 0x0506_0708,
        free_page_hint_cmd_id: 0x090a_0b0c,
        poison_val: 0x0d0e_0f10,
    };
    let fields = [config.num_pages, config.actual, config.free_page_hint_cmd_id, config.poison_val];

    let bytes = config.bytes();

    let places = offsets!(Config: num_pages, actual, free_page_hint_cmd_id, poison_val);
    for (at, field) in places.into_iter().zip(fields) {
        assert_eq!(bytes[at..][..4], field.to_le_bytes(), "at {at:#x}");
    }
    assert_eq!(CONFIG_BYTES, size_of::<Config>());
    assert_eq!(BalloonConfig::from_bytes(&bytes), config);
}

/// Spec: §5.5.6.4 Memory Statistics Tags, §5.5.6.5 Free Page Hinting.
#[test]
fn statistics_and_hints_are_numbered_as_linux_has_it() {
    let in_order = [
        statistic::SWAP_IN,
        statistic::SWAP_OUT,
        statistic::MAJFLT,
        statistic::MINFLT,
        statistic::MEMFREE,
        statistic::MEMTOT,
        statistic::AVAIL,
        statistic::CACHES,
        statistic::HTLB_PGALLOC,
        statistic::HTLB_PGFAIL,
    ];
    assert!(in_order.into_iter().eq(0..10));
    assert_eq!([hint_command::STOP, hint_command::DONE], [0, 1]);
}
