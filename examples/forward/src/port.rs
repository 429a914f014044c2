//! One of the two cards: brought up with a pair of queues for each processor, and taken down.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use example_platform::devices::{Device, Interrupts, Way, Wiring};
use example_platform::{DMA, Dma, clock, println};
use virtio_guest::device::net::{
    Control, ControlStorage, FramePool, PLAIN, PairStorage, PoolSettings, ReceiveQueue, Settings, Starting,
    TransmitQueue,
};
use virtio_guest::lifecycle::{Signals, VectorRouting, Wants};
use virtio_guest::raw::{ConfirmedReset, PoolStorage};

use crate::worker::PROCESSORS_MAX;

/// Buffers of each pair: those in both its rings, and those in the other card's.
const BUFFERS: usize = 1024;
const LIMIT_MILLIS: u64 = 1000;

/// Where interrupt handlers say what happened.
static SIGNALS: [Signals<{ 2 * PROCESSORS_MAX + 1 }>; 2] = [const { Signals::new() }; 2];

/// A card that is up.
pub struct Port {
    control: Control<'static, Way, Dma>,
    pub pairs: Vec<(ReceiveQueue<'static, Dma>, TransmitQueue<'static, Dma>)>,
    wiring: Wiring,
    /// Each processor can be woken by its own queues.
    wakes_each: bool,
}

impl Port {
    /// Brings a card up. Features that change what frames look like are not asked for: the other card might not have them.
    pub fn start(mut device: Device, number: usize, processors: usize) -> Result<Self, String> {
        println!("port {number} at {}", device.place);
        // Both queues of a pair interrupt its processor; commands are waited for by the first.
        let queues: Vec<usize> = (0..processors).flat_map(|processor| [processor; 2]).chain([0]).collect();
        let prepared = device.prepare(Interrupts::asked_for()?, &queues)?;
        let pairs = u16::try_from(processors).map_err(|error| error.to_string())?;
        let notifications = prepared.kind != Interrupts::None;
        let settings = Settings { pairs_max: pairs, notifications, ..Settings::default() };
        let patience = || clock::within_millis(LIMIT_MILLIS);
        let card = Starting::begin(device.transport, &settings, Wants::features(PLAIN), patience());
        let mut card = card.map_err(|error| error.to_string())?;
        if card.pairs() < pairs {
            return Err(
                "this takes a pair of queues for each processor: queues=N for -netdev, mq=on for -device"
                    .into(),
            );
        }
        let mut installed = Vec::new();
        for _ in 0..pairs {
            // Lent for good, like the storage of the queues.
            let storage = Box::leak(Box::new(PoolStorage::<BUFFERS>::new()));
            let pool = FramePool::new(&DMA, storage, PoolSettings::default());
            let pool = Box::leak(Box::new(pool.map_err(|error| error.to_string())?));
            let supply = pool.supply().ok_or("a new pool has its supply")?;
            let storage: &'static mut PairStorage<'static, Dma, 256> = Box::leak(Box::default());
            installed.push(card.install_pair(&DMA, storage, supply).map_err(|failed| failed.to_string())?);
        }
        let storage: &'static mut ControlStorage = Box::leak(Box::default());
        card.install_control(&DMA, storage).map_err(|failed| failed.to_string())?;
        let mut control = card.start();
        let active = installed.into_iter().map(|pair| control.activate(pair)).collect();
        let wiring = prepared.attach_with(|| control.connect_interrupts(&SIGNALS[number]))?;
        if pairs > 1 {
            control.set_pairs(pairs, patience()).map_err(|error| error.to_string())?;
        }
        let wakes_each = control.vectors() == VectorRouting::PerQueue || pairs == 1;
        println!("port {number}: interrupts: {} ({:?})", wiring.kind.name(), control.vectors());
        Ok(Self { control, pairs: active, wiring, wakes_each })
    }

    /// What processors wait for that use queues of both cards.
    pub fn interrupts_with(&self, other: &Self) -> Interrupts {
        let each =
            [self, other].map(|port| if port.wakes_each { port.wiring.kind } else { Interrupts::None });
        if each.contains(&Interrupts::None) { Interrupts::None } else { each[0] }
    }

    /// Resets the card: then its queues may give back what they have.
    pub fn take_down(self) -> Result<ConfirmedReset, String> {
        let patience = clock::within_millis(LIMIT_MILLIS);
        let down = self.control.take_down(patience).map_err(|failed| failed.error.to_string())?;
        down.handlers.map_err(|error| error.to_string())?;
        Ok(down.reset)
    }
}
