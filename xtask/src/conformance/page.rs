//! The pages of the guide that show the claims, and the counts.

use std::fmt::Write;

use super::Area;
use super::claims::{Claim, Kind};
use super::inventory::{GROUPS, Requirement};

/// What stands on each page, so that nobody mends it by hand.
const WRITTEN: &str = "<!-- `make conformance` writes this page, from conformance/. -->\n";

/// How many claims there are, by group of levels and kind.
type Counts = [[usize; Kind::ALL.len()]; GROUPS.len()];

fn count(area: &Area) -> Counts {
    let mut counts = Counts::default();
    for (requirement, claim) in &area.entries {
        let place = claim.kind().and_then(|kind| Kind::ALL.iter().position(|one| *one == kind));
        if let Some(place) = place {
            counts[requirement.level.group()][place] += 1;
        }
    }
    counts
}

fn sum<'a>(areas: impl IntoIterator<Item = &'a Area>) -> Counts {
    let mut together = Counts::default();
    for counts in areas.into_iter().map(count) {
        for (row, add) in together.iter_mut().zip(counts) {
            for (cell, add) in row.iter_mut().zip(add) {
                *cell += add;
            }
        }
    }
    together
}

/// Kinds that a table has columns for, as far as there are such claims.
fn columns(areas: &[Area]) -> Vec<usize> {
    let all = sum(areas);
    (0..Kind::ALL.len())
        .filter(|kind| all.iter().any(|row| row[*kind] > 0) || Kind::ALL[*kind] == Kind::Open)
        .collect()
}

/// One row for each area and group of levels.
pub fn counts(areas: &[Area]) -> String {
    let columns = columns(areas);
    let mut text = String::from("| area | level | in all |");
    for kind in &columns {
        let _ = write!(text, " {} |", Kind::ALL[*kind].words());
    }
    text += "\n|---|---|--:|";
    text += &"--:|".repeat(columns.len());
    text.push('\n');
    let together = sum(areas.iter().filter(|area| area.name != "later"));
    let rows = areas.iter().map(|area| (format!("[{}]({}.md)", area.title, area.name), count(area)));
    for (title, counts) in rows.chain([("**all that has a driver**".to_string(), together)]) {
        let groups = GROUPS.iter().zip(counts).filter(|(_, row)| row.iter().any(|cell| *cell > 0));
        for (at, (group, row)) in groups.enumerate() {
            let title = if at == 0 { title.as_str() } else { "" };
            let _ = write!(text, "| {title} | {group} | {} |", row.iter().sum::<usize>());
            for kind in &columns {
                let _ = write!(text, " {} |", row[*kind]);
            }
            text.push('\n');
        }
    }
    text
}

/// The counts in one sentence.
pub fn sentence(areas: &[Area]) -> String {
    let [must, should, ..] = sum(areas.iter().filter(|area| area.name != "later"));
    let [covered, not_applicable, _, _, open] = must;
    let tested = should[0];
    format!(
        "Of the {} requirements (MUST and MUST NOT) that virtio 1.4 has for drivers of these devices, rings and transports, {covered} are covered by named tests, {not_applicable} do not apply, and {open} are open; of {} recommendations (SHOULD), {tested} are covered.",
        must.iter().sum::<usize>(),
        should.iter().sum::<usize>(),
    )
}

/// The page of counts.
pub fn index(areas: &[Area]) -> String {
    format!(
        "# Conformance\n\n{WRITTEN}\n{}\n\n\
         Each requirement has an id of this project's, and a claim:\n\n\
         - *covered*: the tests named pass, and at least one of them fails once the code does otherwise. Where that was seen, the claim says what was changed.\n\
         - *not applicable*: a condition of it never arises, and why.\n\
         - *argued*: a recommendation or permission that is handled otherwise, and why. What MUST be is never argued about.\n\
         - *planned*: there is no driver for that device yet.\n\
         - *open*: not done yet, and what is missing.\n\n\
         MUST stands for MUST NOT, too, and SHOULD for SHOULD NOT; *prose* binds without a keyword. `make conformance` checks that each requirement has its claim, that each named test exists, ran in the last `make test`, and passed; it\n\
         writes these pages. The claims are in `conformance/`, where a README says how to write one.\n\n{}",
        sentence(areas),
        counts(areas)
    )
}

