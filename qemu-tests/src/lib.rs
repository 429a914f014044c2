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
