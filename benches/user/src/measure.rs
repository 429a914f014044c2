//! All samples of a line: alternating, and without those that other programs spoiled.

use std::path::PathBuf;

use crate::back_end::BackEnd;
use crate::distance::Distance;
use crate::instructions;
use crate::line::{BlockLine, Line, Medium, Whose};
use crate::noise;
use crate::results::{Measured, Results};
use crate::sample::Sampling;

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Extent {
    /// How samples are taken.
    pub sampling: Sampling,
    /// How many of each subject.
    pub samples: usize,
    /// Where callgrind's files go.
    pub folder: PathBuf,
}

/// Measures these lines, in turn.
///
/// # Errors
/// A process fails.
pub fn lines(lines: &[Line], extent: &Extent) -> Result<Results, String> {
    eprintln!("bench-user: looking how far apart the processors are");
    let mut distance = Distance::find(extent.sampling.processors);
    let mut results = Results::new(extent);
    let mut back_end: Option<BackEnd> = None;
    for (number, line) in (1..).zip(lines) {
        eprintln!("bench-user: {line}, {number} of {}", lines.len());
        let mut ready = match back_end.take() {
            Some(ready) if ready.serves(*line) => ready,
            // The one before has to end first: both would be on the same processor.
            other => {
                drop(other);
                BackEnd::start(*line, extent.sampling.processors)?
            }
        };
        results.measured.extend(one(*line, &mut ready, extent, &mut distance)?);
        back_end = Some(ready);
    }
    // Of the first samples it was not known yet how near they can be.
    for measured in &mut results.measured {
        let far = measured.samples.extract_if(.., |sample| !distance.is_near(sample.round_trip_nanoseconds));
        measured.far.extend(far);
    }
    results.distance = Some(distance);
    Ok(results)
}

fn one(
    line: Line,
    back_end: &mut BackEnd,
    extent: &Extent,
    distance: &mut Distance,
) -> Result<Vec<Measured>, String> {
    let mut all: Vec<Measured> =
        line.subjects().into_iter().map(|whose| Measured::new(line, whose)).collect();
    // On a machine that has much else to do there may be no clean sample at all.
    for round in 0..2 * extent.samples {
        // Each comes first as often as last.
        let order: Vec<usize> =
            if round % 2 == 0 { (0..all.len()).collect() } else { (0..all.len()).rev().collect() };
        for index in order {
            let Some(measured) = all.get_mut(index) else { continue };
            if measured.samples.len() == extent.samples {
                continue;
            }
            let sample = extent.sampling.take(line, measured.whose, back_end, distance)?;
            if sample.others > noise::LIMIT {
                measured.noisy.push(sample);
            } else if distance.is_near(sample.round_trip_nanoseconds) {
                measured.samples.push(sample);
            } else {
                measured.far.push(sample);
            }
        }
    }
    if has_instructions(line) {
        for measured in &mut all {
            if measured.whose != Whose::DpdkVectorized && measured.whose != Whose::Linux {
                let counted =
                    instructions::count(&extent.sampling, line, measured.whose, back_end, &extent.folder)?;
                measured.instructions = Some(counted);
            }
        }
    }
    Ok(all)
}

/// Whether instructions are counted: a driver does the same for a disk, whatever is behind it.
fn has_instructions(line: Line) -> bool {
    match line {
        Line::Net(_) => true,
        Line::Block(BlockLine { medium, .. }) => medium == Medium::Nothing,
    }
}
