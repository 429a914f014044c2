//! Frames that arrive, whatever the device says about them; some go out again.
//!
//! Spec: §5.1.9.4 Processing of Incoming Packets. A frame says nothing of itself that its bytes cannot bear; and when all is over, each buffer is with its supply.

use virtio_guest::device::net::{Checksum, Control, Frame, NetFeatures};
use virtio_guest::ring::Rearmed;
use virtio_test_hal::TestHal;

use super::bring_up::{Receive, Transmit, Way};
use super::forward;
use super::world::{act, detail, is_honest, patience, step, with};

/// Frames that the driver's user keeps at a time.
const KEPT: usize = 16;

/// See the module's head.
pub(crate) struct Life<'s> {
    control: Control<'s, Way, TestHal>,
    queues: Vec<(Receive<'s>, Transmit<'s>)>,
    /// Buffers of the first pool.
    count: usize,
    kept: Vec<Frame<'s, TestHal>>,
}

/// Looks at what a frame says of itself.
fn check(frame: &Frame<'_, TestHal>, features: NetFeatures) -> Vec<u8> {
    let len = frame.len();
    assert!(len >= 14, "a frame of {len} bytes");
    let mut bytes = vec![0; len];
    assert!(frame.read(0, &mut bytes).is_ok(), "a frame that cannot be read");
    assert!(frame.read(1, &mut bytes.clone()).is_err(), "a frame that goes on behind its end");
    let offload = frame.offload();
    let is_partial = match offload.checksum() {
        Checksum::Partial { start, offset } => {
            let end = usize::from(start) + usize::from(offset) + 2;
            assert!(end <= len, "a checksum at {end} of {len} bytes");
            true
        }
        Checksum::PartialSomewhere => true,
        _ => false,
    };
    let has = |feature| features.contains(feature);
    assert!(offload.checksum() == Checksum::None || has(NetFeatures::GUEST_CSUM), "{offload:?}");
    if let Some(cut) = offload.segmentation() {
        assert!(cut.size > 0 && is_partial, "{offload:?}");
    }
    if let Some(tunnel) = offload.tunnel() {
        assert!(has(NetFeatures::GUEST_UDP_TUNNEL_GSO) && offload.segmentation().is_some(), "{offload:?}");
        assert!(usize::from(tunnel.inner_network) < len, "{offload:?}");
    }
    assert!(offload.coalesced().is_none() || has(NetFeatures::RSC_EXT), "{offload:?}");
    assert!(frame.hash().is_none() || has(NetFeatures::HASH_REPORT), "a hash without the feature");
    bytes
}

impl<'s> Life<'s> {
    pub(crate) fn new(
        control: Control<'s, Way, TestHal>,
        queues: Vec<(Receive<'s>, Transmit<'s>)>,
        count: usize,
    ) -> Self {
        Self { control, queues, count, kept: Vec::new() }
    }

    /// Lives on until the script is over, then resets the device.
    pub(crate) fn run(mut self) {
        let features = self.control.features();
        while let Some(step) = step() {
            act();
            let number = usize::from(step >> 4);
            let (receive, transmit) = &mut self.queues[0];
            match step % 16 {
                0..5 => self.receive(number, features),
                5 => {
                    let before = receive.counts().frames;
                    let frame = receive.receive();
                    assert!(frame.is_ok() || !is_honest(), "an honest device breaks no queue");
                    if let Ok(Some(frame)) = frame {
                        assert_eq!(receive.counts().frames, before.wrapping_add(1), "a frame that counts");
                        self.take(frame, features);
                    }
                }
                6 => {
                    let frames = self.kept.drain(..).take(number);
                    forward::burst(transmit, frames.collect());
                }
                7 => forward::own(receive, transmit, features),
                8 => {
                    let reaped = transmit.reap();
                    assert!(reaped.is_ok() || !is_honest(), "an honest device breaks no queue");
                }
                9 => match receive.rearm() {
                    Rearmed::Quiet => {}
                    Rearmed::MoreWaiting => receive.suppress_notifications(),
                },
                10 => {
                    let _ = transmit.rearm_delayed(number as u16);
                }
                11 => drop(receive.refill()),
                12 => drop(self.kept.pop()),
                13 => self.kept.truncate(number),
                _ => {}
            }
        }
        self.finish();
    }

    /// Takes a burst.
    fn receive(&mut self, limit: usize, features: NetFeatures) {
        let (receive, _) = &mut self.queues[0];
        let mut frames = Vec::new();
        let before = receive.counts();
        let taken = receive.receive_burst(limit, |frame| frames.push(frame));
        assert!(taken.is_ok() || !is_honest(), "an honest device breaks no queue");
        let counted = receive.counts().frames.wrapping_sub(before.frames);
        assert_eq!(frames.len() as u64, counted, "frames that count");
        assert!(frames.len() <= limit, "more frames than were asked for");
        if is_honest() {
            assert_eq!(receive.counts().malformed, 0, "an honest device sends what makes sense");
        }
        for frame in frames {
            self.take(frame, features);
        }
    }

    /// Keeps a frame for a while; it is the one that has arrived.
    fn take(&mut self, frame: Frame<'s, TestHal>, features: NetFeatures) {
        let bytes = check(&frame, features);
        let arrived = with(|world| world.device.arriving.pop_front());
        if is_honest() {
            assert_eq!(Some(bytes), arrived, "another frame than arrived");
        }
        if self.kept.len() == KEPT || detail() & 1 == 0 {
            forward::burst(&mut self.queues[0].1, vec![frame]);
        } else {
            self.kept.push(frame);
        }
    }

    /// Resets the device: each buffer is with its supply then.
    fn finish(self) {
        let Self { control, queues, count, kept } = self;
        let down = control.take_down(patience(6)).unwrap_or_else(|failed| panic!("{failed}"));
        drop(kept);
        for (receive, transmit) in queues {
            assert!(transmit.reclaim(&down.reset).is_ok(), "the queue's own reset");
            let Ok(mut reclaimed) = receive.reclaim(&down.reset) else { panic!("the queue's own reset") };
            let frames: Vec<_> = std::iter::from_fn(|| reclaimed.supply.frame()).collect();
            assert_eq!(frames.len(), count, "a buffer is lost, or there twice");
        }
    }
}
