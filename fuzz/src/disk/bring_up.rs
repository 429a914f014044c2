//! A disk comes up, if what it says of itself allows that.
//!
//! Spec: §3.1.1 Driver Requirements: Device Initialization, §5.2.5 Device Initialization. The first bytes of an input are what the disk offers and how its driver is set; then comes its configuration: a sensible one with some bytes changed,
//! or any 96 bytes.

use virtio_guest::device::block::{Settings, Starting, Storage, Waiters};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Signals, Wants};
use virtio_guest::wire::block::BlockFeatures;

use super::device::{CONFIG_BYTES, Device, QUEUES, SECTORS};
use super::life::Life;
use super::memory::{Load, WatchedHal};
use super::transport::Registers;
use super::world::{self, patience};
use crate::script::Script;

/// Descriptors that there is storage for in each queue.
const SLOTS: usize = 16;
/// Requests of tasks.
const WAITERS: usize = 4;

/// Ring features, one for each low bit of the first byte; the highest one is the disk's last own.
const COMMON: [u128; 6] = [1 << 29, 1 << 28, 1 << 34, 1 << 35, 1 << 38, 1 << 17];
const VERSION_1: u128 = 1 << 32;

/// Lives once, as `bytes` say. Panics if a promise is broken.
pub fn block(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let [common, low, high, sizes, kind, poked] = [(); 6].map(|()| script.detail());
    let own = (u128::from(low) | u128::from(high) << 8) << 1;
    let bits = (0u32..).zip(COMMON).filter(|(bit, _)| common & 1 << bit != 0);
    let offered = bits.fold(VERSION_1 | own, |all, (_, feature)| all | feature);
    let config = config(poked, &mut script);
    let mut device = Device::new(offered, config, sizes);
    device.config_is_sensible = poked % 8 == 0;
    world::begin(script, device);
    let is_reset = live(kind);
    world::with(|world| {
        if is_reset {
            world.memory.assert_all_returned();
        }
        world.memory.sweep();
    });
}

/// What the disk says of itself.
fn config(poked: u8, script: &mut Script) -> Vec<u8> {
    let mut config = vec![0; CONFIG_BYTES];
    config[..8].copy_from_slice(&SECTORS.to_le_bytes());
    config[8..12].copy_from_slice(&1024u32.to_le_bytes());
    config[12..16].copy_from_slice(&8u32.to_le_bytes());
    config[20..24].copy_from_slice(&512u32.to_le_bytes());
    config[32] = 1;
    config[34] = QUEUES as u8;
    // Ranges: 24 sectors, 2 of them; zones: 16 sectors, 4 open, 4 active, 2 appended, 512 bytes at a time, written in order.
    for at in [0x24, 0x30, 0x3c] {
        (config[at], config[at + 4]) = (24, 2);
    }
    for (at, value) in [(0x48, 16), (0x4c, 4), (0x50, 4), (0x54, 2), (0x59, 2), (0x5c, 1)] {
        config[at] = value;
    }
    if poked == u8::MAX {
        config.fill_with(|| script.detail());
    } else {
        for _ in 0..poked % 8 {
            let at = usize::from(script.detail()) % CONFIG_BYTES;
            config[at] = script.detail();
        }
    }
    config
}

/// Says whether the disk was reset in the end, and everything given back.
fn live(kind: u8) -> bool {
    let mut storage = [const { Storage::<SLOTS, Load>::for_buffers() }; QUEUES];
    let mut waiters = [const { Waiters::<WAITERS, Load>::new() }; 2];
    let signals = Signals::<QUEUES>::new();
    let settings = Settings {
        queues_max: 1 + u16::from(kind) % 3,
        request_bytes: 512 << (kind >> 2 & 3),
        notifications: kind & 0x10 == 0,
        data_segments: 1 + u16::from(kind >> 5 & 1),
        drop_attempts: Attempts(3),
        ..Settings::default()
    };
    if kind & 0x40 != 0 {
        world::with(|world| world.memory.hal.limit_allocations(usize::from(world.script.detail() % 8)));
    }
    let wants = Wants::features(BlockFeatures::all());
    let Ok(mut starting) = Starting::begin(Registers, &settings, wants, patience(4)) else { return true };
    assert!((1..=settings.queues_max).contains(&starting.queues()), "how many queues there are");
    let mut idle = Vec::new();
    for storage in &mut storage {
        match starting.install_queue::<_, Load>(&WatchedHal, storage) {
            Ok(queue) => idle.push(queue),
            Err(_) => break,
        }
    }
    if idle.is_empty() || kind & 0xa0 == 0xa0 {
        let Ok(reset) = starting.give_up(patience(4)) else { return false };
        for queue in idle {
            assert!(queue.reclaim(&reset).is_ok(), "the queue's own reset");
        }
        return true;
    }
    let control = starting.start();
    let queues = idle.into_iter().map(|queue| control.activate(queue)).collect();
    Life::new(control, queues, waiters.iter_mut().map(Into::into).collect(), &signals).run()
}
