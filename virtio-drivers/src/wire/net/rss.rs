//! Steering by hash, as a command says it.
//!
//! Spec: §5.1.9.5.7 Receive-side scaling (RSS), §5.1.9.5.6.4 Hash calculation, §5.1.9.5.8 RSS Context.
//!
//! ```text
//!   RssConfigStart · indirection table, le16 each · RssConfigEnd · key         (a context: RssContextStart before it)
//!   HashConfigStart · key
//! ```
//!
//! A receive queue is named by bits 1 to 16 of its index: the number of its pair.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a configuration of steering starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_net_rss_config")]
pub struct RssConfigStart {
    /// See [`HashTypes`](super::HashTypes).
    pub hash_types: U32,
    /// Entries of the table, which are a power of two, minus one.
    pub indirection_table_mask: U16,
    /// Where packets go that have no hash.
    pub unclassified_queue: U16,
}

/// What follows the indirection table.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RssConfigEnd {
    /// How many transmit queues the driver uses.
    pub max_tx_vq: U16,
    /// Bytes of the key, which follows.
    pub hash_key_length: u8,
}

/// What a configuration of hashes starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_net_hash_config")]
pub struct HashConfigStart {
    /// See [`HashTypes`](super::HashTypes).
    pub hash_types: U32,
    /// Zeros.
    pub reserved: [U16; 4],
    /// Bytes of the key, which follows.
    pub hash_key_length: u8,
}

/// What a further configuration of steering starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtnet_rss_ctx_add_modify")]
pub struct RssContextStart {
    /// Its number, from 1.
    pub rss_ctx_id: U16,
    /// Nothing.
    pub reserved: [u8; 6],
}
