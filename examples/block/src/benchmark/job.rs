//! What is to be measured, as the command line asks for it.
//!
//! | word | what it says | otherwise |
//! |---|---|---|
//! | `rw=read\|write` | what is done; writing overwrites the disk | `read` |
//! | `pattern=random\|sequential` | where | `random` |
//! | `size=` | bytes of each request, whole sectors | `4k` |
//! | `depth=` | requests in flight, on each queue | 16 |
//! | `queues=` | request queues, each with a processor of its own | 1 |
//! | `seconds=`, `requests=` | for how long, or how many in all; both: whichever is over first | `seconds=2` |

use alloc::string::String;
use core::time::Duration;

use virtio_guest::wire::block::SECTOR_BYTES;

use super::QUEUES_MAX;
use crate::options;

/// The program's heap has room for so many bytes in flight.
const BYTES_IN_FLIGHT_MAX: u64 = 4 << 20;

/// Which piece of the disk is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Any.
    Random,
    /// The one behind the last.
    Sequential,
}

/// What is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It is read.
    Read,
    /// It is written over.
    Write,
}

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Requests in flight.
    pub depth: usize,
    /// Bytes of each, whole sectors.
    pub size_bytes: usize,
    pub pattern: Pattern,
    pub work: Work,
    /// As many requests as each queue does, at most.
    pub requests: u64,
    /// And for how long.
    pub time: Duration,
}

/// What is to be measured, and on how many queues.
pub fn asked_for() -> Result<(Job, usize), String> {
    let (requests, seconds) = (options::number("requests")?, options::number("seconds")?);
    let seconds = seconds.or(if requests.is_none() { Some(2) } else { None });
    let depth = options::number("depth")?.unwrap_or(16);
    let size = options::number("size")?.unwrap_or(4096);
    let queues = options::number("queues")?.unwrap_or(1);
    if queues > QUEUES_MAX as u64 {
        return Err(alloc::format!("queues={queues}: {QUEUES_MAX} are the most"));
    }
    if !size.is_multiple_of(SECTOR_BYTES as u64) {
        return Err(alloc::format!("size={size} is no whole number of sectors of {SECTOR_BYTES} bytes"));
    }
    let in_flight = size.saturating_mul(depth).saturating_mul(queues);
    if in_flight > BYTES_IN_FLIGHT_MAX {
        return Err(alloc::format!(
            "{queues} queues with {depth} requests of {size} bytes in flight are more than {BYTES_IN_FLIGHT_MAX} bytes: take a smaller depth= or size="
        ));
    }
    let [depth, size_bytes, queues] =
        [depth, size, queues].map(|small| usize::try_from(small).unwrap_or(usize::MAX));
    let job = Job {
        depth,
        size_bytes,
        pattern: options::one_of(
            "pattern",
            &[("random", Pattern::Random), ("sequential", Pattern::Sequential)],
        )?,
        work: options::one_of("rw", &[("read", Work::Read), ("write", Work::Write)])?,
        requests: requests.map_or(u64::MAX, |requests| requests.div_ceil(queues as u64)),
        time: seconds.map_or(Duration::MAX, Duration::from_secs),
    };
    Ok((job, queues))
}
