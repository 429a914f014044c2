//! What all commands ask of a connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use virtio_guest::wire::features::CommonFeatures;
use virtio_user::memory::{MemorySettings, Pages};
use virtio_user::session::{BackEnd, Wait};
use virtio_user::{Listener, Settings, SharedMemory};

use crate::failure::Failure;

/// How to reach the back-end, and how to speak to it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Makes the socket and lets the back-end connect to it, instead of connecting to the back-end's
    #[arg(long)]
    pub listen: bool,
    /// Waits so long for the back-end, at first and whenever it goes (without: it has to be there, and may be away for ten seconds)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait_for_back_end: Option<Duration>,
    /// Packed rings, or none
    #[arg(long, conflicts_with = "split")]
    pub packed: bool,
    /// Split rings, even if the back-end offers packed ones
    #[arg(long)]
    pub split: bool,
    /// Uses so many queues (of a card: pairs)
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub queues: u16,
    /// Sleeps until the back-end interrupts, instead of looking all the time
    #[arg(long)]
    pub interrupts: bool,
    /// Shares so much memory with the back-end
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub memory: u32,
}

/// A time in seconds, with parts of them.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text} is no number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

impl Connection {
    /// The memory that is shared.
    pub fn memory(&self) -> Result<SharedMemory, Failure> {
        let bytes = usize::try_from(u64::from(self.memory) << 20).map_err(Failure::new)?;
        Ok(SharedMemory::new(&MemorySettings { bytes, pages: Pages::HugeIfThere })?)
    }

    /// The back-end at this socket.
    pub fn back_end(&self, socket: &Path) -> Result<BackEnd, Failure> {
        if !self.listen {
            return Ok(BackEnd::Path(PathBuf::from(socket)));
        }
        let listener = Listener::bind(socket).map_err(|error| {
            Failure::with(error, "give a path where nothing is yet, in a folder that can be written")
        })?;
        Ok(BackEnd::Listener(listener))
    }

    /// What the connection is made with.
    pub fn settings(&self) -> Settings {
        Settings { interrupts: self.interrupts, ..Settings::default() }
    }

    /// How long to wait.
    pub fn wait(&self) -> Wait {
        let first = if self.listen { Duration::from_secs(10) } else { Duration::ZERO };
        let wait = Wait { connect_within: first, ..Wait::default() };
        self.wait_for_back_end.map_or(wait, |limit| Wait { connect_within: limit, return_within: limit })
    }

    /// Features that are not wanted.
    pub const fn unwanted(&self) -> CommonFeatures {
        if self.split { CommonFeatures::RING_PACKED } else { CommonFeatures::empty() }
    }

    /// Checks that rings are packed if they have to be.
    pub fn check_layout(&self, is_packed: bool) -> Result<(), Failure> {
        if self.packed && !is_packed {
            return Err(Failure::with(
                "the back-end does not offer packed rings (RING_PACKED)",
                "leave out --packed, or use a back-end that has them, such as DPDK's",
            ));
        }
        Ok(())
    }
}
