//! Checks the house rules that a program can see, and the claims of conformance.
//!
//! `cargo run -p xtask -- floors`: floors import only floors below them, `unsafe` stays where it belongs, modules say what they are, files stay short, pages name tests that exist. Prints like a
//! compiler: `path:line: what`.
//!
//! `cargo run -p xtask -- conformance <logs>`: each requirement has its claim, and the tests that claims name ran and passed, as the logs of `make test` tell; writes the pages and the README's sentence.

mod conformance;
mod pages;
mod rules;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use conformance::Ledger;

/// Collects all files below a folder whose names end so.
fn files_below(folder: &Path, wanted: &str, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, wanted, into)?;
        } else if path.extension().is_some_and(|extension| extension == wanted) {
            into.push(path);
        }
    }
    into.sort();
    Ok(())
}

/// The folders with Rust files of this project's.
const FOLDERS: [&str; 10] = [
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
];

/// All Rust files of the tree whose root is `root`, each with its text.
fn sources(root: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        files_below(&root.join(folder), "rs", &mut files)?;
    }
    files.into_iter().map(|path| Ok((path.clone(), fs::read_to_string(path)?))).collect()
}

/// Checks the tree whose root is `root`, and says how many findings there are.
fn check(root: &Path) -> io::Result<usize> {
    let mut findings = 0;
    let mut report = |path: &Path, line: usize, what: &str| {
        println!("{}:{line}: {what}", path.display());
        findings += 1;
    };
    let library = root.join("virtio-drivers/src");
    let files = sources(root)?;
    for (path, text) in &files {
        let shown = path.strip_prefix(root).unwrap_or(path);
        for finding in rules::everywhere(text) {
            report(shown, finding.line, &finding.what);
        }
        if let Ok(inside) = path.strip_prefix(&library) {
            for finding in rules::library(&inside.to_string_lossy(), text) {
                report(shown, finding.line, &finding.what);
            }
        }
    }
    let sources: String = files.into_iter().map(|(_, text)| text).collect();
    let readme = fs::read_to_string(root.join("README.md"))?;
    let mut pages = readme.clone();
    for name in ["CONTRIBUTING.md", "docs/src/testing.md"] {
        pages += &fs::read_to_string(root.join(name)).unwrap_or_default();
    }
    let makefile = fs::read_to_string(root.join("Makefile"))?;
    for finding in rules::targets(&makefile, &pages) {
        report(Path::new("Makefile"), finding.line, &finding.what);
    }
    let exists = |path: &Path| root.join(path).exists();
    for (path, finding) in pages::findings(&all_pages(root)?, exists, &sources, &makefile) {
        report(&path, finding.line, &finding.what);
    }
    let faults = Path::new("docs/src/faults.md");
    for finding in rules::named_tests(&fs::read_to_string(root.join(faults))?, &sources) {
        report(faults, finding.line, &finding.what);
    }
    let claims = check_claims(root, &sources)?;
    for what in &claims {
        println!("{what}");
    }
    Ok(findings + claims.len())
}

/// All pages: the guide's, and those at the top and in folders that a reader opens by themselves.
fn all_pages(root: &Path) -> io::Result<BTreeMap<PathBuf, pages::Page>> {
    let mut files = Vec::new();
    for folder in ["docs/src", "conformance"] {
        files_below(&root.join(folder), "md", &mut files)?;
    }
    for entry in fs::read_dir(root)? {
        files.push(entry?.path());
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let page = |path: PathBuf| {
        let text = fs::read_to_string(&path)?;
        Ok((path.strip_prefix(root).unwrap_or(&path).to_path_buf(), pages::read(&text)))
    };
    files.into_iter().map(page).collect()
}

/// What the tree alone says about the claims of conformance, and whether the pages have what they claim.
fn check_claims(root: &Path, sources: &str) -> io::Result<Vec<String>> {
    let mut findings = Vec::new();
    let ledger = Ledger::read(root, &mut findings)?;
    findings.extend(ledger.missing_tests(root, sources));
    for (path, text) in ledger.files(root)? {
        if fs::read_to_string(root.join(&path)).unwrap_or_default() != text {
            findings.push(format!("{path}: the claims say something else: make conformance"));
        }
    }
    Ok(findings)
}

/// Checks all that `check_claims` does, and that the tests ran; writes the pages.
fn conformance(root: &Path, logs: &Path) -> io::Result<usize> {
    let sources: String = sources(root)?.into_iter().map(|(_, text)| text).collect();
    let mut findings = Vec::new();
    let ledger = Ledger::read(root, &mut findings)?;
    findings.extend(ledger.missing_tests(root, &sources));
    match ledger.idle_tests(logs) {
        Ok(idle) => findings.extend(idle),
        Err(error) => findings.push(format!("{}: {error}: run `make test` first", logs.display())),
    }
    for (path, text) in ledger.files(root)? {
        let path = root.join(path);
        // Untouched where nothing changes, so that nothing is built again.
        if fs::read_to_string(&path).unwrap_or_default() != text {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            fs::write(path, text)?;
        }
    }
    println!("{}\n{}\n", ledger.counts(), ledger.sentence());
    for what in ledger.open_musts().iter().chain(&findings) {
        println!("{what}");
    }
    Ok(findings.len())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (result, rules) = match arguments.as_slice() {
        ["floors"] => (check(&root), "CONTRIBUTING.md"),
        ["conformance", logs] => (conformance(&root, Path::new(logs)), "conformance/README.md"),
        _ => {
            eprintln!("usage: cargo run -p xtask -- floors | conformance <logs of make test>");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(findings) => {
            println!("{findings} findings: the rules are in {rules}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the tree could not be read: {error}");
            ExitCode::FAILURE
        }
    }
}
