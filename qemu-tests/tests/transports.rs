//! The table of machines, connections, rings and interrupts: a disk that is read, written and checked from outside, in every cell.
//!
//! Cells that cannot be say why: what the specification does not define, and what a machine does not have. The table is written to `transports.md` in the folder that cargo has for tests'
//! files, printed by `make test`, and is the one in the guide.

mod common;

use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::check_with;
use qemu_tests::{Connection, DiskDevice, Machine};

/// 2 MiB: each cell's disk is compared in full.
const SECTORS: u64 = 4096;
/// Guests at a time.
const AT_A_TIME: usize = 2;

const CONNECTIONS: [(Connection, &str); 4] = [
    (Connection::Pci, "PCI modern"),
    (Connection::PciLegacy, "PCI legacy"),
    (Connection::Mmio, "MMIO v2"),
    (Connection::MmioLegacy, "MMIO v1"),
];
const RINGS: [(bool, &str); 2] = [(false, "Split"), (true, "Packed")];
/// As the guest's command line has them, and whether the device sends messages.
const INTERRUPTS: [(&str, bool); 3] = [("polling", false), ("line", false), ("msi-x", true)];

#[derive(Clone, Copy)]
struct Cell {
    machine: Machine,
    connection: Connection,
    packed: bool,
    layout: &'static str,
    interrupts: &'static str,
    messages: bool,
}

/// What a cell says.
#[derive(Clone)]
enum Outcome {
    Ok,
    /// The specification has no such thing.
    NotDefined(&'static str),
    /// This machine has no such thing.
    NotOnThisMachine(&'static str),
    Failed(String),
}

impl Cell {
    /// Why there is nothing to be run.
    fn excuse(self) -> Option<Outcome> {
        if let Some(reason) = self.machine.lacks(self.connection) {
            return Some(Outcome::NotOnThisMachine(reason));
        }
        if self.packed && self.connection.is_legacy() {
            return Some(Outcome::NotDefined(
                "a legacy device has 32 features, and the packed ring's has number 34",
            ));
        }
        if self.messages && self.connection.is_mmio() {
            return Some(Outcome::NotDefined("MMIO has no messages"));
        }
        if self.messages
            && let Some(reason) = self.machine.lacks_messages()
        {
            return Some(Outcome::NotOnThisMachine(reason));
        }
        None
    }

    /// Boots the guest, and checks that it went this way and no other.
    fn run(self) {
        let Self { machine, connection, packed, layout, interrupts, .. } = self;
        // A fast disk is done before anybody sleeps, and nobody would miss its interrupts.
        let requests_per_second = (interrupts != "polling").then_some(200);
        let device =
            DiskDevice { connection: Some(connection), packed, requests_per_second, ..DiskDevice::default() };
        let output = check_with(machine, SECTORS, &device, &format!(" interrupts={interrupts}"));
        let bus = if connection.is_mmio() { "MMIO" } else { "PCI" };
        let interface = if connection.is_legacy() { "Legacy" } else { "Modern" };
        for expected in [
            format!("({bus}, {interface} interface"),
            format!("paths: layout={layout} "),
            format!(
                "interrupts: {interrupts} vectors={} ",
                if self.messages { "PerQueue" } else { "NoVectors" }
            ),
        ] {
            assert!(output.contains(&expected), "no {expected:?} in:\n{output}");
        }
    }

    fn outcome(self) -> Outcome {
        self.excuse().unwrap_or_else(|| match catch_unwind(AssertUnwindSafe(|| self.run())) {
            Ok(()) => Outcome::Ok,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                Outcome::Failed(text.unwrap_or_else(|| "it panicked without a text".into()))
            }
        })
    }
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for machine in Machine::ALL {
        for (connection, _) in CONNECTIONS {
            for (packed, layout) in RINGS {
                for (interrupts, messages) in INTERRUPTS {
                    cells.push(Cell { machine, connection, packed, layout, interrupts, messages });
                }
            }
        }
    }
    cells
}

/// The table, with reasons below it.
fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| machine | connection | split: polling | split: line | split: MSI-X | packed: polling | packed: line | packed: MSI-X |\n|---|---|---|---|---|---|---|---|\n",
    );
    let mut reasons: Vec<String> = Vec::new();
    let mut note = |reason: String| {
        let known = reasons.iter().position(|known| *known == reason);
        known.unwrap_or_else(|| {
            reasons.push(reason);
            reasons.len() - 1
        }) + 1
    };
    let rows = Machine::ALL
        .iter()
        .flat_map(|machine| CONNECTIONS.iter().map(move |connection| (machine, connection)));
    for ((machine, (_, connection)), row) in rows.zip(outcomes.chunks(RINGS.len() * INTERRUPTS.len())) {
        write!(text, "| {} | {connection} |", machine.name()).unwrap();
        for outcome in row {
            let cell = match outcome {
                Outcome::Ok => "ok".into(),
                Outcome::NotDefined(reason) => format!("– ({})", note(format!("not defined: {reason}"))),
                Outcome::NotOnThisMachine(reason) => {
                    format!("– ({})", note(format!("not on this machine: {reason}")))
                }
                Outcome::Failed(_) => "FAILED".into(),
            };
            write!(text, " {cell} |").unwrap();
        }
        text.push('\n');
    }
    text.push('\n');
    for (number, reason) in (1..).zip(reasons) {
        writeln!(text, "({number}) {reason}").unwrap();
    }
    text
}

/// The page that shows the table.
const GUIDE: &str = include_str!("../../docs/src/transports.md");

#[test]
fn a_disk_is_read_and_written_in_every_cell_of_the_table() {
    let cells = cells();
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(vec![None; cells.len()]));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(index) else { break };
                    let outcome = cell.outcome();
                    outcomes.lock().unwrap()[index] = Some(outcome);
                }
            });
        }
    });
    let outcomes: Vec<Outcome> =
        outcomes.into_inner().unwrap().into_iter().map(|outcome| outcome.expect("all ran")).collect();

    let table = table(&outcomes);
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("transports.md"), &table)
        .expect("room for the table");
    println!("{table}");
    let failures = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Failed(text) => Some(text.as_str()),
        _ => None,
    });
    let failures: Vec<&str> = failures.collect();
    assert!(failures.is_empty(), "{} cells failed:\n{}", failures.len(), failures.join("\n\n"));
    let ok = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Ok)).count();
    assert_eq!(ok, EXPECTED_OK, "as many cells as there are on these machines");
    assert!(
        GUIDE.contains(&table),
        "docs/src/transports.md has another table; this one goes there:\n{table}"
    );
}

/// How many cells there are that must be ok: a machine that loses one is noticed.
const EXPECTED_OK: usize = 87;
