//! The pages in a balloon, and the judgement of what a driver does with them.
//!
//! Spec: §5.5.6.1 Driver Requirements: Device Operation.
//!
//! ```text
//!   absent --taken--> Arriving --given back--> Held --taken--> Leaving --given back--> absent
//! ```

use super::config::ACTUAL;
use std::collections::BTreeMap;

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its inflation is not acknowledged.
    Arriving,
    /// It is in the balloon.
    Held,
    /// Its deflation is not acknowledged.
    Leaving,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Pages {
    stages: BTreeMap<u32, Stage>,
    /// What the driver last said that the balloon has, and how many bytes of a new number were written one by one.
    told: u32,
    bytes: [u8; 4],
    /// Sizes of bursts that were acknowledged since that.
    untold_inflations: Vec<u32>,
    untold_deflations: Vec<u32>,
    /// The least target that the driver may know, and the latest.
    least_target: u32,
    target: u32,
}

impl Pages {
    /// After a reset, there is nothing in the balloon.
    pub(super) fn forget(&mut self) {
        let Self { least_target, target, .. } = *self;
        *self = Self { least_target, target, ..Self::default() };
    }

    pub(super) fn frames(&self, is_held: bool) -> impl Iterator<Item = u32> {
        let stages = self.stages.iter();
        stages.filter(move |(_, stage)| !is_held || **stage != Stage::Arriving).map(|(frame, _)| *frame)
    }

    fn count(&self, wanted: Stage) -> usize {
        self.stages.values().filter(|stage| **stage == wanted).count()
    }

    /// A page is given.
    pub(super) fn inflate(&mut self, frame: u32) -> Result<(), String> {
        if let Some(stage) = self.stages.get(&frame) {
            return Err(format!("page {frame:#x} inflated, though it is {stage:?}"));
        }
        self.stages.insert(frame, Stage::Arriving);
        Ok(())
    }

    pub(super) fn inflated(&mut self, frames: &[u32]) {
        let mut count = 0;
        for frame in frames {
            if let Some(stage @ Stage::Arriving) = self.stages.get_mut(frame) {
                *stage = Stage::Held;
                count += 1;
            }
        }
        self.untold_inflations.push(count);
    }

    /// A page is to leave.
    pub(super) fn deflate(&mut self, frame: u32) -> Result<(), String> {
        match self.stages.get_mut(&frame) {
            Some(stage @ Stage::Held) => {
                *stage = Stage::Leaving;
                Ok(())
            }
            Some(stage) => Err(format!("page {frame:#x} deflated, though it is {stage:?}")),
            None => Err(format!("page {frame:#x} deflated, though it is not in the balloon")),
        }
    }

    pub(super) fn deflated(&mut self, frames: &[u32]) {
        let mut count = 0;
        for frame in frames {
            if self.stages.get(frame) == Some(&Stage::Leaving) {
                self.stages.remove(frame);
                count += 1;
            }
        }
        self.untold_deflations.push(count);
    }

    /// Notes the target that the driver can read from now on.
    pub(super) fn see_target(&mut self, target: u32) {
        (self.least_target, self.target) = (self.least_target.min(target), target);
    }

    /// From now on, the driver knows the latest target.
    pub(super) const fn settle_target(&mut self) {
        self.least_target = self.target;
    }

    /// Whether as many pages are left as the device wants.
    pub(super) fn judge_deflation(&self) -> Result<(), String> {
        let rest = self.count(Stage::Held);
        let least = usize::try_from(self.least_target).unwrap_or(usize::MAX);
        if rest < least {
            Err(format!("{rest} pages left in the balloon, which shall have {least}"))
        } else {
            Ok(())
        }
    }

    /// The new number of pages, if all of it is written now.
    ///
    /// Spec: §5.5.6.1.1 Legacy Interface: Device Operation — the last byte counts.
    pub(super) fn actual_written(&mut self, at: u64, width: u8, value: u32) -> Option<u32> {
        let first = usize::try_from(at).ok()?.checked_sub(ACTUAL)?;
        for (offset, byte) in value.to_le_bytes().into_iter().take(width.into()).enumerate() {
            *self.bytes.get_mut(first + offset)? = byte;
        }
        (first + usize::from(width) == 4).then(|| u32::from_le_bytes(self.bytes))
    }

    /// The driver says how many pages the balloon has: as many as after one of the acknowledgements that it was not yet seen to know.
    pub(super) fn judge_actual(&mut self, actual: u32) -> Result<(), String> {
        let mut deflated = 0i64;
        for deflations in 0..=self.untold_deflations.len() {
            let mut known = i64::from(self.told) - deflated;
            for inflations in 0..=self.untold_inflations.len() {
                if known == i64::from(actual) {
                    self.untold_inflations.drain(..inflations);
                    self.untold_deflations.drain(..deflations);
                    self.told = actual;
                    return Ok(());
                }
                known += self.untold_inflations.get(inflations).copied().map_or(0, i64::from);
            }
            deflated += self.untold_deflations.get(deflations).copied().map_or(0, i64::from);
        }
        let held = self.count(Stage::Held) + self.count(Stage::Leaving);
        self.untold_inflations.clear();
        self.untold_deflations.clear();
        self.told = u32::try_from(held).unwrap_or(u32::MAX);
        Err(format!("actual written as {actual}, though {held} pages are in the balloon"))
    }
}
