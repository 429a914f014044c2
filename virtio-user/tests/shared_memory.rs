//! What memory shared with a back-end promises: to drivers, as their platform, and to whoever has buffers in it.
//!
//! Spec: §2.6 Virtqueues. Through the public API, without a back-end: the same file is mapped a second time instead, as a back-end does.

use std::alloc::Layout;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::Barrier;
use std::thread;

use memmap2::{MmapMut, MmapOptions};
use virtio_guest::hal::{Direction, DmaBuffer, Domain, Hal};
use virtio_guest::raw::{DmaMemory, MappedBuffer, Payload, Segment};
use virtio_user::memory::{Costs, MemorySettings, Pages, SharedHal, SharedMemory};

fn memory(bytes: usize) -> SharedMemory {
    SharedMemory::new(&MemorySettings { bytes, pages: Pages::Ordinary }).unwrap()
}

/// The memory as a back-end has it: mapped once more, somewhere else.
fn other_side(memory: &SharedMemory) -> MmapMut {
    let fd = memory.region().file.as_fd().try_clone_to_owned().unwrap();
    // SAFETY: the test's threads use it one after the other.
    unsafe { MmapOptions::new().map_mut(&std::fs::File::from(fd)) }.unwrap()
}

fn segment(buffer: &MappedBuffer<SharedHal, impl DmaBuffer>) -> Segment {
    let mut found = None;
    buffer.visit_segments(&mut |segment: &Segment| found = Some(*segment));
    found.unwrap()
}

/// Where a segment is in the memory's file.
fn place(memory: &SharedMemory, segment: &Segment) -> std::ops::Range<usize> {
    let start = usize::try_from(segment.address.0 - memory.region().address).unwrap();
    start..start + segment.len as usize
}

#[test]
fn a_buffer_in_the_memory_is_mapped_where_it_is_and_costs_nothing() {
    let memory = memory(1 << 20);
    let mut back_end = other_side(&memory);
    let mut buffer = memory.buffer(512).unwrap();
    buffer.fill(7);
    let address = buffer.bytes().addr().get() as u64;

    let mapped = MappedBuffer::map(&memory.hal(), buffer, Direction::DeviceWritable).unwrap();
    let segment = segment(&mapped);
    let place = place(&memory, &segment);
    let seen = back_end[place.clone()].to_vec();
    back_end[place].fill(9);
    let buffer = mapped.unmap();

    assert_eq!((segment.address.0, seen), (address, vec![7; 512]));
    assert_eq!(buffer.to_vec(), [9; 512]);
    assert_eq!(memory.costs(), Costs::default());
}

#[test]
fn a_buffer_from_elsewhere_is_copied_out_and_not_back() {
    let memory = memory(1 << 20);
    let mut back_end = other_side(&memory);

    let mapped = MappedBuffer::map(&memory.hal(), vec![5_u8; 100], Direction::DeviceReadable).unwrap();
    let place = place(&memory, &segment(&mapped));
    let seen = back_end[place.clone()].to_vec();
    back_end[place].fill(1);

    assert_eq!(seen, [5; 100]);
    assert_eq!(mapped.unmap(), [5; 100]);
    assert_eq!(memory.costs(), Costs { bounced: 1, copied_bytes: 100, refused: 0 });
}

#[test]
fn of_a_buffer_from_elsewhere_what_the_device_did_not_write_is_as_it_was() {
    let memory = memory(1 << 20);
    let mut back_end = other_side(&memory);
    back_end.fill(0xee); // what others left

    let mapped = MappedBuffer::map(&memory.hal(), vec![5_u8; 100], Direction::DeviceWritable).unwrap();
    let place = place(&memory, &segment(&mapped));
    back_end[place][..40].fill(6);

    assert_eq!(mapped.unmap(), [[6; 40].as_slice(), &[5; 60]].concat());
    assert_eq!(memory.costs(), Costs { bounced: 1, copied_bytes: 200, refused: 0 });
    assert_eq!(memory.free_bytes(), memory.bytes());
}

#[test]
fn a_buffer_without_room_for_its_copy_comes_back_untouched() {
    let memory = memory(8192);
    let kept = memory.buffer(8192).unwrap();

    let refused = MappedBuffer::map(&memory.hal(), vec![5_u8; 100], Direction::DeviceReadable).unwrap_err();

    assert_eq!(refused.buffer, [5; 100]);
    assert_eq!(memory.costs().refused, 1);
    drop(kept);
    assert!(MappedBuffer::map(&memory.hal(), refused.buffer, Direction::DeviceReadable).is_ok());
}

#[test]
fn dma_memory_is_zeroed_whatever_was_there_before_and_aligned() {
    let memory = memory(1 << 20);
    let hal = memory.hal();
    other_side(&memory).fill(0xff);
    let _before = memory.buffer(64).unwrap();

    let region = hal.allocate_dma(Layout::from_size_align(5000, 16384).unwrap()).unwrap();
    let dma = DmaMemory::allocate(&hal, 300, 8).unwrap();
    let mut bytes = [1; 300];
    dma.read(0, &mut bytes).unwrap();

    assert_eq!(bytes, [0; 300]);
    assert!(region.pointer.addr().get().is_multiple_of(16384));
    assert_eq!(region.device_address.0, region.pointer.addr().get() as u64);
    // SAFETY: from the allocation above, once.
    unsafe { hal.free_dma(region) };
    assert!(hal.allocate_dma(Layout::from_size_align(2 << 20, 8).unwrap()).is_err());
    assert!(hal.allocate_dma(Layout::from_size_align(0, 8).unwrap()).is_err());
}

