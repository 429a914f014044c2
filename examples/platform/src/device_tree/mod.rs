//! The device tree: memory, the command line, and where devices are.
//!
//! Devicetree Specification 0.4, chapters 2 and 3. A machine module says at boot where it is ([`init`]); the heap need not be there yet, but for
//! what returns a `Vec`.
//!
//! Addresses below a bus that translates them (`ranges` that is neither absent at the root nor empty) are not followed: the buses that we look into,
//! on QEMU's machines, are mapped one to one. PCI is apart, in `pci.rs`.

mod ecam;
mod pci;

use alloc::vec::Vec;
#[cfg(target_arch = "aarch64")]
use core::ptr::NonNull;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use spin::Once;
use virtio_guest::adapter::device_tree::for_each_slot;

pub use ecam::PciAccess;
pub(crate) use pci::{pci_buses, pci_host};

use crate::devices::Slot;
use crate::interrupts::Line;

/// A range of physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) address: u64,
    pub(crate) bytes: u64,
}

impl Range {
    /// Maps registers that are there. `None` if they cannot be, or if it is memory.
    #[cfg(target_arch = "aarch64")]
    pub(crate) fn map(self) -> Option<NonNull<u8>> {
        crate::machine::memory::map_registers(self.address, usize::try_from(self.bytes).ok()?)
    }

    /// The first address behind it.
    pub(crate) const fn end(self) -> u64 {
        self.address.saturating_add(self.bytes)
    }
}

/// A node that lives as long as the machine.
pub(crate) type TreeNode = FdtNode<'static>;

static TREE: Once<Fdt<'static>> = Once::new();

/// Takes the device tree.
///
/// # Safety
/// `address` is what the firmware passed, and nobody overwrites what is there.
pub(crate) unsafe fn init(address: usize) {
    // SAFETY: the firmware put the tree there, in memory that is mapped at its physical address.
    let tree = unsafe { Fdt::from_raw(address as *const u8) }.expect("there is a device tree");
    TREE.call_once(|| tree);
}

fn tree() -> Fdt<'static> {
    *TREE.get().expect("the machine is up")
}

/// Usable memory, as the tree has it: what the kernel, the tree and others occupy is not taken out.
pub(crate) fn memory() -> impl Iterator<Item = Range> {
    let is_memory = |node: &TreeNode| text(*node, "device_type") == Some("memory");
    tree().root().children().filter(is_memory).filter(is_usable).flat_map(all_registers)
}

/// What is not to be overwritten in memory: the tree itself, the initial RAM disk, and what the tree reserves.
pub(crate) fn reserved() -> impl Iterator<Item = Range> {
    let own = tree().data();
    let own = Range { address: own.as_ptr() as u64, bytes: own.len() as u64 };
    let listed = tree().memory_reservations();
    let listed = listed.map(|entry| Range { address: entry.address(), bytes: entry.size() });
    let nodes = node("/reserved-memory").into_iter();
    let nodes = nodes.flat_map(|node| node.children().flat_map(all_registers));
    [Some(own), initial_ram_disk()].into_iter().flatten().chain(listed).chain(nodes)
}

/// What QEMU's `-initrd` becomes.
fn initial_ram_disk() -> Option<Range> {
    let chosen = node("/chosen")?;
    let address = number(chosen, "linux,initrd-start")?;
    let bytes = number(chosen, "linux,initrd-end")?.checked_sub(address)?;
    (bytes > 0).then_some(Range { address, bytes })
}

/// The kernel's command line (QEMU's `-append`).
pub fn command_line() -> &'static str {
    node("/chosen").and_then(|chosen| text(chosen, "bootargs")).unwrap_or("")
}

/// The device that the console is on.
pub(crate) fn console() -> Option<TreeNode> {
    let path = text(node("/chosen")?, "stdout-path")?;
    // What follows a colon says how fast the line is.
    node(path.split(':').next()?)
}

