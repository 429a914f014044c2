//! Counters of the network device.
//!
//! Spec: §5.1.9.5.11 Device Statistics. Who asks sends one request for each queue; the result has, for each type of counters that was asked for, a header and the counters.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

bitflags::bitflags! {
    /// Types of counters. The number of a bit is the type in a [`StatisticsReplyHeader`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct StatisticsTypes: u64 {
        /// Receive queues: packets, bytes, notifications.
        #[doc(alias = "VIRTIO_NET_STATS_TYPE_RX_BASIC")]
        const RX_BASIC = 1 << 0;
        /// Receive queues: checksums (with `GUEST_CSUM`).
        #[doc(alias = "VIRTIO_NET_STATS_TYPE_RX_CSUM")]
        const RX_CSUM = 1 << 1;
        /// Receive queues: pieces larger than a packet (with `GUEST_TSO4` or `GUEST_TSO6`).
        #[doc(alias = "VIRTIO_NET_STATS_TYPE_RX_GSO")]
        const RX_GSO = 1 << 2;
        /// Receive queues: what was faster than is allowed.
        #[doc(alias = "VIRTIO_NET_STATS_TYPE_RX_SPEED")]
        const RX_SPEED = 1 << 3;
        /// Transmit queues: packets, bytes, notifications.
        #[doc(alias = "VIRTIO_NET_STATS_TYPE_TX_BASIC")]
        const TX_BASIC = 1 << 16;
        /// Transmit queues: checksums (with `CSUM`).
        #[doc(alias = "VIRTIO_NET_STATS_TYPE_TX_CSUM")]
        const TX_CSUM = 1 << 17;
        /// Transmit queues: pieces larger than a packet (with `HOST_TSO4`, `HOST_TSO6` or `HOST_USO`).
        #[doc(alias = "VIRTIO_NET_STATS_TYPE_TX_GSO")]
        const TX_GSO = 1 << 18;
        /// Transmit queues: what was faster than is allowed.
        #[doc(alias = "VIRTIO_NET_STATS_TYPE_TX_SPEED")]
        const TX_SPEED = 1 << 19;
        /// The control queue.
        #[doc(alias = "VIRTIO_NET_STATS_TYPE_CVQ")]
        const CVQ = 1 << 32;
    }
}

/// Which counters of a queue are asked for.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_net_ctrl_queue_stats")]
pub struct StatisticsRequest {
    /// The queue's index.
    pub vq_index: U16,
    /// Nothing.
    pub reserved: [U16; 3],
    /// See [`StatisticsTypes`].
    pub types_bitmap: U64,
}

/// What stands before the counters of one type.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[doc(alias = "virtio_net_stats_reply_hdr")]
pub struct StatisticsReplyHeader {
    /// Which counters follow: the number of a bit in [`StatisticsTypes`].
    #[doc(alias = "type")]
    pub reply_type: u8,
    /// Nothing.
    pub reserved: u8,
    /// The queue's index.
    pub vq_index: U16,
    /// Nothing.
    pub reserved1: U16,
    /// Bytes of this header and the counters.
    pub size: U16,
}

/// Bytes of a [`StatisticsReplyHeader`].
pub const STATISTICS_REPLY_HEADER_BYTES: usize = size_of::<StatisticsReplyHeader>();

/// Structures of counters: without their header, and each counter eight bytes.
macro_rules! counters {
    ($($(#[$structure_doc:meta])+ $structure:ident { $($(#[$counter_doc:meta])+ $counter:ident),+ $(,)? })+) => {$(
        $(#[$structure_doc])+
        #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
        #[repr(C)]
        pub struct $structure {
            $($(#[$counter_doc])+ pub $counter: U64,)+
        }
    )+};
}

counters! {
    /// Counters of the control queue.
    #[doc(alias = "virtio_net_stats_cvq")]
    WireCvq {
        /// Commands, with the one that asks.
        command_num,
        /// Commands that succeeded.
        ok_num,
    }
    /// Packets, bytes and notifications of a receive queue.
    #[doc(alias = "virtio_net_stats_rx_basic")]
    WireRxBasic {
        /// Notifications by the driver.
        rx_notifications,
        /// Packets that were passed to the driver.
        rx_packets,
        /// Their bytes.
        rx_bytes,
        /// Interrupts.
        rx_interrupts,
        /// Packets that were dropped.
        rx_drops,
        /// Those of them for which there was no buffer.
        rx_drop_overruns,
    }
    /// Packets, bytes and notifications of a transmit queue.
    #[doc(alias = "virtio_net_stats_tx_basic")]
    WireTxBasic {
        /// Notifications by the driver.
        tx_notifications,
        /// Packets that were sent.
        tx_packets,
        /// Their bytes.
        tx_bytes,
        /// Interrupts.
        tx_interrupts,
        /// Packets that were dropped.
        tx_drops,
        /// Those of them whose buffers made no sense.
        tx_drop_malformed,
    }
    /// Checksums of received packets.
    #[doc(alias = "virtio_net_stats_rx_csum")]
    WireRxCsum {
        /// Found to be right.
        rx_csum_valid,
        /// Not complete.
        rx_needs_csum,
        /// Not looked at.
        rx_csum_none,
        /// Found to be wrong.
        rx_csum_bad,
    }
    /// Checksums of sent packets.
    #[doc(alias = "virtio_net_stats_tx_csum")]
    WireTxCsum {
        /// Complete already.
        tx_csum_none,
        /// Completed by the device.
        tx_needs_csum,
    }
    /// Received pieces that are larger than a packet.
    #[doc(alias = "virtio_net_stats_rx_gso")]
    WireRxGso {
        /// How many.
        rx_gso_packets,
        /// Their bytes.
        rx_gso_bytes,
        /// Packets that the device joined.
        rx_gso_packets_coalesced,
        /// Their bytes.
        rx_gso_bytes_coalesced,
    }
    /// Sent pieces that are larger than a packet.
    #[doc(alias = "virtio_net_stats_tx_gso")]
    WireTxGso {
        /// How many.
        tx_gso_packets,
        /// Their bytes.
        tx_gso_bytes,
        /// Segments that the device made of them.
        tx_gso_segments,
        /// Their bytes.
        tx_gso_segments_bytes,
        /// Pieces that were sent on in one piece.
        tx_gso_packets_noseg,
        /// Their bytes.
        tx_gso_bytes_noseg,
    }
    /// What came faster than is allowed.
    #[doc(alias = "virtio_net_stats_rx_speed")]
    WireRxSpeed {
        /// Packets dropped for it.
        rx_packets_allowance_exceeded,
        /// Their bytes.
        rx_bytes_allowance_exceeded,
    }
    /// What was to be sent faster than is allowed.
    #[doc(alias = "virtio_net_stats_tx_speed")]
    WireTxSpeed {
        /// Packets dropped for it.
        tx_packets_allowance_exceeded,
        /// Their bytes.
        tx_bytes_allowance_exceeded,
    }
}
