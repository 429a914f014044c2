//! A PCI function that the fuzzer makes: it is claimed, opened, asked for all that a transport has, and driven if it opened. Or a bus full of them.
//!
//! Spec: §4.1 Virtio Over PCI Bus. What is mapped is inside of the function's BARs; what is said of shared memory is, too.

use pci_types::{ConfigRegionAccess, PciAddress};
use virtio_guest::hal::{MapMmio, MsiMessage, RegisterWindow};
use virtio_guest::raw::PciFunction;
use virtio_guest::transport::pci::{LegacyPciTransport, OpenError, PciTransport};
use virtio_guest::transport::{AnyTransport, Transport};

use super::device::Device;
use super::function::Function;
use super::segment;
use super::template::Interfaces;
use super::windows::Kind;
use super::world::{self, within};
use crate::script::Script;

/// Sizing all BARs: six times the command register read and written twice, the BAR read twice, and for each half of it at most one more read, and a write, a read, a write.
const BAR_ACCESSES: usize = 6 * (4 + 2 + 2 * 4);
/// A walk along all capabilities: status and pointer, then for each of 48 at most its head, four words of a structure, and two more.
const WALK_ACCESSES: usize = 2 + 48 * (1 + 4 + 2);
/// Two ids, all BARs and capabilities to see which interface there is, and again to open it, with one BAR of ports; a walk for MSI-X and MSI, and their capabilities; three times the command register; a
/// look for SR-IOV.
const OPEN_ACCESSES: usize = 2 + 3 * (BAR_ACCESSES + WALK_ACCESSES) + 8 + 6 + 6 + EXTENDED_WALK_ACCESSES;
/// Looking for SR-IOV: whether the function is a PCI Express one, whether there is anything behind the first 256 bytes, and as many heads as have room there.
const EXTENDED_WALK_ACCESSES: usize = 2 + 48 + 2 + (4096 - 256) / 8;
/// Messages that a table has at most, the words of each, and one that masks it first; the control word, twice.
const MSI_X_ACCESSES: usize = 2048 * 5 + 4;

/// Drives the PCI function, or walks along the bus, that `bytes` describe. Panics if a promise is broken.
pub fn pci_capabilities(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let kind = script.detail();
    if kind & 0x80 != 0 {
        return segment::walk_and_assign(script, kind);
    }
    let interfaces = match kind & 3 {
        0 | 1 => Interfaces::Modern,
        2 => Interfaces::Both,
        _ => Interfaces::Legacy,
    };
    let function = Function::read(interfaces, &mut script);
    // Which interface it has is seen by how it is opened.
    let device = Device { is_legacy: false, ..Device::read(&mut script) };
    world::begin(script, device);
    world::with(|world| {
        world.function = function;
        world.memory.hal.put_memory_at(1 << 32);
    });

    let opened = within(OPEN_ACCESSES, || open(kind));
    world::with(|world| world.function.check_bars());
    if let Ok(transport) = opened {
        use_transport(transport);
    }
    world::end();
}

fn open(kind: u8) -> Result<AnyTransport<Space>, OpenError> {
    // SAFETY: the function is made up, and what it learns of it reaches through the model's address space alone.
    let function = unsafe { PciFunction::claim(Space, address()) };
    match kind >> 2 & 3 {
        0 | 1 => AnyTransport::open_pci(function, &Mapper),
        2 => PciTransport::open(function, &Mapper).map(AnyTransport::Pci),
        _ => LegacyPciTransport::open(function, &Mapper).map(AnyTransport::LegacyPci),
    }
}

/// All that a transport has beside its verbs; then lives.
fn use_transport(mut transport: AnyTransport<Space>) {
    let kind = world::with(|world| world.script.detail());
    if kind & 1 == 0 {
        // SAFETY: nobody sends it.
        let message = unsafe { MsiMessage::new(0xfee0_0000, 0x41) };
        let messages = vec![message; usize::from(kind >> 1 & 7)];
        let entries = usize::from(transport.msi_x_entries());
        let enabled = within(MSI_X_ACCESSES, || transport.enable_msi_x(&messages));
        assert_eq!(enabled.is_ok(), (1..=entries).contains(&messages.len()), "{enabled:?}");
        assert_eq!(usize::from(transport.vectors()), enabled.map_or(0, |()| messages.len()));
    }
    if kind & 0x10 != 0
        && let Some(line) = within(3, || transport.use_interrupt_line())
    {
        assert_eq!(transport.vectors(), 0, "there is no line beside vectors");
        within(1, || line.acknowledge());
    }
    for id in 0..=u8::MAX {
        if let Some(region) = within(0, || transport.shared_memory(id)) {
            let end = region.physical_address.checked_add(region.size_bytes).expect("a region ends");
            let memory = world::with(|world| world.function.memory());
            let is_inside = memory.iter().any(|bar| bar.start <= region.physical_address && end <= bar.end);
            assert!(is_inside && region.size_bytes > 0, "{region:x?} is not in {memory:x?}");
        }
    }
    super::live(transport);
}

fn address() -> PciAddress {
    PciAddress::new(0, 0, 4, 0)
}

/// Configuration space with one function in it.
#[derive(Clone, Copy, Debug)]
struct Space;

impl ConfigRegionAccess for Space {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        assert_eq!(address, self::address(), "the claimed function");
        world::with(|world| world.read_function(offset.into()))
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        assert_eq!(address, self::address(), "the claimed function");
        world::with(|world| world.write_function(offset.into(), value));
    }
}

/// Maps what is in the function's BARs, and nothing else.
struct Mapper;

/// The structures of a modern device are mapped in this order; then its configuration, and messages.
const STRUCTURES: [Kind; 3] = [Kind::Common, Kind::Notify, Kind::Interrupt];

// SAFETY: windows are made of calls; there is no memory behind them.
unsafe impl MapMmio for Mapper {
    unsafe fn map_mmio(&self, start: u64, size_bytes: usize) -> Option<RegisterWindow> {
        world::with(|world| {
            let memory = world.function.memory();
            let end = start.checked_add(size_bytes as u64).expect("a window ends");
            let is_inside = memory.iter().any(|bar| bar.start <= start && end <= bar.end);
            assert!(is_inside && size_bytes > 0, "{start:#x}..{end:#x} is mapped, and is not in {memory:x?}");
            // A legacy device has nothing but messages in memory.
            let structures = if world.device.is_legacy { &[] } else { STRUCTURES.as_slice() };
            let kind = structures.get(world.windows.len()).copied();
            world.map(kind.unwrap_or(Kind::ConfigOrMessages), size_bytes)
        })
    }

    unsafe fn map_ports(&self, start: u32, size_bytes: usize) -> Option<RegisterWindow> {
        world::with(|world| {
            let (ports, end) = (world.function.ports(), u64::from(start) + size_bytes as u64);
            let is_inside = start != 0 && ports.start <= start && end <= u64::from(ports.end);
            assert!(is_inside && end <= 0x1_0000, "{start:#x}..{end:#x} is mapped, and is not in {ports:x?}");
            world.device.is_legacy = true;
            world.map(Kind::Ports, size_bytes)
        })
    }
}
