//! Drivers of network devices that end before they are up.
//!
//! Spec: §2.4 Device Reset, §5.1.5 Device Initialization. What the device learned of comes back, whichever queues it was.

mod support;

use support::commands::{ADDRESS, nic};
use support::{Either, Mapper, TestHal, claim};
use virtio_guest::device::net::{
    ControlSlots, FramePool, HANDLED, Net, NetFeatures, PairSlots, PoolSettings, Settings, Slots, StartError,
    StartFailed, Starting,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{InstallError, Wants};
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

/// How a card ends after the transmit queue of its second pair could not be installed: it knows of that pair's receive queue then.
#[derive(Clone, Copy, Debug)]
enum End {
    GivenUp,
    TakenDown,
    Dropped,
}

#[test]
fn a_receive_queue_whose_transmit_queue_cannot_be_installed_gives_its_memory_back_with_the_reset() {
    for end in [End::GivenUp, End::TakenDown, End::Dropped] {
        let device = nic().builder().build();
        let hal = TestHal::default();
        let pools = [(); 2].map(|()| {
            FramePool::new(&hal, PoolEntries::allocate(20), PoolSettings::default()).expect("there is memory")
        });
        let [supply, second] = pools.each_ref().map(|pool| pool.supply().expect("nobody else has it"));
        let transport = Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
        let (settings, wants) = (Settings { pairs_max: 2, ..Settings::default() }, Wants::features(HANDLED));
        let mut starting = Starting::begin(transport, &settings, wants, Attempts(10)).unwrap();
        let pair = starting.install_pair(&hal, PairSlots::allocate(16), supply).unwrap();
        let regions = hal.dma_regions();
        let slots = PairSlots { transmit: PairSlots::allocate(0).transmit, ..PairSlots::allocate(16) };

        let failed = starting.install_pair(&hal, slots, second).unwrap_err();

        assert!(matches!(failed.error, StartError::Queue(InstallError::NoStorage { index: 3, .. })));
        assert_eq!(hal.dma_regions(), regions + 1, "the device may use it");
        drop(failed);
        match end {
            End::GivenUp => {
                let reset = starting.give_up(Attempts(10)).unwrap();
                drop(pair.reclaim(&reset).unwrap());
            }
            End::TakenDown => {
                let control = starting.start();
                let (receive, transmit) = control.activate(pair);
                let down = control.take_down(Attempts(10)).unwrap();
                drop((receive.reclaim(&down.reset).unwrap(), transmit.reclaim(&down.reset).unwrap()));
            }
            End::Dropped => {
                let control = starting.start();
                let (receive, transmit) = control.activate(pair);
                drop(Net::join(control, receive, transmit));
            }
        }
        drop(pools);
        device.assert_driver_was_correct();
        hal.assert_all_returned();
    }
}

/// Memory runs out at each allocation of a bring-up in turn: storage and supply come back, and are as good as they were.
#[test]
fn a_card_that_finds_no_memory_gives_everything_back_for_another_try() {
    let mut failures = 0;
    for left in 0.. {
        let device = nic().builder().build();
        let hal = TestHal::default();
        let pool = FramePool::new(&hal, PoolEntries::allocate(20), PoolSettings::default()).unwrap();
        let open = || Either::open_pci(claim(&device), &Mapper(device.clone())).unwrap();
        let slots = Slots { pair: PairSlots::allocate(16), control: ControlSlots::allocate(16) };
        let supply = pool.supply().unwrap();
        hal.limit_allocations(left);

        let Err(failed) = Net::start(open(), hal.clone(), slots, supply, Attempts(10)) else { break };

        let StartFailed { error, slots, supply } = failed;
        assert!(matches!(error, StartError::Queue(InstallError::NoMemory { .. })), "{error}");
        assert_eq!((hal.dma_regions(), device.status()), (1, 0), "the pool is left");
        hal.limit_allocations(usize::MAX);
        let card = Net::start(open(), hal.clone(), slots, supply.unwrap(), Attempts(10)).unwrap();
        let paths = card.active_paths();
        assert_eq!((paths.receive_size, paths.transmit_size), (16, 16));
        drop(card);
        assert_eq!((hal.dma_regions(), hal.mapped_buffers()), (1, 0), "the pool is left");
        device.assert_driver_was_correct();
        failures += 1;
    }
    assert!(failures >= 4, "rings of three queues, and memory for commands");
}
