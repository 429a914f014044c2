//! Free pages: hints, by rounds, and reports.
//!
//! Spec: §5.5.6.5 Free Page Hinting, §5.5.6.7 Free Page Reporting.
//!
//! ```text
//!   hints    readable: command id le32, begins a round; writable: pages ...; readable: STOP, ends it
//!   reports  writable: pages
//! ```

use super::numbers::{feature, hint_command};
use super::queues::BalloonQueue;
use super::service::GARBAGE;
use super::state::State;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;
use std::collections::BTreeSet;

const PAGE_BYTES: u32 = 4096;

/// Pages that were hinted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// The round that they came in.
    pub round: u32,
    /// The device address of the first byte.
    pub address: u64,
    /// How many bytes.
    pub bytes: u32,
    /// Whether the device took the hint: the round was the one that it wanted.
    pub is_taken: bool,
}

/// What the driver said.
#[derive(Debug, Default)]
pub(super) struct Hints {
    pub(super) log: Vec<Hint>,
    /// Commands of the driver, oldest first.
    pub(super) commands: Vec<u32>,
    /// Rounds that the device ever asked for,
    pub(super) asked: BTreeSet<u32>,
    /// and the one that it will ask for next.
    pub(super) next: u32,
    /// Rounds that the driver has begun since they were asked for.
    pub(super) begun: BTreeSet<u32>,
    /// The round that the driver is in.
    current: Option<u32>,
}

impl Hints {
    /// After a reset, no round is begun.
    pub(super) fn forget(&mut self) {
        self.begun.clear();
        self.current = None;
    }

    fn command(&mut self, id: u32) -> Result<(), String> {
        self.commands.push(id);
        match id {
            hint_command::STOP if self.current.take().is_none() => {
                Err("a round ended that was not begun".into())
            }
            hint_command::STOP => Ok(()),
            hint_command::DONE => Err("DONE said by the driver".into()),
            _ => {
                self.current = Some(id);
                if !self.asked.contains(&id) {
                    Err(format!("round {id} begun, which was not asked for"))
                } else if self.begun.insert(id) {
                    Ok(())
                } else {
                    Err(format!("round {id} begun twice"))
                }
            }
        }
    }
}

/// Says what is wrong with free pages, if anything.
fn judge_pages(chain: &Chain) -> Vec<String> {
    let mut complaints = Vec::new();
    if chain.readable_bytes() != 0 {
        complaints.push("free pages with readable bytes".into());
    }
    for len in chain.writable_lens().into_iter().filter(|len| !len.is_multiple_of(PAGE_BYTES)) {
        complaints.push(format!("free pages of {len} bytes"));
    }
    complaints
}

impl State {
    /// Takes hints and gives them back; tells how many chains it gave back.
    pub(super) fn take_hints(&mut self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let queue = BalloonQueue::FreePages;
        self.work(device, memory, queue, |state, ring| {
            state.take(device, queue, ring, |state, chain| state.look_at_hint(chain, memory))?;
            state.give_back(device, queue, ring, |_, _| ())
        })
    }

    fn look_at_hint(&mut self, chain: &Chain, memory: &AddressSpace) -> Result<Vec<String>, ModelError> {
        let said = chain.read_all(memory)?;
        if let Some(id) = said.first_chunk() {
            let mut complaints: Vec<_> =
                self.hints.command(u32::from_le_bytes(*id)).err().into_iter().collect();
            if said.len() != 4 || chain.writable_bytes() != 0 {
                let writable = chain.writable_bytes();
                complaints.push(format!("a command of {} bytes, and {writable} writable ones", said.len()));
            }
            return Ok(complaints);
        }
        let mut complaints = judge_pages(chain);
        let Some(round) = self.hints.current else {
            complaints.push("free pages hinted before a round is begun".into());
            return Ok(complaints);
        };
        let is_taken = round == self.config.free_page_hint_cmd_id;
        for segment in chain.segments.iter().filter(|segment| segment.writable) {
            self.hints.log.push(Hint { round, address: segment.addr, bytes: segment.len, is_taken });
        }
        if is_taken {
            self.overwrite(chain, memory, [GARBAGE; 4])?;
        }
        Ok(complaints)
    }

    /// Takes reports and gives them back; tells how many chains it gave back.
    pub(super) fn take_reports(&mut self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let queue = BalloonQueue::Reporting;
        let is_poisoned = Self::agreed(device, feature::PAGE_POISON);
        self.work(device, memory, queue, |state, ring| {
            state.take(device, queue, ring, |state, chain| {
                for segment in chain.segments.iter().filter(|segment| segment.writable) {
                    state.reported.push((segment.addr, segment.len));
                }
                let poison = state.config.poison_val.to_le_bytes();
                state.overwrite(chain, memory, if is_poisoned { poison } else { [GARBAGE; 4] })?;
                Ok(judge_pages(chain))
            })?;
            state.give_back(device, queue, ring, |_, _| ())
        })
    }

    /// The device may do this to pages that are free.
    fn overwrite(&self, chain: &Chain, memory: &AddressSpace, pattern: [u8; 4]) -> Result<(), ModelError> {
        if !self.keeps_contents {
            let words = usize::try_from(chain.writable_bytes()).unwrap_or(usize::MAX) / pattern.len();
            chain.write_all(memory, &pattern.repeat(words))?;
        }
        Ok(())
    }
}
