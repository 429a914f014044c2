//! What a device counts.
//!
//! Spec: §5.1.9.5.11 Device Statistics. Asked for by queue and type; the device wraps around at 2⁶⁴. What the driver itself counts is with each queue.
//!
//! ```no_run
//! # use virtio_guest::{hal::{Attempts, Hal}, transport::Transport};
//! use virtio_guest::device::net::{Control, ControlError, StatisticsTypes};
//!
//! /// How many packets the first pair lost for want of buffers.
//! fn overruns<T: Transport, H: Hal>(card: &mut Control<'_, T, H>) -> Result<u64, ControlError> {
//!     let statistics = card.statistics(0, StatisticsTypes::RX_BASIC, Attempts(100_000))?;
//!     Ok(statistics.receive.map_or(0, |receive| receive.overruns))
//! }
//! ```

use zerocopy::{FromBytes, IntoBytes};

use super::commands::{Answered, ControlError};
use super::control::Control;
use crate::hal::{Hal, Patience};
use crate::transport::Transport;
use crate::wire::net::NetFeatures;
use crate::wire::net::control::{class, stats};
use crate::wire::net::statistics::{
    STATISTICS_REPLY_HEADER_BYTES, StatisticsReplyHeader, StatisticsRequest, StatisticsTypes, WireCvq,
    WireRxBasic, WireRxCsum, WireRxGso, WireRxSpeed, WireTxBasic, WireTxCsum, WireTxGso, WireTxSpeed,
};

