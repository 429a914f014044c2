//! Everything around the driver, in one place that its hooks can find: the script, memory, the device; and the stand-in under shared memory.
//!
//! Spec: §2.6 (the device may write at any time). Whoever is inside of [`with`] must not call the driver, which comes back here.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use virtio_guest::raw::stand_in::{self, StandIn};

use crate::device::Device;
use crate::memory::Memory;
use crate::script::Script;
use crate::witness::Witness;

/// Decisions below this one: as many more loads are left alone.
const STEPS_FROM: u8 = 0x40;
/// Decisions below this one, and from [`STEPS_FROM`] on: the device does something honest. All others are lies.
const LIES_FROM: u8 = 0x80;

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// See the module's head.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) script: Script,
    pub(crate) memory: Memory,
    pub(crate) device: Device,
    pub(crate) witness: Witness,
    /// Loads and stores that the driver may still make in the call that it is in.
    pub(crate) budget: Budget,
    /// Loads that are left alone before the next decision.
    loads_left_alone: u8,
}

/// How many accesses to shared memory a call may make.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    pub(crate) loads: usize,
    pub(crate) stores: usize,
}

/// Lets `work` at the world.
pub(crate) fn with<R>(work: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(work)
}

/// A new world, for a new life.
pub(crate) fn begin(script: Script, device: Device) {
    stand_in::install(&Hook);
    with(|world| *world = World { script, device, ..World::default() });
}

/// Calls the driver, which may make so many loads and stores and no more.
pub(crate) fn within<R>(loads: usize, stores: usize, call: impl FnOnce() -> R) -> R {
    with(|world| {
        world.budget = Budget { loads, stores };
        world.witness.begin_call();
    });
    let result = call();
    with(|world| world.budget = Budget::default());
    result
}

impl World {
    /// A load of the driver's. `true` if `word` is the answer; else the answer is what is there.
    fn load(&mut self, place: NonNull<u8>, word: &mut [u8]) -> bool {
        let is_answered = self.before_load(place, word);
        if let Some(address) = self.memory.device_address(place) {
            if !is_answered {
                self.memory.hal.space.read(address, word).expect("DMA memory is readable");
            }
            self.witness.loaded(address, word);
        }
        is_answered
    }

    /// What the device does before a load. `true` if the word is to be what it made of it, and not what is there.
    fn before_load(&mut self, place: NonNull<u8>, word: &mut [u8]) -> bool {
        if let Some(left) = self.loads_left_alone.checked_sub(1) {
            self.loads_left_alone = left;
            return false;
        }
        match self.script.decision() {
            decision @ 0..STEPS_FROM => self.loads_left_alone = decision,
            decision @ STEPS_FROM..LIES_FROM => self.device.step(decision - STEPS_FROM, &self.memory),
            decision => return self.lie(decision - LIES_FROM, place, word),
        }
        false
    }
}

/// Under all shared memory of the driver's.
struct Hook;

impl StandIn for Hook {
    fn share(&self, _: NonNull<u8>, _: usize) {}

    fn load(&self, place: NonNull<u8>, word: &mut [u8]) -> bool {
        with(|world| {
            let left = world.budget.loads.checked_sub(1);
            world.budget.loads = left.expect("the driver loads more often than this call may");
            world.load(place, word)
        })
    }

    fn store(&self, place: NonNull<u8>, word: &[u8]) -> bool {
        with(|world| {
            let left = world.budget.stores.checked_sub(1);
            world.budget.stores = left.expect("the driver stores more often than this call may");
            if let Some(address) = world.memory.device_address(place) {
                world.witness.stored(address, word);
            }
        });
        false
    }

    fn fence(&self, _: Ordering) -> bool {
        false
    }

    fn platform_barrier(&self, _: Ordering) -> bool {
        false
    }
}
