//! What every benchmark writes: a table, and a page of the guide that has it.
//!
//! A page has two marks, and what is between them is the program's to write.

use std::fmt::Write as _;
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

/// A table whose first row is its header, with as many cells in each row, in columns of one width.
///
/// # Panics
/// A row is shorter than the first.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width_of =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (content, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {content:width$} ");
        }
        text += "|\n";
        if number == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text += "|\n";
        }
    }
    text
}
