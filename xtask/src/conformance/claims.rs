//! Claims: what this project says to a requirement.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::inventory::Requirement;

/// What a file claims, by id, or by the beginning of ids and `*`.
pub type Claims = BTreeMap<String, Claim>;

/// A claim, as it is written down.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Tests of which at least one fails once the code does otherwise.
    #[serde(default)]
    pub tests: Vec<String>,
    not_applicable: Option<String>,
    argued: Option<String>,
    planned: Option<String>,
    open: Option<String>,
    /// What was changed in the code, once, to see a test fail.
    pub without: Option<String>,
    /// How an unclear passage is understood.
    pub reading: Option<String>,
}

/// What kind of claim it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Covered,
    NotApplicable,
    Argued,
    Planned,
    Open,
}

impl Kind {
    /// In the order in which they are counted.
    pub const ALL: [Self; 5] = [Self::Covered, Self::NotApplicable, Self::Argued, Self::Planned, Self::Open];

    pub fn words(self) -> &'static str {
        match self {
            Self::Covered => "covered",
            Self::NotApplicable => "not applicable",
            Self::Argued => "argued",
            Self::Planned => "planned",
            Self::Open => "open",
        }
    }
}

impl Claim {
    fn reasons(&self) -> [(Kind, Option<&str>); 4] {
        [
            (Kind::NotApplicable, self.not_applicable.as_deref()),
            (Kind::Argued, self.argued.as_deref()),
            (Kind::Planned, self.planned.as_deref()),
            (Kind::Open, self.open.as_deref()),
        ]
    }

    /// Its kind; `None` if it says nothing, or too much.
    pub fn kind(&self) -> Option<Kind> {
        let mut reasons = self.reasons().into_iter().filter_map(|(kind, reason)| reason.map(|_| kind));
        match (reasons.next(), reasons.next()) {
            (None, _) => (!self.tests.is_empty()).then_some(Kind::Covered),
            (Some(kind), None) => Some(kind),
            (Some(_), Some(_)) => None,
        }
    }

    /// Why it is not covered, if it is not.
    pub fn reason(&self) -> &str {
        self.reasons().into_iter().find_map(|(_, reason)| reason).unwrap_or_default()
    }

    /// What is wrong with it, as a claim for this requirement.
    pub fn problem(&self, requirement: &Requirement) -> Option<&'static str> {
        match self.kind() {
            None => Some("a claim has either tests, or one reason: not_applicable, argued, planned or open"),
            Some(Kind::Argued) if requirement.level.binds() => {
                Some("what MUST be, or MUST NOT, is not argued about")
            }
            Some(Kind::Covered) if self.tests.is_empty() => Some("there is no test"),
            Some(Kind::Covered) => None,
            Some(_) => self.reason().is_empty().then_some("the reason is empty"),
        }
    }
}

/// Whether a claim for `pattern` is for the requirement `id`.
pub fn is_for(pattern: &str, id: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => id.starts_with(beginning),
        None => id == pattern,
    }
}

/// Reads a file of claims.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<Claims, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::inventory::{Level, Requirement};
    use super::{Kind, is_for, parse};

    fn requirement(level: Level) -> Requirement {
        let (section, summary) = (String::new(), String::new());
        Requirement { id: "a.1".into(), section, level, summary, legacy: false, place: 0 }
    }

    #[test]
    fn each_kind_of_claim_is_told_from_the_others() {
        for (text, kind) in [
            ("tests = [\"ring::a\"]", Some(Kind::Covered)),
            ("not_applicable = \"never\"\ntests = [\"ring::a\"]", Some(Kind::NotApplicable)),
            ("argued = \"so\"", Some(Kind::Argued)),
            ("planned = \"later\"", Some(Kind::Planned)),
            ("open = \"missing\"", Some(Kind::Open)),
            ("", None),
            ("argued = \"so\"\nopen = \"missing\"", None),
        ] {
            let claims = parse(&format!("[\"a.1\"]\n{text}")).expect("it is TOML");
            assert_eq!(claims["a.1"].kind(), kind, "{text}");
        }
        assert!(parse("[\"a.1\"]\ntest = [\"ring::a\"]").is_err(), "a field that is spelt wrong is no claim");
    }

    #[test]
    fn a_must_is_not_argued_about_and_a_reason_is_given() {
        let problem = |text: &str, level| {
            let claims = parse(&format!("[\"a.1\"]\n{text}")).expect("it is TOML");
            claims["a.1"].problem(&requirement(level))
        };
        assert!(problem("argued = \"so\"", Level::Must).is_some_and(|wrong| wrong.contains("argued")));
        assert!(problem("argued = \"so\"", Level::Should).is_none());
        assert!(problem("open = \"\"", Level::Should).is_some_and(|wrong| wrong.contains("empty")));
        assert!(problem("tests = []", Level::Should).is_some());
        assert!(problem("tests = [\"ring::a\"]", Level::MustNot).is_none());
    }

    #[test]
    fn a_claim_is_for_one_id_or_for_all_that_begin_alike() {
        assert!(is_for("scsi.*", "scsi.op.1") && !is_for("scsi.*", "scsix.op.1"));
        assert!(is_for("status.1", "status.1") && !is_for("status.1", "status.11"));
    }
}
