//! The program behind `make bench-user`, and its own subjects.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use user_bench::heap::Counting;
use user_bench::line::{Line, Whose};
use user_bench::measure::{self, Extent};
use user_bench::processors::Processors;
use user_bench::sample::{Sampling, Task};
use user_bench::{subject, table};

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["subject", whose, line, place, task @ ..] => play(whose, line, Path::new(place), task),
        ["all", page] => everything(Path::new(page), false),
        ["quick"] => everything(Path::new(""), true),
        ["lines", lines @ ..] if !lines.is_empty() => some(lines),
        _ => Err("it is run by `make bench-user`".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-user: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a subject is started for.
fn play(whose: &str, line: &str, place: &Path, task: &[&str]) -> Result<(), String> {
    let whose = Whose::by_name(whose).ok_or_else(|| format!("nobody is called {whose}"))?;
    let number = |word: &str| word.parse().map_err(|_| format!("{word} is no number"));
    let task = match task {
        ["windows", millis] => Task::Windows(Duration::from_millis(number(millis)?)),
        ["bursts", bursts] => Task::Bursts(number(bursts)?),
        _ => return Err("a subject is started by `make bench-user`".into()),
    };
    subject::run(whose, known(line)?, place, task)
}

fn known(line: &str) -> Result<Line, String> {
    Line::by_name(line).ok_or_else(|| {
        let all: Vec<String> = Line::all().iter().map(ToString::to_string).collect();
        format!("there is no line {line}; there are: {}", all.join(", "))
    })
}

fn extent(quick: bool) -> Result<Extent, String> {
    let folder =
        env::var_os("USER_BENCH_FOLDER").ok_or("USER_BENCH_FOLDER is not set: run `make bench-user`")?;
    let folder = PathBuf::from(folder);
    let millis = |whole, quicker| Duration::from_millis(if quick { quicker } else { whole });
    let sampling = Sampling {
        processors: Processors::find()?,
        warm_up: millis(150, 100),
        window: millis(400, 300),
        dpdk_card: folder.join("dpdk-card"),
    };
    Ok(Extent { sampling, samples: if quick { 1 } else { 3 }, folder })
}

/// Measures all, and writes it down; of quick figures only the JSON.
fn everything(page: &Path, quick: bool) -> Result<(), String> {
    let extent = extent(quick)?;
    let results = measure::lines(&Line::all(), &extent)?;
    let json = extent.folder.join(if quick { "user-quick.json" } else { "user.json" });
    fs::write(&json, format!("{:#}\n", results.to_json()))
        .map_err(|error| format!("{}: {error}", json.display()))?;
    let text = table::all(&results);
    println!("{text}");
    eprintln!("bench-user: all figures are in {}", json.display());
    if !quick {
        bench_page::write(page, &text).map_err(|error| format!("{}: {error}", page.display()))?;
        eprintln!("bench-user: the table is in {}", page.display());
    }
    Ok(())
}

/// Measures some lines, for a look at them.
fn some(lines: &[&str]) -> Result<(), String> {
    let lines = lines.iter().map(|line| known(line)).collect::<Result<Vec<_>, _>>()?;
    println!("{}", table::all(&measure::lines(&lines, &extent(false)?)?));
    Ok(())
}
