//! Pools of buffers: each has one owner, and all come back.

use std::collections::BTreeSet;
use std::iter;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use proptest::prelude::*;
use virtio_guest::hal::Direction;
use virtio_guest::raw::{BufferPool, Buffers, OutOfBounds, Payload, PoolEntries, PoolStorage, Segment};
use virtio_test_hal::TestHal;

const BUFFER_BYTES: u32 = 128;

/// The segments that a queue would see.
fn segments(buffers: &Buffers<'_, TestHal>) -> Vec<Segment> {
    let mut seen = Vec::new();
    buffers.visit_segments(&mut |segment: &Segment| seen.push(*segment));
    assert_eq!(seen.len(), buffers.segment_count());
    assert!(seen.iter().all(|segment| segment.len > 0));
    seen
}

fn contents(buffers: &Buffers<'_, TestHal>) -> Vec<u8> {
    let mut bytes = vec![0; buffers.len()];
    buffers.read(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn no_buffer_has_two_owners_and_each_comes_back() {
    let hal = TestHal::default();
    let mut storage = PoolStorage::<5>::new();
    let pool = BufferPool::new(&hal, &mut storage, BUFFER_BYTES).unwrap();
    let mut supply = pool.supply().unwrap();
    for _ in 0..3 {
        let mut taken: Vec<_> = iter::from_fn(|| supply.take()).collect();
        taken.iter_mut().for_each(Buffers::fill);

        let addresses: BTreeSet<_> = taken.iter().map(|buffers| segments(buffers)[0].address).collect();

        assert_eq!((taken.len(), addresses.len()), (5, 5));
        let (mut last, mut apart) = (None, u64::MAX);
        for address in addresses {
            apart = last.map_or(apart, |last: u64| apart.min(address.0 - last));
            last = Some(address.0);
        }
        assert_eq!(apart, u64::from(BUFFER_BYTES));
    }
    drop(supply);
    drop(pool);
    hal.assert_all_returned();
}

/// With a power of two their first lines would share a few sets of each cache, and drive each other out.
#[test]
fn large_buffers_are_an_odd_number_of_cache_lines_apart() {
    let hal = TestHal::default();
    for (asked, bytes) in
        [(1, 64), (128, 128), (448, 448), (512, 576), (1500, 1536 + 64), (2048, 2112), (2112, 2112)]
    {
        let pool = BufferPool::new(&hal, PoolEntries::allocate(2), asked).unwrap();
        let mut supply = pool.supply().unwrap();
        let mut taken: Vec<_> = iter::from_fn(|| supply.take()).collect();
        taken.iter_mut().for_each(Buffers::fill);

        let address = |index: usize| segments(&taken[index])[0].address.0;

        assert_eq!((pool.buffer_bytes(), address(0).abs_diff(address(1))), (bytes, u64::from(bytes)));
    }
}

#[test]
fn one_at_a_time_has_the_supply() {
    let hal = TestHal::default();
    let pool = BufferPool::new(&hal, PoolEntries::allocate(2), BUFFER_BYTES).unwrap();
    let mut supply = pool.supply().unwrap();
    assert!(pool.supply().is_none());
    let kept = supply.take().unwrap();
    drop(supply.take());
    drop(supply);

    let mut supply = pool.supply().unwrap();

    let again = supply.take().unwrap();
    assert!(supply.take().is_none(), "the other one is out");
    drop(kept);
    assert!(supply.take().is_some());
    drop(again);
}

#[test]
fn a_supply_that_is_dropped_leaves_its_buffers_to_the_next() {
    let hal = TestHal::default();
    let pool = BufferPool::new(&hal, PoolEntries::allocate(4), BUFFER_BYTES).unwrap();
    let mut supply = pool.supply().unwrap();
    let kept = supply.take();
    drop(supply);

    let mut supply = pool.supply().unwrap();

    assert_eq!(iter::from_fn(|| supply.take()).collect::<Vec<_>>().len(), 3);
    drop((kept, supply));
    drop(pool);
    hal.assert_all_returned();
}

/// What a device may still reach is not freed.
#[test]
fn a_pool_that_is_dropped_while_buffers_are_out_leaks_its_memory() {
    let hal = TestHal::default();
    let pool = BufferPool::new(&hal, PoolEntries::allocate(3), BUFFER_BYTES).unwrap();
    let mut buffers = pool.supply().unwrap().take().unwrap();
    buffers.fill();
    let address = segments(&buffers)[0].address;
    std::mem::forget(buffers);

    drop(pool);

    assert!(hal.space.write(address.0, b"the device writes").is_ok());
}

#[test]
fn a_pool_of_nothing_or_of_too_much_is_refused() {
    let hal = TestHal::default();
    assert!(BufferPool::new(&hal, PoolEntries::allocate(0), BUFFER_BYTES).is_err());
    assert!(BufferPool::new(&hal, PoolEntries::allocate(2), 0).is_err());
    assert!(BufferPool::new(&hal, PoolEntries::allocate(2), u32::MAX).is_err());
    hal.assert_all_returned();
}

struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_waits_for_a_buffer_is_woken_by_the_first_that_comes_back() {
    let hal = TestHal::default();
    let pool = pin!(BufferPool::new(&hal, PoolEntries::allocate(2), BUFFER_BYTES).unwrap());
    let mut supply = pool.supply().unwrap();
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let waker = Waker::from(counter.clone());
    let woken = || counter.0.load(Ordering::Relaxed);
    assert!(supply.is_ready(1, &waker), "there are some");
    let (first, second) = (supply.take().unwrap(), supply.take().unwrap());
    assert!(!supply.is_ready(1, &waker) && woken() == 0);

    drop(first);
    assert_eq!(woken(), 1);
    drop(second);
    assert_eq!(woken(), 1, "once is enough");

    assert!(supply.is_ready(1, &waker));
}

#[test]
fn a_header_goes_before_the_bytes_and_off_again() {
    let hal = TestHal::default();
    let pool = BufferPool::new(&hal, PoolEntries::allocate(1), BUFFER_BYTES).unwrap();
    let mut buffers = pool.supply().unwrap().take().unwrap();
    buffers.clear(16).unwrap();
    buffers.append(b"bytes").unwrap();
    assert_eq!(buffers.room(), 128 - 16 - 5);

    buffers.extend_front(12).unwrap();
    buffers.write(0, b"header here:").unwrap();

    assert_eq!(contents(&buffers), b"header here:bytes");
    assert_eq!(buffers.extend_front(5), Err(OutOfBounds), "four are left");
    let whole = segments(&buffers)[0];
    buffers.set_apart(12);
    let parts = segments(&buffers);
    assert_eq!([parts[0].len, parts[1].len], [12, 5]);
    assert_eq!([parts[0].address.0, parts[1].address.0], [whole.address.0, whole.address.0 + 12]);
    buffers.trim_front(12).unwrap();
    assert_eq!(contents(&buffers), b"bytes");
    assert_eq!(buffers.trim_front(6), Err(OutOfBounds));
    buffers.trim_front(5).unwrap();
    assert!(buffers.is_empty() && segments(&buffers).is_empty());
}

/// Or a segment without bytes would be left.
#[test]
fn nothing_is_trimmed_to_nothing_before_other_bytes() {
    let hal = TestHal::default();
    let pool = BufferPool::new(&hal, PoolEntries::allocate(2), BUFFER_BYTES).unwrap();
    let mut supply = pool.supply().unwrap();
    let mut buffers = supply.take().unwrap();
    buffers.clear(120).unwrap();
    buffers.extend(supply.take().unwrap()).unwrap();
    buffers.append(&[1; 10]).unwrap();

    assert_eq!(buffers.trim_front(8), Err(OutOfBounds));
    buffers.trim_front(7).unwrap();

    assert_eq!(segments(&buffers).iter().map(|segment| segment.len).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_device_is_shown_all_of_the_buffers_that_it_may_write() {
    let hal = TestHal::default();
    let pool = BufferPool::new(&hal, PoolEntries::allocate(3), BUFFER_BYTES).unwrap();
    let mut supply = pool.supply().unwrap();
    let mut buffers = supply.take().unwrap();
    buffers.clear(64).unwrap();
    buffers.extend(supply.take().unwrap()).unwrap();
    buffers.extend(supply.take().unwrap()).unwrap();
    buffers.extend_front(12).unwrap();

    buffers.fill();
    buffers.set_direction(Direction::DeviceWritable);

    let shown = segments(&buffers);
    assert_eq!(shown.iter().map(|segment| segment.len).collect::<Vec<_>>(), [76, 128, 128]);
    assert!(shown.iter().all(|segment| segment.direction == Direction::DeviceWritable));
    for (number, segment) in (0..).zip(&shown) {
        hal.space.write(segment.address.0, &vec![number; segment.len as usize]).unwrap();
    }
    buffers.truncate(76 + 100);
    assert_eq!(contents(&buffers), [vec![0; 76], vec![1; 100]].concat());
    assert_eq!(segments(&buffers).len(), 2, "the third is owned, and has nothing to show");
    drop(buffers);
    assert_eq!(iter::from_fn(|| supply.take()).collect::<Vec<_>>().len(), 3);
}

#[test]
fn buffers_of_two_pools_do_not_mix() {
    let hal = TestHal::default();
    let pools = [(); 2].map(|()| BufferPool::new(&hal, PoolEntries::allocate(2), BUFFER_BYTES).unwrap());
    let [mut one, mut other] = pools.each_ref().map(|pool| pool.supply().unwrap());
    let mut buffers = one.take().unwrap();

    assert!(buffers.extend(other.take().unwrap()).is_err());
    assert!(buffers.extend(one.take().unwrap()).is_ok());

    assert_eq!(buffers.count(), 2);
    drop(buffers);
    assert_eq!(iter::from_fn(|| one.take()).collect::<Vec<_>>().len(), 2);
    assert_eq!(iter::from_fn(|| other.take()).collect::<Vec<_>>().len(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Truncate(usize),
    Write(usize, usize),
    ExtendFront(u8),
    TrimFront(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..200usize).prop_map(Step::Append),
        1 => (0..400usize).prop_map(Step::Truncate),
        2 => (0..400usize, 0..200usize).prop_map(|(offset, len)| Step::Write(offset, len)),
        1 => (0..40u8).prop_map(Step::ExtendFront),
        1 => (0..40u8).prop_map(Step::TrimFront),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 300 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Several buffers are one row of bytes, whatever is done to it.
    #[test]
    fn several_buffers_are_one_row_of_bytes(count in 1..4u16, steps in proptest::collection::vec(step(), 0..20)) {
        let hal = TestHal::default();
        let pool = BufferPool::new(&hal, PoolEntries::allocate(3), BUFFER_BYTES).unwrap();
        let mut supply = pool.supply().unwrap();
        let mut buffers = supply.take().unwrap();
        buffers.clear(32).unwrap();
        for _ in 1..count {
            prop_assert!(buffers.extend(supply.take().unwrap()).is_ok());
        }
        let mut row: Vec<u8> = Vec::new();
        let mut fresh = (1..=u8::MAX).cycle();
        for step in steps {
            match step {
                Step::Append(len) => {
                    let bytes: Vec<u8> = fresh.by_ref().take(len).collect();
                    let fits = len <= buffers.room();
                    prop_assert_eq!(buffers.append(&bytes).is_ok(), fits);
                    if fits {
                        row.extend(bytes);
                    }
                }
                Step::Truncate(len) => {
                    buffers.truncate(len);
                    row.truncate(len);
                }
                Step::Write(offset, len) => {
                    let bytes: Vec<u8> = fresh.by_ref().take(len).collect();
                    match row.get_mut(offset..offset + len) {
                        Some(place) => {
                            place.copy_from_slice(&bytes);
                            prop_assert!(buffers.write(offset, &bytes).is_ok());
                        }
                        None => {
                            // What is inside may have been copied.
                            if buffers.write(offset, &bytes).is_err() {
                                row = contents(&buffers);
                            } else {
                                prop_assert!(false, "beyond the end");
                            }
                        }
                    }
                }
                Step::ExtendFront(bytes) => {
                    if buffers.extend_front(bytes).is_ok() {
                        let more: Vec<u8> = fresh.by_ref().take(bytes.into()).collect();
                        buffers.write(0, &more).unwrap();
                        row.splice(0..0, more);
                    }
                }
                Step::TrimFront(bytes) => {
                    if buffers.trim_front(bytes).is_ok() {
                        row.drain(..usize::from(bytes));
                    }
                }
            }
            prop_assert_eq!(buffers.len(), row.len());
            prop_assert_eq!(buffers.is_empty(), row.is_empty());
            prop_assert_eq!(&contents(&buffers), &row);
            let mut seen = Vec::new();
            for segment in segments(&buffers) {
                let mut bytes = vec![0; segment.len as usize];
                hal.space.read(segment.address.0, &mut bytes).unwrap();
                seen.extend(bytes);
            }
            prop_assert_eq!(&seen, &row, "what a device sees");
        }
        drop(buffers);
        prop_assert_eq!(iter::from_fn(|| supply.take()).collect::<Vec<_>>().len(), 3);
    }
}

/// Of several that are wanted, each that comes back wakes; those that are there already do not.
#[test]
fn who_waits_for_several_buffers_has_them_when_the_last_comes_back() {
    let hal = TestHal::default();
    let pool = pin!(BufferPool::new(&hal, PoolEntries::allocate(4), BUFFER_BYTES).unwrap());
    let mut supply = pool.supply().unwrap();
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let waker = Waker::from(counter.clone());
    let woken = || counter.0.load(Ordering::Relaxed);
    assert!(supply.has(4) && !supply.has(5));
    let mut taken: Vec<_> = iter::from_fn(|| supply.take()).collect();
    drop(taken.pop());
    assert!(!supply.is_ready(3, &waker) && woken() == 0);

    for (left, count) in [(2, 1), (1, 2)] {
        drop(taken.pop());

        assert_eq!((taken.len(), woken()), (left, count));
        assert_eq!(supply.is_ready(3, &waker), count == 2);
    }

    let again: Vec<_> = iter::from_fn(|| supply.take()).collect();
    assert_eq!(again.len(), 3);
}

/// A window that begins where its buffer ends would be a segment without a byte as soon as something follows.
#[test]
fn no_sequence_of_trims_makes_an_empty_segment() {
    let hal = TestHal::default();
    let pool = BufferPool::new(&hal, PoolEntries::allocate(2), BUFFER_BYTES).unwrap();
    let mut supply = pool.supply().unwrap();
    let mut buffers = supply.take().unwrap();
    buffers.fill();
    assert_eq!(buffers.trim_front(127), Ok(()));
    let _ = buffers.trim_front(1);
    buffers.truncate(0);
    buffers.extend(supply.take().unwrap()).unwrap();

    buffers.append(b"two").unwrap();

    assert_eq!(segments(&buffers).iter().map(|segment| segment.len).sum::<u32>(), 3);
    assert_eq!(contents(&buffers), b"two");
}
