//! The machine code of barriers for real hardware, and of register accesses, read back.
//!
//! Spec: §6 `VIRTIO_F_ORDER_PLATFORM`, §4.1.3.1 and §4.2.2.2 (access widths). The library is compiled as a kernel would compile it, then disassembled; nothing is run. That the
//! queues go through these barriers is shown by `virtio-drivers/tests/order_platform.rs`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An architecture: its target, then the whole code of `order_writes`, `order_reads` and `order_all`, in the disassembler's words.
struct Architecture {
    target: &'static str,
    writes: [&'static str; 2],
    reads: [&'static str; 2],
    all: [&'static str; 2],
}

const ARCHITECTURES: [Architecture; 3] = [
    Architecture {
        target: "x86_64-unknown-none",
        writes: ["sfence", "retq"],
        reads: ["lfence", "retq"],
        all: ["mfence", "retq"],
    },
    Architecture {
        target: "aarch64-unknown-none",
        writes: ["dmb oshst", "ret"],
        reads: ["dmb oshld", "ret"],
        all: ["dsb sy", "ret"],
    },
    // A `fence` without operands is one of everything: `fence iorw, iorw`.
    Architecture {
        target: "riscv64gc-unknown-none-elf",
        writes: ["fence ow, ow", "ret"],
        reads: ["fence ir, ir", "ret"],
        all: ["fence", "ret"],
    },
];

/// Where the barriers are.
const MODULE: &str = "virtio_guest::raw::order::platform";

/// Compiles the library for all architectures, in a target directory of its own; says what that is.
fn compiled() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machine-code");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["build", "-q", "--release", "-p", "virtio-guest", "--no-default-features"])
        .args(ARCHITECTURES.iter().flat_map(|architecture| ["--target", architecture.target]))
        .arg("--target-dir")
        .arg(&directory)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the library does not build");
    directory
}

/// The toolchain's own disassembler, which knows every architecture that its compiler knows.
fn disassembler() -> PathBuf {
    let output = Command::new("rustc")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--print", "target-libdir"])
        .output()
        .expect("rustc runs");
    let libraries = String::from_utf8(output.stdout).expect("a path in UTF-8");
    let path = Path::new(libraries.trim()).with_file_name("bin").join("llvm-objdump");
    assert!(path.is_file(), "{} is not there; next step: make setup", path.display());
    path
}

/// Everything in a library, as the disassembler prints it.
fn disassembly(library: &Path) -> String {
    let output = Command::new(disassembler())
        .args(["--disassemble", "--demangle", "--no-show-raw-insn", "--no-leading-addr"])
        .arg(library)
        .stderr(Stdio::inherit())
        .output()
        .expect("the disassembler runs");
    assert!(output.status.success(), "{} cannot be disassembled", library.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The instructions of the function that is called `name`, each with single spaces.
fn instructions(disassembly: &str, name: &str) -> Vec<String> {
    let label = format!("<{name}");
    let mut lines =
        disassembly.lines().skip_while(|line| !(line.starts_with(&label) && line.ends_with(">:")));
    assert!(lines.next().is_some(), "the library's machine code has no {name} of its own");
    let code = lines.take_while(|line| !line.trim().is_empty());
    code.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Spec: §6 — weaker, and a device that is no processor could see the order broken; more than one, and every burst would pay for it.
#[test]
fn each_barrier_for_real_hardware_is_exactly_one_instruction_of_the_right_strength() {
    let directory = compiled();
    for Architecture { target, writes, reads, all } in ARCHITECTURES {
        let library = directory.join(target).join("release/libvirtio_guest.rlib");
        let disassembly = disassembly(&library);

        for (name, expected) in [("order_writes", writes), ("order_reads", reads), ("order_all", all)] {
            assert_eq!(
                instructions(&disassembly, &format!("{MODULE}::{name}")),
                expected,
                "{name} for {target}"
            );
        }
    }
}

/// Hypervisors learn what a guest's access did for plain loads and stores only; others (those that write the address register back, or fill two registers) end the guest.
#[test]
fn each_register_access_on_aarch64_is_one_plain_instruction() {
    let library = compiled().join("aarch64-unknown-none/release/libvirtio_guest.rlib");
    let disassembly = disassembly(&library);
    for (function, mnemonics) in [
        ("virtio_guest::raw::registers::Registers::read", ["ldrb", "ldrh", "ldr"]),
        ("virtio_guest::raw::registers::Registers::write", ["strb", "strh", "str"]),
    ] {
        let code = instructions(&disassembly, function);
        for mnemonic in mnemonics {
            // A register is reached through an address in a register, without an offset: nothing else in these functions is.
            let is_access = |line: &&String| {
                let mut words = line.split(' ');
                words.next() == Some(mnemonic)
                    && words.next().is_some_and(|value| value.starts_with('w'))
                    && words.next().is_some_and(|place| place.starts_with("[x") && place.ends_with(']'))
                    && words.next().is_none()
            };
            assert_eq!(code.iter().filter(is_access).count(), 1, "{mnemonic} in {function}: {code:#?}");
        }
        let writes_back = |line: &&String| line.ends_with("]!") || line.contains("], #");
        let other = code.iter().filter(writes_back).find(|line| !line.contains("[sp"));
        assert_eq!(other, None, "{function} changes an address while it accesses it");
    }
}
