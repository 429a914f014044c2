//! Random operations on a modelled disk, each of which is verified: for as long as one likes.
//!
//! Driver and device live many lives, one after the other, on each processor one at a time: [`life`]. Reads, writes and flushes come from all three levels of use at once, in depths that change, are done in any order
//! or given up, and now and then the disk is reset and comes up again. Each read is compared with a copy ([`shadow`]), each buffer is accounted for ([`page`]), and at rest nothing is left anywhere.
//!
//! `make soak` runs it; a short round is among the tests.

pub mod bench;
pub mod bursts;
mod calls;
pub mod errand;
pub mod life;
pub mod page;
pub mod shadow;
pub mod tally;
pub mod tasks;