/// Processors' identities, in the tree's order: affinities on Arm, hart numbers on RISC-V.
pub(crate) fn processors() -> impl Iterator<Item = u64> {
    let is_processor = |node: &TreeNode| text(*node, "device_type") == Some("cpu");
    let processors = node("/cpus").into_iter().flat_map(|node| node.children());
    processors.filter(is_processor).filter(is_usable).filter_map(|node| number(node, "reg"))
}

/// Where virtio over MMIO may be, the lowest address first.
pub fn slots() -> Vec<Slot> {
    let mut slots = Vec::new();
    // A tree that can be read was found at boot.
    let _ = for_each_slot(tree().data(), |slot| {
        if let Some([first, second, third, _]) = slot.interrupt {
            let line = Line::Cells([first, second, third]);
            slots.push(Slot { physical_address: slot.physical_address, size_bytes: slot.size_bytes, line });
        }
    });
    slots.sort_unstable_by_key(|slot| slot.physical_address);
    slots
}

/// A node by its path.
pub(crate) fn node(path: &str) -> Option<TreeNode> {
    tree().find_node(path)
}

/// The first node that calls itself by this name.
pub(crate) fn compatible(name: &str) -> Option<TreeNode> {
    find(&mut |node| node.is_compatible(name))
}

/// The node that others refer to by this number.
pub(crate) fn with_handle(handle: u32) -> Option<TreeNode> {
    find(&mut |node| node.phandle() == Ok(Some(handle)))
}

/// Whether a device is there to be used.
fn is_usable(node: &TreeNode) -> bool {
    matches!(text(*node, "status"), None | Some("okay"))
}

/// The first node for which `is_it` says so, among all that are usable and whose registers have the processor's addresses.
pub(crate) fn find(is_it: &mut dyn FnMut(TreeNode) -> bool) -> Option<TreeNode> {
    tree().root().children().find_map(|node| find_from(node, is_it))
}

fn find_from(node: TreeNode, is_it: &mut dyn FnMut(TreeNode) -> bool) -> Option<TreeNode> {
    if !is_usable(&node) {
        return None;
    }
    if is_it(node) {
        return Some(node);
    }
    let is_one_to_one = cells(node, "ranges").is_some_and(|mut ranges| ranges.next().is_none());
    if !is_one_to_one {
        return None;
    }
    node.children().find_map(|child| find_from(child, is_it))
}

/// A device's first registers.
pub(crate) fn registers(node: TreeNode) -> Option<Range> {
    all_registers(node).next()
}

/// All registers of a device, or all memory of a node.
pub(crate) fn all_registers(node: TreeNode) -> impl Iterator<Item = Range> {
    let registers = node.reg().ok().flatten().into_iter().flatten();
    registers.filter_map(|entry| Some(Range { address: entry.address().ok()?, bytes: entry.size().ok()? }))
}

/// A property that is one text.
pub(crate) fn text(node: TreeNode, property: &str) -> Option<&'static str> {
    node.property(property)?.value_as().ok()
}

/// A property that is one number, of one cell or two.
pub(crate) fn number(node: TreeNode, property: &str) -> Option<u64> {
    let mut cells = cells(node, property)?;
    let (first, second) = (cells.next()?, cells.next());
    match (second, cells.next()) {
        (None, _) => Some(u64::from(first)),
        (Some(second), None) => Some(u64::from(first) << 32 | u64::from(second)),
        (Some(_), Some(_)) => None,
    }
}

/// A property as numbers of 32 bits.
pub(crate) fn cells(node: TreeNode, property: &str) -> Option<impl Iterator<Item = u32> + use<>> {
    let bytes: &'static [u8] = node.property(property)?.value_as().ok()?;
    Some(bytes.chunks_exact(4).map(|cell| u32::from_be_bytes([cell[0], cell[1], cell[2], cell[3]])))
}

/// The one interrupt specifier that these cells are; unused ones are 0.
fn specifier(cells: impl Iterator<Item = u32>) -> Option<[u32; 3]> {
    let mut specifier = [0; 3];
    let mut count = 0;
    for cell in cells {
        *specifier.get_mut(count)? = cell;
        count += 1;
    }
    (count > 0).then_some(specifier)
}
