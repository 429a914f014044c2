//! The disk: what it says of itself, and how it serves its queues as long as it is honest.
//!
//! Spec: §5.2.4 Device configuration layout, §5.2.6 Device Operation. Each sector begins with its own number, whatever was written to it, so that a read can be judged without knowing what was written before it.

use virtio_model::chain::Chain;
use virtio_model::{DeviceQueue, ModelError};

use super::memory::Memory;
use crate::script::Script;

/// Queues that there are.
pub(crate) const QUEUES: usize = 3;
/// Bytes of the configuration space.
pub(crate) const CONFIG_BYTES: usize = 96;
/// Sectors that there are, whatever the configuration says.
pub(crate) const SECTORS: u64 = 64;
pub(crate) const SECTOR_BYTES: usize = 512;

/// See the module's head.
#[derive(Default)]
pub(crate) struct Device {
    pub(crate) offered: u128,
    pub(crate) accepted: u128,
    pub(crate) status: u8,
    pub(crate) config: Vec<u8>,
    /// Whether the configuration is what it was when the driver came up.
    pub(crate) config_is_fixed: bool,
    /// Whether it was sensible then.
    pub(crate) config_is_sensible: bool,
    pub(crate) generation: u32,
    /// The generation is another one at every look.
    pub(crate) is_restless: bool,
    /// No reset is ever complete.
    pub(crate) is_stuck: bool,
    /// Whether it has told no lie.
    pub(crate) is_honest: bool,
    pub(crate) queues: [Queue; QUEUES],
    /// Vectors that it has interrupted with, and nobody has handled.
    pub(crate) interrupts: Vec<u16>,
    pub(crate) contents: Vec<u8>,
}

/// One of its queues.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) size_max: u16,
    pub(crate) vector: u16,
    pub(crate) ring: Option<DeviceQueue>,
    /// Whether it looks for requests without being told to.
    pub(crate) is_awake: bool,
    /// Whether it is not served any more.
    pub(crate) is_dead: bool,
    /// Requests that it took.
    pub(crate) held: Vec<Chain>,
    /// The one that it returned last.
    pub(crate) returned: Option<u16>,
}

/// What a sector of this number holds: the number, and a byte again and again.
pub(crate) fn sector(number: u64, fill: u8) -> [u8; SECTOR_BYTES] {
    let mut bytes = [fill; SECTOR_BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

impl Device {
    /// A disk that offers this, and says this of itself.
    pub(crate) fn new(offered: u128, config: Vec<u8>, sizes: u8) -> Self {
        let mut device = Self { offered, config, is_honest: true, config_is_fixed: true, ..Self::default() };
        for (index, queue) in device.queues.iter_mut().enumerate() {
            queue.size_max = 4 << (sizes >> (2 * index) & 3);
        }
        device.contents = (0..SECTORS).flat_map(|number| sector(number, 0xdd)).collect();
        device
    }

    /// Was reset: knows nothing any more.
    pub(crate) fn forget(&mut self) {
        for queue in &mut self.queues {
            *queue = Queue { size_max: queue.size_max, vector: queue.vector, ..Queue::default() };
        }
        self.accepted = 0;
    }

    /// Whether it has a request with a buffer at this address.
    pub(crate) fn holds(&self, address: u64) -> bool {
        let held = self.queues.iter().flat_map(|queue| &queue.held);
        held.flat_map(|chain| &chain.segments).any(|segment| segment.addr == address)
    }

    /// Does what a decision says; 0 is to do all the work that there is.
    pub(crate) fn act(&mut self, decision: u8, script: &mut Script, memory: &mut Memory) {
        let (index, number) = (usize::from(decision) % QUEUES, usize::from(decision) / QUEUES % 16);
        match decision {
            0..0x40 => (0..QUEUES).for_each(|index| self.work(index, usize::MAX, memory)),
            0x40..0x58 => {}
            0x58..0x70 => self.take(index),
            0x70..0x98 => {
                self.take(index);
                self.complete(index, number, memory);
            }
            0x98..0xa0 => self.be_resized(decision),
            0xa0..0xb0 => self.interrupts.push(u16::from(decision % 4)),
            _ => self.lie(decision, index, number, script, memory),
        }
    }

    /// Takes and completes up to so many requests.
    fn work(&mut self, index: usize, most: usize, memory: &Memory) {
        self.take(index);
        for _ in 0..most {
            if self.queues[index].held.is_empty() || self.queues[index].is_dead {
                break;
            }
            self.complete(index, 0, memory);
        }
    }

    /// Takes what is available, and sleeps then until it is notified.
    pub(crate) fn take(&mut self, index: usize) {
        let is_honest = self.is_honest;
        let queue = &mut self.queues[index];
        let Some(ring) = queue.ring.as_mut().filter(|_| queue.is_awake && !queue.is_dead) else { return };
        loop {
            while let Some(chain) = tolerate(is_honest, ring.pop()).flatten() {
                queue.held.push(chain);
                // What the driver has written there was changed, or this could not be.
                queue.is_dead |= queue.held.len() > usize::from(ring.size());
            }
            if !is_honest || tolerate(is_honest, ring.enable_notifications()) != Some(true) {
                break;
            }
        }
        queue.is_awake = !is_honest;
    }

    /// Completes one of the requests that it has; in order, the oldest.
    fn complete(&mut self, index: usize, number: usize, memory: &Memory) {
        let Some(chain) = self.choose(index, number) else { return };
        let (status, written) = self.perform(&chain, memory);
        let last = chain.writable_bytes().saturating_sub(1);
        let result = chain.write_at(&memory.hal.space, last, &[status]);
        assert!(result.is_ok() || !self.is_honest, "the driver's status byte cannot be written");
        self.give_back(index, chain.head, written.saturating_add(1));
    }

    /// Lets go of one of the requests that it has.
    pub(crate) fn choose(&mut self, index: usize, number: usize) -> Option<Chain> {
        let queue = &mut self.queues[index];
        let is_in_order = queue.ring.as_ref()?.is_in_order();
        if queue.is_dead {
            return None;
        }
        let place = if is_in_order { 0 } else { number.checked_rem(queue.held.len())? };
        (place < queue.held.len()).then(|| queue.held.remove(place))
    }

    pub(crate) fn give_back(&mut self, index: usize, head: u16, written: u32) {
        let Self { is_honest, queues, interrupts, .. } = self;
        let queue = &mut queues[index];
        let Some(ring) = &mut queue.ring else { return };
        queue.returned = Some(head);
        if tolerate(*is_honest, ring.complete(head, written)) == Some(true) {
            interrupts.push(queue.vector);
        }
    }
}

/// What a step comes to: complaints count only against a driver whose device told no lie.
pub(crate) fn tolerate<T>(is_honest: bool, result: Result<T, ModelError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(complaint) if is_honest => panic!("the driver broke the protocol: {complaint}"),
        Err(_) => None,
    }
}
