//! The last touch before a frame goes out: judged, and its header put before it.
//!
//! Spec: §5.1.9.2.1 Driver Requirements: Packet Transmission, §5.1.4.2 Driver Requirements: Device configuration layout (MTU).

use core::hint::cold_path;

use super::format::{FRAME_BYTES_MIN, Format, UDP_HEADER_BYTES};
use super::frame::Frame;
use super::offload::{Checksum, Offload, Segmentation, SegmentationKind};
use super::transmit::{NotTransmitted, TransmitError};
use crate::hal::{Direction, Domain, Hal};
use crate::raw::{Buffers, Lead, OutOfBounds, Single};
use crate::ring::{RefusedReason, SingleSource};

/// Where a frame's type is, and the types of VLAN tags.
const TYPE_AT: usize = 12;
const VLAN_TAGS: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];
/// Bytes of a tag.
const TAG_BYTES: usize = 4;

/// Where a TCP header says how long it is, in its upper half and in words of 4 bytes.
const TCP_LENGTH_AT: usize = 12;
const TCP_HEADER_BYTES_MIN: usize = 20;

/// Of a burst of frames the usual ones, with their header before them: in one buffer, with nothing that goes with them, and neither too short nor too long. What is judged here is judged by [`with_header`], too; nothing else may come in
/// between, so that the loop that it is a part of stays small.
pub(super) struct UsualFrames<'s, H: Hal, I> {
    frames: I,
    lengths: u16,
    /// The frame that ended them.
    other: Option<Frame<'s, H>>,
}

impl<'s, H: Hal, I: Iterator<Item = Frame<'s, H>>> UsualFrames<'s, H, I> {
    pub(super) fn of(frames: I, format: &Format) -> Self {
        Self { frames, lengths: format.usual_lengths(), other: None }
    }

    /// Whether a frame that is not usual ended them, or there may be one that had no room, `room` being left.
    #[inline(always)]
    pub(super) const fn is_other_next(&self, room: u16) -> bool {
        self.other.is_some() || room == 0
    }

    /// That frame, if there is one.
    pub(super) fn other(&mut self) -> Option<Frame<'s, H>> {
        self.other.take().or_else(|| self.frames.next())
    }
}

impl<'s, H: Hal, I: Iterator<Item = Frame<'s, H>>> SingleSource<Buffers<'s, H>> for UsualFrames<'s, H, I> {
    #[inline(always)]
    fn next(&mut self, domain: Domain) -> Option<Single<Buffers<'s, H>>> {
        let Some(frame) = self.frames.next() else {
            cold_path();
            return None;
        };
        let usual = frame.into_plain().and_then(|buffers| {
            let lengths = (FRAME_BYTES_MIN.into(), self.lengths);
            let with_lead = buffers.with_lead(Lead::default(), lengths, domain);
            with_lead.map_err(Frame::around)
        });
        match usual {
            Ok(buffers) => Some(buffers),
            Err(frame) => {
                set_aside(&mut self.other, frame);
                None
            }
        }
    }
}

/// Out of line, so that the loop has none of the frame's fields in its hands but for those that it looks at.
#[cold]
#[inline(never)]
fn set_aside<'s, H: Hal>(aside: &mut Option<Frame<'s, H>>, frame: Frame<'s, H>) {
    *aside = Some(frame);
}

/// A frame's buffers, with the header before it.
#[cold]
pub(super) fn with_header<'s, H: Hal>(
    format: &Format,
    frame: Frame<'s, H>,
) -> Result<Buffers<'s, H>, NotTransmitted<'s, H>> {
    let len = frame.len();
    let judged = match judge(format, &frame, len) {
        Ok(offload) => format.header(&offload, len),
        Err(error) => Err(error),
    };
    let header = match judged {
        Ok(header) => header,
        Err(error) => return Err(NotTransmitted { error, frame }),
    };
    let (mut buffers, offload, hash) = frame.into_parts();
    let bytes = format.bytes();
    let written = buffers.extend_front(bytes).and_then(|()| {
        let header = header.get(..usize::from(bytes)).ok_or(OutOfBounds)?;
        buffers.write(0, header)
    });
    if written.is_err() {
        // Every frame has room before it.
        let frame = Frame::new(buffers, offload, hash);
        return Err(NotTransmitted { error: TransmitError::Refused(RefusedReason::BadPayload), frame });
    }
    buffers.set_apart(format.apart());
    buffers.set_direction(Direction::DeviceReadable);
    Ok(buffers)
}

/// Judges a frame by its length; says what is left to the device, as exactly as was agreed on.
#[inline]
fn judge<H: Hal>(format: &Format, frame: &Frame<'_, H>, len: usize) -> Result<Offload, TransmitError> {
    let offload = frame.offload();
    if len < usize::from(FRAME_BYTES_MIN) {
        return Err(TransmitError::TooShort);
    }
    if offload.segmentation().is_some() {
        return if format.wants_exact_headers() {
            with_exact_header(frame, offload, len)
        } else {
            Ok(offload)
        };
    }
    let bytes_max = format.frame_bytes_max();
    let is_too_long = len > bytes_max && (len > bytes_max.saturating_add(TAG_BYTES) || !is_tagged(frame));
    if is_too_long { Err(TransmitError::TooLong { bytes_max }) } else { Ok(offload) }
}

#[cold]
fn is_tagged<H: Hal>(frame: &Frame<'_, H>) -> bool {
    let mut kind = [0; 2];
    frame.read(TYPE_AT, &mut kind).is_ok() && VLAN_TAGS.contains(&kind)
}

/// Where it counts how long the headers are (`GUEST_HDRLEN`), they are measured: what came with a frame that is forwarded is a hint.
fn with_exact_header<H: Hal>(
    frame: &Frame<'_, H>,
    offload: Offload,
    len: usize,
) -> Result<Offload, TransmitError> {
    let (Some(cut), Checksum::Partial { start, .. }) = (offload.segmentation(), offload.checksum()) else {
        return Err(TransmitError::BadOffload);
    };
    let transport = usize::from(start);
    let transport_bytes = match cut.kind {
        SegmentationKind::Tcp4 | SegmentationKind::Tcp6 => {
            let mut length = [0];
            frame.read(transport + TCP_LENGTH_AT, &mut length).map_err(|_| TransmitError::BadOffload)?;
            let [length] = length;
            Some(usize::from(length >> 4) * 4).filter(|bytes| *bytes >= TCP_HEADER_BYTES_MIN)
        }
        SegmentationKind::Udp | SegmentationKind::UdpFragments => Some(UDP_HEADER_BYTES),
    };
    let header_len = transport_bytes.map(|bytes| transport + bytes).filter(|header_len| *header_len <= len);
    let header_len = header_len.and_then(|len| u16::try_from(len).ok()).ok_or(TransmitError::BadOffload)?;
    Ok(offload.with_segmentation(Segmentation { header_len, ..cut }))
}
