//! The machines that kernels are measured on.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use qemu_tests::net::{NetDevice, Network};
use qemu_tests::{Architecture, DiskDevice, Machine, Qemu, kernel_to_measure};

use crate::marks::Half;
use crate::output;
use crate::profile::{self, Ran};

/// What kernels print at last.
const DONE: &str = "guest benchmark: done";
/// Operations that a profile is made of.
const PROFILED: u64 = 256;

/// A kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its package.
    pub package: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether it uses a disk, else cards.
    pub has_disk: bool,
}

/// Ours.
pub const OURS: [Program; 2] = [
    Program { package: "guest-ours", name: "ours-block", has_disk: true },
    Program { package: "guest-ours", name: "ours-net", has_disk: false },
];

/// All that is measured: a kernel, and whether its rings are packed.
pub const ALL: [(Program, bool); 4] = [(OURS[0], false), (OURS[0], true), (OURS[1], false), (OURS[1], true)];

/// The machine that runs a kernel, with packed rings or split ones.
pub fn machine(program: Program, packed: bool, words: &str) -> Qemu {
    let qemu = Qemu::with_kernel(Machine::Q35, kernel(program)).time_is_instructions();
    let qemu = qemu.limit(Duration::from_mins(3)).append(words);
    if program.has_disk {
        return qemu.null_disk(DiskDevice { packed, ioeventfd: false, ..DiskDevice::default() });
    }
    let card = |last| NetDevice {
        packed,
        mac: [2, 0, 0, 0, 0, last],
        off: vec!["ioeventfd"],
        ..NetDevice::default()
    };
    let hub = Network::Hub { number: 0 };
    qemu.card(hub.clone(), card(1)).card(hub, card(2)).card(Network::Sink, card(3))
}

/// Builds a kernel, and says where it is.
pub fn kernel(program: Program) -> PathBuf {
    kernel_to_measure(program.package, program.name, Architecture::X86_64)
}

/// Runs one, and gives what it printed.
pub fn run(program: Program, packed: bool, lines: &[String]) -> String {
    let words = if lines.is_empty() { String::new() } else { format!("lines={}", lines.join(",")) };
    machine(program, packed, &words).run_to(DONE)
}

/// Where the instructions of a line go.
pub fn profile(program: Program, packed: bool, line: &str) -> Result<String, String> {
    let kernel = kernel(program);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let log = folder.path().join("log");
    let filter = profile::filter(&kernel)?;
    let qemu = machine(program, packed, &format!("lines={line} operations={PROFILED}"));
    let qemu = qemu.with(&["-d", "in_asm,exec,nochain", "-dfilter", &filter]);
    let printed = qemu.trace(&["memory_region_ops_write"], &log).run_to(DONE);
    let counted = output::lines(&printed)
        .pop()
        .ok_or_else(|| format!("the kernel {} has no line {line}", program.name))?;
    let log = fs::read(&log).map_err(|error| error.to_string())?;
    let ran = Ran::read(&String::from_utf8_lossy(&log));
    let per = |count: u64| count as f64 / counted.operations() as f64;
    let counts = [
        counted.submit.sum,
        ran.instructions(Half::Submit),
        counted.complete.sum,
        ran.instructions(Half::Complete),
    ];
    let [submit, submit_seen, complete, complete_seen] = counts.map(per);
    let tables = ran.tables(&kernel, counted.burst)?;
    Ok(format!(
        "{line}: submit {submit:.2}, with what counts {submit_seen:.2}; complete {complete:.2}, with what counts {complete_seen:.2}\n{tables}"
    ))
}
