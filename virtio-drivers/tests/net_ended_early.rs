//! Drivers of network devices that end before they are up.
//!
//! Spec: §2.4 Device Reset, §5.1.5 Device Initialization. What the device learned of comes back, whichever queues it was.

mod support;

use support::commands::nic;
use support::{Either, Mapper, TestHal, claim};
use virtio_guest::device::net::{
    ControlSlots, FramePool, HANDLED, PairSlots, PoolSettings, Settings, Starting,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolEntries;

#[test]
fn a_network_driver_that_gives_up_takes_the_memory_of_all_queues_back() {
    for (has_pair, has_control) in [(false, true), (true, false), (true, true)] {
        let device = nic().builder().build();
        let hal = TestHal::default();
        let pool = FramePool::new(&hal, PoolEntries::allocate(4), PoolSettings::default()).unwrap();
        let transport = Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
        let wants = Wants::features(HANDLED);
        let mut starting = Starting::begin(transport, &Settings::default(), wants, Attempts(10)).unwrap();
        let supply = pool.supply().unwrap();
        let pair = has_pair.then(|| starting.install_pair(&hal, PairSlots::allocate(8), supply).unwrap());
        if has_control {
            starting.install_control(&hal, ControlSlots::allocate(8)).unwrap();
        }

        let reset = starting.give_up(Attempts(10)).unwrap();

        drop(pair.map(|pair| pair.reclaim(&reset).unwrap()));
        drop(pool);
        device.assert_driver_was_correct();
        hal.assert_all_returned();
    }
}
