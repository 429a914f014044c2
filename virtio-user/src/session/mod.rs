//! Disks and cards that survive their back-end.
//!
//! It ends, another one comes, and the work goes on.
//!
//! A driver sees of a back-end that went what it sees of any device that is gone. Everything it had in flight comes back with the reset, and it is for its owner to bring the device up again and to ask once
//! more. A session is such an owner, around the drivers as they are.
//!
//! ```text
//!   the back-end goes   ─▶  what it had finished is taken, the device is reset (its end of the socket is gone, so it is)
//!                           every buffer comes back, once
//!   another one comes   ─▶  the same bring-up, in the same memory
//!     Disk                  what was in flight is sent again, oldest first: a write happens at least once
//!     Card                  what was on its way out is lost, and counted: a queue's worth at most
//! ```
//!
//! Whoever asks for completions waits for the next back-end, for as long as is [chosen](Wait::return_within), and then is told why nobody came. While all is well a session allocates nothing and makes no
//! system call, but for interrupts that are asked for, and the doorbell that a back-end wants to be rung.
//!
//! What a session cannot give back is what a back-end kept for itself: of writes that were done and not flushed, a back-end that was killed may have lost some. It is [said](Disk::restarts) how often it went.

mod alive;
mod back_end;
mod books;
mod card;
mod card_device;
mod card_pair;
mod disk;
mod disk_device;
mod disk_lane;
mod trouble;
mod watch;

pub use back_end::{BackEnd, Wait};
pub use books::{Done, RequestId};
pub use card::{Card, CardSettings, ClosedCard};
pub use disk::{Disk, DiskSettings};
pub use trouble::{Away, Trouble};
