//! What the rings cost: our driver side and two peers', against a device side as cheap as can be, which is measured alone and subtracted.
//!
//! `make bench-ring` is the way to run it. `docs/src/rings-benchmark.md` says how it is measured.
//!
//! ```text
//!   case        what is measured: whose ring, which mode, how long the chains, how large the bursts
//!   driver      one driver side: ours, rcore, libblkio           ┐ subject: the two, taking turns;
//!   device      the raw device side, which writes used elements  ┘ or the device alone; or in two threads
//!   benches/time.rs   nanoseconds (criterion)
//!   instructions      the same program under callgrind
//!   counts            allocations, doorbells, register reads, private memory
//!   report            one table, for people, for the docs, and as JSON
//! ```

pub mod case;
pub mod counts;
pub mod device;
pub mod driver;
pub mod heap;
pub mod instructions;
pub mod libblkio_ring;
pub mod memory;
pub mod our_ring;
pub mod rcore_ring;
pub mod report;
pub mod results;
pub mod subject;
pub mod table;
pub mod times;
pub mod transport;
pub mod two_cores;
pub mod vhost;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;
