//! The life of a device that has no driver here: step by step up, queues of its own, and down from any rung.
//!
//! Spec: §3.1 Device Initialization, §2.4 Device Reset, §2.5, §2.6.1 Virtqueue Reset. Where a step's documentation says that it leaks what it was not asked to reset, it may.

use virtio_guest::lifecycle::{Config, Installing, Negotiating, ResetQueue, Running, Wants};
use virtio_guest::raw::{ConfirmedReset, Tag};
use virtio_guest::ring::{Chain, InstalledQueue, Portion, QueueSettings, Slots, Virtqueue};
use virtio_guest::transport::Transport;
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::features::CommonFeatures;
use virtio_guest::wire::field::Field;

use super::costs::{
    ACKNOWLEDGE, BEGIN, DROP_PATIENCE, END, INSTALL, NEGOTIATE, PATIENCE, RESET_QUEUE, STATUS, STEP, config,
    route,
};
use super::device::QUEUES;
use super::memory::WatchedHal;
use super::world::{self, within};

const SETTINGS: QueueSettings = QueueSettings { size_max: 32, indirect_segments: 4, memory_bytes: 64 };

type Queue = Virtqueue<'static, WatchedHal, Tag<u32>>;
type Installed = InstalledQueue<'static, WatchedHal, Tag<u32>>;
/// Blocks' features stand for those of any device.
type Features = BlockFeatures;

/// Lives once. What the driver is like is in `kind`, beside its lowest bit.
pub(crate) fn live<T: Transport>(transport: &mut T, kind: u8) {
    let negotiating = within(BEGIN, || Negotiating::begin(transport, PATIENCE));
    let Ok(negotiating) = negotiating else { return };
    let negotiating = negotiating.with_drop_attempts(DROP_PATIENCE);
    read_config(&negotiating.config(), kind >> 4);
    let left_out = if kind & 2 != 0 { CommonFeatures::RING_PACKED } else { CommonFeatures::empty() };
    let wants = Wants::features(Features::all()).without(left_out);
    let agreed = within(NEGOTIATE, || negotiating.negotiate(wants));
    let Ok(mut device) = agreed else { return };

    if kind & 4 == 0 {
        within(route(QUEUES.into()), || device.route_vectors(QUEUES));
    }
    let _ = within(8, || device.write_config(Field::<u32>::at(u16::from(kind)), 1));
    let queues: Vec<_> = (0..QUEUES).filter_map(|index| install(&mut device, index)).collect();
    if kind & 8 != 0 {
        return match within(END, || device.reset(PATIENCE)) {
            Ok(reset) => queues.into_iter().for_each(|queue| take_back_installed(queue, &reset)),
            Err(_) => world::with(|world| world.memory.lose()),
        };
    }
    let device = within(STEP, || device.start());
    let queues = queues.into_iter().map(|queue| Some(device.activate(queue))).collect();
    run(device, queues);
}

fn install<T: Transport>(device: &mut Installing<T, Features>, index: u16) -> Option<Installed> {
    let size = within(3, || device.queue_size_max(index)).min(SETTINGS.size_max);
    let slots = Slots::allocate(size);
    within(INSTALL, || device.install_queue(index, &WatchedHal, &SETTINGS, slots)).ok()
}

fn take_back_installed(queue: Installed, reset: &ConfirmedReset) {
    queue.reclaim(reset).expect("the queue's own reset").for_each(drop);
}

/// Reads a field anywhere, of any width, or several.
fn read_config<T: Transport>(fields: &Config<'_, T>, kind: u8) {
    let offset = world::with(|world| u16::from(world.script.detail()));
    let offset = if kind & 8 == 0 { offset / 4 } else { offset << 8 };
    within(config(2), || match kind % 8 {
        0 => fields.read(Field::<u8>::at(offset)).is_ok(),
        1 => fields.read(Field::<u16>::at(offset)).is_ok(),
        2 => fields.read(Field::<u32>::at(offset)).is_ok(),
        3 => fields.read(Field::<u64>::at(offset)).is_ok(),
        _ => fields
            .read_together(|all| Ok((all.get(Field::<u64>::at(0))?, all.get(Field::<u16>::at(offset))?)))
            .is_ok(),
    });
}

fn run<T: Transport>(mut device: Running<T, Features>, mut queues: Vec<Option<Queue>>) {
    while let Some(step) = world::with(|world| world.script.step()) {
        let number = step >> 4;
        match step % 12 {
            0 | 1 => read_config(&device.config(), number),
            2 => {
                let _ = within(8, || device.write_config(Field::<u64>::at(8 * u16::from(number)), 1));
            }
            3 => {
                let _ = within(ACKNOWLEDGE, || device.acknowledge_interrupt());
                let _ = within(2 * STATUS, || (device.needs_reset(), device.is_removed()));
            }
            4 => {
                if let Some(line) = within(3, || device.use_interrupt_line()) {
                    let _ = within(ACKNOWLEDGE, || line.acknowledge());
                }
            }
            5..8 => use_queue(&mut queues, number),
            8 | 9 => device = reset_queue(device, &mut queues, number),
            _ => break,
        }
    }
    end(device, queues);
}

/// Has something for the device, and takes back what it is done with.
fn use_queue(queues: &mut [Option<Queue>], number: u8) {
    let Some(Some(queue)) = queues.get_mut(usize::from(number % 4)) else { return };
    let chain =
        Chain { readable: &[Portion { offset: 0, len: 16 }], writable: &[Portion { offset: 32, len: 8 }] };
    let _ = queue.make_available(chain, Tag(number.into()));
    within(1, || queue.publish());
    let _ = within(0, || queue.take_used());
    let _ = within(0, || queue.rearm());
}

/// Resets one queue, and installs it anew; or keeps it, if its device does not confirm.
#[allow(clippy::result_large_err, reason = "the queue itself comes back")]
fn reset_queue<T: Transport>(
    mut device: Running<T, Features>,
    queues: &mut [Option<Queue>],
    number: u8,
) -> Running<T, Features> {
    let Some(place) = queues.get_mut(usize::from(number % 4)) else { return device };
    let Some(queue) = place.take() else { return device };
    match within(RESET_QUEUE, || device.reset_queue(queue, PATIENCE)) {
        Err(failed) => *place = Some(failed.queue),
        Ok(ResetQueue { mut returned, vacancy }) => {
            returned.by_ref().for_each(drop);
            let slots = returned.into_slots();
            let again = within(INSTALL, || device.reinstall_queue(vacancy, &WatchedHal, &SETTINGS, slots));
            *place = again.ok();
        }
    }
    device
}

/// A reset, tried twice. A driver that is dropped after that loses its queues' memory, even if the drop's own reset succeeds.
fn end<T: Transport>(mut device: Running<T, Features>, queues: Vec<Option<Queue>>) {
    for _ in 0..2 {
        match within(END, || device.reset(PATIENCE)) {
            Ok((_, reset)) => {
                for queue in queues.into_iter().flatten() {
                    queue.reclaim(&reset).expect("the queue's own reset").for_each(drop);
                }
                return;
            }
            Err(failed) => device = failed.device,
        }
    }
    within(END, || drop(device));
    world::with(|world| world.memory.lose());
}