#[test]
fn buffers_of_one_memory_are_of_no_other_ones_domain() {
    let (one, other) = (memory(4096), memory(4096));
    let clone = one.clone();

    assert_eq!(one.hal().domain(), clone.hal().domain());
    assert_ne!(one.hal().domain(), other.hal().domain());
    assert_ne!(one.hal().domain(), Domain(0));
}

#[test]
fn the_memory_stays_as_long_as_a_buffer_or_a_region_is_there_and_no_longer() {
    let memory = memory(1 << 20);
    let hal = memory.hal();
    let mut buffer = memory.buffer(4096).unwrap();
    let dma = DmaMemory::allocate(&hal, 64, 64).unwrap();
    let pool = memory.pool(4, 100).unwrap();
    let mut pooled = pool.take().unwrap();
    drop((memory, pool));

    buffer.fill(3);
    pooled.fill(4);
    dma.write(0, &[5; 64]).unwrap();
    assert_eq!((buffer.to_vec(), pooled.to_vec()), (vec![3; 4096], vec![4; 100]));
    assert!(DmaMemory::allocate(&hal, 64, 64).is_ok());
    let inside = buffer.bytes();
    drop((buffer, dma, pooled));

    assert!(DmaMemory::allocate(&hal, 64, 64).is_err());
    assert_eq!(hal.domain(), Domain(0));
    assert!(MappedBuffer::map(&hal, vec![1_u8], Direction::DeviceReadable).is_err());
    assert!(!is_mapped(inside));
}

/// Whether this process has something at that place.
fn is_mapped(bytes: NonNull<[u8]>) -> bool {
    let at = bytes.addr().get();
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().any(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        line.contains("memfd:virtio-user") && (number(start)..number(end)).contains(&at)
    })
}

#[test]
fn buffers_of_a_page_or_more_begin_with_a_page() {
    let memory = memory(1 << 20);
    let _small = memory.buffer(1).unwrap();
    let pool = memory.pool(3, 5000).unwrap();

    for mut buffer in
        [memory.buffer(4096), memory.buffer(12_345), pool.take(), pool.take()].map(Option::unwrap)
    {
        assert!(buffer.bytes().addr().get().is_multiple_of(4096));
    }
    assert!(memory.buffer(100).unwrap().bytes().addr().get().is_multiple_of(64));
    assert!(memory.buffer(0).is_none() && memory.pool(0, 1).is_none() && memory.pool(1, 0).is_none());
    assert!(memory.pool(usize::MAX, 64).is_none() && memory.buffer(usize::MAX).is_none());
}

#[test]
fn copies_stay_inside_of_their_buffer() {
    let memory = memory(4096);
    let mut buffer = memory.buffer(100).unwrap();

    assert!(buffer.write(90, &[1; 11]).is_err() && buffer.write(usize::MAX, &[1; 2]).is_err());
    assert!(buffer.read(101, &mut []).is_err() && buffer.read(0, &mut [0; 101]).is_err());
    assert!(buffer.write(90, &[1; 10]).is_ok() && buffer.read(100, &mut []).is_ok());
    assert_eq!(buffer.to_vec(), [[0; 90].as_slice(), &[1; 10]].concat());
}

#[test]
fn a_pool_gives_each_of_its_buffers_to_one_owner_at_a_time() {
    const BUFFERS: usize = 8;
    let memory = memory(1 << 20);
    let pool = memory.pool(BUFFERS, 96).unwrap();
    let start = Barrier::new(4);

    thread::scope(|scope| {
        for thread in 1..=4_u8 {
            let (pool, start) = (&pool, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..5_000_u32 {
                    let mut taken: Vec<_> = (0..=round % 3).filter_map(|_| pool.take()).collect();
                    for buffer in &mut taken {
                        buffer.fill(thread);
                    }
                    assert!(taken.iter().all(|buffer| buffer.to_vec() == [thread; 96]));
                }
            });
        }
    });

    assert_eq!((pool.resting(), pool.count()), (BUFFERS, BUFFERS));
    let all: Vec<_> = (0..BUFFERS).map(|_| pool.take().unwrap()).collect();
    assert!(pool.take().is_none());
    drop((all, pool));
    assert_eq!(memory.free_bytes(), memory.bytes());
}

#[test]
fn threads_take_and_bounce_what_they_like_and_all_of_it_comes_back() {
    let memory = memory(1 << 20);

    thread::scope(|scope| {
        for thread in 1..=4_u8 {
            let memory = memory.clone();
            scope.spawn(move || {
                let hal = memory.hal();
                for round in 1..2000 {
                    let mut buffer = memory.buffer(round).unwrap();
                    buffer.fill(thread);
                    let mapped =
                        MappedBuffer::map(&hal, vec![thread; round], Direction::DeviceWritable).unwrap();
                    assert_eq!(mapped.unmap(), vec![thread; round]);
                    assert_eq!(buffer.to_vec(), vec![thread; round]);
                }
            });
        }
    });

    assert_eq!(memory.free_bytes(), memory.bytes());
}
