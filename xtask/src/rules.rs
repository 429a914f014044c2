//! The rules, as functions from text to findings.

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

fn finding(line: usize, what: impl Into<String>) -> Finding {
    Finding { line, what: what.into() }
}

/// What each floor may import.
const FLOORS: [(&str, &[&str]); 8] = [
    ("wire", &["wire"]),
    ("hal", &["hal", "wire"]),
    ("raw", &["raw", "wire", "hal", "sync"]),
    ("ring", &["ring", "wire", "hal", "raw"]),
    ("transport", &["transport", "wire", "hal", "raw"]),
    ("lifecycle", &["lifecycle", "ring", "transport", "wire", "hal", "raw", "sync"]),
    ("device", &["device", "lifecycle", "ring", "transport", "wire", "hal", "raw", "sync"]),
    ("adapter", &["adapter", "device", "lifecycle", "ring", "transport", "hal", "sync"]),
];

/// Longest file, in lines.
const LINES_MAX: usize = 400;

/// Lines with their numbers, without comments and without the unit tests, which come last in a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = unit_tests(text).unwrap_or(usize::MAX);
    (1..)
        .zip(text.lines())
        .take_while(move |(number, _)| *number < tests)
        .map(|(number, line)| (number, line.split("//").next().unwrap_or(line)))
}

