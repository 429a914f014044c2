//! Boots a kernel of your own with a disk and a card, and looks at both from outside.
//!
//! `cargo run -p qemu-tests --example own_kernel -- q35 path/to/kernel 'its closing line'`. The kernel prints to the first serial port, says at the end that all went well, and ends the machine: with the
//! exit status 33 (a byte of 16 to port 0xf4 on x86_64; semihosting on aarch64; `sifive,test1` on riscv64). 35 is its word that something failed.

use std::process::ExitCode;
use std::time::Duration;

use qemu_tests::net::{NetDevice, Network};
use qemu_tests::{DiskDevice, Image, Machine, Qemu};

/// As many sectors of zeros as the disk has.
const SECTORS: u64 = 64;

/// Boots the kernel, and says which of the disk's bytes it changed.
fn boot(machine: Machine, qemu: Qemu, closing_line: &str) -> (String, usize) {
    let image = Image::blank(SECTORS);
    // Any of the device's properties is a field: rings, transport, queues, faults.
    let disk = DiskDevice { packed: machine != Machine::Microvm, ..DiskDevice::default() };
    let network = Network::User { forwarded: None };

    let qemu = qemu.disk(&image, disk).card(network, NetDevice::default()).limit(Duration::from_mins(1));
    // It panics, with QEMU's command line and all that the guest printed, unless the guest ends well and printed that line.
    let output = qemu.run_to(closing_line);

    let changed = image.bytes().iter().filter(|byte| **byte != 0).count();
    (output, changed)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [machine, kernel, closing_line] = arguments.as_slice() else {
        eprintln!("usage: own_kernel q35|microvm|aarch64|riscv64 <kernel> <closing line>");
        return ExitCode::from(2);
    };
    let machine = match machine.as_str() {
        "q35" => Machine::Q35,
        "microvm" => Machine::Microvm,
        "aarch64" => Machine::Aarch64Virt,
        "riscv64" => Machine::Riscv64Virt,
        other => {
            eprintln!(
                "own_kernel: {other} is no machine that is known: take q35, microvm, aarch64 or riscv64"
            );
            return ExitCode::from(2);
        }
    };

    let (output, changed) = boot(machine, Qemu::with_kernel(machine, kernel), closing_line);

    println!("{output}\n---\nthe kernel changed {changed} bytes of its disk");
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::{Machine, Qemu, SECTORS, boot};

    #[test]
    fn what_a_kernel_did_is_seen_from_outside() {
        let kernel = Qemu::new(Machine::Q35, "example-tasks");

        let (output, changed) = boot(Machine::Q35, kernel, "tasks example: done");

        assert!(output.contains("disk at "), "{output}");
        assert_eq!(changed as u64, SECTORS * 512, "it inverts every byte");
    }
}
