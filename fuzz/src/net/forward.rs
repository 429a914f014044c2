//! Frames that go out: those that came, with what they say of themselves, and the user's own, with anything.
//!
//! Spec: §5.1.9.2.1 Driver Requirements: Packet Transmission. What must not be asked of a device is refused, and the model sees to that; a frame that is refused comes back as it was.

use virtio_guest::device::net::{
    Checksum, Frame, NetFeatures, Offload, Segmentation, SegmentationKind, TransmitError, Tunnel, TunnelKind,
};
use virtio_test_hal::TestHal;

use super::bring_up::{Receive, Transmit};
use super::world::{detail, is_honest};

/// Transmits frames in one burst; those that are refused are dropped.
pub(crate) fn burst<'s>(transmit: &mut Transmit<'s>, frames: Vec<Frame<'s, TestHal>>) {
    let lens: Vec<_> = frames.iter().map(|frame| (frame.len(), frame.offload())).collect();
    let count = frames.len();
    match transmit.transmit_burst(frames) {
        Ok(transmitted) => assert_eq!(transmitted, count, "all of them"),
        Err(burst) => {
            let frame = burst.refused.frame;
            assert_eq!((frame.len(), frame.offload()), lens[burst.transmitted], "the frame that was refused");
            let is_broken = matches!(burst.refused.error, TransmitError::Broken(_));
            assert!(!is_broken || !is_honest(), "an honest device breaks no queue");
        }
    }
}

/// What is left to the device: anything.
fn offload() -> Offload {
    let small = || u16::from(detail());
    let mut offload = Offload::default();
    let kind = small();
    if kind & 1 != 0 {
        offload = offload.with_checksum(Checksum::Partial { start: small(), offset: small() });
    }
    if kind & 2 != 0 {
        let all = [
            SegmentationKind::Tcp4,
            SegmentationKind::Tcp6,
            SegmentationKind::UdpFragments,
            SegmentationKind::Udp,
        ];
        let (ecn, size, header_len) = (kind & 0x10 != 0, small(), small());
        let kind = all[usize::from(kind >> 2 & 3)];
        offload = offload.with_segmentation(Segmentation { kind, ecn, size, header_len });
    }
    if kind & 0x20 != 0 {
        let tunnel = if kind & 0x40 == 0 { TunnelKind::Ipv4 } else { TunnelKind::Ipv6 };
        let (outer_transport, inner_network, checksum) = (small(), small(), kind & 0x80 != 0);
        offload = offload.with_tunnel(Tunnel { kind: tunnel, outer_transport, inner_network, checksum });
    }
    if detail() & 1 != 0 {
        offload = offload.with_outer_network(u16::from(detail()));
    }
    offload
}

/// A frame of the user's own.
pub(crate) fn own<'s>(receive: &mut Receive<'s>, transmit: &mut Transmit<'s>, features: NetFeatures) {
    let len = usize::from(detail());
    let Some(mut frame) = receive.supply().frame_for(len) else { return };
    assert!(frame.is_empty() && frame.room() >= len, "a new frame is empty");
    assert!(frame.append(&vec![0x5a; len]).is_ok(), "there is room");
    let offload = offload();
    frame.set_offload(offload);
    match transmit.transmit(frame) {
        Ok(()) => {
            assert!(len >= 14, "a frame of {len} bytes");
            let is_partial = matches!(offload.checksum(), Checksum::Partial { .. });
            assert!(!is_partial || features.contains(NetFeatures::CSUM), "{offload:?}");
        }
        Err(refused) => assert_eq!((refused.frame.len(), refused.frame.offload()), (len, offload)),
    }
}
