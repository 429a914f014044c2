//! What a disk may do wrong: answers that are none, requests that it returns twice or never, shared memory and a configuration that change at any time.
//!
//! Spec: none; a device that does this breaks it.

use super::device::{CONFIG_BYTES, Device};
use super::memory::Memory;
use crate::script::Script;

impl Device {
    /// The disk has another size, and says so as it should.
    pub(crate) fn be_resized(&mut self, decision: u8) {
        self.config[0] = decision.wrapping_mul(37);
        self.generation = self.generation.wrapping_add(1);
        self.config_is_fixed = false;
        self.interrupts.push(0);
    }

    /// Tells the lie that a decision says.
    pub(crate) fn lie(
        &mut self,
        decision: u8,
        index: usize,
        number: usize,
        script: &mut Script,
        memory: &mut Memory,
    ) {
        // A restless generation alone is no lie about requests; nobody has to believe anything.
        if !(0xe0..0xe8).contains(&decision) {
            self.is_honest = false;
        }
        match decision {
            // Any status, any length, some of the bytes.
            0xb0..0xc8 => {
                self.take(index);
                let Some(chain) = self.choose(index, number) else { return };
                let (status, written) = (script.decision(), script.decision());
                let bytes = usize::from(written) * 3;
                let _ = chain.write_all(&memory.hal.space, &vec![status; bytes]);
                let last = chain.writable_bytes().saturating_sub(1);
                if decision < 0xc0 {
                    let _ = chain.write_at(&memory.hal.space, last, &[status]);
                }
                let is_all_zeros = status == 0 && (decision < 0xc0 || bytes as u64 > last);
                if !is_all_zeros {
                    memory.deny(&chain);
                }
                let written =
                    [written.into(), u32::MAX, last as u32, last as u32 + 2][usize::from(decision % 4)];
                self.give_back(index, chain.head, written);
            }
            // Another request's name, or nobody's: that one is returned twice, this one never.
            0xc8..0xd8 => {
                self.take(index);
                let Some(chain) = self.choose(index, number) else { return };
                let queue = &mut self.queues[index];
                // From here on the disk may write to requests of before, where there are others now.
                memory.is_forged = true;
                let other = queue.held.first().map(|chain| chain.head).or(queue.returned);
                let id = match decision % 4 {
                    0 => u32::from(other.unwrap_or(0)),
                    1 => 0x1_0000 | u32::from(chain.head),
                    2 => u32::from(script.decision()),
                    _ => queue.returned.unwrap_or(0).into(),
                };
                let Some(ring) = &mut queue.ring else { return };
                let bytes = u32::try_from(chain.writable_bytes()).unwrap_or(0);
                if let Ok(place) = ring.push_used(chain.head, bytes) {
                    let _ = ring.put_used_id(place, id, bytes);
                    let _ = ring.publish_used();
                }
                self.interrupts.push(queue.vector);
            }
            // A byte of whatever is shared.
            0xd8..0xe0 => {
                memory.is_forged = true;
                let (choice, at, value) = (script.decision(), script.decision(), script.decision());
                if let Some((address, bytes)) = memory.shared_range(choice.into()) {
                    let offset = (usize::from(at) * (1 + usize::from(decision % 4) * 5)).checked_rem(bytes);
                    let _ = memory.hal.space.write(address + offset.unwrap_or(0) as u64, &[value]);
                }
            }
            0xe0..0xe8 => self.is_restless = !self.is_restless,
            // The configuration changes, and nothing says so.
            0xe8..0xf4 => {
                let (at, value) = (script.decision(), script.decision());
                self.config[usize::from(at) % CONFIG_BYTES] = value;
                self.config_is_fixed = false;
            }
            0xf4..0xf8 => self.status |= 0x40,
            0xf8..0xfc => self.is_stuck = true,
            // What it has, and what comes, is never answered.
            _ => self.queues[index].is_dead = true,
        }
    }
}
