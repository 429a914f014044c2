//! Tasks that share a disk's request queue, on an executor of the guest's own: each gets its own bytes, nothing is left of what was dropped, and the guest sleeps while the disk works.
//!
//! Interrupts are counted where the device sends them, in QEMU's trace, and where the guest takes them: what comes while tasks run waits, and several may become one. The table is written to `tasks.md` in the folder that cargo has for tests' files, and printed by `make test`. The one in the guide has the same rows; its figures are those of one run.

#![allow(clippy::cast_precision_loss, reason = "counts are small")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use qemu_tests::{DiskDevice, Image, Machine, Qemu, random_seed};

/// One machine per architecture, with messages and with level-triggered lines.
const MACHINES: [Machine; 3] = [Machine::Q35, Machine::Aarch64Virt, Machine::Riscv64VirtAia];
/// As the guest's command line has them, as the guest names what came of it, and how they are called.
const INTERRUPTS: [(&str, &str, &str); 2] = [("msi-x", "PerQueue", "MSI-X"), ("line", "NoVectors", "line")];
/// Tasks at a time, and reads for each number of them: half are dropped.
const TASKS: [u64; 3] = [1, 16, 64];
const READS: u64 = 10_000;
/// Most interrupts per request that the device sends with 16 tasks or more: one for eight.
const INTERRUPTS_MAX: f64 = 1.0 / 8.0;
const SECTORS: u64 = 4096;

/// What so many tasks did together, in the guest's words.
struct Counts<'o>(&'o str);

impl Counts<'_> {
    fn get(&self, name: &str) -> u64 {
        let value =
            self.0.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {:?}", self.0))
    }

    fn ratio(&self, name: &str, of: &str) -> f64 {
        self.get(name) as f64 / self.get(of).max(1) as f64
    }
}

/// What the guest says of each number of tasks.
fn counts(output: &str) -> Vec<Counts<'_>> {
    output.lines().filter(|line| line.starts_with("tasks=")).map(Counts).collect()
}

/// Runs the guest to its end. Returns what it printed, and what QEMU traced.
fn run(
    machine: Machine,
    device: DiskDevice,
    interrupts: &str,
    reads: u64,
    tasks: &[u64],
) -> (String, String) {
    let seed = random_seed();
    let image = Image::random(SECTORS, seed);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trace = folder.path().join("trace");
    let tasks: Vec<String> = tasks.iter().map(u64::to_string).collect();
    let vectors = (interrupts == "line").then_some(0);
    let output = Qemu::new(machine, "kernel-tasks-check")
        .append(format!("seed={seed} interrupts={interrupts} reads={reads} tasks={}", tasks.join(",")))
        .trace(&["virtio_notify", "virtio_blk_req_complete"], &trace)
        .disk(&image, DiskDevice { vectors, ..device })
        .run_to("tasks check: done");
    (output, fs::read_to_string(&trace).expect("QEMU wrote a trace"))
}

/// How many interrupts the device sent for each number of tasks, most of which the guest does not take one by one: it is told apart by how many requests there were.
fn sent(trace: &str, counts: &[Counts<'_>]) -> Vec<u64> {
    let mut lines = trace.lines();
    let mut sent = Vec::new();
    for counts in counts {
        let (mut requests, mut interrupts) = (counts.get("requests"), 0);
        // One that follows the last request is counted with the next ones, which makes no difference to speak of.
        while requests > 0 {
            let line = lines.next().expect("each request is in the trace");
            requests -= u64::from(line.starts_with("virtio_blk_req_complete "));
            interrupts += u64::from(line.starts_with("virtio_notify "));
        }
        sent.push(interrupts);
    }
    sent
}

/// The page that shows the table, and where on it.
const GUIDE: &str = include_str!("../../docs/src/interrupts-and-async.md");
const MARKS: [&str; 2] = ["<!-- tasks -->\n", "<!-- end of tasks -->"];
const HEAD: &str = "| machine | ring | interrupts | reads | dropped | pages back | interrupts sent per request | taken | notifications per request | polls per read | halted |\n|---|---|---|---|---|---|---|---|---|---|---|\n";
/// The columns that are the same in each run.
const EXACT_COLUMNS: usize = 6;

/// What of a table is the same in each run.
fn exact(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split('|').take(1 + EXACT_COLUMNS).collect()).collect()
}