/// The line where a module of unit tests begins.
fn unit_tests(text: &str) -> Option<usize> {
    let lines = || (1..).zip(text.lines());
    lines().zip(text.lines().skip(1)).find_map(|((number, line), next)| {
        (line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{')).then_some(number)
    })
}

/// Rules for every Rust file.
pub fn everywhere(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.trim_start().starts_with("//!") {
        findings.push(finding(1, "a file opens with `//!`: what it is, and how it is used"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        findings.push(finding(
            lines,
            format!("{lines} lines, more than {LINES_MAX}: find the second question, and split"),
        ));
    }
    if let Some(tests) = unit_tests(text)
        && let Some(end) = (1..)
            .zip(text.lines())
            .find_map(|(number, line)| (number > tests && line == "}").then_some(number))
        && end < lines
    {
        findings.push(finding(end, "unit tests come last: what follows them would not be checked"));
    }
    let (to_do, ignored) = (concat!("TO", "DO"), concat!("#[", "ignore"));
    for (number, line) in (1..).zip(text.lines()) {
        if line.contains(to_do) {
            findings.push(finding(number, format!("{to_do}: do it, or file it")));
        }
        if line.contains(ignored) {
            findings.push(finding(number, "a test that does not run promises nothing"));
        }
    }
    findings
}

/// Rules for a file of the library, named by its path below `src`.
pub fn library(path: &str, text: &str) -> Vec<Finding> {
    let floor = path.split(['/', '.']).next().unwrap_or(path);
    let mut findings = imports(floor, text);
    let may_be_unsafe = matches!(floor, "raw" | "hal");
    for (number, line) in code(text) {
        let is_unsafe =
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait"].iter().any(|form| line.contains(form));
        // The one contract outside of those floors: memory is lent and taken back on the word of a transport.
        let is_contract = line.contains("unsafe trait Transport") || line.contains(" Transport for ");
        let is_transport = floor == "transport" && is_contract;
        if is_unsafe && !may_be_unsafe && !is_transport {
            findings.push(finding(number, "unsafe outside of raw/ and hal/"));
        }
        for call in [
            ".unwrap()",
            ".expect(",
            "panic!(",
            "unreachable!(",
            concat!("to", "do!("),
            concat!("un", "implemented!("),
        ] {
            if line.contains(call) {
                findings.push(finding(number, format!("`{call}` in the library: return an error")));
            }
        }
    }
    findings
}

fn imports(floor: &str, text: &str) -> Vec<Finding> {
    let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == floor) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (number, line) in code(text) {
        for name in floors_named(line) {
            if !allowed.contains(&name.as_str()) {
                findings.push(finding(
                    number,
                    format!("{floor}/ may not know {name}/: floors import only floors below them"),
                ));
            }
        }
        if line.contains("crate::{") {
            findings
                .push(finding(number, "a floor's imports are one `use` each, so that they can be checked"));
        }
    }
    findings
}

/// What a line names behind `crate::`, and what of the floors behind a chain of `super::`.
fn floors_named(line: &str) -> Vec<String> {
    let first_word =
        |part: &str| -> String { part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let of_the_crate = line.split("crate::").skip(1).map(first_word);
    let is_floor = |name: &String| FLOORS.iter().any(|(floor, _)| name == floor);
    let of_a_parent = line.split("super::").skip(1).map(first_word).filter(is_floor);
    of_the_crate.chain(of_a_parent).filter(|name| !name.is_empty()).collect()
}

/// Every target of the makefile is named, as `make <target>`, in the pages that people read.
pub fn targets(makefile: &str, pages: &str) -> Vec<Finding> {
    (1..)
        .zip(makefile.lines())
        .filter_map(|(number, line)| {
            let target = line.split_once(':')?.0;
            let is_public = !target.is_empty() && target.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let is_named = pages.split("make ").skip(1).any(|after| {
                after
                    .strip_prefix(target)
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
            });
            (is_public && !is_named).then(|| finding(number, format!("`make {target}` is named on no page")))
        })
        .collect()
}

/// Every test that the page of faults names (a name of several words in backticks) is in one of the `sources`.
pub fn named_tests(page: &str, sources: &str) -> Vec<Finding> {
    let is_test_name = |name: &str| {
        name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    (1..)
        .zip(page.lines())
        .filter(|(_, line)| line.starts_with('|'))
        .flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(move |name| (number, name)))
        .filter(|(_, name)| is_test_name(name) && !sources.contains(&format!("fn {name}(")))
        .map(|(number, name)| finding(number, format!("there is no test `{name}`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(findings: &[Finding]) -> String {
        findings
            .iter()
            .map(|finding| format!("{}: {}", finding.line, finding.what))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_floor_that_imports_from_above_is_found() {
        let text = "//! Head.\nuse crate::raw::Doorbell;\nuse crate::transport::Transport;\n";
        assert!(whats(&library("ring/queue.rs", text)).contains("3: ring/ may not know transport/"));
        assert!(library("lifecycle/ladder.rs", text).is_empty());
        assert_eq!(library("transport/pci/mod.rs", "use crate::ring::Virtqueue;").len(), 1, "siblings apart");
    }

    #[test]
    fn imports_in_groups_and_through_parents_are_found() {
        assert_eq!(library("ring/split.rs", "use crate::{transport::Transport, raw::Doorbell};").len(), 1);
        assert_eq!(library("ring/split.rs", "use super::super::transport::Transport;").len(), 1);
        assert!(library("ring/split.rs", "use super::suppress::passes;").is_empty());
    }

    #[test]
    fn what_follows_an_attribute_for_tests_is_still_checked() {
        let text = "#[cfg(test)]\nuse core::fmt;\nuse crate::device::block;\n";
        assert_eq!(library("ring/suppress.rs", text).len(), 1);
        let text = "//! Head.\n#[cfg(test)]\nmod tests {\n}\nfn f() {}\n";
        assert!(whats(&everywhere(text)).contains("unit tests come last"));
    }

    #[test]
    fn comments_and_unit_tests_may_name_anything() {
        let text = "//! See [`crate::device`].\n#[cfg(test)]\nmod tests {\n use crate::device::block; fn f() { None.unwrap() } }";
        assert!(library("wire/split.rs", text).is_empty());
    }

    #[test]
    fn unsafe_is_found_outside_of_its_floors() {
        assert_eq!(library("device/block/driver.rs", "let x = unsafe { f() };").len(), 1);
        assert!(library("raw/cell.rs", "let x = unsafe { f() };").is_empty());
        assert!(
            library(
                "transport/pci/registers.rs",
                "unsafe impl<A: ConfigRegionAccess> Transport for PciTransport<A> {"
            )
            .is_empty()
        );
        assert_eq!(library("transport/pci/registers.rs", "unsafe impl Send for PciTransport {").len(), 1);
    }

    #[test]
    fn calls_that_panic_are_found() {
        assert_eq!(library("ring/queue.rs", "x.unwrap(); y.expect(\"z\");").len(), 2);
    }

    #[test]
    fn headless_long_and_unfinished_files_are_found() {
        assert!(whats(&everywhere("fn f() {}\n")).contains("opens with"));
        assert!(whats(&everywhere(&format!("//! Head.\n{}", "\n".repeat(400)))).contains("401 lines"));
        let unfinished = format!("//! Head.\n// {}: later\n#[{}]\n", concat!("TO", "DO"), "ignore");
        assert_eq!(everywhere(&unfinished).len(), 2);
    }

    #[test]
    fn a_target_that_no_page_names_is_found() {
        let makefile = "demo: ## x\ntest-unit: ## y\n.PHONY: demo\n";
        assert_eq!(targets(makefile, "Run `make demo` and `make test`.").len(), 1);
        assert!(targets(makefile, "`make demo`, `make test-unit`").is_empty());
    }

    #[test]
    fn a_fault_whose_test_is_gone_is_found() {
        let page = "| says `DRIVER_OK` | `a_test_that_is_there`, `a_test_that_is_gone` |\n";
        assert_eq!(named_tests(page, "#[test]\nfn a_test_that_is_there() {\n").len(), 1);
    }
}
