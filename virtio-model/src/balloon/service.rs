//! Inflating and deflating.
//!
//! Spec: §5.5.6 Device Operation. Pages are judged before anything is given back: one that is deflated before the device has acknowledged that it came
//! is an error.

use super::numbers::feature;
use super::queues::BalloonQueue;
use super::state::State;
use crate::chain::Chain;
use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::pci::PciDevice;

/// Bytes of a page.
const PAGE_BYTES: u16 = 4096;
/// What pages are overwritten with.
pub(super) const GARBAGE: u8 = 0xdb;

/// The numbers of pages that a chain holds, if it is in order.
fn frames(chain: &Chain, memory: &AddressSpace) -> Result<Result<Vec<u32>, String>, ModelError> {
    let bytes = chain.read_all(memory)?;
    if chain.writable_bytes() != 0 {
        return Ok(Err("page numbers with writable bytes".into()));
    }
    let (words, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Ok(Err(format!("page numbers of {} bytes", bytes.len())));
    }
    Ok(Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect()))
}

impl State {
    /// Takes pages and gives them back; tells how many chains it gave back.
    pub(super) fn inflate_and_deflate(&mut self, device: &PciDevice, memory: &AddressSpace) -> usize {
        let (inflate, deflate) = (BalloonQueue::Inflate, BalloonQueue::Deflate);
        self.work(device, memory, inflate, |state, ring| {
            state.take(device, inflate, ring, |state, chain| state.look_at_inflation(chain, memory))?;
            Ok(0)
        });
        self.work(device, memory, deflate, |state, ring| {
            let may_be_short = Self::agreed(device, feature::DEFLATE_ON_OOM);
            state.take(device, deflate, ring, |state, chain| {
                state.look_at_deflation(chain, memory, may_be_short)
            })?;
            Ok(0)
        });
        self.pages.settle_target();
        let inflated = self.work(device, memory, inflate, |state, ring| {
            state.give_back(device, inflate, ring, |state, chain| {
                if let Ok(Ok(frames)) = frames(chain, memory) {
                    state.pages.inflated(&frames);
                }
            })
        });
        let deflated = self.work(device, memory, deflate, |state, ring| {
            state.give_back(device, deflate, ring, |state, chain| {
                if let Ok(Ok(frames)) = frames(chain, memory) {
                    state.pages.deflated(&frames);
                }
            })
        });
        inflated + deflated
    }

    fn look_at_inflation(&mut self, chain: &Chain, memory: &AddressSpace) -> Result<Vec<String>, ModelError> {
        let frames = match frames(chain, memory)? {
            Ok(frames) => frames,
            Err(complaint) => return Ok(vec![complaint]),
        };
        let mut complaints = Vec::new();
        for frame in &frames {
            match self.pages.inflate(*frame) {
                Err(complaint) => complaints.push(complaint),
                Ok(()) => self.overwrite_page(*frame),
            }
        }
        self.bursts.push((BalloonQueue::Inflate, frames));
        Ok(complaints)
    }

    fn look_at_deflation(
        &mut self,
        chain: &Chain,
        memory: &AddressSpace,
        may_be_short: bool,
    ) -> Result<Vec<String>, ModelError> {
        let frames = match frames(chain, memory)? {
            Ok(frames) => frames,
            Err(complaint) => return Ok(vec![complaint]),
        };
        let mut complaints: Vec<_> =
            frames.iter().filter_map(|frame| self.pages.deflate(*frame).err()).collect();
        if !may_be_short {
            complaints.extend(self.pages.judge_deflation().err());
        }
        self.bursts.push((BalloonQueue::Deflate, frames));
        Ok(complaints)
    }

    /// The device may do this to a page that it was given.
    fn overwrite_page(&self, frame: u32) {
        let Some(guest) = self.guest.as_ref().filter(|_| !self.keeps_contents) else {
            return;
        };
        let at = u64::from(frame) * u64::from(PAGE_BYTES);
        if guest.is_mapped(at) {
            // A page that is there in part shows among the faults.
            let _ = guest.write(at, &vec![GARBAGE; PAGE_BYTES.into()]);
        }
    }
}
