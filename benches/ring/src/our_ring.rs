//! Our driver side: chains from a payload that knows its segments, or from portions of the queue's own memory.

use std::alloc::Layout;
use std::hint::black_box;

use virtio_guest::hal::{Attempts, DeviceAddress, Direction, Domain};
use virtio_guest::lifecycle::{Negotiating, Running, Wants};
use virtio_guest::raw::{Payload, Segment, SegmentVisitor, Tag};
use virtio_guest::ring::{Chain, Portion, QueueSettings, Slots, Virtqueue};
use virtio_guest::wire::features::{CommonFeatures, DeviceFeatures};

use crate::case::Case;
use crate::device::Areas;
use crate::driver::{Contexts, Driver, Turn, fail};
use crate::memory::{Identity, device_address, zeroed};
use crate::transport::LeastTransport;

bitflags::bitflags! {
    /// The device has no features of its own.
    #[derive(Clone, Copy, Debug)]
    struct NoFeatures: u128 {}
}

impl DeviceFeatures for NoFeatures {}

/// A queue, and the device that keeps it.
struct Live<T: Payload + 'static> {
    queue: Virtqueue<'static, Identity<T>, T>,
    areas: Areas,
    _device: Running<LeastTransport, NoFeatures>,
}

impl<T: Payload + 'static> Live<T> {
    /// Brings a device up that has what the case asks for.
    fn new(case: &Case, memory_bytes: usize) -> Self {
        let wanted = [
            (true, CommonFeatures::VERSION_1),
            (case.mode.packed, CommonFeatures::RING_PACKED),
            (case.mode.in_order, CommonFeatures::IN_ORDER),
            (case.mode.event_index, CommonFeatures::EVENT_IDX),
            (case.shape.indirect, CommonFeatures::INDIRECT_DESC),
        ];
        let features: CommonFeatures =
            wanted.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, feature)| feature).collect();
        let (transport, areas) = LeastTransport::new(features.bits(), case.queue_size());
        let settings = QueueSettings {
            size_max: case.queue_size(),
            indirect_segments: if case.shape.indirect { case.shape.segments } else { 0 },
            memory_bytes,
        };
        let device = Negotiating::begin(transport, Attempts(1)).expect("it resets at once");
        let mut device = device.negotiate(Wants::<NoFeatures>::none()).expect("it takes what it offers");
        let slots = Slots::allocate(case.queue_size());
        let queue = device.install_queue(0, &Identity::new(), &settings, slots).expect("there is memory");
        let device = device.start();
        let queue = device.activate(queue);
        let path = queue.active_path();
        assert_eq!((path.in_order, path.event_index), (case.mode.in_order, case.mode.event_index));
        assert_eq!(path.indirect_segments.is_some(), case.shape.indirect);
        let areas = areas.lock().expect("nobody panicked").expect("the queue is set up");
        Self { queue, areas, _device: device }
    }

    /// The work that is measured. `operation` makes a chain and a payload of a context.
    fn rounds<'c>(
        &mut self,
        (rounds, burst): (u64, u16),
        mut turn: Turn<'_>,
        contexts: &mut Contexts,
        operation: impl Fn(u64) -> (Chain<'c>, T),
        context_of: impl Fn(T) -> u64,
    ) {
        for _ in 0..rounds {
            if burst == 1 {
                self.round_of_one(&mut turn, contexts, &operation, &context_of);
            } else {
                self.round(burst, &mut turn, contexts, &operation, &context_of);
            }
        }
    }

    /// A burst, as a driver has it that has many requests.
    fn round<'c>(
        &mut self,
        burst: u16,
        turn: &mut Turn<'_>,
        contexts: &mut Contexts,
        operation: impl Fn(u64) -> (Chain<'c>, T),
        context_of: impl Fn(T) -> u64,
    ) {
        let chains = (0..burst).map(|_| operation(contexts.next()));
        if let Err(burst) = self.queue.make_available_burst(chains) {
            fail(&burst.refused.reason);
        }
        self.queue.publish();
        turn.published(burst);
        let mut left = usize::from(burst);
        while left > 0 {
            match self.queue.take_used_burst(left, |used| contexts.came_back(context_of(used.payload))) {
                Ok(0) => turn.wait(),
                Ok(taken) => left -= taken,
                Err(broken) => fail(&broken),
            }
        }
    }

    /// One request, as a driver has it that has one at a time.
    fn round_of_one<'c>(
        &mut self,
        turn: &mut Turn<'_>,
        contexts: &mut Contexts,
        operation: impl Fn(u64) -> (Chain<'c>, T),
        context_of: impl Fn(T) -> u64,
    ) {
        let (chain, payload) = operation(contexts.next());
        if let Err(refused) = self.queue.make_available(chain, payload) {
            fail(&refused.reason);
        }
        self.queue.publish();
        turn.published(1);
        loop {
            match self.queue.take_used() {
                Ok(Some(used)) => return contexts.came_back(context_of(used.payload)),
                Ok(None) => turn.wait(),
                Err(broken) => fail(&broken),
            }
        }
    }
}

