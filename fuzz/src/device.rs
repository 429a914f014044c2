//! The device's honest side: `virtio-model`'s queue, taking chains and returning them as the specification says.
//!
//! Spec: §2.7, §2.8. As long as no lie was told ([`Device::is_honest`]) it knows what the driver must see, and complains about a driver that breaks a rule;
//! after the first lie it carries on with what it finds in memory, and complains no more.

use std::collections::VecDeque;

use virtio_model::chain::Chain;
use virtio_model::setup::Setup;
use virtio_model::{DeviceQueue, ModelError};

use crate::memory::Memory;

/// See the module's head.
#[derive(Default)]
pub(crate) struct Device {
    /// The features that it offers.
    pub(crate) features: u128,
    /// The largest queue that it offers.
    pub(crate) size_max: u16,
    /// Its status register.
    pub(crate) status: u8,
    /// For how many more looks a reset is not finished.
    pub(crate) reset_delay: u8,
    /// Its side of the queue, between set-up and reset.
    pub(crate) queue: Option<DeviceQueue>,
    /// Whether it has told no lie since the queue was set up.
    pub(crate) is_honest: bool,
    /// Contexts of the chains that it was shown and has not taken, oldest first.
    pub(crate) shown: VecDeque<u32>,
    /// Chains that it took.
    held: Vec<Held>,
    /// What it returned and the driver has not taken, oldest first.
    pub(crate) returned: VecDeque<Return>,
    /// Whether it has seen that nothing is available, and waits for a notification.
    pub(crate) sleeps: bool,
    /// Notifications that came.
    pub(crate) notifications: u64,
}

/// A chain in the device's hands.
struct Held {
    chain: Chain,
    /// The driver's context for it, which the device does not know; `None` if a lie has confused the two.
    context: Option<u32>,
}

/// A chain that the device returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Return {
    pub(crate) context: Option<u32>,
    /// Bytes that it says it wrote; `None` for all, as of the chains before the last one of a batch.
    pub(crate) written: Option<u32>,
}

/// What a step comes to: complaints count only against a driver that was told no lie.
fn tolerate<T>(is_honest: bool, result: Result<T, ModelError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(complaint) if is_honest => panic!("the driver broke the protocol: {complaint}"),
        Err(_) => None,
    }
}

impl Device {
    /// A device that offers this.
    pub(crate) fn new(features: u128, size_max: u16) -> Self {
        Self { features, size_max, ..Self::default() }
    }

    /// Takes over a queue.
    pub(crate) fn set_up(&mut self, memory: &Memory, setup: Setup, packed: bool) {
        self.forget();
        self.queue = Some(DeviceQueue::new(&memory.hal.space, setup, packed).expect("a sound queue"));
    }

    /// Was reset, or its queue: knows nothing any more.
    pub(crate) fn forget(&mut self) {
        let Self { features, size_max, status, notifications, .. } = *self;
        *self = Self { features, size_max, status, notifications, is_honest: true, ..Self::default() };
    }

    /// Does something honest: which thing is in the low bits, how much of it above.
    pub(crate) fn step(&mut self, step: u8, memory: &Memory) {
        let (kind, number) = (step % 4, usize::from(step / 4));
        match kind {
            0 => (0..=number % 4).for_each(|_| self.take()),
            1 => self.give_back(number, memory),
            2 => self.give_back_batch(number),
            _ if number.is_multiple_of(2) => self.sleep(),
            _ => self.poll(),
        }
    }

    /// Takes the next chain, if there is one.
    fn take(&mut self) {
        let Some(queue) = &mut self.queue else { return };
        if let Some(chain) = tolerate(self.is_honest, queue.pop()).flatten() {
            self.sleeps = false;
            let context = self.shown.pop_front();
            assert!(context.is_some() || !self.is_honest, "a chain was available that was never published");
            self.held.push(Held { chain, context });
        }
    }

    /// Returns a chain that it holds; in order, the oldest.
    fn give_back(&mut self, number: usize, memory: &Memory) {
        let Some(queue) = &mut self.queue else { return };
        if self.held.is_empty() {
            return;
        }
        let index = if queue.is_in_order() { 0 } else { number / 3 % self.held.len() };
        let Held { chain, context } = self.held.remove(index);
        let written = written_len(&chain, number);
        // The driver may have been lied to about where; the write then ends where the device may not write.
        let _ = chain.write_all(&memory.hal.space, &[0xd5; 16][..written.min(16) as usize]);
        // Noted first: with the last store of `complete` the driver may see it.
        self.returned.push_back(Return { context, written: Some(written) });
        tolerate(self.is_honest, queue.complete(chain.head, written));
    }

    /// In order: returns several chains with one used element.
    fn give_back_batch(&mut self, number: usize) {
        let Some(queue) = self.queue.as_mut().filter(|queue| queue.is_in_order()) else { return };
        if self.held.is_empty() {
            return;
        }
        let batch: Vec<_> = self.held.drain(..=number % self.held.len()).collect();
        let used: Vec<_> =
            batch.iter().map(|held| (held.chain.head, written_len(&held.chain, number))).collect();
        let contexts = batch.iter().map(|held| held.context);
        self.returned.extend(contexts.map(|context| Return { context, written: None }));
        if let (Some(last), Some((_, written))) = (self.returned.back_mut(), used.last()) {
            last.written = Some(*written);
        }
        tolerate(self.is_honest, queue.complete_batch(&used));
    }

    /// Asks for a notification, and waits for it if nothing is available.
    fn sleep(&mut self) {
        let Some(queue) = &mut self.queue else { return };
        self.sleeps = tolerate(self.is_honest, queue.enable_notifications()) == Some(false);
    }

    /// Asks for no notifications.
    fn poll(&mut self) {
        let Some(queue) = &mut self.queue else { return };
        self.sleeps = false;
        tolerate(self.is_honest, queue.disable_notifications());
    }
}

/// How much the device writes to a chain: nothing, half of it, or all.
fn written_len(chain: &Chain, number: usize) -> u32 {
    let all = u32::try_from(chain.writable_bytes()).unwrap_or(u32::MAX);
    [0, all / 2, all][number % 3]
}
