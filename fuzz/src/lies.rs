//! What a lying device does before a load of the driver's: answers something else, or changes shared bytes, here or anywhere.
//!
//! Spec: none; a device that does this breaks it. Random bytes would mostly be thrown out by the first check, so there are lies that are nearly true, too:
//! small numbers, what is there and a little more, what was there elsewhere.

use std::ptr::NonNull;

use virtio_model::DeviceQueue;

use crate::world::World;

impl World {
    /// Tells a lie. `true` if `word` is what the load is to answer, once; else what is in memory, which the lie may have changed.
    pub(crate) fn lie(&mut self, lie: u8, place: NonNull<u8>, word: &mut [u8]) -> bool {
        self.device.is_honest = false;
        let (kind, number) = (lie % 8, lie / 8);
        let Some(address) = self.memory.device_address(place) else { return false };
        match kind {
            // A small number, for this load only.
            0 => {
                word.fill(0);
                word[0] = number;
                true
            }
            // Any number, for this load only.
            1 => {
                self.bytes_for(word);
                true
            }
            // Any number, to stay.
            2 => {
                self.bytes_for(word);
                self.write(address, word);
                false
            }
            // What is there and a little more or less, to stay.
            3 => {
                self.read(address, word);
                let step = i16::from(number) - 8;
                let old = u16::from_le_bytes([word[0], word.get(1).copied().unwrap_or(0)]);
                let new = old.wrapping_add_signed(step).to_le_bytes();
                word.iter_mut().zip(new).for_each(|(byte, new)| *byte = new);
                self.write(address, word);
                false
            }
            // Some bytes, anywhere.
            4 => {
                let mut bytes = [0; 4];
                let len = 1 + usize::from(number % 4);
                let target = self.anywhere(len);
                self.bytes_for(&mut bytes[..len]);
                self.write(target, &bytes[..len]);
                false
            }
            // What is somewhere, anywhere else: a descriptor or a used element once more.
            5 => {
                let len = [2, 4, 8, 16][usize::from(number % 4)];
                let (source, target) = (self.anywhere(len), self.anywhere(len));
                let mut bytes = [0; 16];
                self.read(source, &mut bytes[..len]);
                self.write(target, &bytes[..len]);
                false
            }
            // One bit of what is there, to stay.
            6 => {
                self.read(address, word);
                let bit = usize::from(self.script.decision()) % (8 * word.len());
                word[bit / 8] ^= 1 << (bit % 8);
                self.write(address, word);
                false
            }
            _ => {
                self.claim_used(number.into());
                false
            }
        }
    }

    /// Returns a chain that the device may not have, in the right form.
    fn claim_used(&mut self, id: u16) {
        let (slot, written) = (self.script.decision(), self.script.decision().into());
        // A place that cannot be reached any more is none of the driver's faults.
        let _ = match &self.device.queue {
            Some(DeviceQueue::Split(ring)) => {
                let index = ring.used_idx().wrapping_add(u16::from(slot % 4));
                ring.put_used_element(index, id.into(), written)
                    .and_then(|()| ring.set_used_idx(index.wrapping_add(1)))
            }
            Some(DeviceQueue::Packed(ring)) => {
                let flags = if slot & 0x80 == 0 { 0x8080 } else { 0 };
                let writes = if slot & 0x40 == 0 { virtio_model::packed::WRITE } else { 0 };
                ring.put_used(u16::from(slot & 0x3f) % ring.size(), id, written, flags | writes)
            }
            None => Ok(()),
        };
    }

    /// Fills a word from the script.
    fn bytes_for(&mut self, word: &mut [u8]) {
        word.iter_mut().for_each(|byte| *byte = self.script.decision());
    }

    /// A device address in all that is shared, with room for `len` bytes mostly.
    fn anywhere(&mut self, len: usize) -> u64 {
        let (choice, offset) = (self.script.decision(), self.script.decision());
        let Some((address, bytes)) = self.memory.shared_range(choice.into()) else { return 0 };
        // Offsets are even where the driver looks; so fewer decisions reach all of a ring.
        let places = bytes.saturating_sub(len) / 2 + 1;
        address + 2 * (usize::from(offset) % places) as u64
    }

    /// Where the device may not read, it sees nothing.
    fn read(&self, address: u64, bytes: &mut [u8]) {
        let _ = self.memory.hal.space.read(address, bytes);
    }

    /// Where the device may not write, it changes nothing.
    fn write(&self, address: u64, bytes: &[u8]) {
        let _ = self.memory.hal.space.write(address, bytes);
    }
}
