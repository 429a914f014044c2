//! What kernels print, read.

/// One half of an operation, in instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Half {
    /// In all bursts.
    pub sum: u64,
    /// In the burst that took least,
    pub least: u64,
    /// and most.
    pub most: u64,
    /// Depends on each burst's count, and on their order.
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
    pub submit: Half,
    /// Taking back.
    pub complete: Half,
    /// Allocations in both halves.
    pub allocations: u64,
}

impl Counted {
    /// How many operations were counted.
    pub fn operations(&self) -> u64 {
        self.burst * self.bursts
    }

    /// Reads a line as the kernels print it.
    fn read(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix("line ")?.split(' ');
        let name = words.next()?.to_owned();
        let mut after = |word: &str| if words.next()? == word { words.next()?.parse().ok() } else { None };
        let (burst, bursts) = (after("burst")?, after("bursts")?);
        let rest: Vec<&str> = words.collect();
        let half = |at: usize| {
            Some(Half {
                sum: rest.get(at)?.parse().ok()?,
                least: rest.get(at + 1)?.parse().ok()?,
                most: rest.get(at + 2)?.parse().ok()?,
                trace: (*rest.get(at + 3)?).into(),
            })
        };
        Some(Self {
            name,
            burst,
            bursts,
            submit: half(1)?,
            complete: half(6)?,
            allocations: rest.get(11)?.parse().ok()?,
        })
    }
}

/// All lines of a kernel's output.
pub fn lines(printed: &str) -> Vec<Counted> {
    printed.lines().filter_map(Counted::read).collect()
}
