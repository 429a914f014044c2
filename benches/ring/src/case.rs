//! What is measured: one case is a ring of somebody's, in one mode, with chains of one shape, in bursts of one size.

use std::fmt;

/// Whose driver side it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Ours, with chains whose segments come from the payload.
    Ours,
    /// Ours, with chains of portions of the queue's own memory.
    OursPortions,
    /// Crate `virtio-drivers`: its `VirtQueue`.
    Rcore,
    /// Crate `virtio-driver`: its `Virtqueue`, with the context as its per-request data.
    Libblkio,
    /// Crate `virtio-driver`: a read request of its block queue.
    LibblkioBlock,
}

impl Whose {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursPortions => "ours_portions",
            Self::Rcore => "rcore",
            Self::Libblkio => "libblkio",
            Self::LibblkioBlock => "libblkio_block",
        }
    }
}

/// What a ring is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Packed, or split.
    pub packed: bool,
    /// Chains come back in the order in which they were made available, a burst with one used element.
    pub in_order: bool,
    /// Notifications are asked for by position.
    pub event_index: bool,
}

/// The shape of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Descriptors: 1, 3 or 17.
    pub segments: u16,
    /// They are in an indirect table, and one descriptor in the ring refers to them.
    pub indirect: bool,
}

impl Shape {
    /// All that are measured.
    pub const ALL: [Self; 5] = [
        Self { segments: 1, indirect: false },
        Self { segments: 3, indirect: false },
        Self { segments: 3, indirect: true },
        Self { segments: 17, indirect: false },
        Self { segments: 17, indirect: true },
    ];

    /// Descriptors that a chain takes in the ring.
    pub const fn in_ring(self) -> u16 {
        if self.indirect { 1 } else { self.segments }
    }

    /// The lengths of its segments in bytes. Of several, the device reads the first and writes the others: header, data, status.
    pub const fn length(self, index: u16) -> u32 {
        if self.segments == 1 {
            2048
        } else if index == 0 {
            16
        } else if index + 1 == self.segments {
            1
        } else {
            4096
        }
    }

    /// How many segments the device reads; it writes those after them.
    pub const fn readable(self) -> u16 {
        if self.segments == 1 { 0 } else { 1 }
    }

    /// Bytes that the device may write.
    pub fn writable_bytes(self) -> u32 {
        (self.readable()..self.segments).map(|index| self.length(index)).sum()
    }
}

/// Sizes of bursts.
pub const BURSTS: [u16; 4] = [1, 8, 32, 128];

/// Size of the queue, unless a burst does not fit into it.
const QUEUE_SIZE: u16 = 256;

/// Size of the queue, if it does not.
const LARGE_QUEUE_SIZE: u16 = 4096;

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Case {
    /// Whose ring.
    pub whose: Whose,
    /// In which mode.
    pub mode: Mode,
    /// With chains of which shape.
    pub shape: Shape,
    /// How many chains with one publish.
    pub burst: u16,
}

impl Case {
    /// Number of descriptors of its queue.
    pub const fn queue_size(&self) -> u16 {
        if self.shape.in_ring() * self.burst > QUEUE_SIZE { LARGE_QUEUE_SIZE } else { QUEUE_SIZE }
    }

    /// Every case, those of one mode and shape together.
    pub fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for (whose, modes) in [
            (Whose::Ours, modes(true, true)),
            (Whose::OursPortions, modes(true, false)),
            (Whose::Rcore, modes(false, false)),
            (Whose::Libblkio, modes(true, false)),
            (Whose::LibblkioBlock, modes(true, false)),
        ] {
            for mode in modes {
                for shape in Shape::ALL.into_iter().filter(|shape| whose.can(*shape)) {
                    cases.extend(BURSTS.map(|burst| Self { whose, mode, shape, burst }));
                }
            }
        }
        cases
    }
}

impl Whose {
    /// Whether this driver side has chains of that shape.
    const fn can(self, shape: Shape) -> bool {
        match self {
            Self::Ours | Self::OursPortions | Self::Rcore => true,
            Self::Libblkio => !shape.indirect,
            // A header, one buffer, a status byte.
            Self::LibblkioBlock => shape.segments == 3 && !shape.indirect,
        }
    }
}

fn modes(has_packed: bool, has_in_order: bool) -> Vec<Mode> {
    (0..8)
        .map(|bits: u8| Mode { packed: bits & 4 != 0, in_order: bits & 2 != 0, event_index: bits & 1 != 0 })
        .filter(|mode| (has_packed || !mode.packed) && (has_in_order || !mode.in_order))
        .collect()
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.packed { "packed" } else { "split" })?;
        f.write_str(if self.in_order { "-in_order" } else { "" })?;
        f.write_str(if self.event_index { "-event_index" } else { "" })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.indirect { "indirect" } else { "direct" };
        write!(f, "{}-{how}", self.segments)
    }
}

/// Its name, which is also that of a folder: nothing but letters, digits, `-` and `_`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whose, mode, shape, burst } = self;
        write!(f, "{}-{mode}-{shape}-burst{burst}", whose.name())
    }
}
