//! Conformance: each requirement of the specification has a claim, and each claim its tests.
//!
//! What the files are is in `conformance/README.md`. Two questions are asked of them: whether claims are complete and the tests that they name exist, which
//! the tree alone tells ([`Ledger::read`]); and whether those tests ran and passed, which the logs of the last `make test` tell ([`ran`]).

mod claims;
mod inventory;
mod names;
mod page;
mod ran;

use std::path::Path;
use std::{fs, io};

use claims::{Claim, Kind};
use inventory::Requirement;

/// The areas, in the order in which they are shown: the name of the file of claims, and in words.
const AREAS: [(&str, &str); 12] = [
    ("facilities", "Basic facilities"),
    ("administration", "Administration"),
    ("split", "Split virtqueues"),
    ("packed", "Packed virtqueues"),
    ("pci", "PCI"),
    ("mmio", "MMIO"),
    ("net", "Network cards"),
    ("block", "Disks"),
    ("console", "Consoles"),
    ("balloon", "Balloons"),
    ("entropy", "Entropy devices"),
    ("later", "Devices without a driver yet"),
];

/// The page of counts, and the folder that it is in.
const FOLDER: &str = "docs/src/conformance";

/// Between these the README has the counts.
const BEGIN: &str = "<!-- conformance begins -->";
const END: &str = "<!-- conformance ends -->";

/// One area: its requirements, and what is claimed for each.
#[derive(Debug)]
struct Area {
    name: &'static str,
    title: &'static str,
    entries: Vec<(Requirement, Claim)>,
}

/// All that is claimed.
#[derive(Debug)]
pub struct Ledger {
    areas: Vec<Area>,
}

impl Ledger {
    /// Reads inventory and claims of the tree whose root this is, and says in words what is wrong with them.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(root: &Path, findings: &mut Vec<String>) -> io::Result<Self> {
        let folder = root.join("conformance");
        let mut requirements = Vec::new();
        for name in ["requirements.toml", "requirements-later.toml"] {
            match inventory::parse(&fs::read_to_string(folder.join(name))?) {
                Ok(read) => requirements.extend(read),
                Err(error) => findings.push(format!("conformance/{name}: {error}")),
            }
        }
        let mut areas = Vec::new();
        for (name, title) in AREAS {
            let shown = format!("conformance/claims/{name}.toml");
            let text = fs::read_to_string(folder.join(format!("claims/{name}.toml"))).unwrap_or_default();
            let claimed = claims::parse(&text).unwrap_or_else(|error| {
                findings.push(format!("{shown}: {error}"));
                claims::Claims::default()
            });
            let mut entries = Vec::new();
            for (pattern, claim) in claimed {
                let before = entries.len();
                while let Some(at) = requirements.iter().position(|one| claims::is_for(&pattern, &one.id)) {
                    let requirement = requirements.remove(at);
                    if let Some(wrong) = claim.problem(&requirement) {
                        findings.push(format!("{shown}: {}: {wrong}", requirement.id));
                    }
                    entries.push((requirement, claim.clone()));
                }
                if entries.len() == before {
                    findings.push(format!(
                        "{shown}: {pattern}: there is no such requirement, or it has a claim already"
                    ));
                }
            }
            // As the specification has them.
            entries.sort_by_key(|(requirement, _)| requirement.place);
            areas.push(Area { name, title, entries });
        }
        for left in &requirements {
            findings.push(format!("conformance/claims: {} has no claim: {}", left.id, left.summary));
        }
        Ok(Self { areas })
    }

    /// The tests that are named, each with the requirement that names it.
    fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.areas.iter().flat_map(|area| &area.entries);
        entries.flat_map(|(requirement, claim)| {
            claim.tests.iter().map(|test| (requirement.id.as_str(), test.as_str()))
        })
    }

    /// Says which named tests are not in the tree.
    pub fn missing_tests(&self, root: &Path, sources: &str) -> Vec<String> {
        let is_there = |test: &str| names::is_in_tree(test, root, sources);
        let missing = self.named().filter(|(_, test)| !is_there(test));
        missing.map(|(id, test)| format!("conformance/claims: {id}: there is no test `{test}`")).collect()
    }

    /// Says which named tests did not run, or failed, in the last round of all tests, whose logs are in this folder.
    ///
    /// # Errors
    /// There are no logs.
    pub fn idle_tests(&self, logs: &Path) -> io::Result<Vec<String>> {
        let ran = ran::Ran::read(logs)?;
        let wrong = self.named().filter_map(|(id, test)| Some((id, test, ran.problem(test)?)));
        Ok(wrong.map(|(id, test, problem)| format!("{id}: `{test}` {problem}")).collect())
    }

    /// What is open although it has to be done.
    pub fn open_musts(&self) -> Vec<String> {
        let entries = self.areas.iter().flat_map(|area| &area.entries);
        let open = entries
            .filter(|(requirement, claim)| requirement.level.binds() && claim.kind() == Some(Kind::Open));
        open.map(|(requirement, claim)| format!("{}: open: {}", requirement.id, claim.reason())).collect()
    }

    /// The files that show it, as they should be: where each is, and what is in it.
    ///
    /// # Errors
    /// There is no README, or it has no place for the counts.
    pub fn files(&self, root: &Path) -> io::Result<Vec<(String, String)>> {
        let readme = fs::read_to_string(root.join("README.md"))?;
        let place =
            readme.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
        let (before, after) =
            place.ok_or_else(|| io::Error::other(format!("README.md has no {BEGIN} and {END}")))?;
        let readme = format!("{before}{BEGIN}\n{}\n{END}{after}", self.sentence());
        let mut files =
            vec![("README.md".to_string(), readme), (format!("{FOLDER}/index.md"), page::index(&self.areas))];
        for area in &self.areas {
            files.push((format!("{FOLDER}/{}.md", area.name), page::area(area)));
        }
        Ok(files)
    }

    /// The counts, as a table.
    pub fn counts(&self) -> String {
        page::counts(&self.areas)
    }

    /// The counts in one sentence, which the README has.
    pub fn sentence(&self) -> String {
        page::sentence(&self.areas)
    }
}
