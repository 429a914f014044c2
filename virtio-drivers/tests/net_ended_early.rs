//! Drivers of network devices that end before they are up.
//!
//! Spec: §2.4 Device Reset, §5.1.5 Device Initialization. What the device learned of comes back, whichever queues it was.

mod support;

use support::commands::{ADDRESS, nic};
use support::{Either, Mapper, TestHal, claim};
use virtio_guest::device::net::{
    ControlSlots, FramePool, HANDLED, NetFeatures, PairSlots, PoolSettings, Settings, StartError, Starting,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolEntries;
use virtio_model::Nic;

/// Why a pair of 16 descriptors each is not installed, with a pool of these buffers, if it is not.
fn refusal(features: NetFeatures, buffers: u32, buffer_bytes: u32) -> Option<StartError> {
    let device = Nic::new(ADDRESS).with_features(features.bits()).builder().build();
    let hal = TestHal::default();
    let pool = FramePool::new(&hal, PoolEntries::allocate(buffers), PoolSettings { buffer_bytes }).unwrap();
    let transport = Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
    let wants = Wants::features(HANDLED);
    let mut starting = Starting::begin(transport, &Settings::default(), wants, Attempts(10)).unwrap();
    let installed = starting.install_pair(&hal, PairSlots::allocate(16), pool.supply().unwrap());
    let reset = starting.give_up(Attempts(10)).unwrap();
    let refusal = installed.map(|pair| drop(pair.reclaim(&reset))).err().map(|failed| failed.error);
    device.assert_driver_was_correct();
    refusal
}

/// A frame that is cut by nobody before it arrives takes a chain of 9 buffers, of which ring and pool have as many.
#[test]
fn a_pair_whose_chains_are_too_long_for_ring_or_pool_is_refused() {
    let large = NetFeatures::GUEST_CSUM | NetFeatures::GUEST_TSO4;
    let too_small = |buffers| Some(StartError::BuffersTooSmall { buffers });
    assert_eq!(refusal(large, 9, 8000), None);
    assert_eq!(refusal(large, 8, 8000), too_small(9));
    assert_eq!(refusal(large, 99, 4000), too_small(17));
}

/// Spec: §5.1.4.2: as long a packet as the device says can be received. It may be spread over several buffers, of which ring and pool have as many.
#[test]
fn a_pair_that_the_longest_packet_does_not_fit_into_is_refused() {
    let spread = NetFeatures::MRG_RXBUF | NetFeatures::MTU;
    let too_small = |buffers| Some(StartError::BuffersTooSmall { buffers });
    assert_eq!(refusal(spread, 40, 192), None);
    assert_eq!(refusal(spread, 40, 128), too_small(21));
    assert_eq!(refusal(spread, 10, 192), too_small(11));
    assert_eq!(refusal(NetFeatures::MRG_RXBUF, 40, 128), None, "nobody says how long packets are");
}

/// Nothing would ever be received: the device does not reach the pool's buffers.
#[test]
fn a_pair_with_a_pool_of_another_domain_is_refused() {
    let device = Nic::new(ADDRESS).builder().build();
    let (hal, other) = (TestHal::default(), TestHal::default());
    let pool = FramePool::new(&other, PoolEntries::allocate(20), PoolSettings::default()).unwrap();
    let transport = Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
    let wants = Wants::features(HANDLED);
    let mut starting = Starting::begin(transport, &Settings::default(), wants, Attempts(10)).unwrap();

    let refused = starting.install_pair(&hal, PairSlots::allocate(16), pool.supply().unwrap()).unwrap_err();

    assert_eq!(refused.error, StartError::OtherDomain);
    drop(refused);
    assert!(pool.supply().is_some(), "it came back");
}

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
