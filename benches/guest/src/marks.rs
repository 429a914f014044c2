//! The marks that a kernel sets for its trace: writes to port 0x80.

/// What begins at a mark; see `mark.rs` of the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// What is counted of a line.
    Line,
    /// Submitting.
    Submit,
    /// Completing.
    Complete,
    /// What is not counted.
    Outside,
    /// What is between lines.
    Between,
}

/// A half of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Handing it to the device.
    Submit,
    /// Taking it back.
    Complete,
}

impl Mark {
    /// Reads it from a line of QEMU's trace, if it is one.
    pub fn read(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("memory_region_ops_write ")?;
        let value = rest.split_once(" addr 0x80 value 0x")?.1.split_once(' ')?.0;
        match u8::from_str_radix(value, 16).ok()? {
            0x10 => Some(Self::Line),
            0x11 => Some(Self::Submit),
            0x12 => Some(Self::Complete),
            0x13 => Some(Self::Outside),
            0x14 => Some(Self::Between),
            _ => None,
        }
    }

    /// Which half of an operation begins here, if one does.
    pub const fn half(self) -> Option<Half> {
        match self {
            Self::Submit => Some(Half::Submit),
            Self::Complete => Some(Half::Complete),
            _ => None,
        }
    }
}
