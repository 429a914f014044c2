//! Times, as criterion measured them: `benches/time.rs` measures, and here is read what it wrote.
//!
//! One iteration is one round. A device side is measured once for all cases that have the same.

use std::path::Path;
use std::{fs, io};

use crate::case::{Case, Whose};

/// Criterion's group, which is a folder.
pub const GROUP: &str = "ring";

/// What one operation takes, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Nanoseconds {
    /// The driver's side.
    pub driver: f64,
    /// The device's side, which was subtracted.
    pub device: f64,
}

/// The cases whose time is measured.
pub fn timed_cases() -> Vec<Case> {
    Case::all().into_iter().filter(is_timed).collect()
}

fn is_timed(case: &Case) -> bool {
    // The portions' work is nearly the payload's; its instructions say how nearly.
    case.whose != Whose::OursPortions
}

/// What the device's side of a case is called; the same for cases whose device does the same.
pub fn device_name(case: &Case) -> String {
    let Case { mode, shape, burst, .. } = case;
    format!("device-{mode}-in_ring{}-size{}-burst{burst}", shape.in_ring(), case.queue_size())
}

/// Reads the times of a case below criterion's folder; `None` if it is not timed.
///
/// # Errors
/// Criterion did not measure it.
pub fn read(folder: &Path, case: &Case) -> io::Result<Option<Nanoseconds>> {
    if !is_timed(case) {
        return Ok(None);
    }
    let both = median(folder, &case.to_string())?;
    let device = median(folder, &device_name(case))?;
    let burst = f64::from(case.burst);
    Ok(Some(Nanoseconds { driver: (both - device) / burst, device: device / burst }))
}

/// The median time of a round, in nanoseconds.
fn median(folder: &Path, name: &str) -> io::Result<f64> {
    let path = folder.join(GROUP).join(name).join("new/estimates.json");
    let problem = |what: String| io::Error::other(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| problem(error.to_string()))?;
    let estimates: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| problem(error.to_string()))?;
    let median = estimates["median"]["point_estimate"].as_f64();
    median.ok_or_else(|| problem("there is no median".into()))
}
