//! The inventory: what the specification asks of a driver.

use serde::Deserialize;

/// How strongly a requirement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Level {
    #[serde(rename = "MUST")]
    Must,
    #[serde(rename = "MUST NOT")]
    MustNot,
    #[serde(rename = "SHOULD")]
    Should,
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
    #[serde(rename = "MAY")]
    May,
    /// A sentence that binds without a keyword.
    #[serde(rename = "PROSE")]
    Prose,
}

/// The groups of levels that are counted apart.
pub const GROUPS: [&str; 4] = ["MUST", "SHOULD", "MAY", "prose"];

impl Level {
    /// Whether nothing else will do.
    pub fn binds(self) -> bool {
        matches!(self, Self::Must | Self::MustNot)
    }

    /// The number of its group in [`GROUPS`].
    pub fn group(self) -> usize {
        match self {
            Self::Must | Self::MustNot => 0,
            Self::Should | Self::ShouldNot => 1,
            Self::May => 2,
            Self::Prose => 3,
        }
    }

    /// As the specification prints it.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
            Self::May => "MAY",
            Self::Prose => "prose",
        }
    }
}

/// One requirement.
#[derive(Clone, Debug, Deserialize)]
pub struct Requirement {
    pub id: String,
    pub section: String,
    pub level: Level,
    pub summary: String,
    pub legacy: bool,
    /// Where it stands in the inventory.
    #[serde(skip)]
    pub place: usize,
}

#[derive(Deserialize)]
struct Inventory {
    meta: Meta,
    requirement: Vec<Requirement>,
}

#[derive(Deserialize)]
struct Meta {
    entries: usize,
}

/// Reads an inventory.
///
/// # Errors
/// What is wrong with it, in words: it is no inventory, has another number of entries than it says, or an id twice.
pub fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let Inventory { meta, mut requirement } = toml::from_str(text).map_err(|error| error.to_string())?;
    if requirement.len() != meta.entries {
        return Err(format!("{} entries, but it says {}", requirement.len(), meta.entries));
    }
    for (place, one) in requirement.iter_mut().enumerate() {
        one.place = place;
    }
    let mut ids: Vec<&str> = requirement.iter().map(|one| one.id.as_str()).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("{} is there twice", pair[0])),
        None => Ok(requirement),
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, parse};

    const ONE: &str = "[[requirement]]\nid = \"a.1\"\nsection = \"2.1\"\nlevel = \"MUST NOT\"\nsummary = \"s\"\nlegacy = false\nkw = \"1/1\"\n";

    #[test]
    fn an_inventory_has_as_many_entries_as_it_says_and_none_twice() {
        let good = parse(&format!("[meta]\nentries = 1\n{ONE}")).expect("it is good");
        assert_eq!((good[0].id.as_str(), good[0].level), ("a.1", Level::MustNot));

        let short = parse(&format!("[meta]\nentries = 2\n{ONE}"));
        assert_eq!(short.expect_err("one is missing"), "1 entries, but it says 2");
        let twice = parse(&format!("[meta]\nentries = 2\n{ONE}{ONE}"));
        assert_eq!(twice.expect_err("one is there twice"), "a.1 is there twice");
    }
}
