//! The program behind `make bench-ring`: everything but the times, which criterion measures before (`benches/time.rs`).

use std::path::Path;
use std::process::ExitCode;
use std::{env, io};

use ring_bench::{instructions, report, results};

/// What the program calls itself with, under valgrind.
const UNDER_CALLGRIND: &str = "under-callgrind";

fn main() -> ExitCode {
    let result = match env::args().nth(1).as_deref() {
        Some(UNDER_CALLGRIND) => instructions::run_all(),
        Some(page) => run(Path::new(page)),
        None => Err(io::Error::other("it is run by `make bench-ring`")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-ring: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(page: &Path) -> io::Result<()> {
    let folder = results::folder()
        .ok_or_else(|| io::Error::other("RING_BENCH_FOLDER is not set: run `make bench-ring`"))?;
    let results = report::collect(&folder, UNDER_CALLGRIND)?;
    report::write(&results, &folder, page)
}
