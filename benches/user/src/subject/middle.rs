//! The cycles of a burst in the middle of all bursts: what an interruption adds to a few of them moves it nowhere.

/// Cycles that are not told apart.
const STEP: u64 = 4;
/// Steps that are; whatever takes longer counts as the last one.
const STEPS: usize = 1 << 14;

/// How many bursts took how long.
#[derive(Debug)]
pub struct Middle {
    counts: Box<[u32]>,
    total: u64,
}

impl Middle {
    /// No burst yet.
    pub fn new() -> Self {
        Self { counts: vec![0; STEPS].into_boxed_slice(), total: 0 }
    }

    /// A burst took so long.
    #[inline]
    pub fn add(&mut self, cycles: u64) {
        let step = usize::try_from(cycles / STEP).map_or(STEPS - 1, |step| step.min(STEPS - 1));
        if let Some(count) = self.counts.get_mut(step) {
            *count += 1;
            self.total += 1;
        }
    }

    /// The cycles of the one in the middle, times how many there were; begins anew.
    pub fn take(&mut self) -> u64 {
        let (mut step, mut before) = (0, 0);
        for count in &self.counts {
            before += u64::from(*count);
            if before * 2 > self.total {
                break;
            }
            step += 1;
        }
        let all = step * STEP * self.total;
        self.counts.fill(0);
        self.total = 0;
        all
    }
}

#[cfg(test)]
mod tests {
    use super::Middle;

    #[test]
    fn a_burst_that_was_interrupted_does_not_count_for_more_than_others() {
        let mut middle = Middle::new();
        for cycles in [1000, 1004, 1008, 1004, 1_000_000_000] {
            middle.add(cycles);
        }
        assert_eq!(middle.take(), 1004 * 5);
        assert_eq!(middle.take(), 0);
    }
}