/// A structure of counters for each type, how it is read, and where all of them are kept.
macro_rules! counters {
    ($(
        $(#[$structure_doc:meta])+
        $kept:ident: $structure:ident from $wire:ident, $type:ident {
            $($(#[$counter_doc:meta])+ $counter:ident: $of_wire:ident),+ $(,)?
        }
    )+) => {
        $(
            $(#[$structure_doc])+
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $structure {
                $($(#[$counter_doc])+ pub $counter: u64,)+
            }

            impl From<$wire> for $structure {
                fn from(counters: $wire) -> Self {
                    Self { $($counter: counters.$of_wire.get(),)+ }
                }
            }
        )+

        /// What a device counted for one queue: each type that was asked for.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct DeviceStatistics {
            $($(#[$structure_doc])+ pub $kept: Option<$structure>,)+
        }

        impl DeviceStatistics {
            /// Keeps the counters of one type, if they are of a type that is wanted and were not kept yet.
            fn keep<H: Hal>(
                &mut self,
                reply_type: StatisticsTypes,
                answered: &Answered<'_, '_, H>,
                offset: usize,
                bytes: usize,
            ) -> Result<(), ControlError> {
                $(if reply_type == StatisticsTypes::$type {
                    const BYTES: usize = size_of::<$wire>();
                    // A device may know of more counters than this driver, and not of less.
                    if bytes < BYTES || self.$kept.is_some() {
                        return Err(ControlError::BadAnswer);
                    }
                    let counters = answered.read::<BYTES>(offset)?;
                    let counters = $wire::read_from_bytes(&counters).map_err(|_| ControlError::BadAnswer)?;
                    self.$kept = Some(counters.into());
                    return Ok(());
                })+
                Err(ControlError::BadAnswer)
            }

            /// The types that were kept.
            fn kept(&self) -> StatisticsTypes {
                let mut types = StatisticsTypes::empty();
                $(types.set(StatisticsTypes::$type, self.$kept.is_some());)+
                types
            }
        }

        /// Bytes of a result with all of these types.
        fn result_bytes(types: StatisticsTypes) -> usize {
            let mut bytes = 0;
            $(if types.contains(StatisticsTypes::$type) {
                bytes += STATISTICS_REPLY_HEADER_BYTES + size_of::<$wire>();
            })+
            bytes
        }
    };
}

counters! {
    /// Commands, of the control queue.
    commands: CommandCounters from WireCvq, CVQ {
        /// Commands, with the one that asked.
        commands: command_num,
        /// Commands that succeeded, with the one that asked.
        succeeded: ok_num,
    }
    /// Packets and notifications, of a receive queue.
    receive: ReceiveCounters from WireRxBasic, RX_BASIC {
        /// Notifications by the driver.
        notifications: rx_notifications,
        /// Packets that were passed to the driver.
        packets: rx_packets,
        /// Their bytes.
        bytes: rx_bytes,
        /// Interrupts.
        interrupts: rx_interrupts,
        /// Packets that were dropped.
        drops: rx_drops,
        /// Those of them for which there was no buffer.
        overruns: rx_drop_overruns,
    }
    /// Checksums of received packets.
    receive_checksums: ReceiveChecksumCounters from WireRxCsum, RX_CSUM {
        /// Found to be right.
        valid: rx_csum_valid,
        /// Not complete.
        partial: rx_needs_csum,
        /// Not looked at.
        none: rx_csum_none,
        /// Found to be wrong.
        bad: rx_csum_bad,
    }
    /// Received frames that are larger than a packet.
    receive_segmentation: ReceiveSegmentationCounters from WireRxGso, RX_GSO {
        /// How many.
        packets: rx_gso_packets,
        /// Their bytes.
        bytes: rx_gso_bytes,
        /// Packets that the device joined.
        coalesced_packets: rx_gso_packets_coalesced,
        /// Their bytes.
        coalesced_bytes: rx_gso_bytes_coalesced,
    }
    /// What came faster than is allowed.
    receive_speed: ReceiveSpeedCounters from WireRxSpeed, RX_SPEED {
        /// Packets dropped for it.
        packets: rx_packets_allowance_exceeded,
        /// Their bytes.
        bytes: rx_bytes_allowance_exceeded,
    }
    /// Packets and notifications, of a transmit queue.
    transmit: TransmitCounters from WireTxBasic, TX_BASIC {
        /// Notifications by the driver.
        notifications: tx_notifications,
        /// Packets that were sent.
        packets: tx_packets,
        /// Their bytes.
        bytes: tx_bytes,
        /// Interrupts.
        interrupts: tx_interrupts,
        /// Packets that were dropped.
        drops: tx_drops,
        /// Those of them whose buffers made no sense.
        malformed: tx_drop_malformed,
    }
    /// Checksums of sent packets.
    transmit_checksums: TransmitChecksumCounters from WireTxCsum, TX_CSUM {
        /// Complete already.
        none: tx_csum_none,
        /// Completed by the device.
        partial: tx_needs_csum,
    }
    /// Sent frames that are larger than a packet.
    transmit_segmentation: TransmitSegmentationCounters from WireTxGso, TX_GSO {
        /// How many.
        packets: tx_gso_packets,
        /// Their bytes.
        bytes: tx_gso_bytes,
        /// Segments that the device made of them.
        segments: tx_gso_segments,
        /// Their bytes.
        segment_bytes: tx_gso_segments_bytes,
        /// Frames that were sent on in one piece.
        whole_packets: tx_gso_packets_noseg,
        /// Their bytes.
        whole_bytes: tx_gso_bytes_noseg,
    }
    /// What was to be sent faster than is allowed.
    transmit_speed: TransmitSpeedCounters from WireTxSpeed, TX_SPEED {
        /// Packets dropped for it.
        packets: tx_packets_allowance_exceeded,
        /// Their bytes.
        bytes: tx_bytes_allowance_exceeded,
    }
}

const OF_RECEIVE_QUEUES: StatisticsTypes = StatisticsTypes::RX_BASIC
    .union(StatisticsTypes::RX_CSUM)
    .union(StatisticsTypes::RX_GSO)
    .union(StatisticsTypes::RX_SPEED);

const OF_TRANSMIT_QUEUES: StatisticsTypes = StatisticsTypes::TX_BASIC
    .union(StatisticsTypes::TX_CSUM)
    .union(StatisticsTypes::TX_GSO)
    .union(StatisticsTypes::TX_SPEED);

/// Types of counters that need a feature: one of those named.
const NEEDS: [(StatisticsTypes, NetFeatures); 4] = [
    (StatisticsTypes::RX_CSUM, NetFeatures::GUEST_CSUM),
    (StatisticsTypes::RX_GSO, NetFeatures::GUEST_TSO4.union(NetFeatures::GUEST_TSO6)),
    (StatisticsTypes::TX_CSUM, NetFeatures::CSUM),
    (
        StatisticsTypes::TX_GSO,
        NetFeatures::HOST_TSO4.union(NetFeatures::HOST_TSO6).union(NetFeatures::HOST_USO),
    ),
];

impl<T: Transport, H: Hal> Control<'_, T, H> {
    /// Which types of counters the device has, and can be asked for with the features that were agreed on. The device is asked once.
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`DEVICE_STATS`](NetFeatures::DEVICE_STATS).
    pub fn statistics_supported(
        &mut self,
        mut patience: impl Patience,
    ) -> Result<StatisticsTypes, ControlError> {
        self.types_supported(&mut patience)
    }

    /// Asks for some of the device's counters of one queue, by its index: pair i receives on 2i and transmits on 2i + 1, and the control queue is twice [`pairs_max`](Control::pairs_max).
    ///
    /// # Errors
    /// See [`ControlError`]. Needs [`DEVICE_STATS`](NetFeatures::DEVICE_STATS). [`Unsupported`](ControlError::Unsupported): the device has no such counters.
    /// [`InvalidArgument`](ControlError::InvalidArgument): there is no such queue, or these are not what it counts.
    pub fn statistics(
        &mut self,
        queue: u16,
        types: StatisticsTypes,
        mut patience: impl Patience,
    ) -> Result<DeviceStatistics, ControlError> {
        self.need(NetFeatures::DEVICE_STATS)?;
        if types.is_empty() || !self.types_of(queue).contains(types) {
            return Err(ControlError::InvalidArgument);
        }
        if !self.types_supported(&mut patience)?.contains(types) {
            return Err(ControlError::Unsupported);
        }
        let mut command = self.command(NetFeatures::DEVICE_STATS, class::STATS, stats::GET, &mut patience)?;
        let request = StatisticsRequest {
            vq_index: queue.into(),
            reserved: Default::default(),
            types_bitmap: types.bits().into(),
        };
        command.put(request.as_bytes())?;
        let room = command.room();
        if room < result_bytes(types) {
            return Err(ControlError::TooLong);
        }
        // All the room that there is: a device may know of more counters than this driver.
        collect(&command.ask(room, &mut patience)?, room, queue, types)
    }

    /// What a queue counts.
    fn types_of(&self, queue: u16) -> StatisticsTypes {
        if queue == self.description.control_queue() {
            StatisticsTypes::CVQ
        } else if queue / 2 >= self.pairs {
            StatisticsTypes::empty()
        } else if queue.is_multiple_of(2) {
            OF_RECEIVE_QUEUES
        } else {
            OF_TRANSMIT_QUEUES
        }
    }

    fn types_supported(&mut self, patience: &mut dyn Patience) -> Result<StatisticsTypes, ControlError> {
        if let Some(types) = self.learned.statistics {
            return Ok(types);
        }
        let command = self.command(NetFeatures::DEVICE_STATS, class::STATS, stats::QUERY, patience)?;
        let types = u64::from_le_bytes(command.ask(size_of::<u64>(), patience)?.read(0)?);
        let mut types = StatisticsTypes::from_bits_truncate(types);
        for (needing, needed) in NEEDS {
            if !self.features().intersects(needed) {
                types.remove(needing);
            }
        }
        self.learned.statistics = Some(types);
        Ok(types)
    }
}

/// Goes through the result: headers, each with counters behind it.
fn collect<H: Hal>(
    answered: &Answered<'_, '_, H>,
    room: usize,
    queue: u16,
    types: StatisticsTypes,
) -> Result<DeviceStatistics, ControlError> {
    // What is missing where the device filled all the room, more room would have had.
    let missing = if answered.bytes() == room { ControlError::TooLong } else { ControlError::BadAnswer };
    let mut statistics = DeviceStatistics::default();
    let mut at = 0;
    while statistics.kept() != types {
        let header = answered.read::<STATISTICS_REPLY_HEADER_BYTES>(at).map_err(|_| missing)?;
        let header = StatisticsReplyHeader::read_from_bytes(&header).map_err(|_| missing)?;
        let reply_type = 1u64.checked_shl(header.reply_type.into()).map_or(0, |bit| bit & types.bits());
        let bytes = usize::from(header.size.get()).checked_sub(STATISTICS_REPLY_HEADER_BYTES);
        let (Some(bytes), true) = (bytes, header.vq_index.get() == queue && reply_type != 0) else {
            return Err(ControlError::BadAnswer);
        };
        let counters = at + STATISTICS_REPLY_HEADER_BYTES;
        if counters + bytes > answered.bytes() {
            return Err(missing);
        }
        statistics.keep(StatisticsTypes::from_bits_truncate(reply_type), answered, counters, bytes)?;
        at = counters + bytes;
    }
    Ok(statistics)
}
