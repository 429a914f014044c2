//! A modelled card under a network stack.

use virtio_guest::adapter::{PacketMemory, Packets};
use virtio_guest::device::net::{Control, FramePool, Net, PLAIN, PoolSettings, Settings, Slots, Storage};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolEntries;
use virtio_guest::wire::net::NetFeatures;
use virtio_model::Nic;
use virtio_model::net::Transmitted;
use virtio_model::pci::PciDevice;

use super::{Either, Mapper, TestHal, claim, message};

/// Descriptors of each queue.
pub const DESCRIPTORS: usize = 16;

/// What a card is made of.
#[derive(Clone, Copy, Debug)]
pub struct CardConfig {
    /// The last byte of its address.
    pub number: u8,
    /// What it offers, and its driver wants, beside what every card has.
    pub features: NetFeatures,
    /// Features of the ring.
    pub ring: u128,
    /// Buffers of its pool.
    pub buffers: usize,
    /// Bytes of memory for one packet.
    pub packet_bytes: usize,
    /// What it says of its largest packet.
    pub mtu: Option<u16>,
    /// Whether it interrupts, by messages.
    pub interrupts: bool,
}

impl Default for CardConfig {
    fn default() -> Self {
        Self {
            number: 1,
            features: NetFeatures::empty(),
            ring: 0,
            buffers: 3 * DESCRIPTORS,
            packet_bytes: 1514,
            mtu: None,
            interrupts: false,
        }
    }
}

/// The card, on both sides.
pub struct PacketBench {
    /// The device.
    pub nic: Nic,
    /// Its function.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// The control half.
    pub control: Control<'static, Either, TestHal>,
    /// What a stack has.
    pub packets: Packets<'static, 'static, TestHal>,
}

impl PacketBench {
    /// A card that differs from the plain one like this. What the driver keeps is leaked.
    pub fn new(change: impl FnOnce(&mut CardConfig)) -> Self {
        let mut config = CardConfig::default();
        change(&mut config);
        let mtu = config.mtu.map_or(NetFeatures::empty(), |_| NetFeatures::MTU);
        let nic = Nic::new([2, 0, 0, 0, 0, config.number]).with_features((config.features | mtu).bits());
        let nic = nic.with_config(|fields| fields.mtu = config.mtu.unwrap_or(0));
        let device = nic.builder().with_features(config.ring).msi_x(4).build();
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        let mut transport =
            Either::open_pci(claim(&device), &Mapper(device.clone())).expect("the function opens");
        if config.interrupts {
            transport.enable_msi_x(&(0..4).map(message).collect::<Vec<_>>()).expect("it has vectors");
        }
        let pool =
            FramePool::new(&hal, PoolEntries::allocate(config.buffers as u32), PoolSettings::default());
        let pool: &'static FramePool<'static, TestHal> = Box::leak(Box::new(pool.expect("there is memory")));
        let supply = pool.supply().expect("nobody else has it");
        let storage: &'static mut Storage<'static, TestHal, DESCRIPTORS> = Box::leak(Box::default());
        let settings =
            Settings { notifications: config.interrupts, drop_attempts: Attempts(5), ..Settings::default() };
        let wants = Wants::features(PLAIN | config.features);
        let slots = Slots::from(storage);
        let net = Net::start_with(transport, hal.clone(), slots, supply, &settings, wants, Attempts(10));
        let (control, receive, transmit) = net.expect("the card starts").split();
        let memory = || -> &'static mut [u8] { Box::leak(vec![0; config.packet_bytes].into()) };
        let memory = PacketMemory { received: memory(), transmitted: memory() };
        let packets = Packets::new(&control, receive, transmit, memory);
        Self { nic, device, hal, control, packets }
    }

    /// Has the card work.
    pub fn serve(&self) {
        self.nic.serve(&self.device, &self.hal.space);
    }

    /// Has the card work, and says what it was given to transmit.
    pub fn transmitted(&self) -> Vec<Transmitted> {
        self.serve();
        self.nic.take_transmitted()
    }

    /// Takes the driver down, which did nothing wrong: nothing but the pool is left.
    pub fn finish(self) {
        let Self { device, hal, control, packets, .. } = self;
        let down = control.take_down(Attempts(10)).expect("the device resets");
        let (receive, transmit) = packets.into_queues();
        drop(receive.reclaim(&down.reset).expect("its own reset"));
        drop(transmit.reclaim(&down.reset).expect("its own reset"));
        device.assert_driver_was_correct();
        assert_eq!(hal.dma_regions(), 1, "DMA memory is left allocated");
    }
}
