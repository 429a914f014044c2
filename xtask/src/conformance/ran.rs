//! What ran in the last round of all tests, as its logs have it.
//!
//! They are what `cargo test` prints: which program runs, and then a line for each of its tests.

use std::collections::HashSet;
use std::path::Path;
use std::{fs, io};

use super::names;

/// The tests that ran.
#[derive(Debug, Default)]
pub struct Ran {
    passed: HashSet<String>,
    failed: HashSet<String>,
}

impl Ran {
    /// Reads all logs in a folder, and in those below it.
    ///
    /// # Errors
    /// There is no such folder, or it has none.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut ran = Self::default();
        ran.add_folder(folder)?;
        if ran.passed.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no test passed in what is there"));
        }
        Ok(ran)
    }

    fn add_folder(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.add_folder(&path)?;
            } else if path.extension().is_some_and(|extension| extension == "log") {
                self.add(&String::from_utf8_lossy(&fs::read(&path)?));
            }
        }
        Ok(())
    }

    fn add(&mut self, log: &str) {
        let mut program = String::new();
        for line in log.lines() {
            if let Some(running) = program_of(line) {
                program = running;
            } else if let Some((target, result)) = fuzzed(line) {
                self.note(names::fuzz_target(target), result == "clean", result == "finding");
            } else if let Some((test, result)) =
                line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
            {
                let test = test.trim_end_matches(" - should panic");
                let name =
                    if program.is_empty() { names::doc_test(test) } else { format!("{program}::{test}") };
                self.note(name, result == "ok", result == "FAILED");
            }
        }
    }

    fn note(&mut self, name: String, passed: bool, failed: bool) {
        if passed {
            self.passed.insert(name);
        } else if failed {
            self.failed.insert(name);
        }
    }

    /// What is wrong with a test that has to run and to pass.
    pub fn problem(&self, test: &str) -> Option<&'static str> {
        if self.failed.contains(test) {
            Some("failed")
        } else if self.passed.contains(test) {
            None
        } else {
            Some("did not run")
        }
    }
}

/// The program that a line says to be running; empty for doc tests.
fn program_of(line: &str) -> Option<String> {
    let line = line.trim_start();
    if line.starts_with("Doc-tests ") {
        return Some(String::new());
    }
    // Running tests/ring.rs (target/debug/deps/ring-0123456789abcdef)
    let (_, file) = line.strip_prefix("Running ")?.rsplit_once("/deps/")?;
    let (name, _) = file.rsplit_once('-')?;
    Some(name.to_string())
}

/// The fuzz target that a line of its round's table is about, and how it ended.
fn fuzzed(line: &str) -> Option<(&str, &str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [target, counts @ .., result] = words.as_slice() else { return None };
    let is_table = counts.len() == 5 && counts.iter().all(|count| count.parse::<u64>().is_ok());
    is_table.then_some((*target, *result))
}

#[cfg(test)]
mod tests {
    use super::Ran;

    const LOG: &str = "\
     Running unittests src/lib.rs (target/debug/deps/virtio_guest-0f2e)
test ring::books::tests::a_promise ... ok
     Running tests/ring.rs (/tmp/t/debug/deps/ring-ab12)
test a_long_one has been running for over 60 seconds
test a_long_one ... ok
test broken ... FAILED
test left_out ... ignored
test it_panics - should panic ... ok
   Doc-tests virtio_guest
test virtio-drivers/src/lib.rs - ring::Storage (line 44) ... ok
block                    15722     1429    6699     32873    1499  clean
net                          3        2       1         3       1  finding
";

    #[test]
    fn logs_tell_which_tests_passed_failed_or_did_not_run() {
        let mut ran = Ran::default();
        ran.add(LOG);

        for passed in [
            "virtio_guest::ring::books::tests::a_promise",
            "ring::a_long_one",
            "ring::it_panics",
            "doc:virtio-drivers/src/lib.rs - ring::Storage",
            "fuzz::block",
        ] {
            assert_eq!(ran.problem(passed), None, "{passed}");
        }
        assert_eq!(ran.problem("ring::broken"), Some("failed"));
        assert_eq!(ran.problem("ring::left_out"), Some("did not run"));
        assert_eq!(ran.problem("packed::a_long_one"), Some("did not run"), "of another program");
        assert_eq!(ran.problem("fuzz::net"), Some("failed"));
    }
}
