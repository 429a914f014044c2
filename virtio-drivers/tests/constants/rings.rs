//! Flags and layouts of both kinds of ring.

use std::mem::offset_of;

use virtio_bindings::virtio_ring as linux_ring;
use virtio_guest::wire::packed;
use virtio_guest::wire::split::{self, DescriptorFlags};
use virtio_spec::virtq::{AvailF, DescF, UsedF};
use virtio_spec::{RingEventFlags, pvirtq, virtq};

/// Spec: §2.7 Split Virtqueues.
#[test]
fn the_split_ring_is_flagged_as_linux_and_virtio_spec_flag_it() {
    let descriptor = [
        (DescriptorFlags::NEXT, linux_ring::VRING_DESC_F_NEXT, DescF::NEXT),
        (DescriptorFlags::WRITE, linux_ring::VRING_DESC_F_WRITE, DescF::WRITE),
        (DescriptorFlags::INDIRECT, linux_ring::VRING_DESC_F_INDIRECT, DescF::INDIRECT),
    ];
    for (ours, of_linux, of_spec) in descriptor {
        assert_eq!(u32::from(ours.bits()), of_linux, "{ours:?}");
        assert_eq!(ours.bits(), of_spec.bits().to_ne(), "{ours:?}");
    }

    assert_eq!(u32::from(split::AVAILABLE_NO_INTERRUPT), linux_ring::VRING_AVAIL_F_NO_INTERRUPT);
    assert_eq!(split::AVAILABLE_NO_INTERRUPT, AvailF::NO_INTERRUPT.bits().to_ne());
    assert_eq!(u32::from(split::USED_NO_NOTIFY), linux_ring::VRING_USED_F_NO_NOTIFY);
    assert_eq!(split::USED_NO_NOTIFY, UsedF::NO_NOTIFY.bits().to_ne());
}

/// Spec: §2.7 Split Virtqueues: sizes and alignments of the three parts.
#[test]
fn the_split_ring_is_laid_out_as_linux_and_virtio_spec_lay_it_out() {
    assert_eq!(split::DESCRIPTOR_BYTES, size_of::<linux_ring::vring_desc>());
    assert_eq!(split::DESCRIPTOR_BYTES, size_of::<virtq::Desc>());
    assert_eq!(split::DESCRIPTOR_ALIGN, linux_ring::VRING_DESC_ALIGN_SIZE as usize);
    assert_eq!(split::DEVICE_AREA_ALIGN, linux_ring::VRING_USED_ALIGN_SIZE as usize);
    assert_eq!(split::DEVICE_AREA_ALIGN, virtq::Used::layout(1, true).align());
    assert_eq!(split::RING_OFFSET, offset_of!(linux_ring::vring_avail, ring));
    assert_eq!(split::RING_OFFSET, offset_of!(linux_ring::vring_used, ring));
    assert_eq!(split::USED_ELEMENT_BYTES, size_of::<linux_ring::vring_used_elem>());
    assert_eq!(split::USED_ELEMENT_BYTES, size_of::<virtq::UsedElem>());
    for size in (0..=15).map(|bits| 1 << bits) {
        assert_eq!(split::driver_area_bytes(size), virtq::Avail::layout(size, true).size());
        // Theirs is rounded up to its alignment.
        let padded = split::device_area_bytes(size).next_multiple_of(split::DEVICE_AREA_ALIGN);
        assert_eq!(padded, virtq::Used::layout(size, true).size());
    }
}

/// Spec: §2.8 Packed Virtqueues.
#[test]
fn the_packed_ring_is_what_linux_and_virtio_spec_say() {
    use packed::{descriptor, event_flags};
    for (ours, of_linux, of_spec) in [
        (packed::AVAILABLE, linux_ring::VRING_PACKED_DESC_F_AVAIL, DescF::AVAIL),
        (packed::USED, linux_ring::VRING_PACKED_DESC_F_USED, DescF::USED),
    ] {
        assert_eq!(ours, 1 << of_linux);
        assert_eq!(ours, of_spec.bits().to_ne());
    }
    for (ours, of_linux, of_spec) in [
        (event_flags::ENABLE, linux_ring::VRING_PACKED_EVENT_FLAG_ENABLE, RingEventFlags::Enable),
        (event_flags::DISABLE, linux_ring::VRING_PACKED_EVENT_FLAG_DISABLE, RingEventFlags::Disable),
        (event_flags::DESCRIPTOR, linux_ring::VRING_PACKED_EVENT_FLAG_DESC, RingEventFlags::Desc),
    ] {
        assert_eq!(u32::from(ours), of_linux);
        assert_eq!(ours, u8::from(of_spec).into());
    }

    assert_eq!(packed::WRAP_COUNTER, 1 << linux_ring::VRING_PACKED_EVENT_F_WRAP_CTR);
    assert_eq!(
        packed::WRAP_COUNTER,
        pvirtq::EventSuppressDesc::new().with_desc_event_wrap(1).into_bits().to_ne()
    );
    assert_eq!(packed::EVENT_SUPPRESSION_BYTES, size_of::<linux_ring::vring_packed_desc_event>());
    assert_eq!(packed::EVENT_SUPPRESSION_BYTES, size_of::<pvirtq::EventSuppress>());
    let ours = [descriptor::ADDRESS, descriptor::LENGTH, descriptor::ID, descriptor::FLAGS];
    assert_eq!(ours, {
        use linux_ring::vring_packed_desc as Theirs;
        [offset_of!(Theirs, addr), offset_of!(Theirs, len), offset_of!(Theirs, id), offset_of!(Theirs, flags)]
    });
    assert_eq!(ours, {
        use pvirtq::Desc as Theirs;
        [offset_of!(Theirs, addr), offset_of!(Theirs, len), offset_of!(Theirs, id), offset_of!(Theirs, flags)]
    });
}

/// Spec: §2.8.1 Driver and Device Ring Wrap Counters.
#[test]
fn a_packed_descriptor_is_available_and_used_under_the_flags_that_virtio_spec_names() {
    let none = DescriptorFlags::empty();
    let both = (DescF::AVAIL | DescF::USED).bits().to_ne();

    assert_eq!(packed::available_flags(none, true), DescF::AVAIL.bits().to_ne());
    assert_eq!(packed::available_flags(none, false), DescF::USED.bits().to_ne());
    assert!(packed::is_used(both, true) && !packed::is_used(both, false));
    assert!(packed::is_used(0, false) && !packed::is_used(0, true));
}
