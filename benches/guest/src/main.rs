//! The program behind `make bench-guest`: `guest-bench [LINE ...]` counts, and prints a table.

use guest_bench::{machine, output};

fn main() {
    let lines: Vec<String> = std::env::args().skip(1).collect();
    if let [word, line, rest @ ..] = lines.as_slice()
        && word == "profile"
    {
        let is_packed = rest.iter().any(|word| word == "packed");
        let program = machine::OURS[usize::from(!line.starts_with("block"))];
        match machine::profile(program, is_packed, line) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("{error}"),
        }
        return;
    }
    for (program, is_packed) in machine::ALL {
        let printed = machine::run(program, is_packed, &lines);
        for line in output::lines(&printed) {
            let per = |ticks: u64| ticks as f64 / line.operations() as f64;
            println!(
                "{:24} {} submit {:8.1} complete {:8.1} sum {:8.1} allocations {}",
                line.name,
                if is_packed { "packed" } else { "split " },
                per(line.submit.sum),
                per(line.complete.sum),
                per(line.submit.sum + line.complete.sum),
                line.allocations
            );
        }
    }
}
