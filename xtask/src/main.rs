//! Checks the house rules that a program can see: `cargo run -p xtask -- floors`.
//!
//! Floors import only floors below them, `unsafe` stays where it belongs, modules say what they are, files stay short. Prints like a compiler:
//! `path:line: what`.

mod rules;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

/// Collects all Rust files below a folder.
fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    into.sort();
    Ok(())
}

/// Checks the tree whose root is `root`, and says how many findings there are.
fn check(root: &Path) -> io::Result<usize> {
    let mut findings = 0;
    let mut report = |path: &Path, line: usize, what: &str| {
        println!("{}:{line}: {what}", path.display());
        findings += 1;
    };
    let library = root.join("virtio-drivers/src");
    let mut files = Vec::new();
    for folder in [
        "virtio-drivers",
        "virtio-model",
        "virtio-test-hal",
        "virtio-user",
        "benches",
        "examples",
        "qemu-tests",
        "fuzz",
        "soak",
        "xtask",
    ] {
        rust_files(&root.join(folder), &mut files)?;
    }
    let mut sources = String::new();
    for path in files {
        let text = fs::read_to_string(&path)?;
        sources += &text;
        let shown = path.strip_prefix(root).unwrap_or(&path);
        for finding in rules::everywhere(&text) {
            report(shown, finding.line, &finding.what);
        }
        if let Ok(inside) = path.strip_prefix(&library) {
            for finding in rules::library(&inside.to_string_lossy(), &text) {
                report(shown, finding.line, &finding.what);
            }
        }
    }
    let mut pages = fs::read_to_string(root.join("README.md"))?;
    for name in ["CONTRIBUTING.md", "docs/src/testing.md"] {
        pages += &fs::read_to_string(root.join(name)).unwrap_or_default();
    }
    let makefile = root.join("Makefile");
    for finding in rules::targets(&fs::read_to_string(&makefile)?, &pages) {
        report(Path::new("Makefile"), finding.line, &finding.what);
    }
    let faults = Path::new("docs/src/faults.md");
    for finding in rules::named_tests(&fs::read_to_string(root.join(faults))?, &sources) {
        report(faults, finding.line, &finding.what);
    }
    Ok(findings)
}

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() != Some("floors") {
        eprintln!("usage: cargo run -p xtask -- floors");
        return ExitCode::from(2);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match check(&root) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(findings) => {
            println!("{findings} findings: the rules are in CONTRIBUTING.md");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the tree could not be read: {error}");
            ExitCode::FAILURE
        }
    }
}
