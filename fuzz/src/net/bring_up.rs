//! A network device comes up, if what it says of itself allows that.
//!
//! Spec: §5.1.5 Device Initialization. The first bytes of an input are what the device offers and how its driver is set; then its configuration, with some bytes changed.

use virtio_guest::device::net::{
    Control, ControlStorage, FramePool, HANDLED, PairStorage, PoolSettings, ReceiveQueue, Settings, Starting,
    TransmitQueue,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::raw::PoolStorage;
use virtio_guest::transport::mmio::MmioTransport;
use virtio_model::mmio::MmioDevice;
use virtio_model::net::Nic;
use virtio_test_hal::TestHal;

use super::commands;
use super::device::Device;
use super::receive::Life;
use super::world::{self, patience};
use crate::script::Script;

pub(crate) type Way = MmioTransport;
pub(crate) type Receive<'s> = ReceiveQueue<'s, TestHal>;
pub(crate) type Transmit<'s> = TransmitQueue<'s, TestHal>;

/// Buffers of frames.
const BUFFERS: usize = 32;
/// Descriptors of a queue.
const DESCRIPTORS: usize = 16;
/// The queues of a pair, and the one for commands, of a device with so many pairs.
const PAIRS: u16 = 2;

/// Ring features: events, indirect tables, packed rings, order.
const COMMON: [u32; 4] = [29, 28, 34, 35];
/// What changes what frames look like, and how they are spread.
const FRAMES: [u32; 16] = [0, 1, 7, 8, 11, 12, 15, 56, 54, 57, 61, 65, 66, 67, 68, 69];
/// What brings commands, and fields of the configuration.
const COMMANDS: [u32; 16] = [2, 3, 18, 19, 20, 21, 22, 23, 50, 51, 52, 53, 57, 60, 63, 64];
const CTRL_VQ: u128 = 1 << 17;
const MRG_RXBUF: u128 = 1 << 15;

fn chosen(bits: u16, features: &[u32]) -> u128 {
    let chosen = features.iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0);
    chosen.fold(0, |set, (_, feature)| set | 1 << feature)
}

/// A device that offers this, as its driver's bytes say; behind it, one with a legacy interface as well.
fn begin(mut script: Script, features: u128, common: u8, poked: u8) -> (TestHal, MmioTransport) {
    let nic = Nic::new([2, 0, 0, 0, 0, 9]).with_pairs(PAIRS).with_features(features | CTRL_VQ);
    let offered = nic.features() & !(1 << 28 | 1 << 29) | chosen(common.into(), &COMMON);
    // What it says of itself is sensible, but for some bytes.
    let mut config = nic.config().bytes();
    for _ in 0..poked % 4 {
        let at = usize::from(script.detail()) % config.len();
        config[at] = script.detail();
    }
    let word = |at: usize| u16::from_le_bytes([config[at], config[at + 1]]);
    let nic = nic.with_config(|kept| {
        kept.status = word(6);
        kept.max_virtqueue_pairs = word(8);
        kept.mtu = word(10);
        kept.speed = u32::from(word(12)) | u32::from(word(14)) << 16;
        kept.duplex = config[16];
        kept.rss_max_key_size = config[17];
        kept.rss_max_indirection_table_length = word(18);
        kept.supported_hash_types = u32::from(word(20)) | u32::from(word(22)) << 16;
        kept.supported_tunnel_types = u32::from(word(24)) | u32::from(word(26)) << 16;
    });
    let device = nic.builder().features(offered).config(config).build();
    let registers =
        if common & 0x80 == 0 { MmioDevice::new(device, 1) } else { MmioDevice::legacy(device, 1) };
    let is_legacy = common & 0x80 != 0;
    let begun = world::begin(script, Device::new(nic, registers));
    if is_legacy {
        begun.0.put_memory_at(1 << 32);
    }
    begun
}

/// Frames both ways, as `bytes` say. Panics if a promise is broken.
pub fn net_receive(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let [common, low, high, size] = [(); 4].map(|()| script.detail());
    let features = chosen(u16::from_le_bytes([low, high]), &FRAMES);
    let (hal, transport) = begin(script, features, common, 0);
    live(&hal, transport, size, |control, queues, count| Life::new(control, queues, count).run());
    world::end();
}

/// Commands and what the device says of itself, as `bytes` say. Panics if a promise is broken.
pub fn net_control(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let [common, low, high, poked] = [(); 4].map(|()| script.detail());
    let features = chosen(u16::from_le_bytes([low, high]), &COMMANDS) | chosen(poked.into(), &FRAMES[..2]);
    let (hal, transport) = begin(script, features, common, poked >> 2);
    live(&hal, transport, poked, |control, queues, _| commands::run(control, queues));
    world::end();
}

/// What lives once the driver is up: control half, queues of each pair, buffers of each pool.
type Lives = for<'s> fn(Control<'s, Way, TestHal>, Vec<(Receive<'s>, Transmit<'s>)>, usize);

fn live(hal: &TestHal, transport: MmioTransport, size: u8, lives: Lives) {
    // A frame that is not spread over several chains takes one that is large enough.
    let is_merging = world::with(|world| world.device.nic.features() & MRG_RXBUF != 0);
    let sizes = if is_merging { [64, 128, 256, 2048] } else { [256, 1600, 1600, 2048] };
    let buffer_bytes = sizes[usize::from(size) % 4];
    let mut entries = [const { PoolStorage::<BUFFERS>::new() }; PAIRS as usize];
    let pools = entries.each_mut().map(|entries| {
        FramePool::new(hal, entries, PoolSettings { buffer_bytes }).expect("memory for frames")
    });
    let mut storage = [const { PairStorage::<TestHal, DESCRIPTORS>::new() }; PAIRS as usize];
    let mut control = ControlStorage::<DESCRIPTORS>::new();
    let settings = Settings {
        pairs_max: 1 + u16::from(size >> 2 & 1),
        queue_size_max: 4 << (size >> 3 & 3),
        notifications: size & 0x20 != 0,
        control_bytes: 128 << (size >> 6),
        drop_attempts: Attempts(3),
    };
    let wants = Wants::features(HANDLED);
    let Ok(mut starting) = Starting::begin(transport, &settings, wants, patience(4)) else { return };
    let mut idle = Vec::new();
    for (storage, pool) in storage.iter_mut().zip(&pools).take(starting.pairs().into()) {
        let supply = pool.supply().expect("nobody has it yet");
        match starting.install_pair(hal, storage, supply) {
            Ok(pair) => idle.push(pair),
            Err(_) => break,
        }
    }
    let has_control = starting.install_control(hal, &mut control).is_ok();
    if idle.is_empty() || !has_control && size & 0x80 != 0 {
        let reset = starting.give_up(patience(4)).expect("a device that resets at once");
        for pair in idle {
            assert!(pair.reclaim(&reset).is_ok(), "the pair's own reset");
        }
        return;
    }
    let control = starting.start();
    let queues = idle.into_iter().map(|pair| control.activate(pair)).collect();
    lives(control, queues, BUFFERS);
}
