//! A program that is linked and never run: it links only if no panic can be reached from what it calls.
//!
//! Its panic handler calls a function that does not exist. Where the compiler can show that nothing panics, the handler is dropped, and nobody misses the
//! function; where it cannot, the linker says that `a_panic_can_be_reached` is undefined, and from where.
//!
//! What is called: a queue in every layout and order, from its bring-up on: chains direct and indirect, publish, take used, suppress, re-arm, the reset of the queue and
//! of the device. The device (`device.rs`) answers whatever is in memory that the compiler knows nothing about.

#![no_std]
#![no_main]

mod device;

use core::hint::black_box;
use core::iter;

use device::{AnyDevice, AnyMemory};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::{Negotiating, Wants};
use virtio_guest::raw::{MappedBuffer, Tag};
use virtio_guest::ring::{Chain, Portion, QueueSettings, Slots, Storage, Virtqueue};

unsafe extern "C" {
    safe fn a_panic_can_be_reached() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    a_panic_can_be_reached()
}

/// A context and, perhaps, a buffer.
type Payload = (Tag<u64>, Option<MappedBuffer<AnyMemory, device::Page>>);

/// Where the linker begins.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut small = Storage::<Payload, 7>::new();
    let mut large = Storage::<Payload, 64>::new();
    // Of a size that the compiler cannot know.
    live(if black_box(true) { (&mut small).into() } else { (&mut large).into() });
    loop {
        core::hint::spin_loop();
    }
}

/// One life of a device.
fn live(storage: Slots<'_, Payload>) -> Option<()> {
    let settings = QueueSettings {
        size_max: black_box(64),
        indirect_segments: black_box(8),
        memory_bytes: black_box(4096),
    };
    let mut device = Negotiating::begin(AnyDevice, Attempts(black_box(10)))
        .ok()?
        .negotiate(Wants::<device::Features>::none())
        .ok()?;
    let queue = device.install_queue(0, &AnyMemory, &settings, storage).ok()?;
    let mut running = device.start();
    let mut queue = running.activate(queue);
    work(&mut queue);

    let reset = running.reset_queue(queue, Attempts(black_box(10))).ok()?;
    let slots = reset.returned.into_slots();
    let mut queue = running.reinstall_queue(reset.vacancy, &AnyMemory, &settings, slots).ok()?;
    work(&mut queue);

    let (_, reset) = running.reset(Attempts(black_box(10))).ok()?;
    queue.reclaim(&reset).ok()?.for_each(|payload| drop(black_box(payload)));
    Some(())
}

/// Everything that a data path does.
fn work(queue: &mut Virtqueue<'_, AnyMemory, Payload>) {
    let portion = Portion { offset: black_box(0), len: black_box(16) };
    let portions = [portion; 3];
    let some = portions.get(..black_box(2)).unwrap_or_default();
    let chain = Chain { readable: some, writable: some };
    while black_box(true) {
        let buffer = device::page();
        drop(black_box(queue.make_available(chain, (Tag(black_box(7)), buffer))));
        let chains = iter::from_fn(|| black_box(true).then(|| (chain, (Tag(black_box(7)), device::page()))));
        drop(black_box(queue.make_available_burst(chains)));
        black_box(queue.publish());
        drop(black_box(queue.take_used()));
        let _ = black_box(queue.take_used_burst(black_box(32), |used| {
            if cfg!(feature = "reachable-panic") {
                black_box(black_box([0; 4])[used.written_len as usize]);
            }
            drop(black_box(used));
        }));
        queue.suppress_notifications();
        let _ = black_box((queue.rearm(), queue.rearm_delayed(black_box(5))));
        let mut bytes = [0; 16];
        let _ = black_box(queue.read_memory(black_box(3), &mut bytes));
        let _ = black_box(queue.write_memory(black_box(3), &bytes));
        black_box((queue.statistics(), queue.active_path(), queue.broken()));
    }
}
