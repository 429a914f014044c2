//! What a test does with a balloon at work: it says what the device wants, and sees what came.
//!
//! Spec: §5.5.6 Device Operation. A driver that is ready is notified of what changes in the configuration.

use super::config::{HINT_COMMAND, NUM_PAGES};
use super::numbers::hint_command;
use super::statistics::Entry;
use super::{Balloon, BalloonConfig, BalloonQueue, Hint};
use crate::pci::{DRIVER_OK, PciDevice};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

impl Balloon {
    /// Wants so many pages of 4096 bytes.
    pub fn set_target(&self, device: &PciDevice, frames: u32) {
        self.lock().pages.see_target(frames);
        change(device, NUM_PAGES, frames);
    }

    /// The pages in the balloon, by number: those whose inflation was acknowledged, and whose deflation was not. After a reset, it has none as soon
    /// as it was [served](Self::serve).
    pub fn held(&self) -> BTreeSet<u32> {
        self.lock().pages.frames(true).collect()
    }

    /// The same, and pages whose inflation was not acknowledged.
    pub fn touched(&self) -> BTreeSet<u32> {
        self.lock().pages.frames(false).collect()
    }

    /// How many pages the driver says that the balloon has.
    pub fn actual(&self, device: &PciDevice) -> u32 {
        BalloonConfig::from_bytes(&device.config()).actual
    }

    /// The value that the driver says it fills pages with.
    pub fn poison(&self, device: &PciDevice) -> u32 {
        BalloonConfig::from_bytes(&device.config()).poison_val
    }

    /// The pages of each inflation and deflation since the last call, oldest first.
    pub fn take_bursts(&self) -> Vec<(BalloonQueue, Vec<u32>)> {
        std::mem::take(&mut self.lock().bursts)
    }

    /// Buffers that were taken and are not given back, that for statistics among them.
    pub fn waiting(&self) -> usize {
        self.lock().rings.work().map(VecDeque::len).sum()
    }

    /// Wants new statistics: the buffer is given back as soon as it is there, once for each call.
    pub fn ask_for_statistics(&self) {
        self.lock().statistics.asks += 1;
    }

    /// The latest statistics, by tag.
    pub fn statistics(&self) -> BTreeMap<u16, u64> {
        self.lock().statistics.log.last().into_iter().flatten().copied().collect()
    }

    /// All statistics that came so far, oldest first, as they were sent.
    pub fn raw_statistics(&self) -> Vec<Vec<Entry>> {
        self.lock().statistics.log.clone()
    }

    /// Whether the device has the buffer for statistics, and nobody waits for it.
    pub fn has_statistics(&self) -> bool {
        let state = self.lock();
        state.statistics.held != 0 && state.statistics.asks == 0
    }

    /// Wants hints: begins a round, and tells its number, which no other had.
    pub fn start_hinting(&self, device: &PciDevice) -> u32 {
        let id = {
            let mut state = self.lock();
            state.hints.next = state.hints.next.max(hint_command::DONE) + 1;
            state.hints.next
        };
        self.set_hint_command(device, id);
        id
    }

    /// Wants no more hints for now.
    pub fn stop_hinting(&self, device: &PciDevice) {
        self.set_hint_command(device, hint_command::STOP);
    }

    /// Wants no more hints: what was hinted is the driver's again.
    pub fn end_hinting(&self, device: &PciDevice) {
        self.set_hint_command(device, hint_command::DONE);
    }

    /// Says any command of hints; a number that was said before is a new round.
    pub fn set_hint_command(&self, device: &PciDevice, id: u32) {
        let mut state = self.lock();
        state.config.free_page_hint_cmd_id = id;
        state.hints.asked.insert(id);
        state.hints.begun.remove(&id);
        drop(state);
        change(device, HINT_COMMAND, id);
    }

    /// The pages that were hinted so far, oldest first.
    pub fn hinted(&self) -> Vec<Hint> {
        self.lock().hints.log.clone()
    }

    /// The commands that came with hints since the last call: numbers of rounds, and 0 for the end of one.
    pub fn take_hint_commands(&self) -> Vec<u32> {
        std::mem::take(&mut self.lock().hints.commands)
    }

    /// The pages that were reported so far, as device address and bytes, oldest first.
    pub fn reported(&self) -> Vec<(u64, u32)> {
        self.lock().reported.clone()
    }
}

fn change(device: &PciDevice, at: usize, value: u32) {
    device.patch_config(at, &value.to_le_bytes());
    if device.status() & DRIVER_OK != 0 {
        device.raise_config();
    }
}
