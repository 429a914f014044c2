//! What is counted, not measured: allocations, doorbells, register accesses, private memory.
//!
//! Full fences are not counted here: `virtio-drivers/src/raw/order/mod.rs` has them all by name, and `Virtqueue::publish` goes through one of them, once.

use std::mem::size_of;

use virtio_guest::raw::Tag;
use virtio_guest::ring::Storage;

use crate::case::{Case, Shape, Whose};
use crate::device::Wants;
use crate::heap::allocations_during;
use crate::subject::subject;
use crate::transport::{doorbells, register_accesses};

/// Rounds that are counted.
const ROUNDS: u64 = 100;

/// The burst.
const BURST: u16 = 32;

/// The most that was counted of somebody's rings, in whatever mode.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Whose rings.
    pub whose: Whose,
    /// Whether their chains were in indirect tables.
    pub indirect: bool,
    /// Heap allocations per operation.
    pub allocations: f64,
    /// Doorbells per burst, of a device that wants a notification with each publish.
    pub doorbells: f64,
    /// The same, of a device that wants none.
    pub doorbells_unwanted: f64,
    /// Register accesses per burst other than doorbells. The peers have no other way to a register than the doorbell.
    pub register_accesses: f64,
}

/// Counts for everybody's rings, with chains in the ring and in tables.
pub fn count_all() -> Vec<Counts> {
    let cases = Case::all();
    let mut all = Vec::new();
    for whose in [Whose::Ours, Whose::Rcore, Whose::Libblkio] {
        for indirect in [false, true] {
            let counted = cases.iter().filter(|case| {
                let Shape { indirect: is_indirect, .. } = case.shape;
                (case.whose, is_indirect, case.burst) == (whose, indirect, BURST)
            });
            all.extend(counted.map(count).reduce(|some, others| Counts {
                allocations: some.allocations.max(others.allocations),
                doorbells: some.doorbells.max(others.doorbells),
                doorbells_unwanted: some.doorbells_unwanted.max(others.doorbells_unwanted),
                register_accesses: some.register_accesses.max(others.register_accesses),
                ..some
            }));
        }
    }
    all
}

/// Counts for one case.
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
pub fn count(case: &Case) -> Counts {
    let per_burst = |count: u64| count as f64 / ROUNDS as f64;
    let mut sleeper = subject(case, Wants::EachPublish);
    sleeper.rounds(ROUNDS);
    let (registers_before, doorbells_before) = (register_accesses(), doorbells());
    let allocations = allocations_during(|| sleeper.rounds(ROUNDS));
    let (registers, wanted) = (register_accesses() - registers_before, doorbells() - doorbells_before);

    let mut busy = subject(case, Wants::NoNotification);
    busy.rounds(ROUNDS);
    let doorbells_before = doorbells();
    busy.rounds(ROUNDS);
    Counts {
        whose: case.whose,
        indirect: case.shape.indirect,
        allocations: per_burst(allocations) / f64::from(case.burst),
        doorbells: per_burst(wanted),
        doorbells_unwanted: per_burst(doorbells() - doorbells_before),
        register_accesses: per_burst(registers),
    }
}

/// Bytes of our private memory per entry of a queue, without the context that its user keeps there (8 bytes).
pub const fn private_bytes_per_entry() -> usize {
    const ENTRIES: usize = 256;
    size_of::<Storage<Tag<u64>, ENTRIES>>() / ENTRIES - size_of::<u64>()
}
