//! Flags and layouts of both kinds of ring.
//!
//! Where the words of a split ring lie is the subject of `against_virtio_queue`.

use std::mem::offset_of;
use std::ptr::NonNull;

use virtio_bindings::virtio_ring as linux;
use virtio_model::packed::{self, EventSuppression, PackedQueue, Position, Setup};
use virtio_model::{AddressSpace, split};
use virtio_spec::virtq::DescF;
use virtio_spec::{RingEventFlags, pvirtq, virtq};

const BASE: u64 = 0x1_0000;
const BYTES: usize = 0x100;
/// Where the device and the driver area of a packed queue of 4 lie.
const DEVICE_AREA: u64 = BASE + 0x80;
const DRIVER_AREA: u64 = BASE + 0xc0;

/// Memory, and what keeps it.
fn memory() -> (AddressSpace, Vec<u64>) {
    let mut backing = vec![0u64; BYTES / 8];
    let memory = AddressSpace::new();
    let pointer = NonNull::new(backing.as_mut_ptr().cast()).unwrap();
    // SAFETY: the test keeps the memory as long as the address space, and accesses it only
    // through it.
    unsafe { memory.map(BASE, pointer, BYTES, true, true) };
    (memory, backing)
}

fn bytes<const COUNT: usize>(memory: &AddressSpace, address: u64, offset: usize) -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    memory.read(address + offset as u64, &mut bytes).unwrap();
    bytes
}

/// Spec: §2.7.5 The Virtqueue Descriptor Table, §2.8.13 The Virtqueue Descriptor Format.
#[test]
fn descriptor_flags_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (split::NEXT, linux::VRING_DESC_F_NEXT, DescF::NEXT),
        (split::WRITE, linux::VRING_DESC_F_WRITE, DescF::WRITE),
        (split::INDIRECT, linux::VRING_DESC_F_INDIRECT, DescF::INDIRECT),
        (packed::NEXT, linux::VRING_DESC_F_NEXT, DescF::NEXT),
        (packed::WRITE, linux::VRING_DESC_F_WRITE, DescF::WRITE),
        (packed::INDIRECT, linux::VRING_DESC_F_INDIRECT, DescF::INDIRECT),
        (packed::AVAIL, 1 << linux::VRING_PACKED_DESC_F_AVAIL, DescF::AVAIL),
        (packed::USED, 1 << linux::VRING_PACKED_DESC_F_USED, DescF::USED),
    ] {
        assert_eq!(u32::from(ours), of_linux);
        assert_eq!(ours, of_spec.bits().to_ne());
    }
}

/// Spec: §2.7.5 The Virtqueue Descriptor Table.
#[test]
fn a_split_descriptor_is_laid_out_as_linux_and_virtio_spec_lay_it_out() {
    use linux::vring_desc as Linux;
    use virtq::Desc as Spec;
    let (memory, _backing) = memory();
    let ours =
        split::Descriptor { addr: 0x0123_4567_89ab_cdef, len: 0x1357_9bdf, flags: 0x0246, next: 0x8ace };

    ours.store(&memory, BASE, 1).unwrap();

    assert_eq!(split::DESCRIPTOR_BYTES, size_of::<Linux>() as u64);
    assert_eq!(split::DESCRIPTOR_BYTES, size_of::<Spec>() as u64);
    let second = BASE + split::DESCRIPTOR_BYTES;
    for (addr, len, flags, next) in [
        (offset_of!(Linux, addr), offset_of!(Linux, len), offset_of!(Linux, flags), offset_of!(Linux, next)),
        (offset_of!(Spec, addr), offset_of!(Spec, len), offset_of!(Spec, flags), offset_of!(Spec, next)),
    ] {
        assert_eq!(bytes(&memory, second, addr), ours.addr.to_le_bytes());
        assert_eq!(bytes(&memory, second, len), ours.len.to_le_bytes());
        assert_eq!(bytes(&memory, second, flags), ours.flags.to_le_bytes());
        assert_eq!(bytes(&memory, second, next), ours.next.to_le_bytes());
    }
    assert_eq!(split::Descriptor::load(&memory, BASE, 1).unwrap(), ours);
}

