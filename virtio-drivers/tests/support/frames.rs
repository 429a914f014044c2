//! A modelled network device, and a driver with one pair of queues.

use virtio_guest::device::net::{Frame, Offload, TransmitError};
use virtio_model::net::{Nic, Packet, Transmitted};

use super::TestHal;
use super::commands::{ADDRESS, CommandBench};

const IN_ORDER: u128 = 1 << 35;
const RING_PACKED: u128 = 1 << 34;

/// A network device with one pair, and its driver.
pub struct FrameBench(pub CommandBench, usize);

/// A frame of the driver's.
pub type OwnFrame = Frame<'static, TestHal>;

/// A frame of `len` bytes, each of which says where it is.
pub fn frame(len: usize) -> Vec<u8> {
    (0..len).map(|at| at.to_le_bytes()[0]).collect()
}

/// The bytes of a frame that was received.
pub fn bytes(frame: &OwnFrame) -> Vec<u8> {
    let mut bytes = vec![0; frame.len()];
    frame.read(0, &mut bytes).expect("its own bytes");
    bytes
}

impl FrameBench {
    /// A device that offers these features, with each kind of ring. Under miri, which is slow, with the last.
    pub fn each(features: u128) -> impl Iterator<Item = Self> {
        let rings = [0, IN_ORDER, IN_ORDER | RING_PACKED, RING_PACKED];
        rings.into_iter().skip(if cfg!(miri) { 3 } else { 0 }).map(move |ring| {
            let nic = Nic::new(ADDRESS).with_features(features);
            let device = nic.builder().with_features(ring).build();
            Self::around(CommandBench::start(nic, device, 0, |settings| settings.pairs_max = 1))
        })
    }

    /// A device of before version 1 that offers these features.
    pub fn legacy(features: u128) -> Self {
        Self::around(CommandBench::legacy(Nic::new(ADDRESS).with_features(features)))
    }

    fn around(bench: CommandBench) -> Self {
        let mut bench = Self(bench, 0);
        bench.1 = bench.buffers();
        bench
    }

    /// Lets the device work.
    pub fn serve(&self) {
        self.0.nic.serve(&self.0.device, &self.0.hal.space);
    }

    /// Has a packet arrive, and takes what comes of it.
    pub fn arrive(&mut self, packet: Packet) -> Option<OwnFrame> {
        self.0.nic.inject(packet);
        self.receive()
    }

    /// Lets the device work, and takes a frame.
    pub fn receive(&mut self) -> Option<OwnFrame> {
        self.serve();
        self.0.pairs[0].0.receive().expect("the queue is in order")
    }

    /// Transmits a frame, and says what the device has got.
    pub fn transmit(&mut self, from: &[u8], offload: Offload) -> Transmitted {
        let frame = self.frame(from, offload);
        self.0.pairs[0].1.transmit(frame).expect("the device is told");
        self.serve();
        self.0.nic.take_transmitted().pop().expect("the device has it")
    }

    /// Hands in a frame that is not transmitted: says why.
    pub fn refuse(&mut self, from: &[u8], offload: Offload) -> TransmitError {
        let frame = self.frame(from, offload);
        self.0.pairs[0].1.transmit(frame).expect_err("it is refused").error
    }

    fn frame(&mut self, from: &[u8], offload: Offload) -> OwnFrame {
        let mut frame = self.0.pairs[0].0.supply().frame_for(from.len()).expect("the pool has buffers");
        frame.append(from).expect("there is room");
        frame.set_offload(offload);
        frame
    }

    /// Malformed frames so far.
    pub fn malformed(&self) -> u64 {
        self.0.pairs[0].0.counts().malformed
    }

    /// Buffers that are neither lost nor doubled: in the ring, or with the supply.
    pub fn assert_no_buffer_is_lost(&mut self) {
        self.0.pairs[0].1.reap().expect("the queue is in order");
        assert_eq!(self.buffers(), self.1, "buffers of the pool");
    }

    fn buffers(&mut self) -> usize {
        let (receive, _) = &mut self.0.pairs[0];
        let supply: Vec<_> = std::iter::from_fn(|| receive.frame()).collect();
        supply.len() + usize::from(receive.in_flight())
    }

    /// The end of a driver that did nothing wrong.
    pub fn finish(mut self) {
        self.assert_no_buffer_is_lost();
        self.0.finish();
    }
}
