//! `make demo` works as it says, in every combination of architecture, connection, ring and interrupts.

use std::path::Path;
use std::process::Command;

/// What each word makes the guest say.
const TRANSPORTS: [(&str, &str); 4] = [
    ("pci", "(PCI, Modern interface"),
    ("pci-legacy", "(PCI, Legacy interface"),
    ("mmio", "(MMIO, Modern interface"),
    ("mmio-legacy", "(MMIO, Legacy interface"),
];
const RINGS: [(&str, &str); 2] = [("split", "layout: Split"), ("packed", "layout: Packed")];
const INTERRUPTS: [&str; 4] = ["msi-x", "line", "polling", ""];

/// What there is not: the demo says so instead (`front_door.rs`).
fn is_defined(transport: &str, ring: &str, interrupts: &str) -> bool {
    let has_packed_rings = !transport.ends_with("legacy");
    let has_messages = transport.starts_with("pci");
    (ring != "packed" || has_packed_rings) && (interrupts != "msi-x" || has_messages)
}

/// What the demo does without being asked: the best that there is.
fn best(transport: &str) -> &'static str {
    if transport.starts_with("pci") { "msi-x" } else { "line" }
}

fn check(architecture: &str, transport: (&str, &str), ring: (&str, &str), interrupts: &str) {
    let output = Command::new("make")
        .args(["--no-print-directory", "-C"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .arg("demo")
        .args([format!("ARCH={architecture}"), format!("TRANSPORT={}", transport.0)])
        .args([format!("RING={}", ring.0), format!("INTERRUPTS={interrupts}")])
        .env_remove("MACHINE")
        .env_remove("DISK")
        .output()
        .expect("make runs");

    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let asked = format!("{architecture} {} {} {interrupts:?}", transport.0, ring.0);
    assert!(output.status.success(), "{asked}: {said}\n{errors}");
    assert_eq!(said.lines().last(), Some("wrote GUEST.TXT"), "{asked}: {said}\n{errors}");
    let interrupts = if interrupts.is_empty() { best(transport.0) } else { interrupts };
    for expected in [transport.1, ring.1, &format!("interrupts: {interrupts} (")] {
        assert!(said.contains(expected), "{asked}: no {expected:?} in\n{said}");
    }
}

#[test]
fn the_demo_works_in_every_combination() {
    for architecture in ["x86_64", "aarch64", "riscv64"] {
        for transport in TRANSPORTS {
            for ring in RINGS {
                for interrupts in INTERRUPTS.into_iter().filter(|word| is_defined(transport.0, ring.0, word))
                {
                    check(architecture, transport, ring, interrupts);
                }
            }
        }
    }
}
