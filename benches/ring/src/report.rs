//! Brings the results together: has instructions counted, reads the times, counts and runs what is left, and writes table, JSON and page.

use std::num::NonZero;
use std::path::Path;
use std::{fs, io, thread};

use crate::case::Case;
use crate::results::{Folder, Measured, Results};
use crate::{counts, instructions, table, times, two_cores};

/// Measures what criterion did not, and takes the times from it. `argument` makes this program run [`instructions::run_all`].
///
/// # Errors
/// A meter fails, or was not run.
pub fn collect(folder: &Folder, argument: &str) -> io::Result<Results> {
    say("counting instructions under callgrind (about a minute and a half)");
    let instructions = instructions::count_all(&folder.callgrind(), argument)?;
    say("reading criterion's times");
    let measured = Case::all().into_iter().zip(instructions).map(|(case, instructions)| {
        let nanoseconds = times::read(&folder.criterion(), &case)?;
        Ok(Measured { case, instructions, nanoseconds })
    });
    let measured = measured.collect::<io::Result<_>>()?;
    say("counting allocations, doorbells and register accesses");
    let counts = counts::count_all();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let two_cores = if cores < 2 {
        say("left out: driver and device in a thread each, for there is one processor only");
        Vec::new()
    } else {
        say("running driver and device in a thread each");
        two_cores::cases().into_iter().map(|case| (case, two_cores::operations_per_second(&case))).collect()
    };
    Ok(Results { measured, counts, two_cores, processor: processor() })
}

/// Prints the table, writes it into the page, and the JSON into the folder.
///
/// # Errors
/// A file cannot be written, or the page has no place for the table.
pub fn write(results: &Results, folder: &Folder, page: &Path) -> io::Result<()> {
    let table = table::all(results);
    println!("\n{table}");
    fs::write(folder.json(), serde_json::to_string_pretty(&results.to_json())?)?;
    bench_page::write(page, &table)?;
    say(&format!("all of it, with every mode: {}", folder.json().display()));
    say(&format!("the table is in {}", page.display()));
    Ok(())
}

fn say(what: &str) {
    eprintln!("bench-ring: {what}");
}

/// What Linux says the processor is.
fn processor() -> String {
    let description = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = description.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| format!("an {} processor", std::env::consts::ARCH), |(_, name)| name.trim().into())
}