/// A context, and a chain of buffers that were mapped long ago.
#[derive(Debug)]
struct Operation<const N: usize> {
    segments: &'static [Segment; N],
    context: u64,
}

// SAFETY: the segments never change, and name memory that is never freed and that only devices use.
unsafe impl<const N: usize> Payload for Operation<N> {
    #[inline]
    fn segment_count(&self) -> usize {
        N
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "as the trait says, where chains are many")]
    fn visit_segments(&self, visitor: &mut (impl SegmentVisitor + ?Sized)) {
        for segment in self.segments {
            visitor.segment(segment);
        }
    }
}

/// Our driver side, with chains of `N` segments from the payload.
pub struct Ours<const N: usize> {
    live: Live<Operation<N>>,
    segments: &'static [Segment; N],
    contexts: Contexts,
}

impl<const N: usize> Ours<N> {
    /// Brings it up.
    ///
    /// # Panics
    /// It does not come up with what the case asks for.
    pub fn new(case: &Case) -> Self {
        let segments = std::array::from_fn(|index| {
            let index = u16::try_from(index).expect("few segments");
            let len = case.shape.length(index);
            let is_readable = index < case.shape.readable();
            let direction = if is_readable { Direction::DeviceReadable } else { Direction::DeviceWritable };
            let layout = Layout::from_size_align(len as usize, 64).expect("a layout");
            let address = DeviceAddress(device_address(zeroed(layout)));
            Segment { address, len, direction, domain: Domain(0) }
        });
        Self {
            live: Live::new(case, 0),
            segments: Box::leak(Box::new(segments)),
            contexts: Contexts::default(),
        }
    }
}

impl<const N: usize> Driver for Ours<N> {
    #[inline]
    fn rounds(&mut self, rounds: u64, burst: u16, turn: Turn<'_>) {
        let Self { live, segments, contexts } = self;
        let segments: &'static [Segment; N] = segments;
        let operation = |context| (Chain::default(), Operation { segments: black_box(segments), context });
        live.rounds((rounds, burst), turn, contexts, operation, |operation| operation.context);
    }

    fn areas(&self) -> Areas {
        self.live.areas
    }

    fn contexts(&self) -> &Contexts {
        &self.contexts
    }
}

/// A context, of a type for each shape of chain.
#[derive(Debug)]
struct Context<const R: usize, const W: usize>(u64);

/// Our driver side, with chains of portions of the queue's memory: `R` that the device reads, and `W` that it writes.
pub struct OursPortions<const R: usize, const W: usize> {
    live: Live<Tag<Context<R, W>>>,
    readable: [Portion; R],
    writable: [Portion; W],
    contexts: Contexts,
}

impl<const R: usize, const W: usize> OursPortions<R, W> {
    /// Brings it up.
    ///
    /// # Panics
    /// It does not come up with what the case asks for.
    pub fn new(case: &Case) -> Self {
        let mut offset = 0;
        let mut portion = |index: usize| {
            let len = case.shape.length(u16::try_from(index).expect("few segments"));
            let portion = Portion { offset, len };
            offset += len.next_multiple_of(64);
            portion
        };
        let readable = std::array::from_fn(&mut portion);
        let writable = std::array::from_fn(|index| portion(R + index));
        Self { live: Live::new(case, offset as usize), readable, writable, contexts: Contexts::default() }
    }
}

impl<const R: usize, const W: usize> Driver for OursPortions<R, W> {
    #[inline]
    fn rounds(&mut self, rounds: u64, burst: u16, turn: Turn<'_>) {
        let Self { live, readable, writable, contexts } = self;
        let operation = |context| {
            let chain = Chain { readable: black_box(&*readable), writable: black_box(&*writable) };
            (chain, Tag(Context(context)))
        };
        live.rounds((rounds, burst), turn, contexts, operation, |Tag(Context(context))| context);
    }

    fn areas(&self) -> Areas {
        self.live.areas
    }

    fn contexts(&self) -> &Contexts {
        &self.contexts
    }
}
