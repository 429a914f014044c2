//! What a register reads: what is honest, or anything else.
//!
//! Spec: §2.5.1 (what a driver may rely on), §4.1.4.3, §4.2.2. A decision of the script's is about one answer, or leaves some alone. Where the script is over all answers
//! are honest.
//!
//! ```text
//!   00 to 7f    honest, and so are as many more answers
//!   80 to 9f    a bit is wrong
//!   a0 to af    a small number
//!   b0 to bf    one of the numbers that are at the edge of something
//!   c0 to df    a little more or less
//!   e0 to ff    anything: the next four decisions
//! ```

use super::world::World;

/// Numbers that are at the edge of something.
const EDGES: [u32; 16] = [
    u32::MAX,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_0000,
    0xffff,
    0x7fff,
    0x8000,
    0x1_0000,
    0xff,
    0x7f,
    0x80,
    0x100,
    0xffff_fffe,
    0x1000,
    0x4000_0000,
];

impl World {
    /// What a register of so many bytes reads, whose honest value is this.
    pub(crate) fn answer(&mut self, honest: u32, bytes: usize) -> u32 {
        let mask = u32::MAX >> (32 - 8 * bytes);
        let shown = self.decide(honest) & mask;
        self.has_lied |= shown != honest & mask;
        shown
    }

    fn decide(&mut self, honest: u32) -> u32 {
        if let Some(left) = self.answers_left_alone.checked_sub(1) {
            self.answers_left_alone = left;
            return honest;
        }
        match self.script.decision() {
            decision @ 0..0x80 => {
                self.answers_left_alone = decision;
                honest
            }
            decision @ 0x80..0xa0 => honest ^ 1 << (decision - 0x80),
            decision @ 0xa0..0xb0 => u32::from(decision - 0xa0),
            decision @ 0xb0..0xc0 => EDGES[usize::from(decision - 0xb0)],
            decision @ 0xc0..0xe0 => honest.wrapping_add(u32::from(decision - 0xc0)).wrapping_sub(16),
            _ => u32::from_le_bytes([(); 4].map(|()| self.script.decision())),
        }
    }
}
