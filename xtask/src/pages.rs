//! Pages: their links lead somewhere, their code is compiled, and what they tell a reader to `make` exists.
//!
//! Only links inside of the repository are looked at: this is a check of seconds, without a network.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::rules::Finding;

/// Code that is compiled, if the page is among a library's doc tests; what else a block can be says itself what it is.
const OTHER_LANGUAGES: [&str; 9] = ["text", "sh", "toml", "console", "c", "svg", "mermaid", "ignore", "diff"];

/// What is on a page.
#[derive(Debug, Default)]
pub struct Page {
    /// Where its headings are, as links name them.
    anchors: HashSet<String>,
    /// Lines, and where they link to.
    links: Vec<(usize, String)>,
    /// Lines, and the languages of blocks of code that begin there.
    blocks: Vec<(usize, String)>,
    /// Lines, and what is to be made.
    makes: Vec<(usize, String)>,
}

/// Reads a page.
pub fn read(text: &str) -> Page {
    let mut page = Page::default();
    let (mut heading, mut in_block): (Option<String>, bool) = (None, false);
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
    for (event, range) in parser {
        let line = text.get(..range.start).unwrap_or_default().matches('\n').count() + 1;
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                page.anchors.insert(anchor(&heading.take().unwrap_or_default()));
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push((line, dest_url.to_string()));
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                page.blocks.push((line, language.to_string()));
                in_block = true;
            }
            Event::End(TagEnd::CodeBlock) => in_block = false,
            Event::Text(words) if in_block => {
                page.makes.extend(
                    (line..).zip(words.lines()).filter_map(|(line, words)| Some((line, made(words)?))),
                );
            }
            Event::Text(words) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&words);
                }
            }
            Event::Code(words) => {
                page.makes.extend(made(&words).map(|target| (line, target)));
                if let Some(heading) = &mut heading {
                    heading.push_str(&words);
                }
            }
            _ => {}
        }
    }
    page
}

/// What a command makes, if it does.
fn made(command: &str) -> Option<String> {
    command.trim_start_matches("$ ").strip_prefix("make ")?.split_whitespace().next().map(ToString::to_string)
}

/// A heading, as links name it: as GitHub and mdBook do.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Where a link leads, from the page at `from`: a path in the repository, and an anchor in it. `None` if it leads out of it.
fn target(from: &Path, link: &str) -> Option<(PathBuf, Option<String>)> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_string())),
        None => (link, None),
    };
    if path.is_empty() {
        return Some((from.to_path_buf(), anchor));
    }
    let mut whole = from.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => {
                whole.pop();
            }
            Component::Normal(name) => whole.push(name),
            _ => {}
        }
    }
    Some((whole, anchor))
}

/// All findings on these pages, by their paths in the repository. `exists` says whether there is such a file or folder, `sources` are all Rust files, and `makefile` is the Makefile.
pub fn findings(
    pages: &BTreeMap<PathBuf, Page>,
    exists: impl Fn(&Path) -> bool,
    sources: &str,
    makefile: &str,
) -> Vec<(PathBuf, Finding)> {
    let mut found = Vec::new();
    for (path, page) in pages {
        let mut report = |line: usize, what: String| found.push((path.clone(), Finding { line, what }));
        for (line, link) in &page.links {
            let Some((to, anchor)) = target(path, link) else { continue };
            if !exists(&to) {
                report(*line, format!("the link {link} leads nowhere"));
            } else if let (Some(anchor), Some(there)) = (anchor, pages.get(&to))
                && !there.anchors.contains(&anchor)
            {
                report(*line, format!("there is no heading #{anchor} in {}", to.display()));
            }
            if path.starts_with("docs/src") && !to.starts_with("docs/src") {
                report(*line, format!("the link {link} leads out of the book: name the file instead"));
            }
        }
        let is_compiled = sources.contains(&format!("include_str!(\"../../{}\")", path.display()));
        for (line, language) in &page.blocks {
            let first = language.split([',', ' ']).next().unwrap_or_default();
            let is_rust = matches!(first, "" | "rust" | "no_run" | "compile_fail" | "should_panic");
            if is_rust && path.starts_with("docs") && !is_compiled {
                report(*line, "this code is compiled by nobody: include the page in the library's doc tests, or say `text`".into());
            } else if !is_rust && !OTHER_LANGUAGES.contains(&first) {
                report(*line, format!("`{first}` is no language of a block here"));
            }
        }
        for (line, target) in &page.makes {
            let is_target = makefile.lines().any(|rule| rule.starts_with(&format!("{target}:")));
            if !is_target && !target.contains(['<', '=', '.']) {
                report(*line, format!("there is no `make {target}`"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{anchor, findings, read};
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    fn whats(pages: &[(&str, &str)]) -> Vec<String> {
        let pages: BTreeMap<PathBuf, _> =
            pages.iter().map(|(path, text)| (PathBuf::from(path), read(text))).collect();
        let exists = |path: &Path| pages.contains_key(path) || path == Path::new("docs/src/a.svg");
        let sources = "#[doc = include_str!(\"../../docs/src/good.md\")]";
        let found = findings(&pages, exists, sources, "test: ## all\n\t@true\n");
        found
            .into_iter()
            .map(|(path, finding)| format!("{}:{}: {}", path.display(), finding.line, finding.what))
            .collect()
    }

    #[test]
    fn a_heading_is_named_as_readers_of_markdown_do() {
        assert_eq!(anchor("Drive a `vhost-user` device, now"), "drive-a-vhost-user-device-now");
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let good = ("docs/src/good.md", "# A head\n[x](#a-head) ![y](a.svg) [z](https://example.org/none)\n");
        assert_eq!(whats(&[good]), Vec::<String>::new());

        let found = whats(&[
            good,
            ("docs/src/bad.md", "# B\n\n[x](none.md)\n[y](good.md#none)\n[z](../../README.md)\n"),
            ("README.md", "# R\n"),
        ]);
        assert_eq!(
            found,
            [
                "docs/src/bad.md:3: the link none.md leads nowhere",
                "docs/src/bad.md:4: there is no heading #none in docs/src/good.md",
                "docs/src/bad.md:5: the link ../../README.md leads out of the book: name the file instead",
            ]
        );
    }

    #[test]
    fn code_that_nobody_compiles_is_found() {
        let code = "# C\n\n```\nlet x = 1;\n```\n\n```sh\nls\n```\n";
        assert_eq!(whats(&[("docs/src/good.md", code)]), Vec::<String>::new());

        let found = whats(&[("docs/src/other.md", code)]);
        assert!(
            found.len() == 1 && found[0].starts_with("docs/src/other.md:3: this code is compiled by nobody"),
            "{found:?}"
        );
        assert!(whats(&[("docs/src/good.md", "```rsut\n```\n")])[0].contains("no language"));
    }

    #[test]
    fn what_cannot_be_made_is_found() {
        assert_eq!(
            whats(&[("README.md", "`make test`, `make tea`\n")]),
            ["README.md:1: there is no `make tea`"]
        );
    }
}