/// Spec: §2.8.13 The Virtqueue Descriptor Format.
#[test]
fn a_packed_descriptor_is_laid_out_as_linux_and_virtio_spec_lay_it_out() {
    use linux::vring_packed_desc as Linux;
    use pvirtq::Desc as Spec;
    let (memory, _backing) = memory();
    let ours =
        packed::Descriptor { addr: 0x0123_4567_89ab_cdef, len: 0x1357_9bdf, id: 0x8ace, flags: 0x0246 };

    ours.store(&memory, BASE, 1).unwrap();

    assert_eq!(packed::DESCRIPTOR_BYTES, size_of::<Linux>() as u64);
    assert_eq!(packed::DESCRIPTOR_BYTES, size_of::<Spec>() as u64);
    let second = BASE + packed::DESCRIPTOR_BYTES;
    for (addr, len, id, flags) in [
        (offset_of!(Linux, addr), offset_of!(Linux, len), offset_of!(Linux, id), offset_of!(Linux, flags)),
        (offset_of!(Spec, addr), offset_of!(Spec, len), offset_of!(Spec, id), offset_of!(Spec, flags)),
    ] {
        assert_eq!(bytes(&memory, second, addr), ours.addr.to_le_bytes());
        assert_eq!(bytes(&memory, second, len), ours.len.to_le_bytes());
        assert_eq!(bytes(&memory, second, id), ours.id.to_le_bytes());
        assert_eq!(bytes(&memory, second, flags), ours.flags.to_le_bytes());
    }
}

/// Spec: §2.8.1 Driver and Device Ring Wrap Counters.
#[test]
fn packed_descriptors_change_sides_under_the_flags_that_virtio_spec_names() {
    let [first_round, second_round] = [true, false].map(|wrap| Position { offset: 0, wrap });

    assert_eq!(first_round.available_flags(), DescF::AVAIL.bits().to_ne());
    assert_eq!(second_round.available_flags(), DescF::USED.bits().to_ne());
    assert_eq!(first_round.used_flags(), (DescF::AVAIL | DescF::USED).bits().to_ne());
    assert_eq!(second_round.used_flags(), 0);
}

/// Spec: §2.8.10 Driver and Device Event Suppression.
#[test]
fn event_flags_are_what_linux_and_virtio_spec_say() {
    for (ours, of_linux, of_spec) in [
        (packed::EVENT_ENABLE, linux::VRING_PACKED_EVENT_FLAG_ENABLE, RingEventFlags::Enable),
        (packed::EVENT_DISABLE, linux::VRING_PACKED_EVENT_FLAG_DISABLE, RingEventFlags::Disable),
        (packed::EVENT_DESC, linux::VRING_PACKED_EVENT_FLAG_DESC, RingEventFlags::Desc),
    ] {
        assert_eq!(u32::from(ours), of_linux);
        assert_eq!(ours, u8::from(of_spec).into());
    }
}

/// Spec: §2.8.14 Event Suppression Structure Format.
#[test]
fn a_position_is_encoded_as_linux_and_virtio_spec_encode_it() {
    for offset in [0, 1, 0x1234, 0x7fff] {
        for wrap in [false, true] {
            let ours = Position { offset, wrap }.encoded();

            assert_eq!(ours, offset | u16::from(wrap) << linux::VRING_PACKED_EVENT_F_WRAP_CTR);
            let theirs = pvirtq::EventSuppressDesc::new()
                .with_desc_event_off(offset)
                .with_desc_event_wrap(wrap.into());
            assert_eq!(ours, theirs.into_bits().to_ne());
        }
    }
}

/// Spec: §2.8.14 Event Suppression Structure Format.
#[test]
fn event_suppression_is_laid_out_as_linux_and_virtio_spec_lay_it_out() {
    use linux::vring_packed_desc_event as Linux;
    use pvirtq::EventSuppress as Spec;
    let (memory, _backing) = memory();
    let setup = Setup {
        size: 4,
        descriptor_area: BASE,
        driver_area: DRIVER_AREA,
        device_area: DEVICE_AREA,
        event_idx: true,
        indirect: false,
        in_order: false,
    };
    let queue = PackedQueue::new(&memory, setup).unwrap();
    for (place_at, flags_at) in [
        (offset_of!(Linux, off_wrap), offset_of!(Linux, flags)),
        (offset_of!(Spec, desc), offset_of!(Spec, flags)),
    ] {
        memory.write(DRIVER_AREA + place_at as u64, &0x8003u16.to_le_bytes()).unwrap();
        memory.write(DRIVER_AREA + flags_at as u64, &packed::EVENT_DESC.to_le_bytes()).unwrap();
        queue.set_device_event(0x8002, packed::EVENT_DISABLE).unwrap();

        let read = queue.driver_event().unwrap();
        assert_eq!(read, EventSuppression { place: 0x8003, flags: packed::EVENT_DESC });
        assert_eq!(bytes(&memory, DEVICE_AREA, place_at), 0x8002u16.to_le_bytes());
        assert_eq!(bytes(&memory, DEVICE_AREA, flags_at), packed::EVENT_DISABLE.to_le_bytes());
    }
}
