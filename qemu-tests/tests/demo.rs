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

/// The end of what the demo says, once the host has looked at the disk.
fn last_line(example: &str) -> &'static str {
    match example {
        "block" => "wrote GUEST.TXT",
        "two-queues" => "each byte is 0002 (octal)",
        "shell" => "demo: the shell ended as it was told to",
        _ => "each byte is 0377 (octal)",
    }
}

fn demo(example: &str, architecture: &str, transport: &str, ring: &str, interrupts: &str) -> String {
    let output = Command::new("make")
        .args(["--no-print-directory", "-C"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .arg("demo")
        .args([format!("EXAMPLE={example}"), format!("ARCH={architecture}")])
        .args([format!("TRANSPORT={transport}"), format!("RING={ring}"), format!("INTERRUPTS={interrupts}")])
        .env_remove("MACHINE")
        .env_remove("DISK")
        .output()
        .expect("make runs");

    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let asked = format!("{example} {architecture} {transport} {ring} {interrupts:?}");
    assert!(output.status.success(), "{asked}: {said}\n{errors}");
    assert_eq!(said.lines().last(), Some(last_line(example)), "{asked}: {said}\n{errors}");
    said
}

fn check(architecture: &str, transport: (&str, &str), ring: (&str, &str), interrupts: &str) {
    let said = demo("block", architecture, transport.0, ring.0, interrupts);

    let interrupts = if interrupts.is_empty() { best(transport.0) } else { interrupts };
    for expected in [transport.1, ring.1, &format!("interrupts: {interrupts} (")] {
        assert!(said.contains(expected), "{architecture}: no {expected:?} in\n{said}");
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

#[test]
fn the_demo_runs_each_example_on_each_architecture() {
    for (architecture, transport, ring) in
        [("x86_64", "pci-legacy", "split"), ("aarch64", "pci", "packed"), ("riscv64", "mmio", "split")]
    {
        for example in ["tasks", "embassy", "two-queues"] {
            let said = demo(example, architecture, transport, ring, "");

            assert!(said.contains(&format!("{example} example: done")), "{architecture}: {said}");
        }
    }
}

/// Typed by the script, with two letters the wrong way round at first, and shown as text.
#[test]
fn the_demo_types_a_session_at_a_shell_on_each_architecture() {
    for (architecture, transport, ring) in
        [("x86_64", "pci-legacy", "split"), ("aarch64", "pci", "packed"), ("riscv64", "mmio", "packed")]
    {
        let said = demo("shell", architecture, transport, ring, "");

        for expected in ["\n> echo hello, world\nhello, world\n> mem\n", "  Hello from the h\n", "\n> exit\n"]
        {
            assert!(said.contains(expected), "{architecture}: no {expected:?} in {said}");
        }
    }
}
