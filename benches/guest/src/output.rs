//! What kernels print of their lines, read.

/// One half of an operation, in instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Of all bursts.
    pub sum: u64,
    /// Of the burst that took least,
    pub least: u64,
    /// and most.
    pub most: u64,
    /// Depends on the count of each burst, and on their order.
    pub trace: String,
}

/// A line that was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Its name.
    pub name: String,
    /// Operations of a burst.
    pub burst: u64,
    /// Bursts.
    pub bursts: u64,
    /// Handing in.
    pub submit: Counts,
    /// Taking back.
    pub complete: Counts,
    /// Allocations in both halves.
    pub allocations: u64,
}

impl Counted {
    /// How many operations were counted.
    pub const fn operations(&self) -> u64 {
        self.burst * self.bursts
    }

    /// Reads `line NAME burst N bursts N submit SUM LEAST MOST TRACE complete SUM LEAST MOST TRACE allocations N`.
    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let after = |at: usize, word: &str| (*words.get(at)? == word).then(|| words.get(at + 1).copied())?;
        let number = |at: usize, word| after(at, word)?.parse().ok();
        let half = |at: usize, word| {
            Some(Counts {
                sum: number(at, word)?,
                least: words.get(at + 2)?.parse().ok()?,
                most: words.get(at + 3)?.parse().ok()?,
                trace: (*words.get(at + 4)?).into(),
            })
        };
        Some(Self {
            name: after(0, "line")?.into(),
            burst: number(2, "burst")?,
            bursts: number(4, "bursts")?,
            submit: half(6, "submit")?,
            complete: half(11, "complete")?,
            allocations: number(16, "allocations")?,
        })
    }
}

/// All lines of a kernel's output.
pub fn lines(printed: &str) -> Vec<Counted> {
    printed.lines().filter_map(Counted::read).collect()
}
