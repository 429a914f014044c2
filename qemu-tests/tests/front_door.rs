//! What a person reads when the machine is not ready.
//!
//! One clear message, the next step, and a failing exit status.
//!
//! The set-up runs with a `PATH` of its own: a folder with the few programs that it may find, some of them pretended.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Programs that any Unix has.
const ORDINARY: [&str; 9] = ["bash", "env", "cat", "dirname", "grep", "head", "mkdir", "sed", "true"];

/// A machine that pretends.
struct Pretended {
    programs: tempfile::TempDir,
}

impl Pretended {
    /// A machine with the toolchain, run by an ordinary user, without QEMU.
    fn new() -> Self {
        let machine = Self { programs: tempfile::tempdir().unwrap() };
        for program in ORDINARY {
            let real = find(program);
            symlink(real, machine.programs.path().join(program)).unwrap();
        }
        let parts = "rustfmt-x86_64 clippy-x86_64 rust-std-x86_64-unknown-none rust-std-aarch64-unknown-none \
                     rust-std-riscv64gc-unknown-none-elf";
        machine
            .with("rustup", &format!("printf '%s\\n' {parts}"))
            .with("id", "echo 1000")
            .with("mformat", "true")
            .with("cc", "true")
            .with("apt-get", "echo 'apt-get was run' >&2; exit 1")
    }

    /// Adds a program, as lines of shell.
    fn with(self, name: &str, lines: &str) -> Self {
        let path = self.programs.path().join(name);
        std::fs::write(&path, format!("#!{}/bash\n{lines}\n", self.programs.path().display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Takes a program away.
    fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.programs.path().join(name)).unwrap();
        self
    }

    /// Runs the set-up; what it says, if it fails as it should.
    fn set_up_fails(&self) -> String {
        let output = script("setup.sh").arg("demo").env("PATH", self.programs.path()).output().unwrap();
        fails(&output)
    }
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places
        .into_iter()
        .find(|place| place.is_file())
        .unwrap_or_else(|| panic!("{program} is not on this machine"))
}

fn script(name: &str) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let mut command = Command::new(find("bash"));
    command.arg(scripts.join(name)).stdin(std::process::Stdio::null());
    command
}

fn fails(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Next step: "), "{said}");
    assert!(!said.contains("apt-get was run"), "{said}");
    said
}

#[test]
fn without_rustup_the_set_up_says_where_to_get_it() {
    let said = Pretended::new().without("rustup").set_up_fails();

    assert!(said.contains("rustup was not found") && said.contains("https://rustup.rs"), "{said}");
}

#[test]
fn without_qemu_and_without_apt_the_set_up_says_what_to_install() {
    let said = Pretended::new().without("apt-get").without("mformat").set_up_fails();

    assert!(said.contains("qemu-system-x86 mtools, and there is no apt here"), "{said}");
    assert!(said.contains("Fedora:") && said.contains("bookworm-backports"), "{said}");
}

#[test]
fn without_permission_to_install_the_set_up_says_so_and_installs_nothing() {
    let said = Pretended::new().set_up_fails();

    assert!(said.contains("no permission to install"), "{said}");
}

#[test]
fn a_qemu_that_is_too_old_counts_as_missing() {
    let old = "echo 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)'";

    let said = Pretended::new().with("qemu-system-x86_64", old).set_up_fails();

    assert!(said.contains("missing or too old: qemu-system-x86,"), "{said}");
}

#[test]
fn without_a_c_linker_the_set_up_says_so() {
    let current = "echo 'QEMU emulator version 10.0.2'";

    let said = Pretended::new().with("qemu-system-x86_64", current).without("cc").set_up_fails();

    assert!(said.contains("missing or too old: gcc libc6-dev,"), "{said}");
}

/// Nothing is installed that would not do.
#[test]
fn packages_that_are_too_old_are_not_installed() {
    let machine = Pretended::new()
        .with("id", "echo 0")
        .with("apt-get", "[ \"$1\" = update ] || echo 'apt-get was run' >&2")
        .with("apt-cache", "printf '%s\\n' 'qemu-system-x86:' '  Candidate: 1:8.2.2+ds-0ubuntu1'");

    let said = machine.set_up_fails();

    assert!(said.contains("packages have QEMU 8; that is too old, and nothing was installed"), "{said}");
}

#[test]
fn an_empty_disk_image_is_named() {
    let empty = tempfile::NamedTempFile::new().unwrap();

    let output = script("demo.sh").env("DISK", empty.path()).output().unwrap();

    assert!(fails(&output).contains("is empty"));
}

#[test]
fn a_disk_image_that_is_not_there_is_named() {
    let output = script("demo.sh").env("DISK", "/nowhere/disk.img").output().unwrap();

    assert!(fails(&output).contains("there is no disk image /nowhere/disk.img"));
}

fn demo_with(name: &str, value: &str) -> String {
    let mut command = script("demo.sh");
    command.env(name, value);
    fails(&command.output().unwrap())
}

#[test]
fn what_the_demo_does_not_know_is_named_with_what_it_knows() {
    assert!(demo_with("EXAMPLE", "gpu").contains("take one of: block tasks embassy two-queues net shell"));
    assert!(demo_with("ARCH", "sparc").contains("take one of: x86_64 aarch64 riscv64"));
    assert!(demo_with("TRANSPORT", "isa").contains("take one of: pci pci-legacy mmio mmio-legacy"));
    assert!(demo_with("RING", "round").contains("take one of: split packed"));
    assert!(demo_with("INTERRUPTS", "nmi").contains("take one of: msi-x line polling"));
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let legacy = script("demo.sh").env("TRANSPORT", "pci-legacy").env("RING", "packed").output().unwrap();
    assert!(fails(&legacy).contains("a legacy device has no packed ring"));
    let messages = script("demo.sh").env("TRANSPORT", "mmio").env("INTERRUPTS", "msi-x").output().unwrap();
    assert!(fails(&messages).contains("virtio over MMIO has no messages"));
    let port = script("demo.sh").env("EXAMPLE", "net").env("PORT", "70000").output().unwrap();
    assert!(fails(&port).contains("PORT=70000 is no number from 1 to 65535"));
    let line = script("demo.sh").env("EXAMPLE", "two-queues").env("INTERRUPTS", "line").output().unwrap();
    assert!(fails(&line).contains("a line interrupts one processor"));
    let typed = script("demo.sh").env("EXAMPLE", "shell").env("MODE", "interactive").output().unwrap();
    assert!(fails(&typed).contains("MODE=interactive is for somebody at a terminal"));
}

/// All but the example of files write everywhere.
#[test]
fn a_disk_image_of_the_users_own_is_not_given_to_an_example_that_changes_all_of_it() {
    let own = tempfile::NamedTempFile::new().unwrap();

    let output = script("demo.sh").env("EXAMPLE", "tasks").env("DISK", own.path()).output().unwrap();

    assert!(fails(&output).contains("EXAMPLE=tasks changes every byte of its disk"));
}
