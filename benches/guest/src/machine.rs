//! The machines that kernels are measured on.

use std::time::Duration;

use qemu_tests::net::{NetDevice, Network};
use qemu_tests::{Architecture, DiskDevice, Machine, Qemu, kernel_to_measure};

use crate::lines::{Devices, Setup};

/// What kernels print at last.
pub const DONE: &str = "guest benchmark: done";

/// How long a slow disk takes: longer than a call takes to begin to wait.
const SLOW: Duration = Duration::from_micros(50);

/// The machine of a kernel, with these words on the kernel's command line. Its time stands for instructions, and each doorbell is seen by a trace (`ioeventfd=off`).
///
/// ```text
///   disk      null-co: what is read is nothing, and comes at once, or a little later
///   cards     first ── hub ── second      third ── a network that takes everything
/// ```
///
/// # Panics
/// If the kernel does not build.
pub fn machine(setup: &Setup, words: &str) -> Qemu {
    let kernel = kernel_to_measure(setup.whose.package(), &setup.program(), Architecture::X86_64);
    let interrupts = if setup.interrupts { "msi-x" } else { "polling" };
    let qemu = Qemu::with_kernel(Machine::Q35, kernel).time_is_instructions();
    let qemu = qemu.limit(Duration::from_mins(3)).append(format!("interrupts={interrupts} {words}"));
    let packed = setup.packed;
    let disk = DiskDevice { packed, ioeventfd: false, ..DiskDevice::default() };
    match setup.kernel.devices {
        Devices::Disk => qemu.null_disk(Duration::ZERO, disk),
        Devices::SlowDisk => qemu.null_disk(SLOW, disk),
        Devices::Cards => {
            let (hub, mut number) = (Network::Hub { number: 0 }, 0);
            [hub.clone(), hub, Network::Sink].into_iter().fold(qemu, |qemu, network| {
                number += 1;
                let (mac, off) = ([2, 0, 0, 0, 0, number], vec!["ioeventfd"]);
                qemu.card(network, NetDevice { packed, mac, off, ..NetDevice::default() })
            })
        }
    }
}
