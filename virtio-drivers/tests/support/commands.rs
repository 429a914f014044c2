//! A modelled network device, and a driver that sends it each command there is.

use virtio_guest::device::net::{
    Coalescing, Control, ControlError, ControlSlots, FramePool, GuestOffloads, HANDLED, HashTypes, PairSlots,
    PoolSettings, ReceiveQueue, RssConfig, Settings, StartError, Starting, StatisticsTypes, TransmitQueue,
    TunnelTypes,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolEntries;
use virtio_guest::transport::{Interface, Transport};
use virtio_guest::wire::net::NetFeatures;
use virtio_model::Nic;
use virtio_model::net::feature;
use virtio_model::pci::PciDevice;

use super::{Either, Mapper, TestHal, claim, message};

const IN_ORDER: u128 = 1 << 35;
const RING_PACKED: u128 = 1 << 34;

/// The address that the device has.
pub const ADDRESS: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/// Pairs that the device has.
pub const PAIRS: u16 = 3;

/// A key as long as the device takes.
pub const KEY: [u8; 40] = [0x6d; 40];

/// Features by which there are commands, and those that some commands set.
pub const FEATURES: [u32; 30] = [
    feature::CTRL_VQ,
    feature::CTRL_RX,
    feature::CTRL_RX_EXTRA,
    feature::CTRL_VLAN,
    feature::CTRL_MAC_ADDR,
    feature::CTRL_GUEST_OFFLOADS,
    feature::GUEST_ANNOUNCE,
    feature::MQ,
    feature::RSS,
    feature::RSS_CONTEXT,
    feature::HASH_REPORT,
    feature::HASH_TUNNEL,
    feature::NOTF_COAL,
    feature::VQ_NOTF_COAL,
    feature::DEVICE_STATS,
    feature::MRG_RXBUF,
    feature::CSUM,
    feature::HOST_TSO4,
    feature::GUEST_CSUM,
    feature::GUEST_TSO4,
    feature::GUEST_TSO6,
    feature::GUEST_ECN,
    feature::GUEST_UFO,
    feature::GUEST_USO4,
    feature::GUEST_USO6,
    feature::GUEST_UDP_TUNNEL_GSO,
    feature::GUEST_UDP_TUNNEL_GSO_CSUM,
    feature::SPEED_DUPLEX,
    feature::MTU,
    feature::STANDBY,
];

/// What a driver is made of.
pub type Card = Control<'static, Either, TestHal>;

/// A way to wait.
pub type Waiting<'w> = &'w mut dyn FnMut() -> bool;

/// A command, under a name.
pub type Ask = (&'static str, fn(&mut Card, Waiting<'_>) -> Result<(), ControlError>);

/// A network device, and its driver.
pub struct CommandBench {
    /// The device.
    pub nic: Nic,
    /// Its function.
    pub device: PciDevice,
    /// Memory.
    pub hal: TestHal,
    /// The control half.
    pub card: Card,
    /// The other half.
    pub pairs: Vec<(ReceiveQueue<'static, TestHal>, TransmitQueue<'static, TestHal>)>,
}

/// Bits by their numbers.
pub fn bits(features: &[u32]) -> u128 {
    features.iter().fold(0, |set, feature| set | 1 << feature)
}

/// A device that knows all commands.
pub fn nic() -> Nic {
    Nic::new(ADDRESS).with_pairs(PAIRS).with_rss_contexts(2).with_features(bits(&FEATURES))
}

/// Steering by all hashes to two pairs.
pub fn rss() -> RssConfig<'static> {
    RssConfig {
        hash_types: HashTypes::all(),
        table: &[0, 1, 1, 0],
        unclassified_queue: 1,
        max_transmit_queues: 2,
        key: &KEY,
    }
}

/// One command for each that there is, which an honest device carries out.
pub const COMMANDS: [Ask; 23] = [
    ("promiscuous", |card, wait| card.set_promiscuous(true, wait)),
    ("all multicast", |card, wait| card.set_all_multicast(true, wait)),
    ("all unicast", |card, wait| card.set_all_unicast(true, wait)),
    ("no multicast", |card, wait| card.set_no_multicast(true, wait)),
    ("no unicast", |card, wait| card.set_no_unicast(true, wait)),
    ("no broadcast", |card, wait| card.set_no_broadcast(true, wait)),
    ("address table", |card, wait| card.set_mac_table(&[[2; 6]], &[[3; 6], [5; 6]], wait)),
    ("address", |card, wait| card.set_mac([2, 0, 0, 0, 0, 9], wait)),
    ("VLAN added", |card, wait| card.add_vlan(7, wait)),
    ("VLAN removed", |card, wait| card.remove_vlan(7, wait)),
    ("announcement", |card, wait| card.acknowledge_announce(wait)),
    ("pairs", |card, wait| card.set_pairs(2, wait)),
    ("offloads", |card, wait| card.set_guest_offloads(GuestOffloads::CSUM, wait)),
    ("hash", |card, wait| card.set_hash(HashTypes::IPV4, &KEY, wait)),
    ("tunnels", |card, wait| card.set_hash_tunnels(TunnelTypes::VXLAN, wait)),
    ("steering", |card, wait| card.set_rss(&rss(), wait)),
    ("receive coalescing", |card, wait| card.set_receive_coalescing(COALESCING, wait)),
    ("transmit coalescing", |card, wait| card.set_transmit_coalescing(COALESCING, wait)),
    ("coalescing of a queue", |card, wait| card.set_queue_coalescing(1, COALESCING, wait)),
    ("coalescing asked for", |card, wait| card.queue_coalescing(1, wait).map(drop)),
    ("types of counters", |card, wait| card.statistics_supported(wait).map(drop)),
    ("counters", |card, wait| card.statistics(0, StatisticsTypes::RX_BASIC, wait).map(drop)),
    ("contexts", |card, wait| card.add_rss_context(1, &rss(), wait)),
];

