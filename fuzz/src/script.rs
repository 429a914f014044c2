//! The fuzzer's bytes, read from both ends: steps of the driver's from the front, decisions of the device's from the back.
//!
//! So a byte put in at one end moves nothing at the other, and what the fuzzer has found out of one side stays found. Where the two meet the script is
//! over: a decision of 0 is an honest one, so the device is honest from there on.

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Script {
    bytes: Vec<u8>,
    front: usize,
    back: usize,
}

impl Script {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), front: 0, back: bytes.len() }
    }

    /// The next byte from the front; `None` if the script is over.
    pub(crate) fn step(&mut self) -> Option<u8> {
        let byte = *self.bytes[..self.back].get(self.front)?;
        self.front += 1;
        Some(byte)
    }

    /// A byte that says more about a step.
    pub(crate) fn detail(&mut self) -> u8 {
        self.step().unwrap_or(0)
    }

    /// The next byte from the back; 0 if the script is over.
    pub(crate) fn decision(&mut self) -> u8 {
        let Some(byte) = self.bytes[self.front..self.back].last() else { return 0 };
        self.back -= 1;
        *byte
    }
}
