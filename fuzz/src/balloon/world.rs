//! Everything around the driver, in one place that registers and patience can find: the script, memory, the device.
//!
//! Spec: §4.2 Virtio Over MMIO. Whoever is inside of [`with`] must not call the driver, which comes back here.

use std::cell::RefCell;

use virtio_guest::hal::{AccessWidth, MapMmio, RegisterHandler, RegisterWindow};
use virtio_guest::raw::Registers;
use virtio_guest::transport::mmio::MmioTransport;
use virtio_test_hal::TestHal;

use super::device::Device;
use crate::script::Script;

/// Bytes of the device's registers, and where its configuration begins.
const WINDOW_BYTES: usize = 0x200;
const CONFIG: usize = 0x100;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// See the module's head.
pub(crate) struct World {
    pub(crate) script: Script,
    pub(crate) hal: TestHal,
    pub(crate) device: Device,
}

/// Lets `work` at the world.
pub(crate) fn with<R>(work: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(|world| work(world.as_mut().expect("a world")))
}

/// A new world, and the way to its device.
pub(crate) fn begin(script: Script, device: Device) -> (TestHal, MmioTransport) {
    let hal = TestHal::default();
    WORLD.with_borrow_mut(|world| *world = Some(World { script, hal: hal.clone(), device }));
    // SAFETY: the registers are modelled, and what they learn of is reached through the model's address space alone.
    let registers = unsafe { Registers::map(&Mapper, 0, WINDOW_BYTES) };
    let registers = registers.expect("a window that is made of calls");
    let transport = MmioTransport::open(registers).expect("registers of a device");
    (hal, transport.expect("a device that is there"))
}

/// The end of a world: all memory is the platform's again, and the driver did nothing wrong.
pub(crate) fn end() {
    let World { hal, device, .. } = WORLD.take().expect("a world");
    assert_eq!((hal.dma_regions(), hal.space.mapped_count()), (0, 0), "memory is left with the device");
    if !device.is_forged {
        let faults = hal.space.faults();
        assert!(faults.is_empty(), "the driver has the device reach for what is not there: {faults:?}");
        device.registers.device().assert_driver_was_correct();
    }
}

/// The next step of the driver's; `None` if the script is over.
pub(crate) fn step() -> Option<u8> {
    with(|world| world.script.step())
}

/// A byte that says more about a step.
pub(crate) fn detail() -> u8 {
    with(|world| world.script.detail())
}

/// The device does something, as the next decision says.
pub(crate) fn act() {
    with(|world| {
        let World { script, hal, device } = world;
        let decision = script.decision();
        device.act(decision, script, hal);
    });
}

/// Patience for so many looks, before each of which the device may do something.
pub(crate) fn patience(mut looks: usize) -> impl FnMut() -> bool {
    move || {
        act();
        looks = looks.saturating_sub(1);
        looks > 0
    }
}

struct Window;

static WINDOW: Window = Window;

// SAFETY: each access goes to the modelled device, as it is.
unsafe impl RegisterHandler for Window {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        // A field is read in one piece, or from its first byte on.
        if offset >= CONFIG && offset.is_multiple_of(4) && with(|world| world.device.meddles) {
            act();
        }
        with(|world| world.device.registers.read(offset as u64, width.bytes() as u8))
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        with(|world| world.device.registers.write(offset as u64, width.bytes() as u8, value));
    }
}

struct Mapper;

// SAFETY: the window is made of calls; there is no memory behind it.
unsafe impl MapMmio for Mapper {
    unsafe fn map_mmio(&self, _: u64, _: usize) -> Option<RegisterWindow> {
        Some(RegisterWindow::Handler(&WINDOW))
    }
}
