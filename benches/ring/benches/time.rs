//! The times of all cases, and of their device sides alone. `make bench-ring` runs it, and reads what criterion writes.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use criterion::Criterion;
use ring_bench::device::Wants;
use ring_bench::results::{Progress, folder};
use ring_bench::subject::subject;
use ring_bench::times::{GROUP, device_name, timed_cases};

/// Rounds before a measurement, so that the ring's lists have come into the order in which they stay.
const ROUNDS_BEFORE: u64 = 512;

fn main() -> io::Result<()> {
    let Some(folder) = folder() else {
        // `cargo test --benches` comes by here, too.
        eprintln!("nothing is measured here: run `make bench-ring`");
        return Ok(());
    };
    // Many short measurements: a disturbance spoils one of them, and the median leaves it out.
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(40))
        .measurement_time(Duration::from_millis(160))
        .nresamples(1000)
        .without_plots()
        .output_directory(&folder.criterion());
    let mut group = criterion.benchmark_group(GROUP);
    let cases = timed_cases();
    let mut devices = HashSet::new();
    let mut progress = Progress::new("times", cases.len())?;
    for case in cases {
        progress.step(&case.to_string());
        let mut subject = subject(&case, Wants::NoNotification);
        subject.rounds(ROUNDS_BEFORE);
        group.bench_function(case.to_string(), |bencher| {
            bencher.iter_custom(|rounds| timed(|| subject.rounds(rounds)));
        });
        if devices.insert(device_name(&case)) {
            group.bench_function(device_name(&case), |bencher| {
                bencher.iter_custom(|rounds| timed(|| subject.device_rounds(rounds)));
            });
        }
    }
    group.finish();
    progress.end();
    Ok(())
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
