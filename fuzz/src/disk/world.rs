//! Everything around the driver, in one place that platform and transport can find: the script, memory, the disk.
//!
//! Spec: §2.6. Whoever is inside of [`with`] must not call the driver, which comes back here.

use std::cell::RefCell;

use super::device::Device;
use super::memory::Memory;
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
}

/// Lets `work` at the world.
pub(crate) fn with<R>(work: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(work)
}

/// A new world.
pub(crate) fn begin(script: Script, device: Device) {
    with(|world| *world = World { script, device, ..World::default() });
}

/// The next step of the driver's; `None` if the script is over.
pub(crate) fn step() -> Option<u8> {
    with(|world| world.script.step())
}

/// A byte that says more about a step.
pub(crate) fn detail() -> u8 {
    with(|world| world.script.detail())
}

/// The disk does something, as the next decision says.
pub(crate) fn act() {
    with(|world| {
        let World { script, memory, device } = world;
        let decision = script.decision();
        device.act(decision, script, memory);
    });
}

/// Whether the disk has kept to the specification until now.
pub(crate) fn is_honest() -> bool {
    with(|world| world.device.is_honest)
}

/// Patience for so many looks, before each of which the disk may do something.
pub(crate) fn patience(mut looks: usize) -> impl FnMut() -> bool {
    move || {
        act();
        looks = looks.saturating_sub(1);
        looks > 0
    }
}
