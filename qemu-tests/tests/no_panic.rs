//! No panic can be reached from a virtqueue: a program that uses all of it links, though its panic handler calls a function that is not there.
//!
//! Whatever a device or a caller does, there is nothing in the machine code that could panic: the compiler has shown it, for three architectures. The program
//! is `kernels/no-panic`; it is never run.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

const TARGETS: [&str; 3] = ["x86_64-unknown-none", "aarch64-unknown-none", "riscv64gc-unknown-none-elf"];

/// Links the program as a kernel with link-time optimization would be, for the first `targets` of the architectures.
fn link(targets: usize, features: &[&str]) -> Output {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["build", "--release", "-p", "kernel-no-panic", "--features", &features.join(",")])
        .args(["--config", "profile.release.lto=\"fat\"", "--config", "profile.release.codegen-units=1"])
        .args(TARGETS.iter().take(targets).flat_map(|target| ["--target", target]))
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-panic"))
        .output()
        .expect("cargo runs")
}

#[test]
fn no_panic_can_be_reached_from_a_virtqueue() {
    let linked = link(TARGETS.len(), &[]);

    let messages = String::from_utf8_lossy(&linked.stderr);
    assert!(linked.status.success(), "somewhere in a virtqueue's code is a panic:\n{messages}");
}

/// The check can fail: a panic in what is called with each used chain is noticed.
#[test]
fn a_panic_that_can_be_reached_does_not_link() {
    let refused = link(1, &["reachable-panic"]);

    let messages = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "the panic was not noticed");
    assert!(messages.contains("undefined symbol: a_panic_can_be_reached"), "{messages}");
}
