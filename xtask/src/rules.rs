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
    ("lifecycle", &["lifecycle", "ring", "transport", "wire", "hal", "raw"]),
    ("device", &["device", "lifecycle", "ring", "transport", "wire", "hal", "raw"]),
    ("adapter", &["adapter", "device", "hal"]),
];

/// Longest file, in lines.
const LINES_MAX: usize = 400;

/// Lines with their numbers, up to the unit tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.lines())
        .take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]"))
        .map(|(number, line)| (number, line.split("//").next().unwrap_or(line)))
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
        for part in line.split("crate::").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() && !allowed.contains(&name.as_str()) {
                findings.push(finding(
                    number,
                    format!("{floor}/ may not know {name}/: floors import only floors below them"),
                ));
            }
        }
    }
    findings
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
        .filter(|(_, name)| is_test_name(name) && !sources.contains(&format!("fn {name}()")))
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
    fn comments_and_unit_tests_may_name_anything() {
        let text = "//! See [`crate::device`].\n#[cfg(test)]\nmod tests { use crate::device::block; fn f() { None.unwrap() } }";
        assert!(library("wire/split.rs", text).is_empty());
    }

    #[test]
    fn unsafe_is_found_outside_of_its_floors() {
        assert_eq!(library("device/block/driver.rs", "let x = unsafe { f() };").len(), 1);
        assert!(library("raw/cell.rs", "let x = unsafe { f() };").is_empty());
        assert!(library("transport/pci/registers.rs", "unsafe impl Transport for PciTransport {").is_empty());
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
