//! What a queue is doing, for those who ask: which of the ring's features are in use, and how much was done.
//!
//! Spec: §6 Reserved Feature Bits.

use super::layout::Layout;
use crate::wire::features::CommonFeatures;

/// Which of the ring's features a queue uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivePath {
    /// Split or packed.
    pub layout: Layout,
    /// Chains come back in the order in which they were made available, several perhaps with one used element.
    pub in_order: bool,
    /// Most segments of a chain that goes into an indirect table, if there are tables.
    pub indirect_segments: Option<u16>,
    /// Both sides ask for notifications by position, and not by a flag.
    pub event_index: bool,
    /// Barriers have the strength that real hardware needs.
    pub platform_order: bool,
    /// Notifications carry the position in the ring.
    pub notification_data: bool,
}

impl ActivePath {
    pub(super) const fn new(features: CommonFeatures, indirect_segments: Option<u16>) -> Self {
        Self {
            layout: Layout::of(features),
            in_order: features.contains(CommonFeatures::IN_ORDER),
            indirect_segments,
            event_index: features.contains(CommonFeatures::EVENT_IDX),
            platform_order: features.contains(CommonFeatures::ORDER_PLATFORM),
            notification_data: features.contains(CommonFeatures::NOTIFICATION_DATA),
        }
    }
}

/// What a queue has done since it was installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatistics {
    /// Notifications sent to the device.
    pub notifications_sent: u64,
    /// Publishes after which the device wanted none.
    pub notifications_suppressed: u64,
    /// Chains made available.
    pub chains: u64,
}
