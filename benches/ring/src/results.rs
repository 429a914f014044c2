//! What was measured, as one value: for the table, and as JSON. And what both programs need to get there: the folder, and progress for who waits.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::case::{Case, Mode, Shape, Whose};
use crate::counts::{self, Counts};
use crate::instructions::Instructions;
use crate::times::Nanoseconds;

/// Everything that was measured of one case.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// The case.
    pub case: Case,
    /// Instructions per operation.
    pub instructions: Instructions,
    /// Nanoseconds per operation, if its time is measured.
    pub nanoseconds: Option<Nanoseconds>,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Results {
    /// The cases.
    pub measured: Vec<Measured>,
    /// What was counted.
    pub counts: Vec<Counts>,
    /// Operations per second of driver and device in a thread each; empty on a machine with one processor.
    pub two_cores: Vec<(Case, f64)>,
    /// The processor's name.
    pub processor: String,
}

impl Results {
    /// What was measured of somebody's ring.
    pub fn of(&self, whose: Whose, mode: Mode, shape: Shape, burst: u16) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.case == Case { whose, mode, shape, burst })
    }

    /// The same with or without event index, whichever takes fewer instructions: a peer's best setting.
    pub fn best_of(&self, whose: Whose, packed: bool, shape: Shape, burst: u16) -> Option<&Measured> {
        let modes = [false, true].map(|event_index| Mode { packed, in_order: false, event_index });
        let measured = modes.into_iter().filter_map(|mode| self.of(whose, mode, shape, burst));
        measured.min_by(|one, other| one.instructions.driver.total_cmp(&other.instructions.driver))
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "processor": self.processor,
            "unit": "per operation, device side subtracted",
            "cases": self.measured.iter().map(measured_to_json).collect::<Vec<_>>(),
            "counts": self.counts.iter().map(counts_to_json).collect::<Vec<_>>(),
            "private_bytes_per_entry": counts::private_bytes_per_entry(),
            "two_cores_operations_per_second": self.two_cores.iter()
                .map(|(case, rate)| (case.to_string(), json!(rate)))
                .collect::<serde_json::Map<_, _>>(),
        })
    }
}

fn measured_to_json(measured: &Measured) -> Value {
    let Measured { case, instructions, nanoseconds } = measured;
    json!({
        "name": case.to_string(),
        "whose": case.whose.name(),
        "packed": case.mode.packed,
        "in_order": case.mode.in_order,
        "event_index": case.mode.event_index,
        "descriptors": case.shape.segments,
        "indirect": case.shape.indirect,
        "burst": case.burst,
        "queue_size": case.queue_size(),
        "instructions": instructions.driver,
        "device_instructions": instructions.device,
        "nanoseconds": nanoseconds.map(|time| time.driver),
        "device_nanoseconds": nanoseconds.map(|time| time.device),
    })
}

fn counts_to_json(counts: &Counts) -> Value {
    json!({
        "whose": counts.whose.name(),
        "indirect": counts.indirect,
        "allocations_per_operation": counts.allocations,
        "doorbells_per_publish": counts.doorbells,
        "doorbells_per_publish_unwanted": counts.doorbells_unwanted,
        "register_accesses_per_publish": counts.register_accesses,
    })
}

/// The folder that results go to.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// The folder that `make bench-ring` names.
pub fn folder() -> Option<Folder> {
    env::var_os("RING_BENCH_FOLDER").map(|folder| Folder(folder.into()))
}

impl Folder {
    /// Where criterion writes.
    pub fn criterion(&self) -> PathBuf {
        self.0.join("criterion")
    }

    /// Where callgrind writes.
    pub fn callgrind(&self) -> PathBuf {
        self.0.join("callgrind")
    }

    /// Where the results are written.
    pub fn json(&self) -> PathBuf {
        self.0.join("ring.json")
    }
}

/// Says how far a long loop is, on descriptor 3 if there is one, else on the standard error: in place on a terminal, else a line now and then.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    steps: usize,
    done: usize,
    out: File,
    in_place: bool,
}

impl Progress {
    /// Of so many steps.
    ///
    /// # Errors
    /// There is nowhere to say it.
    pub fn new(what: &'static str, steps: usize) -> io::Result<Self> {
        let open = |path| File::options().append(true).open(path);
        let out = open("/dev/fd/3").or_else(|_| open("/dev/stderr"))?;
        let in_place = out.is_terminal();
        Ok(Self { what, steps, done: 0, out, in_place })
    }

    /// The next step begins.
    pub fn step(&mut self, name: &str) {
        self.done += 1;
        let line = format!("bench-ring: {} {}/{}", self.what, self.done, self.steps);
        // Whether anybody listens changes nothing.
        if self.in_place {
            let _ = write!(self.out, "\r{line} {name:60}");
        } else if self.done % 50 == 1 {
            let _ = writeln!(self.out, "{line}");
        }
    }

    /// All steps are done.
    pub fn end(&mut self) {
        if self.in_place {
            let _ = writeln!(self.out);
        }
    }
}
