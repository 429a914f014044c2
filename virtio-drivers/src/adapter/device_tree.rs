//! Virtio over MMIO in a flattened device tree.
//!
//! Devicetree Specification 0.4, §2.3.8 (`ranges`), §2.4 (interrupts), §5; binding `virtio,mmio`: `reg` and `interrupts`. Arm and RISC-V machines name their slots so, QEMU's `virt` among them.
//!
//! ```no_run
//! use virtio_guest::adapter::device_tree::for_each_slot;
//! # use virtio_guest::hal::MapMmio;
//! use virtio_guest::raw::Registers;
//! use virtio_guest::transport::mmio::MmioTransport;
//!
//! # fn probe(tree: &[u8], platform: &impl MapMmio) -> Result<(), Box<dyn core::error::Error>> {
//! for_each_slot(tree, |slot| {
//!     // SAFETY: the device tree has a slot here, and nobody else drives what is in it.
//!     let registers = unsafe { Registers::map(platform, slot.physical_address, 0x200) };
//!     if let Some(Ok(Some(transport))) = registers.map(MmioTransport::open) {
//!         // ... to the driver of transport.device_type(); slot.interrupt is its line ...
//!         # drop(transport);
//!     }
//! })?;
//! # Ok(()) }
//! ```

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

/// As deep as buses are looked into.
const DEPTH_MAX: usize = 8;
/// As many ranges of a bus as are kept in mind.
const RANGES_MAX: usize = 8;

/// A place where a device may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where its registers are, as the processor sees them.
    pub physical_address: u64,
    /// Bytes of them.
    pub size_bytes: u64,
    /// Its interrupt line, as the interrupt controller's binding has it: the cells of its `interrupts`, unused ones 0. `None` if the node has none, or more than 4.
    pub interrupt: Option<[u32; 4]>,
    /// Whether the node says `dma-coherent`: device accesses see the processor's caches. Where neither it nor a bus above it does, a kernel has to ask its architecture's default.
    pub is_dma_coherent: bool,
}

/// The bytes are no device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no flattened device tree")]
pub struct NotATree;

/// Calls `found` for each `virtio,mmio` node that is not disabled, in the tree's order. Most slots of QEMU's machines are empty, and their order is not that of addresses.
///
/// Addresses are translated through the `ranges` of the buses above; nodes whose addresses the processor does not reach are left out, and so are malformed ones.
///
/// Work: one walk through the tree, as deep as eight buses.
///
/// # Errors
/// - [`NotATree`]: nothing was found, for there is nothing to look into.
pub fn for_each_slot(tree: &[u8], mut found: impl FnMut(Slot)) -> Result<(), NotATree> {
    let tree = Fdt::new(tree).map_err(|_| NotATree)?;
    let bus = Bus { windows: Windows::of_the_root(), is_dma_coherent: false };
    look_into(tree.root(), &bus, DEPTH_MAX, &mut found);
    Ok(())
}

/// A bus on the way from the root.
struct Bus {
    windows: Windows,
    is_dma_coherent: bool,
}

/// Addresses on a bus that the processor reaches: start on the bus, bytes, start as the processor sees it.
#[derive(Clone, Copy)]
struct Window {
    start: u64,
    bytes: u64,
    target: u64,
}

/// All of a bus's windows.
#[derive(Clone, Copy)]
struct Windows([Option<Window>; RANGES_MAX]);

impl Windows {
    /// Of the root: every address is the processor's own.
    fn of_the_root() -> Self {
        let mut windows = [None; RANGES_MAX];
        let [first, ..] = &mut windows;
        *first = Some(Window { start: 0, bytes: u64::MAX, target: 0 });
        Self(windows)
    }

    /// The processor's address of so many bytes on the bus.
    fn translate(&self, address: u64, bytes: u64) -> Option<u64> {
        self.0.iter().flatten().find_map(|window| {
            let offset = address.checked_sub(window.start)?;
            let is_inside = offset.checked_add(bytes)? <= window.bytes;
            is_inside.then_some(())?;
            window.target.checked_add(offset)
        })
    }

    /// The windows of a bus on this one; `None` if the processor does not reach what is there.
    fn behind(&self, bus: FdtNode<'_>) -> Option<Self> {
        let mut ranges = bus.ranges().ok()??.peekable();
        if ranges.peek().is_none() {
            return Some(*self);
        }
        let mut windows = [None; RANGES_MAX];
        let translated = ranges.filter_map(|range| {
            let (start, bytes) = (range.child_bus_address().ok()?, range.length().ok()?);
            let target = self.translate(range.parent_bus_address().ok()?, bytes)?;
            Some(Window { start, bytes, target })
        });
        for (place, window) in windows.iter_mut().zip(translated) {
            *place = Some(window);
        }
        Some(Self(windows))
    }
}

fn look_into(node: FdtNode<'_>, bus: &Bus, depth: usize, found: &mut impl FnMut(Slot)) {
    for child in node.children().filter(|child| is_usable(*child)) {
        if let Some(slot) = slot(child, bus) {
            found(slot);
        } else if depth > 0
            && let Some(windows) = bus.windows.behind(child)
        {
            let is_dma_coherent = bus.is_dma_coherent || child.dma_coherent();
            look_into(child, &Bus { windows, is_dma_coherent }, depth - 1, found);
        }
    }
}

fn is_usable(node: FdtNode<'_>) -> bool {
    let status = node.property("status").and_then(|status| status.value_as::<&str>().ok());
    matches!(status, None | Some("okay" | "ok"))
}

fn slot(node: FdtNode<'_>, bus: &Bus) -> Option<Slot> {
    if !node.is_compatible("virtio,mmio") {
        return None;
    }
    let registers = node.reg().ok()??.next()?;
    let (address, size_bytes) = (registers.address().ok()?, registers.size().ok()?);
    Some(Slot {
        physical_address: bus.windows.translate(address, size_bytes)?,
        size_bytes,
        interrupt: interrupt(node),
        is_dma_coherent: bus.is_dma_coherent || node.dma_coherent(),
    })
}

fn interrupt(node: FdtNode<'_>) -> Option<[u32; 4]> {
    let cells = node.property("interrupts")?.value_as::<&[u8]>().ok()?;
    let mut specifier = [0; 4];
    let mut places = specifier.iter_mut();
    for cell in cells.chunks_exact(4) {
        *places.next()? = u32::from_be_bytes(cell.try_into().ok()?);
    }
    (!cells.is_empty()).then_some(specifier)
}
