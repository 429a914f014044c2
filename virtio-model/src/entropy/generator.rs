//! Bytes that look random, and are the same every time.
//!
//! Steele, Lea and Flood's `SplitMix64`: a counter that goes up by a constant, stirred.

/// The generator.
#[derive(Debug, Clone)]
pub(super) struct Generator(u64);

impl Generator {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next byte; 0 is left out, so that a byte that nobody wrote shows.
    pub(super) fn byte(&mut self) -> u8 {
        loop {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let first = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let second = (first ^ first >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            if let [byte @ (1..), ..] = (second ^ second >> 31).to_le_bytes() {
                return byte;
            }
        }
    }
}
