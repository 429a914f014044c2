//! The memory balloon. Linux's header of it is not among the bindings, and `virtio-spec` has neither statistics nor hints: those numbers are held against the specification where they are used.

use std::mem::size_of;

use virtio_guest::wire::balloon::{BalloonFeatures, FRAME_BYTES, config};
use virtio_spec::balloon::{Config, ConfigVolatileFieldAccess, F};

use super::by_name;

/// Spec: §5.5.3 Feature bits.
#[test]
fn balloon_feature_bits_are_what_virtio_spec_says() {
    let ours = by_name::<BalloonFeatures>();
    let theirs = by_name::<F>();

    // That type has the device-independent ones as well.
    let theirs: Vec<_> = theirs.iter().map(|&(name, bits)| (name, bits.to_ne())).take(ours.len()).collect();
    assert_eq!(ours, theirs);
}

/// Spec: §5.5.4 Device configuration layout.
#[test]
fn balloon_configuration_fields_are_where_virtio_spec_has_them() {
    let ours = [config::NUM_PAGES, config::ACTUAL, config::FREE_PAGE_HINT_CMD_ID, config::POISON_VAL];
    let theirs = offsets!(Config: num_pages, actual, free_page_hint_cmd_id, poison_val);
    assert_eq!(ours.map(|field| usize::from(field.offset())), theirs);
    assert_eq!(size_of::<Config>(), 16);
}

/// Spec: §5.5.6 Device Operation, the footnote — historical, and independent of the guest's page size.
#[test]
fn a_frame_has_4096_bytes() {
    assert_eq!(FRAME_BYTES, 4096);
}
