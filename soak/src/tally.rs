//! What was done: counts.

use std::fmt;
use std::ops::AddAssign;

/// Operations that are over, by what became of them and by how they were asked for; and what happened meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Reads, each compared with the copy.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Discards, zeros, erasures.
    pub ranges: u64,
    /// Operations that failed, because the disk was told to fail them.
    pub failed: u64,
    /// Operations whose end nobody saw: futures that were dropped, calls that ran out of patience, requests that a reset ended.
    pub given_up: u64,
    /// Those of blocking calls, among all of them.
    pub blocking: u64,
    /// Those of bursts.
    pub bursts: u64,
    /// Those of tasks.
    pub tasks: u64,
    /// Requests of bursts that a later one overtook.
    pub overtaken: u64,
    /// Resets, each with a bring-up afterwards.
    pub resets: u64,
    /// Changes of the disk's size.
    pub resizes: u64,
}

impl Tally {
    /// All operations.
    pub const fn operations(&self) -> u64 {
        self.reads + self.writes + self.flushes + self.ranges + self.failed + self.given_up
    }
}

impl AddAssign<&Self> for Tally {
    fn add_assign(&mut self, other: &Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.flushes += other.flushes;
        self.ranges += other.ranges;
        self.failed += other.failed;
        self.given_up += other.given_up;
        self.blocking += other.blocking;
        self.bursts += other.bursts;
        self.tasks += other.tasks;
        self.overtaken += other.overtaken;
        self.resets += other.resets;
        self.resizes += other.resizes;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reads,
            writes,
            flushes,
            ranges,
            failed,
            given_up,
            blocking,
            bursts,
            tasks,
            overtaken,
            resets,
            resizes,
        } = self;
        writeln!(
            f,
            "{} operations: {reads} reads, {writes} writes, {flushes} flushes, {ranges} discards, zeros and erasures, {failed} failed on purpose, {given_up} given up",
            self.operations()
        )?;
        writeln!(f, "asked for by: {bursts} bursts, {tasks} tasks, {blocking} blocking calls")?;
        write!(f, "overtaken by later ones: {overtaken}; resets: {resets}, other sizes: {resizes}")
    }
}
