//! What is measured: a line each, with a name, and whose drivers do it.

use std::fmt;

/// How a network card's rings are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Split.
    Split,
    /// Split, used in order.
    SplitInOrder,
    /// Packed.
    Packed,
    /// Packed, used in order.
    PackedInOrder,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Split, Self::SplitInOrder, Self::Packed, Self::PackedInOrder];

    /// Whether the ring is packed.
    pub const fn is_packed(self) -> bool {
        matches!(self, Self::Packed | Self::PackedInOrder)
    }

    /// Whether buffers are used in order.
    pub const fn is_in_order(self) -> bool {
        matches!(self, Self::SplitInOrder | Self::PackedInOrder)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::SplitInOrder => "split-in-order",
            Self::Packed => "packed",
            Self::PackedInOrder => "packed-in-order",
        }
    }
}

/// Frames of 64 bytes, in bursts of 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetLine {
    /// Out of the driver, or into it.
    pub transmit: bool,
    /// The rings.
    pub mode: Mode,
    /// Receive buffers can be merged.
    pub mergeable: bool,
}

/// What is behind a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Nothing: `null-co`.
    Nothing,
    /// A file, past the page cache.
    File,
}

/// Random accesses of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLine {
    /// What is behind the disk.
    pub medium: Medium,
    /// Writes, or else reads.
    pub write: bool,
    /// Requests in flight, of all queues together.
    pub depth: u16,
    /// Queues, all used by one thread.
    pub queues: u16,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// A network card.
    Net(NetLine),
    /// A disk.
    Block(BlockLine),
}

/// Whose driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This project's.
    Ours,
    /// DPDK's `net_virtio_user`.
    Dpdk,
    /// The same with its vector code.
    DpdkVectorized,
    /// Crate `virtio-driver`.
    Libblkio,
    /// Linux's own disk, by reads and writes of the same file.
    Linux,
}

impl Whose {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ours, Self::Dpdk, Self::DpdkVectorized, Self::Libblkio, Self::Linux];

    /// As the table says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Dpdk => "DPDK",
            Self::DpdkVectorized => "DPDK-vectorized",
            Self::Libblkio => "libblkio",
            Self::Linux => "Linux",
        }
    }

    /// By its name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|whose| whose.name() == name)
    }
}

impl Line {
    /// All lines, in the table's order.
    pub fn all() -> Vec<Self> {
        let mut lines = Vec::new();
        for transmit in [true, false] {
            for mergeable in [false, true] {
                lines.extend(Mode::ALL.map(|mode| Self::Net(NetLine { transmit, mode, mergeable })));
            }
        }
        for medium in [Medium::Nothing, Medium::File] {
            for write in [false, true] {
                for queues in [1, 2] {
                    let line = |depth| Self::Block(BlockLine { medium, write, depth, queues });
                    // One request is in one queue.
                    lines.extend([1, 32, 128].into_iter().filter(|depth| *depth >= queues).map(line));
                }
            }
        }
        lines
    }

    /// By its name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|line| line.to_string() == name)
    }

    /// Whose drivers do it: ours first, then those that it is compared with.
    pub fn subjects(self) -> Vec<Whose> {
        match self {
            // Its vector code is for rings like that only.
            Self::Net(NetLine { mode: Mode::PackedInOrder, mergeable: false, .. }) => {
                vec![Whose::Ours, Whose::Dpdk, Whose::DpdkVectorized]
            }
            Self::Net(_) => vec![Whose::Ours, Whose::Dpdk],
            // One thread of Linux's has one request in flight.
            Self::Block(BlockLine { medium: Medium::File, depth: 1, .. }) => {
                vec![Whose::Ours, Whose::Libblkio, Whose::Linux]
            }
            Self::Block(_) => vec![Whose::Ours, Whose::Libblkio],
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(NetLine { transmit, mode, mergeable }) => {
                let direction = if *transmit { "transmit" } else { "receive" };
                let mergeable = if *mergeable { "-mergeable" } else { "" };
                write!(f, "{direction}-{}{mergeable}", mode.name())
            }
            Self::Block(BlockLine { medium, write, depth, queues }) => {
                let medium = if *medium == Medium::File { "file" } else { "null" };
                let access = if *write { "write" } else { "read" };
                let queues = if *queues == 1 { "" } else { "-two-queues" };
                write!(f, "{medium}-{access}-depth{depth}{queues}")
            }
        }
    }
}
