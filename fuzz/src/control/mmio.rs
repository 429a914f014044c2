//! Registers over MMIO that the fuzzer answers for, in a window whose size it says.
//!
//! Spec: §4.2 Virtio Over MMIO. Both versions of the interface.

use virtio_guest::hal::{MapMmio, RegisterWindow};
use virtio_guest::raw::Registers;
use virtio_guest::transport::Transport;
use virtio_guest::transport::mmio::MmioTransport;

use super::device::Device;
use super::windows::Kind;
use super::world::{self, within};
use crate::script::Script;

/// Bytes of the window that QEMU's devices have.
const USUAL_BYTES: usize = 0x200;
/// Magic value, version, device type.
const OPEN_ACCESSES: usize = 3;
/// Which region, then two halves each of length and address.
const REGION_ACCESSES: usize = 5;

/// Drives the device behind MMIO that `bytes` describe. Panics if a promise is broken.
pub fn mmio(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let device = Device::read(&mut script);
    let size_bytes = match script.detail() {
        0 => USUAL_BYTES,
        half => 2 * usize::from(half),
    };
    world::begin(script, device);
    // Where a legacy device can be told of it.
    world::with(|world| world.memory.hal.put_memory_at(1 << 32));

    // SAFETY: the registers are made up, and what they learn of is reached through the model's address space alone.
    if let Some(registers) = unsafe { Registers::map(&Mapper, 0, size_bytes) }
        && let Ok(Some(mut transport)) = within(OPEN_ACCESSES, || MmioTransport::open(registers))
    {
        assert!(size_bytes >= 0x100, "a window without a configuration space is opened");
        use_line_and_regions(&mut transport);
        super::live(transport);
    }
    world::end();
}

fn use_line_and_regions(transport: &mut MmioTransport) {
    let kind = world::with(|world| world.script.detail());
    if kind & 1 != 0
        && let Some(line) = within(0, || transport.use_interrupt_line())
    {
        let cause = within(2, || line.acknowledge());
        let has_lied = world::with(|world| world.has_lied);
        assert!(has_lied || !cause.used_buffer && !cause.configuration_change, "nothing happened");
    }
    if kind & 2 != 0
        && let Some(region) = within(REGION_ACCESSES, || transport.shared_memory(kind))
    {
        let end = region.physical_address.checked_add(region.size_bytes);
        assert!(region.size_bytes > 0 && end.is_some(), "{region:x?} is no region");
    }
}

struct Mapper;

// SAFETY: the window is made of calls; there is no memory behind it.
unsafe impl MapMmio for Mapper {
    unsafe fn map_mmio(&self, _: u64, size_bytes: usize) -> Option<RegisterWindow> {
        world::with(|world| world.map(Kind::Mmio, size_bytes))
    }
}
