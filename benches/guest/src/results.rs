//! What was measured, as one value: for the table, and as JSON.

use serde_json::{Value, json};

use crate::lines::Whose;

/// A line of somebody's: all counts are per operation.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name.
    pub line: String,
    /// Whose.
    pub whose: Whose,
    /// Whether the rings are packed.
    pub packed: bool,
    /// Operations of a burst.
    pub burst: u64,
    /// How many operations were counted.
    pub operations: u64,
    /// Instructions to hand in.
    pub submit: f64,
    /// Instructions to take back.
    pub complete: f64,
    /// Instructions of both halves, of the burst that took least of each,
    pub least: f64,
    /// and most.
    pub most: f64,
    /// A second run had the same counts, burst by burst.
    pub repeats: bool,
    /// Instructions of both halves in the second run.
    pub second: f64,
    /// Doorbells.
    pub doorbells: f64,
    /// Register reads.
    pub reads: f64,
    /// Register writes besides doorbells.
    pub writes: f64,
    /// Interrupts.
    pub interrupts: f64,
    /// Heap allocations.
    pub allocations: f64,
}

impl Measured {
    /// Instructions of both halves.
    pub fn instructions(&self) -> f64 {
        self.submit + self.complete
    }

    fn to_json(&self) -> Value {
        json!({
            "line": self.line,
            "whose": self.whose.name(),
            "packed": self.packed,
            "burst": self.burst,
            "operations": self.operations,
            "instructions": self.instructions(),
            "instructions_submit": self.submit,
            "instructions_complete": self.complete,
            "instructions_least": self.least,
            "instructions_most": self.most,
            "instructions_second_run": self.second,
            "repeats": self.repeats,
            "doorbells": self.doorbells,
            "register_reads": self.reads,
            "register_writes": self.writes,
            "interrupts": self.interrupts,
            "allocations": self.allocations,
        })
    }
}

/// Interrupts of a device that may interrupt.
#[derive(Clone, Debug)]
pub struct Interrupted {
    /// The line.
    pub line: String,
    /// Whether the rings are packed.
    pub packed: bool,
    /// Interrupts per burst.
    pub per_burst: f64,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Lines.
    pub measured: Vec<Measured>,
    /// Interrupts, where there are some.
    pub interrupted: Vec<Interrupted>,
    /// QEMU's version.
    pub qemu: String,
}

impl Results {
    /// What was measured of somebody's line.
    pub fn of(&self, line: &str, whose: Whose, packed: bool) -> Option<&Measured> {
        let mut all = self.measured.iter();
        all.find(|measured| {
            (measured.line.as_str(), measured.whose, measured.packed) == (line, whose, packed)
        })
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let interrupted = self.interrupted.iter().map(|Interrupted { line, packed, per_burst }| {
            json!({ "line": line, "packed": packed, "interrupts_per_burst": per_burst })
        });
        json!({
            "qemu": self.qemu,
            "unit": "per operation",
            "lines": self.measured.iter().map(Measured::to_json).collect::<Vec<_>>(),
            "with_interrupts": interrupted.collect::<Vec<_>>(),
        })
    }
}
