//! The middle of several measurements, and how far they are from it.

use serde::Serialize;

/// See the module's head.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The median of how far each is from it.
    pub deviation: f64,
    /// The least,
    pub least: f64,
    /// and the most.
    pub most: f64,
    /// Of so many.
    pub count: usize,
}

impl Spread {
    /// Of these; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let middle = median(&values)?;
        let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
        Some(Self {
            median: middle,
            deviation: median(&distances)?,
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            most: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            count: values.len(),
        })
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (before, after) = sorted.split_at(sorted.len() / 2);
    match (before.last(), after.first()) {
        (Some(low), Some(high)) if before.len() == after.len() => Some(f64::midpoint(*low, *high)),
        (_, high) => high.copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn one_bad_sample_moves_neither_median_nor_deviation_far() {
        let spread = Spread::of([10.0, 11.0, 12.0, 11.0, 1000.0]).unwrap();
        assert!((spread.median - 11.0).abs() < 1e-9 && (spread.deviation - 1.0).abs() < 1e-9);
    }

    #[test]
    fn of_two_samples_the_median_is_between_them() {
        assert!((Spread::of([1.0, 2.0]).unwrap().median - 1.5).abs() < 1e-9);
        assert!(Spread::of([]).is_none());
    }
}
