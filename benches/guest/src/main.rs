//! The program behind `make bench-guest`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use guest_bench::lines::{INTERRUPTED, Setup, kernel_of};
use guest_bench::measure::{Extent, measure, measure_interrupts};
use guest_bench::results::Results;
use guest_bench::{profile, table};

/// Operations of each line where only some lines are asked for.
const QUICK: u64 = 4096;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["all", page] => everything(Path::new(page)),
        ["lines", lines @ ..] if !lines.is_empty() => some(lines),
        ["profile", line] => profiled(line, false),
        ["profile", line, "packed"] => profiled(line, true),
        _ => Err("it is run by `make bench-guest`".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-guest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(what: &str) {
    eprintln!("bench-guest: {what}");
}

/// Measures all, and writes it down.
fn everything(page: &Path) -> Result<(), String> {
    let folder =
        env::var_os("GUEST_BENCH_FOLDER").ok_or("GUEST_BENCH_FOLDER is not set: run `make bench-guest`")?;
    let mut results = collect(&Extent::default())?;
    for setup in Setup::interrupted() {
        say(&format!("{} ({}), with interrupts", setup.program(), setup.layout()));
        results.interrupted.extend(measure_interrupts(&setup, &INTERRUPTED)?);
    }
    let json = PathBuf::from(folder).join("guest.json");
    fs::write(&json, format!("{:#}\n", results.to_json()))
        .map_err(|error| format!("{}: {error}", json.display()))?;
    let text = table::all(&results);
    println!("{text}");
    bench_page::write(page, &text).map_err(|error| format!("{}: {error}", page.display()))?;
    say(&format!("the table is in {}, all figures are in {}", page.display(), json.display()));
    Ok(())
}

/// Measures some lines, for a look at them.
fn some(lines: &[&str]) -> Result<(), String> {
    lines.iter().try_for_each(|line| known(line).map(drop))?;
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    println!("{}", table::all(&collect(&Extent { lines, operations: Some(QUICK) })?));
    Ok(())
}

fn collect(extent: &Extent) -> Result<Results, String> {
    let qemu = qemu_tests::check_qemu("qemu-system-x86_64")?;
    let mut results = Results { qemu, ..Results::default() };
    let setups = Setup::polling(&extent.lines);
    for (number, setup) in (1..).zip(&setups) {
        say(&format!("{} ({}), {number} of {}", setup.program(), setup.layout(), setups.len()));
        results.measured.extend(measure(setup, extent)?);
    }
    Ok(results)
}

fn known(line: &str) -> Result<guest_bench::lines::Kernel, String> {
    kernel_of(line).ok_or_else(|| {
        let all: Vec<&str> =
            guest_bench::lines::KERNELS.iter().flat_map(|kernel| kernel.lines).copied().collect();
        format!("there is no line {line}; there are: {}", all.join(", "))
    })
}

/// Shows where the instructions of a line of ours go.
fn profiled(line: &str, packed: bool) -> Result<(), String> {
    let setup =
        Setup { whose: guest_bench::lines::Whose::Ours, kernel: known(line)?, packed, interrupts: false };
    println!("{}", profile::of(&setup, line)?);
    Ok(())
}
