//! The network card: how it comes up, what it tells of itself, and how it goes down.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use example_platform::devices::{self, Interrupts, Way, Wiring};
use example_platform::{DMA, Dma, clock, println};
use smoltcp::wire::EthernetAddress;
use virtio_guest::adapter::{PacketMemory, Packets};
use virtio_guest::device::net::{Control, FramePool, Net, PLAIN, PoolSettings, Settings, Storage};
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::raw::PoolStorage;
use virtio_guest::wire::net::NetFeatures;

use crate::options;

/// Descriptors of each queue: as many as a legacy device of QEMU's has, which does not do with fewer.
const DESCRIPTORS: usize = 256;
/// Frames: more than both queues hold at once.
const FRAMES: usize = 1024;
/// As much as there is between a frame and the stack: room for segments that the card put together.
const PACKET_BYTES: usize = 1 << 16;

/// Where interrupt handlers say what happened: one for each queue.
static SIGNALS: Signals<3> = Signals::new();

/// A card that is up: the half that knows it, the half that packets go through, and how it interrupts.
pub struct Card {
    pub control: Control<'static, Way, Dma>,
    pub packets: Packets<'static, 'static, Dma>,
    pub wiring: Wiring,
    /// What was agreed on, for people.
    pub about: String,
}

/// Brings the first card up, and says what was agreed on.
pub fn bring_up() -> Result<Card, String> {
    let mut device = devices::take_network_cards()?.swap_remove(0);
    println!("card at {}", device.place);
    // A message for the configuration, one for what arrives, for what went out, and for answers to commands.
    let prepared = device.prepare(Interrupts::asked_for()?, &[0, 0, 0])?;

    // Everything is lent for good. Frames are in memory that the card reaches.
    let frames: &'static mut PoolStorage<FRAMES> = Box::leak(Box::default());
    let pool = FramePool::new(&DMA, frames, PoolSettings::default()).map_err(|error| error.to_string())?;
    let pool: &'static FramePool<'static, Dma> = Box::leak(Box::new(pool));
    let supply = pool.supply().ok_or("the pool's supply is taken")?;
    let storage: &'static mut Storage<'static, Dma, DESCRIPTORS> = Box::leak(Box::default());

    let checksums = match options::value("checksums", String::from("on"))?.as_str() {
        "on" => NetFeatures::CSUM | NetFeatures::GUEST_CSUM,
        _ => NetFeatures::empty(),
    };
    let wants = Wants::features(PLAIN.difference(NetFeatures::CSUM) | checksums);
    let settings = Settings { notifications: prepared.kind != Interrupts::None, ..Settings::default() };
    let card =
        Net::start_with(device.transport, DMA, storage, supply, &settings, wants, clock::within_millis(1000));
    let card = card.map_err(|failed| failed.to_string())?;
    let paths = card.active_paths();
    let (mut control, receive, transmit) = card.split();
    let wiring = prepared.attach_with(|| control.connect_interrupts(&SIGNALS))?;

    let about = alloc::format!(
        "interrupts: {} ({:?})\nfeatures: {:?}\npaths: {paths:?}\naddress: {}, MTU: {:?}\n",
        wiring.kind.name(),
        paths.vectors,
        control.features(),
        EthernetAddress(control.mac()),
        control.mtu()
    );
    println!("{}", about.trim_end());
    let memory = || -> &'static mut [u8] { Box::leak(alloc::vec![0; PACKET_BYTES].into()) };
    let memory = PacketMemory { received: memory(), transmitted: memory() };
    let packets = Packets::new(&control, receive, transmit, memory);
    Ok(Card { control, packets, wiring, about })
}

impl Card {
    /// Says whether there is a link, if an interrupt said that this may have changed.
    pub fn look_at_link(&mut self) -> Result<(), String> {
        if self.control.take_configuration_change().is_some() {
            let link = self.control.link().map_err(|error| error.to_string())?;
            println!("link: {}", if link.is_up { "up" } else { "down" });
        }
        Ok(())
    }

    /// The way down: the device is reset; then the queues may give back what they have.
    pub fn take_down(self) -> Result<(), String> {
        let Self { control, packets, wiring, about: _ } = self;
        println!("packets: {:?}, interrupts that arrived: {}", packets.counts(), wiring.arrived());
        let down =
            control.take_down(clock::within_millis(1000)).map_err(|failed| failed.error.to_string())?;
        down.handlers.map_err(|error| error.to_string())?;
        let (receive, transmit) = packets.into_queues();
        receive.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
        transmit.reclaim(&down.reset).map_err(|_| "the queue is of another bring-up")?;
        Ok(())
    }
}
