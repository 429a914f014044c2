//! The guide's page on porting is right: its code, taken from it as it is, builds outside of the workspace and reads a disk.
//!
//! A block that begins with a file's name is that file. Each time that one is about to be replaced, and at the end, the crate is built as a reader has it by
//! then.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use qemu_tests::{Connection, DiskDevice, Ended, Image, Machine, Qemu, random_seed};

const GUIDE: &str = include_str!("../../docs/src/porting.md");

/// Where the page says that the repository and the new crate are, beside each other.
const REPOSITORY: &str = "virtio-guest";
const CRATE: &str = "my-kernel";

/// What the page builds for.
const TARGET: &str = "riscv64gc-unknown-none-elf";

const SECTORS: u64 = 64;

/// What a reader has at each moment, in this order.
#[derive(Clone, Copy)]
enum Step {
    EmptyHal,
    FirstRead,
    Interrupts,
    Legacy,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository is there")
}

/// The files of the page, in its order: where each goes, and its text.
fn files() -> Vec<(&'static str, &'static str)> {
    // Text and blocks take turns.
    let blocks = GUIDE.split("\n```").skip(1).step_by(2);
    let texts = blocks.map(|block| block.split_once('\n').map_or("", |(_, text)| text));
    texts.filter_map(|text| Some((file_name(text.lines().next()?)?, text))).collect()
}

/// The name in a comment with nothing else in it.
fn file_name(line: &str) -> Option<&str> {
    let comment = ["// ", "# ", "/* "].iter().find_map(|start| line.strip_prefix(start))?;
    let name = comment.trim_end_matches(" */");
    let is_file = [".rs", ".toml", ".ld"].iter().any(|end| name.ends_with(end));
    (is_file && !name.contains(' ')).then_some(name)
}

/// The kernels, one for each step.
fn kernel(step: Step) -> PathBuf {
    static KERNELS: LazyLock<Vec<PathBuf>> = LazyLock::new(build_all);
    assert_eq!(KERNELS.len(), Step::Legacy as usize + 1, "the page has as many steps as this test");
    KERNELS[step as usize].clone()
}

fn build_all() -> Vec<PathBuf> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink(repository(), folder.path().join(REPOSITORY)).expect("a link");
    let new_crate = folder.path().join(CRATE);
    fs::create_dir(&new_crate).expect("a folder");
    // The same versions as in the workspace, which has all of them: whatever is missing is downloaded for that, and not for the new crate.
    cargo(&repository(), &["fetch", "--locked", "--target", TARGET]);
    fs::copy(repository().join("Cargo.lock"), new_crate.join("Cargo.lock")).expect("a lock file");
    let mut kernels = Vec::new();
    for (name, text) in files() {
        let path = new_crate.join(name);
        if path.exists() {
            kernels.push(build(&new_crate, kernels.len()));
        }
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    kernels.push(build(&new_crate, kernels.len()));
    kernels
}

/// Builds the crate with the command of the page, and puts the kernel where it stays.
fn build(new_crate: &Path, step: usize) -> PathBuf {
    println!("building step {step} of the guide's kernel");
    let messages = cargo(new_crate, &["build", "--release", "--offline", "--target-dir", "target"]);
    assert!(!messages.contains("warning"), "step {step} builds with warnings:\n{messages}");

    let built = new_crate.join("target").join(TARGET).join("release").join(CRATE);
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guide-{step}"));
    fs::copy(built, &kept).expect("the kernel was built");
    kept
}

/// Runs cargo in a folder. What it says.
fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(folder).args(arguments).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = command.output().expect("cargo runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}:\n{messages}");
    messages.into_owned()
}

fn qemu(step: Step, machine: Machine, connection: Connection, image: &Image) -> Qemu {
    let device = DiskDevice { connection: Some(connection), ..DiskDevice::default() };
    Qemu::with_kernel(machine, kernel(step)).disk(image, device)
}

