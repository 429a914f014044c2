//! Fields of the network device's configuration space.
//!
//! Spec: §5.1.4 Device configuration layout. A field means something only with the feature that is named with it. The driver writes none of them, but for the address of a
//! legacy device.

use crate::wire::field::Field;

/// The address, byte by byte in the order in which it is sent; there always, and meaningful with `MAC`. A driver of a legacy device may write it, from the first to the last.
pub const MAC: [Field<u8>; 6] =
    [Field::at(0), Field::at(1), Field::at(2), Field::at(3), Field::at(4), Field::at(5)];
/// See [`LinkStatus`](super::LinkStatus) (with `STATUS`).
pub const STATUS: Field<u16> = Field::at(0x06);
/// Most pairs of a receive and a transmit queue (with `MQ` or `RSS`).
pub const MAX_VIRTQUEUE_PAIRS: Field<u16> = Field::at(0x08);
/// Longest packet, in bytes behind the Ethernet header (with `MTU`).
pub const MTU: Field<u16> = Field::at(0x0a);
/// Speed in millions of bits per second; above 0x7fffffff it is not known (with `SPEED_DUPLEX`).
pub const SPEED: Field<u32> = Field::at(0x0c);
/// See [`duplex`](super::duplex) (with `SPEED_DUPLEX`).
pub const DUPLEX: Field<u8> = Field::at(0x10);
/// Longest key of the hash, in bytes (with `RSS` or `HASH_REPORT`).
pub const RSS_MAX_KEY_SIZE: Field<u8> = Field::at(0x11);
/// Most entries of the indirection table (with `RSS`).
pub const RSS_MAX_INDIRECTION_TABLE_LENGTH: Field<u16> = Field::at(0x12);
/// What a hash can be made of: see [`HashTypes`](super::HashTypes) (with `RSS` or `HASH_REPORT`).
pub const SUPPORTED_HASH_TYPES: Field<u32> = Field::at(0x14);
/// In which tunnels the device looks for inner headers: see [`TunnelTypes`](super::TunnelTypes) (with `HASH_TUNNEL`).
pub const SUPPORTED_TUNNEL_TYPES: Field<u32> = Field::at(0x18);
