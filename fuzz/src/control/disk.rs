//! The life of a disk's driver: bring-up, requests, its end; whatever the registers read.
//!
//! Spec: §5.2 Block Device, §2.4 Device Reset. Nothing may be left of a driver that is gone, unless the device may still use it.

use virtio_guest::device::block::{Block, Closed, Sector, Settings, StartError, Storage};
use virtio_guest::lifecycle::{ConfigError, NegotiateError, Wants};
use virtio_guest::transport::Transport;
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::features::CommonFeatures;

use super::costs::{ACKNOWLEDGE, DROP_PATIENCE, END, PATIENCE, START_DISK, config, requests};
use super::memory::WatchedHal;
use super::world::{self, within};

/// Descriptors that there is storage for, and so requests that may be in flight.
const SLOTS: usize = 16;
const SECTOR_BYTES: usize = 512;
/// Bytes are copied one by one: more of them take time and find nothing.
const SECTORS_MAX: usize = 3;

type Disk<'s, T> = Block<'s, T, WatchedHal>;

/// Lives once. What the driver is like is in `kind`, beside its lowest bit.
pub(crate) fn live(transport: &mut impl Transport, kind: u8) {
    let mut storage = Storage::<SLOTS>::new();
    let settings = Settings {
        request_bytes: 512 << (kind >> 1 & 3).min(1),
        notifications: kind & 8 == 0,
        drop_attempts: DROP_PATIENCE,
        ..Settings::default()
    };
    let mut wants = Wants::features(BlockFeatures::all());
    if kind & 16 != 0 {
        wants = wants.without(CommonFeatures::RING_PACKED | CommonFeatures::INDIRECT_DESC);
    }
    if kind >= 0xe0 {
        world::with(|world| world.memory.hal.limit_allocations(usize::from(kind % 4)));
    }
    let started = within(START_DISK, || {
        Disk::start_with(transport, WatchedHal, &mut storage, &settings, wants, PATIENCE)
    });
    match started {
        Ok(disk) => run(disk),
        Err(failed) => {
            let is_possible = has_lied() || !blames_the_device(&failed.error);
            assert!(is_possible, "a device that never lied: {}", failed.error);
        }
    }
}

fn has_lied() -> bool {
    world::with(|world| world.has_lied)
}

/// The device did not do what any device does, if it is honest.
const fn blames_the_device(error: &StartError) -> bool {
    matches!(
        error,
        StartError::Reset(_)
            | StartError::Negotiate(NegotiateError::Refused { .. })
            | StartError::Config(ConfigError::Unstable)
    )
}

#[allow(clippy::result_large_err, reason = "the driver itself comes back")]
fn run<T: Transport>(mut disk: Disk<'_, T>) {
    let mut bytes = [0xa5; SECTORS_MAX * SECTOR_BYTES];
    let mut is_closing = false;
    while let Some(step) = world::with(|world| world.script.step()) {
        let number = usize::from(step >> 4);
        let sectors = 1 + number % SECTORS_MAX;
        let (sector, part) = (Sector(number as u64), &mut bytes[..sectors * SECTOR_BYTES]);
        match step % 16 {
            0..3 => {
                let _ = within(requests(sectors, SLOTS), || disk.read_blocking(sector, part, PATIENCE));
            }
            3..6 => {
                let _ = within(requests(sectors, SLOTS), || disk.write_blocking(sector, part, PATIENCE));
            }
            6 => {
                let _ = within(requests(1, SLOTS), || disk.flush_blocking(PATIENCE));
            }
            7 => {
                let id = within(requests(1, SLOTS), || disk.device_id_blocking(PATIENCE));
                let _ = id.map(|id| id.to_string());
            }
            // Reading the configuration looks at the status, too: where that is 0 by then, nobody takes it for the end of a reset that was given up.
            8 if !is_closing => {
                let known = disk.capacity_sectors();
                let read = within(config(1), || disk.refresh_capacity_sectors());
                assert_eq!(disk.capacity_sectors(), read.unwrap_or(known));
            }
            9 => {
                let _ = within(ACKNOWLEDGE, || disk.acknowledge_interrupt());
            }
            10 => {
                if let Some(line) = within(LINE, || disk.use_interrupt_line()) {
                    let _ = within(ACKNOWLEDGE, || line.acknowledge());
                }
            }
            11 => {
                let _ = within(0, || (disk.active_paths(), disk.statistics(), disk.block_bytes()));
            }
            12 | 13 => match within(END, || disk.close(PATIENCE)) {
                Ok(Closed { storage, .. }) => return drop(storage),
                Err(failed) => {
                    assert!(has_lied(), "a device that never lied: {}", failed.error);
                    (disk, is_closing) = (failed.disk, true);
                }
            },
            8 => {}
            _ => break,
        }
    }
    within(END, || drop(disk));
}

/// The interrupt pin, and the command register twice.
const LINE: usize = 3;
