//! A card that is up, with one pair of queues, which its user looks at; and what shows when its device is done.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use example_platform::devices::{Device, Interrupts, Way, Wiring};
use example_platform::{DMA, Dma, clock};
use guest_measure::place;
use guest_measure::watch::Watch;
use virtio_guest::device::net::{
    Control, Frame, FramePool, Net, PLAIN, PoolSettings, ReceiveQueue, Settings, Storage, TransmitQueue,
};
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolStorage;
use virtio_guest::ring::Layout;

/// Buffers of each card: those in both its rings, and those in another card's.
const BUFFERS: usize = 1024;
const LIMIT_MILLIS: u64 = 1000;

/// Sent to everybody, with a type that is for experiments.
const HEADER: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
static ZEROS: [u8; 1500] = [0; 1500];

/// See the module's head.
pub struct Card {
    /// Kept for as long as the queues are used.
    _control: Control<'static, Way, Dma>,
    /// What it interrupts with, if it does.
    pub wiring: Option<Wiring>,
    pub receive: ReceiveQueue<'static, Dma>,
    pub transmit: TransmitQueue<'static, Dma>,
    pub received: Watch,
    pub transmitted: Watch,
}

impl Card {
    /// Brings a card up.
    pub fn start(mut device: Device) -> Result<Self, String> {
        let interrupts = Interrupts::asked_for()? == Some(Interrupts::Messages);
        let wiring = if interrupts { Some(device.connect(Some(Interrupts::Messages))?) } else { None };
        let address = device.address().ok_or("the card is not behind PCI")?;
        // Lent for good.
        let entries = Box::leak(Box::new(PoolStorage::<BUFFERS>::new()));
        let pool = FramePool::new(&DMA, entries, PoolSettings::default());
        let pool = Box::leak(Box::new(pool.map_err(|error| error.to_string())?));
        let supply = pool.supply().ok_or("a new pool has its supply")?;
        let storage: &'static mut Storage<'static, Dma, 256> = Box::leak(Box::default());
        let patience = clock::within_millis(LIMIT_MILLIS);
        let settings = Settings { notifications: interrupts, ..Settings::default() };
        let wants = Wants::features(PLAIN);
        let card = Net::start_with(device.transport, DMA, storage, supply, &settings, wants, patience);
        let (control, receive, transmit) = card.map_err(|failed| failed.to_string())?.split();
        let is_packed = transmit.active_path().layout == Layout::Packed;
        let watch = |queue| place::of(address, queue).map(|place| Watch::new(place, is_packed, 1));
        Ok(Self { _control: control, wiring, receive, transmit, received: watch(0)?, transmitted: watch(1)? })
    }

    /// A frame of this length.
    pub fn frame(&mut self, bytes: usize) -> Option<Frame<'static, Dma>> {
        let mut frame = self.receive.supply().frame()?;
        frame.append(&HEADER).ok()?;
        frame.append(ZEROS.get(HEADER.len()..bytes)?).ok()?;
        Some(frame)
    }
}
