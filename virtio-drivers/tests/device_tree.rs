//! Virtio over MMIO, found in a device tree.

#![cfg(feature = "device-tree")]

use virtio_guest::adapter::device_tree::{NotATree, Slot, for_each_slot};
use vm_fdt::FdtWriter;

fn slots(tree: &[u8]) -> Vec<Slot> {
    let mut slots = Vec::new();
    for_each_slot(tree, |slot| slots.push(slot)).expect("a device tree");
    slots
}

/// A tree with what `fill` puts into its root, where addresses and sizes have two cells.
fn tree(fill: impl FnOnce(&mut FdtWriter) -> Result<(), vm_fdt::Error>) -> Vec<u8> {
    let build = || {
        let mut writer = FdtWriter::new()?;
        let root = writer.begin_node("")?;
        writer.property_u32("#address-cells", 2)?;
        writer.property_u32("#size-cells", 2)?;
        fill(&mut writer)?;
        writer.end_node(root)?;
        writer.finish()
    };
    build().expect("a well-formed tree")
}

/// A node with registers and an interrupt of three cells.
fn device(writer: &mut FdtWriter, name: &str, compatible: &str, reg: &[u32]) -> Result<(), vm_fdt::Error> {
    let node = writer.begin_node(name)?;
    writer.property_string("compatible", compatible)?;
    writer.property_array_u32("reg", reg)?;
    writer.property_array_u32("interrupts", &[0, 16, 1])?;
    writer.end_node(node)
}

const HERE: Slot = Slot {
    physical_address: 0x0a00_0000,
    size_bytes: 0x200,
    interrupt: Some([0, 16, 1, 0]),
    is_dma_coherent: false,
};

#[test]
fn slots_are_found_among_other_nodes_in_the_order_of_the_tree() {
    let tree = tree(|writer| {
        device(writer, "serial@9000000", "arm,pl011", &[0, 0x0900_0000, 0, 0x1000])?;
        device(writer, "virtio_mmio@a000200", "virtio,mmio", &[0, 0x0a00_0200, 0, 0x200])?;
        device(writer, "virtio_mmio@a000000", "virtio,mmio", &[0, 0x0a00_0000, 0, 0x200])?;
        device(writer, "virtio_mmio@100000000", "virtio,mmio", &[1, 0, 0, 0x1000])
    });

    let above = Slot { physical_address: 1 << 32, size_bytes: 0x1000, ..HERE };
    assert_eq!(slots(&tree), [Slot { physical_address: 0x0a00_0200, ..HERE }, HERE, above]);
}

/// Spec: Devicetree Specification, §2.3.8: an empty `ranges` says that addresses are the same on both sides, others are translated, and none at all that there is no way.
#[test]
fn addresses_on_a_bus_become_the_processors() {
    let tree = tree(|writer| {
        let same = writer.begin_node("soc")?;
        writer.property_u32("#address-cells", 1)?;
        writer.property_u32("#size-cells", 1)?;
        writer.property_null("ranges")?;
        writer.property_null("dma-coherent")?;
        device(writer, "virtio_mmio@a000000", "virtio,mmio", &[0x0a00_0000, 0x200])?;
        let shifted = writer.begin_node("bus")?;
        writer.property_u32("#address-cells", 1)?;
        writer.property_u32("#size-cells", 1)?;
        writer.property_array_u32("ranges", &[0x1000, 0x1000_0000, 0x1000, 0x8000, 0x2000_0000, 0x300])?;
        device(writer, "virtio_mmio@1200", "virtio,mmio", &[0x1200, 0x200])?;
        device(writer, "virtio_mmio@8000", "virtio,mmio", &[0x8000, 0x200])?;
        device(writer, "virtio_mmio@8200", "virtio,mmio", &[0x8200, 0x200])?;
        device(writer, "virtio_mmio@500", "virtio,mmio", &[0x500, 0x200])?;
        writer.end_node(shifted)?;
        writer.end_node(same)?;
        let apart = writer.begin_node("i2c")?;
        writer.property_u32("#address-cells", 1)?;
        writer.property_u32("#size-cells", 1)?;
        device(writer, "virtio_mmio@a000000", "virtio,mmio", &[0x0a00_0000, 0x200])?;
        writer.end_node(apart)
    });

    let coherent = Slot { is_dma_coherent: true, ..HERE };
    let at = |physical_address| Slot { physical_address, ..coherent };
    assert_eq!(slots(&tree), [coherent, at(0x1000_0200), at(0x2000_0000)]);
}

#[test]
fn disabled_and_malformed_slots_are_left_out() {
    let tree = tree(|writer| {
        let disabled = writer.begin_node("virtio_mmio@1000")?;
        writer.property_string("compatible", "virtio,mmio")?;
        writer.property_string("status", "disabled")?;
        writer.property_array_u32("reg", &[0, 0x1000, 0, 0x200])?;
        writer.end_node(disabled)?;
        let nowhere = writer.begin_node("virtio_mmio@2000")?;
        writer.property_string("compatible", "virtio,mmio")?;
        writer.end_node(nowhere)?;
        let short = writer.begin_node("virtio_mmio@3000")?;
        writer.property_string("compatible", "virtio,mmio")?;
        writer.property_array_u32("reg", &[0, 0x3000, 0])?;
        writer.end_node(short)?;
        let silent = writer.begin_node("virtio_mmio@4000")?;
        writer.property_string("compatible", "virtio,mmio")?;
        writer.property_array_u32("reg", &[0, 0x4000, 0, 0x200])?;
        writer.end_node(silent)
    });

    assert_eq!(slots(&tree), [Slot { physical_address: 0x4000, interrupt: None, ..HERE }]);
}

#[test]
fn bytes_that_are_no_tree_are_an_error() {
    let sound =
        tree(|writer| device(writer, "virtio_mmio@a000000", "virtio,mmio", &[0, 0x0a00_0000, 0, 0x200]));
    assert_eq!(slots(&sound), [HERE]);
    for bytes in [&[][..], &[0; 64], &sound[..sound.len() / 2]] {
        assert_eq!(for_each_slot(bytes, |_| panic!("there is nothing")), Err(NotATree));
    }
}

/// Whatever single byte is wrong, the walk ends, without a panic.
#[test]
fn a_tree_with_a_wrong_byte_does_no_harm() {
    let sound =
        tree(|writer| device(writer, "virtio_mmio@a000000", "virtio,mmio", &[0, 0x0a00_0000, 0, 0x200]));
    for at in (0..sound.len()).step_by(if cfg!(miri) { 13 } else { 1 }) {
        for value in [0, 0x7f, 0xff] {
            let mut wrong = sound.clone();
            wrong[at] = value;
            let mut count = 0;
            let _ = for_each_slot(&wrong, |_| count += 1);
            assert!(count <= 1, "byte {at} is {value:#x}");
        }
    }
}
