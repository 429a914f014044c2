//! Everything around the driver, in one place that its hooks can find: the script, memory, the device, its windows.
//!
//! Spec: §2.1 to §2.5. Whoever is inside of [`with`] must not call the driver, which comes back here.

use std::cell::RefCell;

use super::device::Device;
use super::function::Function;
use super::memory::Memory;
use super::segment::Segment;
use super::windows::Window;
use crate::script::Script;

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// See the module's head.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) script: Script,
    pub(crate) memory: Memory,
    pub(crate) device: Device,
    pub(crate) function: Function,
    pub(crate) segment: Segment,
    pub(crate) windows: Vec<Window>,
    /// Whether an answer was anything but honest.
    pub(crate) has_lied: bool,
    /// Answers that are left honest before the next decision.
    pub(crate) answers_left_alone: u8,
    /// Accesses that the driver may still make in the call that it is in: to registers and to configuration space.
    accesses_left: usize,
}

/// Lets `work` at the world.
pub(crate) fn with<R>(work: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(work)
}

/// A new world.
pub(crate) fn begin(script: Script, device: Device) {
    with(|world| *world = World { script, device, ..World::default() });
}

/// The end of the world: nothing is left allocated, so that a fuzzer can run for days.
pub(crate) fn end() {
    with(|world| world.memory.sweep());
}

/// Calls the driver, which may make so many accesses and no more; between calls it makes none.
pub(crate) fn within<R>(accesses: usize, call: impl FnOnce() -> R) -> R {
    with(|world| world.accesses_left = accesses);
    let result = call();
    with(|world| world.accesses_left = 0);
    result
}

impl World {
    /// An access of the driver's.
    pub(crate) fn spend(&mut self) {
        let left = self.accesses_left.checked_sub(1);
        self.accesses_left = left.expect("the driver makes more accesses than this call may");
    }
}
