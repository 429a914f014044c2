//! A driver made of bare stores, whose chains are of every permitted kind.
//!
//! Spec: §2.7.5 The Virtqueue Descriptor Table, §2.7.6 The Virtqueue Available Ring. It makes
//! buffers up from pseudo-random numbers, and knows no device.

use std::collections::BTreeMap;
use std::ptr::NonNull;

use virtio_model::split::{DESCRIPTOR_BYTES, INDIRECT, NEXT, WRITE};
use virtio_model::{AddressSpace, Segment};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Where the memory lies: above 4 GiB.
pub const BASE: u64 = 0x2_4000_0000;
pub const BYTES: usize = 0x5_0000;
pub const TABLE: u64 = BASE;
pub const AVAIL: u64 = BASE + 0x1000;
pub const USED: u64 = BASE + 0x2000;
/// Indirect tables: one for each entry of the table, of as many entries as the queue has.
const TABLES: u64 = BASE + 0x3000;

/// xorshift64: the same for the same seed.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u16) -> u16 {
        u16::try_from(self.next() % u64::from(bound)).expect("less than a bound of 16 bits")
    }

    pub fn one_in(&mut self, count: u16) -> bool {
        self.below(count) == 0
    }

    pub fn word(&mut self) -> u16 {
        self.below(u16::MAX)
    }

    /// Takes any one out.
    pub fn pick(&mut self, list: &mut Vec<u16>) -> u16 {
        let count = u16::try_from(list.len()).expect("no more than entries");
        list.swap_remove(usize::from(self.below(count)))
    }

    /// A segment of any length from 1 to 16 MiB, short ones more often, anywhere in the address space.
    fn segment(&mut self, writable: bool) -> Segment {
        let most = 1 << self.below(25);
        let len = u32::try_from(self.next() % most + 1).expect("at most 16 MiB");
        Segment { addr: self.next() >> 1, len, writable }
    }
}

/// Two memories with one driver: whatever it stores goes to both.
pub struct Driver {
    pub size: u16,
    pub guest: GuestMemoryMmap,
    pub space: AddressSpace,
    _backing: Vec<u64>,
    pub free: Vec<u16>,
    /// The entries of each chain that is available or in flight, by its head.
    pub chains: BTreeMap<u16, Vec<u16>>,
    made_available: u16,
}

impl Driver {
    pub fn new(size: u16) -> Self {
        let guest = GuestMemoryMmap::from_ranges(&[(GuestAddress(BASE), BYTES)]).unwrap();
        let mut backing = vec![0u64; BYTES / 8];
        let space = AddressSpace::new();
        let pointer = NonNull::new(backing.as_mut_ptr().cast()).unwrap();
        // SAFETY: the driver keeps the memory as long as the address space, and accesses it only
        // through it.
        unsafe { space.map(BASE, pointer, BYTES, true, true) };
        let free = (0..size).collect();
        Self { size, guest, space, _backing: backing, free, chains: BTreeMap::new(), made_available: 0 }
    }

    pub fn store(&self, address: u64, bytes: &[u8]) {
        self.guest.write_slice(bytes, GuestAddress(address)).unwrap();
        self.space.write(address, bytes).unwrap();
    }

    fn describe(&self, table: u64, index: u16, segment: Segment, flags: u16, next: u16) {
        let flags = flags | if segment.writable { WRITE } else { 0 };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&segment.addr.to_le_bytes());
        bytes[8..12].copy_from_slice(&segment.len.to_le_bytes());
        bytes[12..14].copy_from_slice(&flags.to_le_bytes());
        bytes[14..].copy_from_slice(&next.to_le_bytes());
        self.store(table + DESCRIPTOR_BYTES * u64::from(index), &bytes);
    }

    /// Writes descriptors into `entries` of a table, linked in this order; the last one links to
    /// anything, for nobody may look there.
    fn describe_all(&self, numbers: &mut Numbers, table: u64, entries: &[u16], segments: &[Segment]) {
        for (at, (&entry, &segment)) in entries.iter().zip(segments).enumerate() {
            match entries.get(at + 1) {
                Some(&next) => self.describe(table, entry, segment, NEXT, next),
                None => self.describe(table, entry, segment, 0, numbers.word()),
            }
        }
    }

    /// Makes one buffer available, direct, indirect, or the one followed by the other, if there
    /// are entries left for it; tells its head and its segments.
    pub fn make_available(&mut self, numbers: &mut Numbers) -> Option<(u16, Vec<Segment>)> {
        let free = u16::try_from(self.free.len()).unwrap();
        if free == 0 {
            return None;
        }
        let count = 1 + numbers.below(self.size.min(24));
        let readable = numbers.below(count + 1);
        let segments: Vec<_> = (0..count).map(|at| numbers.segment(at >= readable)).collect();
        // How many segments have an entry of the queue's own table; the others are in an indirect one.
        let direct = if count <= free && numbers.one_in(2) { count } else { numbers.below(count.min(free)) };
        let is_indirect = direct < count;
        let entries: Vec<_> =
            (0..direct + u16::from(is_indirect)).map(|_| numbers.pick(&mut self.free)).collect();
        // An entry for the indirect table, if there is one, is the last; the one before links to it.
        let (direct_part, indirect_part) = segments.split_at(usize::from(direct));
        self.describe_all(numbers, TABLE, &entries, direct_part);
        if let (true, Some(&entry)) = (is_indirect, entries.last()) {
            self.describe_indirect(numbers, entry, indirect_part);
        }
        let head = entries[0];
        self.chains.insert(head, entries);
        self.publish(head);
        Some((head, segments))
    }

    /// Writes an indirect table: it starts at entry 0, may jump to and fro, and may have entries
    /// that nothing leads to. Whether the descriptor that refers to it is writable means nothing.
    pub fn describe_indirect(&self, numbers: &mut Numbers, entry: u16, segments: &[Segment]) {
        let table = TABLES + u64::from(entry) * u64::from(self.size) * DESCRIPTOR_BYTES;
        let mut rest: Vec<_> = (1..self.size).collect();
        let mut entries = vec![0];
        entries.extend((1..segments.len()).map(|_| numbers.pick(&mut rest)));
        self.describe_all(numbers, table, &entries, segments);
        let table_entries = u32::from(entries.iter().max().unwrap() + 1);
        let reference = Segment { addr: table, len: 16 * table_entries, writable: numbers.one_in(2) };
        self.describe(TABLE, entry, reference, INDIRECT, numbers.word());
    }

    pub fn publish(&mut self, head: u16) {
        let slot = u64::from(self.made_available % self.size);
        self.store(AVAIL + 4 + 2 * slot, &head.to_le_bytes());
        self.made_available = self.made_available.wrapping_add(1);
        self.store(AVAIL + 2, &self.made_available.to_le_bytes());
    }

    pub fn ask_for_interrupt_after(&self, used_event: u16) {
        self.store(AVAIL + 4 + 2 * u64::from(self.size), &used_event.to_le_bytes());
    }

    /// Gets the entries of a used chain back.
    pub fn reclaim(&mut self, head: u16) {
        self.free.extend(self.chains.remove(&head).expect("a chain that was available"));
    }

    /// The same range of both memories, theirs first.
    pub fn both(&self, address: u64, len: u64) -> [Vec<u8>; 2] {
        let [mut theirs, mut ours] = [(); 2].map(|()| vec![0; usize::try_from(len).unwrap()]);
        self.guest.read_slice(&mut theirs, GuestAddress(address)).unwrap();
        self.space.read(address, &mut ours).unwrap();
        [theirs, ours]
    }
}
