//! The QEMU test harness.
//!
//! Builds kernels, boots them, follows what they print, and looks at the result from outside.
//!
//! A test passes when the guest printed its closing line *and* ended with the success status *and* the look from outside agrees. Silence, an early
//! power-off, or a hang is a failure, shown with QEMU's command line and everything that the guest printed.
//!
//! ```no_run
//! use qemu_tests::{DiskDevice, Image, Machine, Qemu};
//!
//! let image = Image::blank(64);
//! let qemu = Qemu::new(Machine::Q35, "example-block").disk(&image, DiskDevice::default());
//! let output = qemu.run_to("block example: done");
//! assert!(output.contains("capacity: 64 sectors"));
//! ```
//!
//! # For a kernel of your own
//!
//! [`Qemu::with_kernel`] boots any kernel, wherever it was built; `examples/own_kernel.rs` is a program to begin from. A kernel that is to be followed prints to the first serial port, and ends the machine
//! with the exit status 33 for success or 35 for failure:
//!
//! | architecture | how |
//! |---|---|
//! | x86_64 | the byte 16 (or 17) to port 0xf4, where `isa-debug-exit` is; entered by PVH or multiboot |
//! | aarch64 | semihosting's `SYS_EXIT` with that status |
//! | riscv64 | `0x21_3333` (or `0x23_3333`) to the register of `sifive,test1` |
//!
//! - [`Qemu`] is the machine: memory, processors, disks, cards, a console, a command line, a time limit; [`Qemu::with`] adds any argument of QEMU's.
//! - [`DiskDevice`], [`net::NetDevice`] and [`ConsoleDevice`] are devices, property by property: transport, rings, queues, features. [`Fault`]s are requests that a disk fails.
//! - [`Image`] is what is on a disk, before and after. [`net::Namespace`] is a network of the host's own, with taps, bridges and whatever runs in it.
//! - [`Running`] is a machine that was booted: lines that it prints are waited for, [`Qmp`] plugs devices and changes them, its end is judged. Dropped, it is killed.

extern crate alloc;

pub mod backend;
mod command;
mod console;
mod daemon;
mod disk;
mod drive;
#[path = "../kernels/frames.rs"]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "lengths of frames and their numbers"
)]
pub mod frames;
mod image;
mod machine;
pub mod net;
#[path = "../kernels/pattern.rs"]
pub mod pattern;
mod qmp;
mod run;
mod version;

pub use command::{Accelerator, Qemu};
pub use console::{ConsoleDevice, ConsolePort};
pub use daemon::StorageDaemon;
pub use disk::DiskDevice;
pub use drive::{Asked, Fault};
pub use image::Image;
pub use machine::{Architecture, Connection, Machine};
pub use qmp::Qmp;
pub use run::{Ended, Running};
pub use version::check_qemu;

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};

/// Builds a kernel, once per process, and says where it is.
///
/// # Panics
/// If it does not build.
pub fn kernel(package: &str, architecture: Architecture) -> PathBuf {
    built(package, &["--release"], architecture)
}

/// Builds one of a package's programs with the profile for benchmarks, once per process, and says where it is.
///
/// # Panics
/// If it does not build.
pub fn kernel_to_measure(package: &str, program: &str, architecture: Architecture) -> PathBuf {
    built(package, &["--profile", "bench", "--bin", program], architecture)
}

fn built(package: &str, how: &[&str], architecture: Architecture) -> PathBuf {
    static BUILT: LazyLock<Mutex<HashMap<String, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let target = architecture.target();
    let what = format!("{package} {how:?} {target}");
    if let Some(path) = built.get(&what) {
        return path.clone();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    println!("building {package} for {target}");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(&root)
        .args(["build", "-q", "--target", target, "-p", package])
        .args(how)
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{package} does not build");
    let path = executable(&String::from_utf8_lossy(&output.stdout));
    let path = path.unwrap_or_else(|| panic!("cargo does not say where {package} is"));
    built.insert(what, path.clone());
    path
}

/// Where cargo says that it put the program: wherever the target directory is configured to be.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    messages.filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?))).next_back()
}

/// A number that no earlier run had; printed, so that a failure can be told from another.
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    let seed = RandomState::new().hash_one(std::process::id());
    println!("seed {seed}");
    seed
}