/// All of them. Under miri, which is slow, one in four: the last is among them.
pub fn commands() -> impl Iterator<Item = Ask> {
    COMMANDS.into_iter().skip(if cfg!(miri) { 2 } else { 0 }).step_by(if cfg!(miri) { 4 } else { 1 })
}

/// Some gathering of notifications.
pub const COALESCING: Coalescing = Coalescing { max_packets: 0x0102_0304, max_microseconds: 0x0506_0708 };

impl CommandBench {
    /// This device with each kind of ring. Under miri, which is slow, with the last.
    pub fn each(make: impl Fn() -> Nic) -> impl Iterator<Item = Self> {
        let rings = [0, IN_ORDER, IN_ORDER | RING_PACKED, RING_PACKED];
        rings.into_iter().skip(if cfg!(miri) { 3 } else { 0 }).map(move |ring| {
            let nic = make();
            let device = nic.builder().with_features(ring).build();
            Self::start(nic, device, 0, |_| {})
        })
    }

    /// This device with each kind of ring whose device may return chains in any order.
    pub fn in_any_order(make: impl Fn() -> Nic) -> impl Iterator<Item = Self> {
        Self::each(make).filter(|bench| bench.device.negotiated_features() & IN_ORDER == 0)
    }

    /// This device through its legacy interface.
    pub fn legacy(nic: Nic) -> Self {
        let device = nic.builder().device_id(0x1000).legacy().build();
        Self::start(nic, device, 0, |_| {})
    }

    /// This device with a split ring, and other settings.
    pub fn with_settings(nic: Nic, change: impl FnOnce(&mut Settings)) -> Self {
        let device = nic.builder().build();
        Self::start(nic, device, 0, change)
    }

    /// This device, so many messages and other settings; with a pair of queues for each that the device has.
    pub fn start(nic: Nic, device: PciDevice, messages: u32, change: impl FnOnce(&mut Settings)) -> Self {
        Self::try_start(nic, device, messages, change).expect("the device starts")
    }

    /// The same, if it starts.
    pub fn try_start(
        nic: Nic,
        device: PciDevice,
        messages: u32,
        change: impl FnOnce(&mut Settings),
    ) -> Result<Self, StartError> {
        let hal = TestHal::default();
        hal.put_memory_at(0x7_0000_0000);
        let mut transport =
            Either::open_pci(claim(&device), &Mapper(device.clone())).expect("the function opens");
        if messages > 0 {
            transport.enable_msi_x(&(0..messages).map(message).collect::<Vec<_>>()).expect("it has vectors");
        }
        // Under miri, which is slow, with short queues where the driver chooses.
        let is_short = cfg!(miri) && transport.interface() == Interface::Modern;
        let (descriptors, buffers) = if is_short { (8, 10) } else { (16, 20) };
        let mut settings = Settings { pairs_max: PAIRS, drop_attempts: Attempts(5), ..Settings::default() };
        change(&mut settings);
        let mut starting = Starting::begin(transport, &settings, Wants::features(HANDLED), Attempts(10))?;
        let mut pairs = Vec::new();
        for _ in 0..starting.pairs() {
            let pool = FramePool::new(&hal, PoolEntries::allocate(buffers), PoolSettings::default());
            let pool: &'static FramePool<'static, TestHal> =
                Box::leak(Box::new(pool.expect("there is memory")));
            let supply = pool.supply().expect("nobody else has it");
            pairs.push(starting.install_pair(&hal, PairSlots::allocate(descriptors), supply)?);
        }
        if starting.features().contains(NetFeatures::CTRL_VQ) {
            starting.install_control(&hal, ControlSlots::allocate(16)).map_err(|failed| failed.error)?;
        }
        let card = starting.start();
        let pairs = pairs.into_iter().map(|pair| card.activate(pair)).collect();
        Ok(Self { nic, device, hal, card, pairs })
    }

    /// Sends a command, while the device works.
    pub fn ask<R>(&mut self, ask: impl FnOnce(&mut Card, Waiting<'_>) -> R) -> R {
        let Self { nic, device, hal, card, .. } = self;
        let mut rounds = 4;
        ask(card, &mut || {
            nic.serve(device, &hal.space);
            rounds -= 1;
            rounds > 0
        })
    }

    /// Sends a command that the driver keeps for itself: says what becomes of it.
    pub fn unasked<R>(&mut self, ask: impl FnOnce(&mut Card, Waiting<'_>) -> R) -> R {
        self.nic.take_commands();
        let result = self.ask(ask);
        assert_eq!(self.nic.take_commands(), [], "the device was asked");
        result
    }

    /// Takes the driver down: nothing but pools is left.
    pub fn end(self) -> (Nic, PciDevice) {
        let Self { nic, device, hal, card, pairs } = self;
        let down = card.take_down(Attempts(10)).expect("the device resets");
        assert_eq!(down.handlers, Ok(()));
        let pools = pairs.len();
        for (receive, transmit) in pairs {
            drop(receive.reclaim(&down.reset).expect("its own reset"));
            drop(transmit.reclaim(&down.reset).expect("its own reset"));
        }
        assert_eq!(hal.dma_regions(), pools, "DMA memory is left allocated");
        (nic, device)
    }

    /// The same, of a driver that did nothing wrong.
    pub fn finish(self) {
        let (_, device) = self.end();
        device.assert_driver_was_correct();
    }
}
