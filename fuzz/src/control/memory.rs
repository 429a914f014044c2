//! Memory: the test platform, watched. Nothing may be released while the device has it, and all of it must be once the device has nothing.
//!
//! Spec: §2.4, §2.6.1. The device has a queue's memory from when the queue is enabled until a reset of the queue, or of the device, was seen to be complete.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;

use virtio_guest::hal::{DeviceAddress, Direction, DmaError, DmaRegion, Domain, Hal, MapError};
use virtio_test_hal::TestHal;

use super::world;

/// Who has a region, beside the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    /// The device, for this queue.
    Queue(u16),
    /// The device, for good: its driver is gone, and no reset was seen to be complete before that.
    Lost,
}

/// All memory of one input.
#[derive(Default)]
pub(crate) struct Memory {
    /// The test platform's books, which see that nothing is freed twice, or as something else than it was.
    pub(crate) hal: TestHal,
    regions: BTreeMap<u64, (DmaRegion, Holder)>,
}

impl Memory {
    /// The device learns of a queue: it has all memory that nobody had before.
    pub(crate) fn lend(&mut self, queue: u16) {
        self.change_holders(|holder| if holder == Holder::Nobody { Holder::Queue(queue) } else { holder });
    }

    /// The device has forgotten a queue.
    pub(crate) fn return_queue(&mut self, queue: u16) {
        self.change_holders(|holder| if holder == Holder::Queue(queue) { Holder::Nobody } else { holder });
    }

    /// The device was reset, and has nothing any more.
    pub(crate) fn return_all(&mut self) {
        self.change_holders(|holder| if holder == Holder::Lost { holder } else { Holder::Nobody });
    }

    /// The driver is gone, and with it whatever it cannot free by its own rules.
    pub(crate) fn lose(&mut self) {
        self.change_holders(|_| Holder::Lost);
    }

    fn change_holders(&mut self, change: impl Fn(Holder) -> Holder) {
        for (_, holder) in self.regions.values_mut() {
            *holder = change(*holder);
        }
    }

    /// Whether so many bytes at a device address are all inside of one region.
    pub(crate) fn has(&self, address: u64, bytes: u64) -> bool {
        let Some((start, (region, _))) = self.regions.range(..=address).next_back() else { return false };
        address.checked_add(bytes).is_some_and(|end| end - start <= region.layout.size() as u64)
    }

    /// The driver is gone: what the device had is lost, what it did not have was freed.
    pub(crate) fn settle(&mut self) {
        let leaked = self.regions.values().filter(|(_, holder)| *holder == Holder::Nobody).count();
        assert_eq!(leaked, 0, "regions are left, which the device does not have");
        self.lose();
    }

    /// Frees what was lost: the device is no more.
    pub(crate) fn sweep(&mut self) {
        for (region, _) in std::mem::take(&mut self.regions).into_values() {
            // SAFETY: as it was allocated, and freed here once; nobody is left who would.
            unsafe { self.hal.free_dma(region) };
        }
        self.hal.assert_all_returned();
    }
}

/// The platform of the current input.
#[derive(Clone, Debug)]
pub(crate) struct WatchedHal;

// SAFETY: each call is passed on to the test platform, which keeps the promises; there is one at a time.
unsafe impl Hal for WatchedHal {
    fn domain(&self) -> Domain {
        world::with(|world| world.memory.hal.domain())
    }

    fn allocate_dma(&self, layout: Layout) -> Result<DmaRegion, DmaError> {
        world::with(|world| {
            let region = world.memory.hal.allocate_dma(layout)?;
            world.memory.regions.insert(region.device_address.0, (region, Holder::Nobody));
            Ok(region)
        })
    }

    unsafe fn free_dma(&self, region: DmaRegion) {
        world::with(|world| {
            let known = world.memory.regions.remove(&region.device_address.0);
            let (_, holder) = known.expect("memory is freed once");
            assert_eq!(holder, Holder::Nobody, "memory is freed that the device has");
            // SAFETY: passed on.
            unsafe { world.memory.hal.free_dma(region) };
        });
    }

    /// The drivers here have no buffers of their kernel's.
    unsafe fn map(&self, _: NonNull<[u8]>, _: Direction) -> Result<DeviceAddress, MapError> {
        Err(MapError)
    }

    unsafe fn unmap(&self, _: DeviceAddress, _: NonNull<[u8]>, _: Direction) {
        panic!("nothing was mapped");
    }
}
