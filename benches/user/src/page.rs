//! The page of the guide that has the table.

use std::path::Path;
use std::{fs, io};

/// Where the page has its table.
const TABLE_BEGINS: &str = "<!-- the table begins -->\n";
/// Where it ends.
const TABLE_ENDS: &str = "<!-- the table ends -->\n";

/// The page with another table.
///
/// # Errors
/// It has no marks around its table.
pub fn with_table(page: &str, table: &str) -> io::Result<String> {
    let parts = page.split_once(TABLE_BEGINS).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(TABLE_ENDS)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| io::Error::other("the page has no marks around its table"))?;
    Ok(format!("{before}{TABLE_BEGINS}\n{table}\n{TABLE_ENDS}{after}"))
}

/// Writes the table into a page.
///
/// # Errors
/// The page is not there, or has no place for it.
pub fn write(page: &Path, table: &str) -> io::Result<()> {
    fs::write(page, with_table(&fs::read_to_string(page)?, table)?)
}