#[test]
fn each_task_reads_its_own_bytes_and_what_is_dropped_leaves_nothing_behind() {
    let mut table = String::from(HEAD);
    for machine in MACHINES {
        for (packed, ring) in [(false, "Split"), (true, "Packed")] {
            for (interrupts, vectors, name) in INTERRUPTS {
                let device = DiskDevice { packed, ..DiskDevice::default() };
                let (output, trace) = run(machine, device, interrupts, READS, &TASKS);

                let paths = format!("paths: layout={ring} event_index=true vectors={vectors}");
                assert!(output.contains(&paths), "no {paths:?} in:\n{output}");
                let counts = counts(&output);
                assert_eq!(counts.iter().map(|counts| counts.get("tasks")).collect::<Vec<_>>(), TASKS);
                let sent = sent(&trace, &counts);
                for (counts, sent) in counts.iter().zip(&sent) {
                    let (done, dropped) = (counts.get("done"), counts.get("dropped"));
                    assert_eq!((done, dropped), (READS / 2, READS / 2), "{output}");
                    let requests = counts.get("requests");
                    assert!((done..=READS).contains(&requests), "those that were polled:\n{output}");
                    if counts.get("tasks") == 1 {
                        assert!(counts.get("interrupts") > 0, "a task alone has to be woken:\n{output}");
                    } else {
                        let ratio = *sent as f64 / requests as f64;
                        assert!(ratio <= INTERRUPTS_MAX, "{ratio} interrupts per request:\n{output}");
                    }
                }
                let pages = output.lines().find_map(|line| line.strip_prefix("pages: "));

                let sum = |name| counts.iter().map(|counts| counts.get(name)).sum::<u64>();
                let (dropped, reads) = (sum("dropped"), sum("done") + sum("dropped"));
                let each = |one: &dyn Fn(&Counts<'_>, u64) -> String| {
                    let counted = counts.iter().zip(&sent);
                    counted.map(|(counts, sent)| one(counts, *sent)).collect::<Vec<_>>().join(" / ")
                };
                writeln!(
                    table,
                    "| {} | {} | {name} | {reads} | {dropped} | {} | {} | {} | {} | {} | {} |",
                    machine.name(),
                    ring.to_lowercase(),
                    pages.expect("the guest counts its pages"),
                    each(&|counts, sent| format!("{:.3}", sent as f64 / counts.get("requests") as f64)),
                    each(&|counts, _| format!("{:.3}", counts.ratio("interrupts", "requests"))),
                    each(&|counts, _| format!("{:.2}", counts.ratio("notifications", "requests"))),
                    each(&|counts, _| format!("{:.2}", counts.get("polls") as f64 / READS as f64)),
                    each(&|counts, _| format!("{:.0} %", 100.0 * counts.ratio("halted_us", "time_us"))),
                )
                .unwrap();
            }
        }
    }
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("tasks.md"), &table).expect("room for the table");
    println!("{table}");
    let [begin, end] = MARKS.map(|mark| GUIDE.find(mark).expect("the guide has the table between marks"));
    assert_eq!(
        exact(&GUIDE[begin + MARKS[0].len()..end]),
        exact(&table),
        "docs/src/interrupts-and-async.md has another table; this one goes there:\n{table}"
    );
}

/// The processor sleeps in its wait-for-interrupt instruction at least nine tenths of the time.
#[test]
fn while_tasks_wait_for_a_slow_disk_the_processor_is_halted() {
    for machine in MACHINES {
        for (interrupts, ..) in INTERRUPTS {
            let device = DiskDevice { requests_per_second: Some(20), ..DiskDevice::default() };
            let (output, _) = run(machine, device, interrupts, 40, &[4]);

            let counts = &counts(&output)[0];
            assert!(counts.get("time_us") > 1_000_000, "the disk is slow:\n{output}");
            assert!(counts.ratio("halted_us", "time_us") >= 0.9, "{output}");
        }
    }
}
