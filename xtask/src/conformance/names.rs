//! Names of tests, as claims have them: whether there is such a test in the tree.

use std::path::Path;

/// What stands before the path of a doc test.
const DOC: &str = "doc:";
/// What stands before the name of a fuzz target.
const FUZZ: &str = "fuzz::";

/// Whether the tree whose root this is has the test; `sources` are all its Rust files.
pub fn is_in_tree(test: &str, root: &Path, sources: &str) -> bool {
    if let Some(printed) = test.strip_prefix(DOC) {
        let file = printed.split(" - ").next().unwrap_or_default();
        return root.join(file).is_file();
    }
    if let Some(target) = test.strip_prefix(FUZZ) {
        return root.join(format!("fuzz/fuzz_targets/{target}.rs")).is_file();
    }
    // At least a program, and a function in it.
    test.rsplit_once("::").is_some_and(|(_, function)| sources.contains(&format!("fn {function}(")))
}

/// A doc test as it is named in claims, from the way cargo prints it: its line may be another one tomorrow.
pub fn doc_test(printed: &str) -> String {
    let mut name = printed.to_string();
    if let Some((before, rest)) = printed.split_once(" (line ")
        && let Some((_, after)) = rest.split_once(')')
    {
        name = format!("{before}{after}");
    }
    format!("{DOC}{}", name.trim_end_matches(" -"))
}

/// A fuzz target as it is named in claims.
pub fn fuzz_target(target: &str) -> String {
    format!("{FUZZ}{target}")
}

#[cfg(test)]
mod tests {
    use super::{doc_test, is_in_tree};
    use std::path::Path;

    #[test]
    fn a_test_is_in_the_tree_where_cargo_would_find_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = "#[test]\nfn a_promise() {}\n";

        assert!(is_in_tree("ring::tests::a_promise", root, sources));
        assert!(!is_in_tree("ring::tests::another_promise", root, sources));
        assert!(!is_in_tree("a_promise", root, sources), "no program");
        assert!(is_in_tree("doc:src/main.rs - (compile fail)", root, sources));
        assert!(!is_in_tree("doc:src/none.rs - (compile fail)", root, sources));
        assert!(!is_in_tree("fuzz::none", root, sources));
    }

    #[test]
    fn a_doc_test_is_named_without_its_line() {
        let printed = "virtio-drivers/src/hal/mod.rs - hal::Hal (line 12) - compile fail";
        assert_eq!(doc_test(printed), "doc:virtio-drivers/src/hal/mod.rs - hal::Hal - compile fail");
        assert_eq!(doc_test("src/lib.rs - (line 3)"), "doc:src/lib.rs -".trim_end_matches(" -"));
    }
}