/// The page of one area.
pub fn area(area: &Area) -> String {
    let mut text = format!("# {}\n\n{WRITTEN}\n[All areas](index.md)\n", area.title);
    let mut section = "";
    for (requirement, claim) in &area.entries {
        if requirement.section != section {
            section = &requirement.section;
            let _ = write!(text, "\n## {}\n\n", section.replace('<', "&lt;"));
        }
        let _ = writeln!(text, "{}", entry(requirement, claim));
    }
    text
}

fn entry(requirement: &Requirement, claim: &Claim) -> String {
    let Requirement { id, level, summary, legacy, .. } = requirement;
    let legacy = if *legacy { ", legacy" } else { "" };
    let mut text = format!("- **{id}** ({}{legacy}): {}\n", level.keyword(), plain(summary));
    let mut say = |words: &str| {
        let _ = writeln!(text, "  - {words}");
    };
    let kind = claim.kind().map_or("no claim", Kind::words);
    if !claim.reason().is_empty() {
        say(&format!("*{kind}*: {}", plain(claim.reason())));
    }
    if !claim.tests.is_empty() {
        let tests: Vec<String> = claim.tests.iter().map(|test| format!("`{test}`")).collect();
        let kind = if claim.reason().is_empty() { "*covered*: " } else { "tests: " };
        say(&format!("{kind}{}", tests.join(", ")));
    }
    if let Some(without) = &claim.without {
        say(&format!("seen to fail with: {}", plain(without)));
    }
    if let Some(reading) = &claim.reading {
        say(&format!("read as: {}", plain(reading)));
    }
    text.trim_end().to_string()
}

/// Text that is no markup, in one line.
fn plain(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // What is in backticks is shown as it is.
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| match at % 2 {
        0 => part.replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_").replace('[', "\\["),
        _ => part.to_string(),
    });
    parts.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::{counts, plain, sentence};
    use crate::conformance::Area;
    use crate::conformance::claims::parse;
    use crate::conformance::inventory::{Level, Requirement};

    fn area(name: &'static str, claims: &[(Level, &str)]) -> Area {
        let entries = claims.iter().map(|(level, text)| {
            let claim = parse(&format!("[a]\n{text}")).expect("a claim")["a"].clone();
            let requirement = Requirement {
                id: "a".into(),
                section: "2.1".into(),
                level: *level,
                summary: "s".into(),
                legacy: false,
                place: 0,
            };
            (requirement, claim)
        });
        Area { name, title: "A", entries: entries.collect() }
    }

    #[test]
    fn levels_and_kinds_are_counted_apart_and_devices_without_a_driver_are_left_out_of_the_sum() {
        let areas = [
            area(
                "net",
                &[
                    (Level::Must, "tests = [\"a::b\"]"),
                    (Level::MustNot, "open = \"x\""),
                    (Level::Should, "argued = \"y\""),
                    (Level::Should, "tests = [\"a::b\"]"),
                ],
            ),
            area("later", &[(Level::Must, "planned = \"z\"")]),
        ];

        let table = counts(&areas);
        assert!(table.contains("| [A](net.md) | MUST | 2 | 1 | 0 | 0 | 1 |"), "{table}");
        assert!(table.contains("|  | SHOULD | 2 | 1 | 1 | 0 | 0 |"), "{table}");
        assert!(table.contains("| [A](later.md) | MUST | 1 | 0 | 0 | 1 | 0 |"), "{table}");
        assert!(table.contains("| **all that has a driver** | MUST | 2 |"), "{table}");
        let words = sentence(&areas);
        assert!(words.contains("Of the 2 requirements") && words.contains(" 1 are open"), "{words}");
    }

    #[test]
    fn text_is_no_markup_but_for_code() {
        assert_eq!(plain("a_b <c> `d_<e>`\n f*"), "a\\_b &lt;c> `d_<e>` f\\*");
    }
}
