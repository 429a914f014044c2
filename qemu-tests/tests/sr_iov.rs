//! Virtual functions of a real physical function's model: QEMU's `igb`.
//!
//! PCI Express Base Specification, chapter 9. No virtio device of QEMU 10.0.2 has any.

use qemu_tests::{Machine, Qemu};

/// Behind a PCI Express port, with addresses that firmware gave to its window, or we did.
#[test]
fn virtual_functions_are_enabled_spoken_to_and_disabled() {
    for machine in [Machine::Q35, Machine::Aarch64Virt, Machine::Riscv64Virt] {
        let output = Qemu::new(machine, "kernel-sr-iov-check")
            .append("count=3")
            .with(&["-device", "pcie-root-port,id=bridge,chassis=1", "-device", "igb,bus=bridge"])
            .run_to("sr-iov check: done");

        let places: Vec<&str> = lines(&output, "virtual function at ");
        assert_eq!(places.len(), 3, "{output}");
        for (place, number) in places.iter().zip(1..) {
            let (address, ids) = place.split_once(": ").expect("an address, and ids");
            assert_eq!(ids, "8086:10ca, its own ids ffff:ffff", "{output}");
            assert!(output.contains(&format!("register of {address}: {number}")), "{output}");
            assert!(output.contains(&format!("gone: {address}")), "{output}");
        }
        let mut bars: Vec<&str> = lines(&output, "BAR ");
        bars.sort_unstable();
        bars.dedup();
        assert_eq!(bars.len(), 6, "two of each, and no two at one address\n{output}");
        assert!(output.contains("enabled again: 3"), "{output}");
    }
}

#[test]
fn more_virtual_functions_than_there_are_are_refused() {
    let output = Qemu::new(Machine::Q35, "kernel-sr-iov-check")
        .append("count=9")
        .with(&["-device", "pcie-root-port,id=bridge,chassis=1", "-device", "igb,bus=bridge"])
        .run_to_failure("error: 9 virtual functions cannot be enabled");

    assert!(!output.contains("virtual function at"), "{output}");
}

/// What follows a beginning, of each line that has it.
fn lines<'o>(output: &'o str, beginning: &str) -> Vec<&'o str> {
    output.lines().filter_map(|line| line.strip_prefix(beginning)).collect()
}
