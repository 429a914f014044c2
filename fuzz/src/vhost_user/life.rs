//! The front-end: what a driver and its owner do.

use std::path::Path;
use std::time::{Duration, Instant};

use virtio_guest::device::block::{self, Block, CacheMode, HANDLED, Storage};
use virtio_guest::device::net::PLAIN;
use virtio_guest::hal::{AccessWidth, Attempts, Patience};
use virtio_guest::lifecycle::{Negotiating, Wants};
use virtio_guest::raw::Tag;
use virtio_guest::ring::{QueueSettings, Slots};
use virtio_guest::transport::Transport;
use virtio_guest::wire::device_type::DeviceType;
use virtio_guest::wire::net::config::STATUS;
use virtio_guest::wire::status::Status;
use virtio_user::memory::SharedMemory;
use virtio_user::{Settings, VhostUser};

use super::{detail, step};

/// How long an answer may take: little, since some never come.
const ANSWER_LIMIT: Duration = Duration::from_millis(50);
/// How long a back-end may take to hang up that knows that nobody listens.
const HANG_UP_LIMIT: Duration = Duration::from_secs(5);
/// How often a device that is to come up is looked at: one that is gone stays so.
const BEGIN_ATTEMPTS: Attempts = Attempts(10);
/// Most lives of drivers in one of the fuzzer's.
const DRIVERS_MAX: usize = 6;
/// How often a drop looks whether it did.
const DROP_ATTEMPTS: Attempts = Attempts(5_000_000);

fn until_it_hangs_up() -> impl Patience {
    let start = Instant::now();
    move || start.elapsed() < HANG_UP_LIMIT
}

/// One life.
pub(super) fn live(path: &Path, memory: &SharedMemory) {
    let kind = detail();
    let device_type = match kind % 8 {
        1 | 2 => DeviceType::NETWORK,
        3 => DeviceType(26),
        _ => DeviceType::BLOCK,
    };
    let settings = Settings {
        answer_limit: ANSWER_LIMIT,
        interrupts: kind & 16 == 0,
        queues_max: 2,
        queue_size_max: 16,
        mtu: (kind & 32 != 0).then_some(1500),
        trusts_device_type: kind & 64 == 0,
        ..Settings::default()
    };
    let Ok(mut transport) = VhostUser::connect(path, device_type, memory, &settings) else { return };
    let link = transport.link();
    let vectors = [transport.vector(0), transport.vector(1)];
    let mut drivers = 0;
    while let Some(next) = step() {
        match next % 12 {
            0 | 1 if drivers < DRIVERS_MAX => {
                drivers += 1;
                if device_type == DeviceType::NETWORK {
                    card(&mut transport, memory);
                } else {
                    disk(&mut transport, memory);
                }
            }
            2 => _ = transport.read_config(detail().into(), AccessWidth::Long),
            3 => transport.write_config(detail().into(), AccessWidth::Byte, detail().into()),
            4 => _ = transport.config_generation(),
            5 | 6 => {
                for vector in vectors.iter().flatten() {
                    if vector.wait(Duration::ZERO).expect("it polls") {
                        vector.acknowledge();
                    }
                }
            }
            7 => reset(&mut transport),
            8 => {
                reset(&mut transport);
                let _ = transport.reconnect();
            }
            9 => {
                let is_up = link.is_up();
                assert!(is_up || link.fault().is_some(), "who is gone has a reason");
            }
            10 => transport.set_status(Status::from_bits_retain(detail() | 1)),
            _ => _ = transport.status(),
        }
    }
    reset(&mut transport);
}

/// Resets the device, or sees it hang up.
fn reset(transport: &mut VhostUser) {
    let mut patience = until_it_hangs_up();
    transport.set_status(Status::empty());
    // One that is gone, and has nothing, says that there is no device.
    while !transport.status().is_empty() && transport.link().is_up() {
        assert!(patience.keep_waiting(), "a device that is there lets itself be reset");
    }
}

fn disk(transport: &mut VhostUser, memory: &SharedMemory) {
    let mut storage = Storage::<16>::new();
    let settings =
        block::Settings { drop_attempts: DROP_ATTEMPTS, notifications: true, ..Default::default() };
    let wants = Wants::features(HANDLED);
    let hal = memory.hal();
    let Ok(mut disk) =
        Block::start_with(&mut *transport, hal, &mut storage, &settings, wants, BEGIN_ATTEMPTS)
    else {
        return;
    };
    for _ in 0..detail() % 4 {
        match detail() % 4 {
            0 => _ = disk.control().set_cache_mode(CacheMode::WriteBack),
            1 => _ = disk.refresh_capacity_sectors(),
            2 => _ = disk.control().condition(),
            _ => _ = disk.read_blocking(block::Sector(0), &mut [0; 512], Attempts(3)),
        }
    }
    let closed = disk.close(until_it_hangs_up());
    assert!(closed.is_ok(), "who hangs up is reset");
}

/// A card's queues, without the driver of cards: that leaks a pair's first queue if its second cannot be installed.
fn card(transport: &mut VhostUser, memory: &SharedMemory) {
    let hal = memory.hal();
    let Ok(found) = Negotiating::begin(&mut *transport, BEGIN_ATTEMPTS) else { return };
    let Ok(mut device) = found.negotiate(Wants::features(PLAIN)) else { return };
    device.route_vectors(4);
    let settings = QueueSettings { size_max: 16, indirect_segments: 1, memory_bytes: 64 };
    let install = |index| device.install_queue::<_, Tag<()>>(index, &hal, &settings, Slots::allocate(16));
    let queues: Vec<_> = (0..5).map(install).map_while(Result::ok).collect();
    let device = device.start();
    for _ in 0..detail() % 4 {
        match detail() % 3 {
            0 => _ = device.config().read(STATUS),
            1 => _ = device.needs_reset(),
            _ => _ = device.is_removed(),
        }
    }
    let reset = device.reset(until_it_hangs_up());
    let (_, reset) = reset.unwrap_or_else(|failed| panic!("who hangs up is reset: {failed}"));
    for queue in queues {
        assert!(queue.reclaim(&reset).is_ok(), "the queue is this device's");
    }
}
