//! What the drivers cost a guest: instructions, doorbells, register accesses, interrupts, allocations.
//!
//! `make bench-guest` is the way to run it. `docs/src/guest-benchmark.md` says how it is measured.
//!
//! ```text
//!   kernels/measure   in the guest: counts each half of an operation, and marks it for the trace
//!   kernels/ours      the drivers of virtio-guest    ┐ the same lines of the table,
//!   kernels/rcore     those of crate virtio-drivers  ┘ the same platform, the same machine
//!   machine           the virtual machine of a kernel
//!   output, trace     what the kernel prints; what QEMU says of registers and interrupts
//!   measure           runs them all, twice for the instructions
//!   results, table    JSON, and what people read
//!   profile           where the instructions of one line go
//! ```

pub mod lines;
pub mod machine;
pub mod marks;
pub mod measure;
pub mod output;
pub mod profile;
pub mod results;
pub mod table;
pub mod trace;
