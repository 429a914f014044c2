//! Checksums of TCP and UDP: begun for a card that ends them, and looked at.
//!
//! RFC 1071 (Internet checksum), RFC 9293 §3.1 (TCP), RFC 768 (UDP), RFC 8200 §8.1 (pseudo-header of IPv6). Spec: §5.1.6.2 Packet Transmission, §5.1.6.4 Processing of Incoming Packets.
//! Called where frames are copied between a stack's slices and a card's buffers. Knows frames as bytes: nothing in them is relied on, and what is neither TCP nor UDP is left alone.

use crate::device::net::Checksum;

/// Lengths of headers, and where in an Ethernet frame or an IP header what is needed of them is.
const ETHERNET: usize = 14;
const ETHER_TYPE: usize = 12;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const IPV6_BYTES: usize = 40;

/// Protocols, by their numbers: of them, IPv6's options say themselves how long they are.
const TCP: u8 = 6;
const UDP: u8 = 17;
const HOP_BY_HOP: u8 = 0;
const DESTINATION: u8 = 60;
/// As many headers with options as are looked through.
const OPTIONS_MAX: usize = 4;

/// A whole TCP segment or UDP datagram in an Ethernet frame.
struct Segment {
    /// Its first byte.
    start: usize,
    /// Where its checksum is, from there on.
    offset: u16,
    /// The byte after its last one; a short frame is filled up behind it.
    end: usize,
    /// What its checksum covers beside it.
    pseudo_header: u64,
    /// Zero in the place of the checksum means that there is none.
    may_have_none: bool,
}

/// Puts into a frame, in which the checksum was left zero, what a card needs for it; gives what the card is to be told. A checksum that is there stays.
pub(super) fn begin(frame: &mut [u8]) -> Checksum {
    let Some(Segment { start, offset, pseudo_header, .. }) = find(frame) else { return Checksum::None };
    let (Ok(start), at) = (u16::try_from(start), start + usize::from(offset)) else { return Checksum::None };
    match frame.get_mut(at..at + 2) {
        Some(field @ [0, 0]) => {
            field.copy_from_slice(&fold(pseudo_header).to_be_bytes());
            Checksum::Partial { start, offset }
        }
        _ => Checksum::None,
    }
}

/// Whether a received frame's checksum is right, as far as it has one that can be judged by this frame alone.
pub(super) fn is_right(frame: &[u8]) -> bool {
    let Some(segment) = find(frame) else { return true };
    let at = segment.start + usize::from(segment.offset);
    let has_none = segment.may_have_none && frame.get(at..at + 2) == Some(&[0, 0]);
    let covered = frame.get(segment.start..segment.end).unwrap_or_default();
    has_none || fold(segment.pseudo_header.saturating_add(sum(covered))) == u16::MAX
}

fn find(frame: &[u8]) -> Option<Segment> {
    let packet = frame.get(ETHERNET..)?;
    match be16(frame, ETHER_TYPE)? {
        IPV4 => in_ipv4(packet),
        IPV6 => in_ipv6(packet),
        _ => None,
    }
}

/// Not in fragments: the checksum is in the first, and covers all.
fn in_ipv4(packet: &[u8]) -> Option<Segment> {
    let first = *packet.first()?;
    let (version, start) = (first >> 4, usize::from(first & 0xf) * 4);
    let is_fragment = be16(packet, 6)? & 0x3fff != 0;
    if version != 4 || start < 20 || is_fragment {
        return None;
    }
    segment(packet, *packet.get(9)?, start, be16(packet, 2)?.into(), packet.get(12..20)?)
}

fn in_ipv6(packet: &[u8]) -> Option<Segment> {
    if packet.first()? >> 4 != 6 {
        return None;
    }
    let (mut next, mut start) = (*packet.get(6)?, IPV6_BYTES);
    for _ in 0..OPTIONS_MAX {
        if next != HOP_BY_HOP && next != DESTINATION {
            break;
        }
        let options = packet.get(start..start + 2)?;
        let [following, units] = *options else { return None };
        (next, start) = (following, start + (usize::from(units) + 1) * 8);
    }
    let end = IPV6_BYTES + usize::from(be16(packet, 4)?);
    segment(packet, next, start, end, packet.get(8..40)?)
}

/// The segment that a packet's bytes from `start` to `end` are. `addresses` are the packet's: where it is from, and where it goes to.
fn segment(packet: &[u8], protocol: u8, start: usize, end: usize, addresses: &[u8]) -> Option<Segment> {
    let (header, offset) = match protocol {
        TCP => (20, 16),
        UDP => (8, 6),
        _ => return None,
    };
    let len = end.checked_sub(start).filter(|len| *len >= header && end <= packet.len())?;
    let pseudo_header = sum(addresses) + u64::from(protocol) + u64::try_from(len).ok()?;
    let (start, end) = (start + ETHERNET, end + ETHERNET);
    // IPv6 has no datagrams without a checksum.
    let may_have_none = protocol == UDP && addresses.len() == 8;
    Some(Segment { start, offset, end, pseudo_header, may_have_none })
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The sum of words of 16 bits; an odd byte is a word's upper half. Words of 32 bits are added, which is the same once it is folded.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    for (into, from) in last.iter_mut().zip(rest) {
        *into = *from;
    }
    words.iter().chain([&last]).map(|word| u64::from(u32::from_be_bytes(*word))).sum()
}

/// As 16 bits, what is carried out of them added again.
fn fold(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(folded) => return folded,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}