/// Bytes as the page's kernels print them.
fn rows(sector: &[u8]) -> String {
    sector.chunks(16).map(|row| format!("{row:02x?}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn with_an_empty_hal_the_guides_kernel_finds_the_disk_and_says_what_is_missing() {
    let line = "error: queue 0: no DMA memory";
    assert!(GUIDE.contains(line), "the page shows it");
    let image = Image::random(SECTORS, random_seed());

    let ended = qemu(Step::EmptyHal, Machine::Riscv64Virt, Connection::Mmio, &image).boot();

    let output = ended.finish(Ended::Failure, line);
    assert!(output.contains("disk over MMIO at 0x10008000"), "{output}");
}

#[test]
fn the_guide_leads_to_a_first_read() {
    use Connection::{Mmio, MmioLegacy, Pci, PciTransitional};
    for (connection, place) in [
        (Mmio, "disk over MMIO at 0x10008000"),
        (MmioLegacy, "disk over MMIO at 0x10008000"),
        (Pci, "disk over PCI"),
        (PciTransitional, "disk over PCI"),
    ] {
        let image = Image::random(SECTORS, random_seed());

        let output = qemu(Step::FirstRead, Machine::Riscv64Virt, connection, &image).run_to(place);

        assert!(output.contains(&format!("capacity: {SECTORS} sectors")), "{output}");
        assert!(output.contains(&rows(&image.read(0, 1))), "{connection:?}: the first sector\n{output}");
    }
}

#[test]
fn the_guides_kernel_numbers_buses_behind_bridges() {
    let image = Image::random(SECTORS, random_seed());
    let device = DiskDevice { behind_bridge: true, ..DiskDevice::default() };

    let output = Qemu::with_kernel(Machine::Riscv64Virt, kernel(Step::FirstRead))
        .disk(&image, device)
        .run_to("disk over PCI");

    assert!(output.contains(&rows(&image.read(0, 1))), "{output}");
}

#[test]
fn without_a_disk_the_guides_kernel_says_so() {
    Qemu::with_kernel(Machine::Riscv64Virt, kernel(Step::FirstRead))
        .run_to_failure("error: there is no disk");
}

/// On a fast host a device is done before anybody sleeps, so this one is slow. Each sleep ends with an interrupt: one that came to its deadline would end the
/// read, too.
#[test]
fn the_guides_kernel_sleeps_until_its_disk_interrupts() {
    for (machine, connection, vectors) in [
        (Machine::Riscv64Virt, Connection::Mmio, "vectors: NoVectors"),
        (Machine::Riscv64Virt, Connection::MmioLegacy, "vectors: NoVectors"),
        (Machine::Riscv64VirtAia, Connection::Pci, "vectors: SharedByAll"),
    ] {
        let image = Image::random(SECTORS, random_seed());
        let device = DiskDevice {
            connection: Some(connection),
            requests_per_second: Some(100),
            ..DiskDevice::default()
        };

        let output =
            Qemu::with_kernel(machine, kernel(Step::Interrupts)).disk(&image, device).run_to("last sector:");

        assert!(output.contains(vectors), "{output}");
        let count = output.lines().find_map(|line| line.strip_prefix("interrupts: ")?.parse().ok());
        assert!(count.is_some_and(|count: u64| (1..=SECTORS).contains(&count)), "{connection:?}\n{output}");
        assert!(output.contains(&rows(&image.read(SECTORS - 1, 1))), "{connection:?}\n{output}");
    }
}

#[test]
fn the_guides_kernel_drives_legacy_devices_through_their_ports() {
    let image = Image::random(SECTORS, random_seed());

    let legacy = qemu(Step::Legacy, Machine::Riscv64VirtAia, Connection::PciLegacy, &image);

    let output = legacy.run_to("last sector:");
    assert!(output.contains(&rows(&image.read(SECTORS - 1, 1))), "{output}");
}

/// A reader is sent nowhere.
#[test]
fn what_the_guide_refers_to_is_there() {
    let is_part = |byte: char| !(byte.is_alphanumeric() || "/_-.".contains(byte));
    let words =
        GUIDE.split(is_part).filter(|word| word.starts_with("examples/") || word.starts_with("qemu-tests/"));
    let words: Vec<_> = words.map(|word| word.trim_end_matches('.')).collect();
    assert!(!words.is_empty());
    for word in words {
        assert!(repository().join(word).exists(), "{word}");
    }
}
