//! What precedes a packet in both directions.
//!
//! Spec: §5.1.9 Device Operation, §5.1.9.3 Setting Up Receive Buffers. A header has all fields up to the last one that a feature brings:
//!
//! ```text
//!   0 flags, gso_type | 2 hdr_len | 4 gso_size | 6 csum_start | 8 csum_offset | 10 num_buffers      10 bytes on a legacy device that merges no buffers
//!  12 hash_value | 16 hash_report | 18 padding                                                      20 with a hash
//!  20 outer_th_offset | 22 inner_nh_offset                                                          24 with tunnels
//!  24 outer_nh_offset | 26 padding                                                                  32 with that one
//! ```

use super::numbers::feature;

const FULL_BYTES: usize = 32;
const VERSION_1: u32 = 32;

/// The fields of a header; those that there is no room for are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Bits of [`header_flag`](super::header_flag).
    pub flags: u8,
    /// One of [`gso_type`](super::gso_type), and bits of it.
    pub gso_type: u8,
    /// Bytes before the payload.
    pub hdr_len: u16,
    /// Bytes of payload in each segment.
    pub gso_size: u16,
    /// Where the partial checksum begins.
    pub csum_start: u16,
    /// Where it goes to, from there.
    pub csum_offset: u16,
    /// Over how many buffers the packet is spread; 0 when it is transmitted.
    pub num_buffers: u16,
    /// The hash.
    pub hash_value: u32,
    /// One of [`hash_report`](super::hash_report).
    pub hash_report: u16,
    /// Where the outer transport header is.
    pub outer_th_offset: u16,
    /// Where the inner network header is.
    pub inner_nh_offset: u16,
    /// Where the outer network header is.
    pub outer_nh_offset: u16,
}

/// How long headers are, by the features that were agreed on.
pub fn header_bytes(features: u128) -> usize {
    let has = |bit: u32| features & 1 << bit != 0;
    if has(feature::OUT_NET_HEADER) || has(feature::IPSEC) {
        32
    } else if has(feature::HOST_UDP_TUNNEL_GSO) || has(feature::GUEST_UDP_TUNNEL_GSO) {
        24
    } else if has(feature::HASH_REPORT) {
        20
    } else if has(VERSION_1) || has(feature::MRG_RXBUF) {
        12
    } else {
        10
    }
}

impl Header {
    /// The first `len` bytes, as they are in a buffer.
    pub fn bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes = [0; FULL_BYTES];
        bytes[..2].copy_from_slice(&[self.flags, self.gso_type]);
        let words = [
            (2, self.hdr_len),
            (4, self.gso_size),
            (6, self.csum_start),
            (8, self.csum_offset),
            (10, self.num_buffers),
            (16, self.hash_report),
            (20, self.outer_th_offset),
            (22, self.inner_nh_offset),
            (24, self.outer_nh_offset),
        ];
        for (at, word) in words {
            bytes[at..at + 2].copy_from_slice(&word.to_le_bytes());
        }
        bytes[12..16].copy_from_slice(&self.hash_value.to_le_bytes());
        bytes[..len.min(FULL_BYTES)].to_vec()
    }

    /// What bytes say that begin with a header of `len` bytes: it, whether all padding is 0, and what follows.
    pub(super) fn split(bytes: &[u8], len: usize) -> Option<(Self, bool, &[u8])> {
        let (header, rest) = bytes.split_at_checked(len)?;
        let mut full = [0; FULL_BYTES];
        full[..len].copy_from_slice(header);
        let word = |at: usize| u16::from_le_bytes([full[at], full[at + 1]]);
        let header = Self {
            flags: full[0],
            gso_type: full[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
            num_buffers: word(10),
            hash_value: u32::from(word(12)) | u32::from(word(14)) << 16,
            hash_report: word(16),
            outer_th_offset: word(20),
            inner_nh_offset: word(22),
            outer_nh_offset: word(24),
        };
        let is_clean = full[18..20].iter().chain(&full[26..]).all(|byte| *byte == 0);
        Some((header, is_clean, rest))
    }
}
