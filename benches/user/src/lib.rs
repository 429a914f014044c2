//! Our drivers in an ordinary process, beside DPDK's and libblkio's, on the same vhost-user back-ends.
//!
//! `make bench-user` is the way to run it. `docs/src/user-benchmark.md` says how it is measured.
//!
//! ```text
//!   user-bench ─┬─ back-end on one processor    dpdk-testpmd or qemu-storage-daemon, one for all samples of a line
//!               └─ subject on another one       ours, DPDK's (dpdk/card.c), libblkio's, Linux's: one after the other, each a process for each sample
//!
//!   line                   what is measured, and of whom
//!   processors, noise      which two processors; what other programs used of them meanwhile
//!   distance               how far apart they are
//!   child, back_end        processes: back-ends, subjects
//!   subject                what a subject does
//!   sample, measure        one window; all of them, alternating
//!   instructions           a subject under callgrind
//!   spread, results, table numbers; JSON; what people read
//! ```

pub mod back_end;
pub mod child;
pub mod distance;
pub mod heap;
pub mod instructions;
pub mod line;
pub mod measure;
pub mod noise;
pub mod processors;
pub mod results;
pub mod sample;
pub mod spread;
pub mod subject;
pub mod table;
