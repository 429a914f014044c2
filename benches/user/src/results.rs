//! What was measured, as one value: for the table, and as JSON.

use serde::Serialize;
use serde_json::{Value, json};

use crate::back_end;
use crate::distance::Distance;
use crate::instructions::Instructions;
use crate::line::{Line, Whose};
use crate::measure::Extent;
use crate::processors;
use crate::sample::Sample;
use crate::spread::Spread;

/// A line of somebody's.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The line.
    pub line: Line,
    /// Whose driver.
    pub whose: Whose,
    /// Samples that count.
    pub samples: Vec<Sample>,
    /// Samples in which other programs were busy.
    pub noisy: Vec<Sample>,
    /// Samples during which the processors were far apart.
    pub far: Vec<Sample>,
    /// Instructions, where they were counted.
    pub instructions: Option<Instructions>,
}

impl Measured {
    /// Nothing yet.
    pub const fn new(line: Line, whose: Whose) -> Self {
        Self { line, whose, samples: Vec::new(), noisy: Vec::new(), far: Vec::new(), instructions: None }
    }

    /// Whether no sample was clean: then those that are not are all there is.
    pub const fn is_spoiled(&self) -> bool {
        self.samples.is_empty()
    }

    fn used(&self) -> &[Sample] {
        match (&self.samples[..], &self.far[..], &self.noisy[..]) {
            ([], [], noisy) => noisy,
            ([], far, _) => far,
            (clean, ..) => clean,
        }
    }

    /// Operations per second.
    pub fn rate(&self) -> Option<Spread> {
        Spread::of(self.used().iter().map(Sample::rate))
    }

    /// Cycles of an operation, outside of waiting.
    pub fn cycles(&self) -> Option<Spread> {
        Spread::of(self.used().iter().filter_map(Sample::cycles))
    }

    /// The part of all operations that were in whole bursts, whose cycles were counted.
    pub fn whole_bursts(&self) -> Option<Spread> {
        Spread::of(self.used().iter().map(|sample| sample.per_operation(sample.window.counted)))
    }

    /// Notifications per operation.
    pub fn kicks(&self) -> Option<Spread> {
        Spread::of(self.used().iter().map(|sample| sample.per_operation(sample.window.kicks)))
    }

    /// Most heap allocations of a window.
    pub fn allocations(&self) -> u64 {
        self.used().iter().map(|sample| sample.window.allocations).max().unwrap_or(0)
    }

    fn to_json(&self) -> Value {
        json!({
            "line": self.line.to_string(),
            "whose": self.whose.name(),
            "per_second": self.rate(),
            "cycles": self.cycles(),
            "whole_bursts": self.whole_bursts(),
            "kicks": self.kicks(),
            "allocations_in_a_window": self.allocations(),
            "instructions": self.instructions,
            "is_spoiled": self.is_spoiled(),
            "samples": self.samples,
            "noisy": self.noisy,
            "far": self.far,
        })
    }
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Results {
    /// Lines.
    pub measured: Vec<Measured>,
    /// Where, and how.
    pub setting: Setting,
    /// How near the processors can be. `None` before the end.
    pub distance: Option<Distance>,
}

/// Where and how it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// The processor's name.
    pub processor: String,
    /// Whether memory was in huge pages.
    pub huge_pages: bool,
    /// How long a window was.
    pub window_millis: u128,
    /// How many there were to be of each subject.
    pub samples: usize,
}

impl Results {
    /// None yet.
    pub fn new(extent: &Extent) -> Self {
        let setting = Setting {
            processor: processors::name(),
            huge_pages: back_end::huge_pages_are_there(),
            window_millis: extent.sampling.window.as_millis(),
            samples: extent.samples,
        };
        Self { measured: Vec::new(), setting, distance: None }
    }

    /// What was measured of somebody's line.
    pub fn of(&self, line: Line, whose: Whose) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.line == line && measured.whose == whose)
    }

    /// How many samples count; how many other programs spoiled; and during how many the processors were far apart.
    pub fn sample_counts(&self) -> [usize; 3] {
        let sum =
            |samples: fn(&Measured) -> &[Sample]| self.measured.iter().map(|of| samples(of).len()).sum();
        [sum(|of| &of.samples), sum(|of| &of.noisy), sum(|of| &of.far)]
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let lines: Vec<Value> = self.measured.iter().map(Measured::to_json).collect();
        json!({ "setting": self.setting, "distance": self.distance, "unit": "per operation", "lines": lines })
    }
}
