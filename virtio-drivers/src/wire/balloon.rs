//! Traditional memory balloon: feature bits, configuration, and what goes through its queues.
//!
//! Spec: §5.5 Traditional Memory Balloon Device. The specification's "page" is always 4096 bytes, whatever the pages of the kernel are; here that is a frame.

use crate::wire::features::DeviceFeatures;

bitflags::bitflags! {
    /// The device's own feature bits.
    ///
    /// Spec: §5.5.3 Feature bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct BalloonFeatures: u128 {
        /// The device has to be told before pages from the balloon are used.
        #[doc(alias = "VIRTIO_BALLOON_F_MUST_TELL_HOST")]
        const MUST_TELL_HOST = 1 << 0;
        /// There is a queue for statistics of the kernel's memory.
        #[doc(alias = "VIRTIO_BALLOON_F_STATS_VQ")]
        const STATS_VQ = 1 << 1;
        /// Pages may be taken out, whatever the target is, when the kernel is out of memory.
        #[doc(alias = "VIRTIO_BALLOON_F_DEFLATE_ON_OOM")]
        const DEFLATE_ON_OOM = 1 << 2;
        /// There is a queue for hints at what is free at the moment.
        #[doc(alias = "VIRTIO_BALLOON_F_FREE_PAGE_HINT")]
        const FREE_PAGE_HINT = 1 << 3;
        /// Free pages are filled with the same value, which the device is told.
        #[doc(alias = "VIRTIO_BALLOON_F_PAGE_POISON")]
        const PAGE_POISON = 1 << 4;
        /// There is a queue for reports of what is free.
        #[doc(alias = "VIRTIO_BALLOON_F_PAGE_REPORTING")]
        const PAGE_REPORTING = 1 << 5;
    }
}

impl DeviceFeatures for BalloonFeatures {}

/// Bytes of a frame, the unit of everything that a balloon counts.
pub const FRAME_BYTES: u64 = 4096;

/// Fields of the configuration space: little-endian, with legacy devices, too.
///
/// Spec: §5.5.4 Device configuration layout.
pub mod config {
    use crate::wire::field::Field;

    /// Frames that the device wants in the balloon: the target.
    pub const NUM_PAGES: Field<u32> = Field::at(0);
    /// Frames that are in the balloon; written by the driver.
    pub const ACTUAL: Field<u32> = Field::at(4);
    /// What the device wants of hints (with `FREE_PAGE_HINT`): one of [`command`](super::command), or the id of a round.
    pub const FREE_PAGE_HINT_CMD_ID: Field<u32> = Field::at(8);
    /// What free pages are filled with (with `PAGE_POISON`); written by the driver before DRIVER_OK.
    pub const POISON_VAL: Field<u32> = Field::at(12);
}

/// Indices of the queues.
///
/// Spec: §5.5.2 Virtqueues. Devices exist that leave no gaps where a queue is missing.
pub mod queue {
    /// Frames that go into the balloon.
    pub const INFLATEQ: u16 = 0;
    /// Frames that are taken out.
    pub const DEFLATEQ: u16 = 1;
    /// Statistics (with `STATS_VQ`).
    pub const STATSQ: u16 = 2;
    /// Hints (with `FREE_PAGE_HINT`).
    pub const FREE_PAGE_VQ: u16 = 3;
    /// Reports (with `PAGE_REPORTING`).
    pub const REPORTING_VQ: u16 = 4;
}

/// Values of `free_page_hint_cmd_id` that are no round.
///
/// Spec: §5.5.6.5 Free Page Hinting.
pub mod command {
    /// No more hints until there is another round; what was hinted at is kept.
    #[doc(alias = "VIRTIO_BALLOON_CMD_ID_STOP")]
    pub const STOP: u32 = 0;
    /// No more hints; what was hinted at may be used again.
    #[doc(alias = "VIRTIO_BALLOON_CMD_ID_DONE")]
    pub const DONE: u32 = 1;
}

/// Tags of statistics.
///
/// Spec: §5.5.6.4 Memory Statistics Tags.
pub mod tag {
    /// Bytes swapped in.
    #[doc(alias = "VIRTIO_BALLOON_S_SWAP_IN")]
    pub const SWAP_IN: u16 = 0;
    /// Bytes swapped out.
    #[doc(alias = "VIRTIO_BALLOON_S_SWAP_OUT")]
    pub const SWAP_OUT: u16 = 1;
    /// Major page faults.
    #[doc(alias = "VIRTIO_BALLOON_S_MAJFLT")]
    pub const MAJFLT: u16 = 2;
    /// Minor page faults.
    #[doc(alias = "VIRTIO_BALLOON_S_MINFLT")]
    pub const MINFLT: u16 = 3;
    /// Bytes that are not used for anything.
    #[doc(alias = "VIRTIO_BALLOON_S_MEMFREE")]
    pub const MEMFREE: u16 = 4;
    /// Bytes in all.
    #[doc(alias = "VIRTIO_BALLOON_S_MEMTOT")]
    pub const MEMTOT: u16 = 5;
    /// Bytes that programs could have without swapping.
    #[doc(alias = "VIRTIO_BALLOON_S_AVAIL")]
    pub const AVAIL: u16 = 6;
    /// Bytes that could be had at once by dropping what is cached.
    #[doc(alias = "VIRTIO_BALLOON_S_CACHES")]
    pub const CACHES: u16 = 7;
    /// Huge pages that were allocated.
    #[doc(alias = "VIRTIO_BALLOON_S_HTLB_PGALLOC")]
    pub const HTLB_PGALLOC: u16 = 8;
    /// Huge pages that could not be allocated.
    #[doc(alias = "VIRTIO_BALLOON_S_HTLB_PGFAIL")]
    pub const HTLB_PGFAIL: u16 = 9;
}

/// How many tags there are.
pub const TAGS: usize = 10;

/// Bytes of a statistic: a tag of two, and a value of eight.
///
/// Spec: §5.5.6.3 Memory Statistics.
pub const STATISTIC_BYTES: usize = 10;

/// A statistic as it is sent: little-endian, or with legacy devices as the processor has it.
pub fn statistic(tag: u16, value: u64, is_legacy: bool) -> [u8; STATISTIC_BYTES] {
    let (tag, value) = if is_legacy {
        (tag.to_ne_bytes(), value.to_ne_bytes())
    } else {
        (tag.to_le_bytes(), value.to_le_bytes())
    };
    let mut bytes = [0; STATISTIC_BYTES];
    for (place, byte) in bytes.iter_mut().zip(tag.into_iter().chain(value)) {
        *place = byte;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::statistic;

    /// Spec: §5.5.6.3 Memory Statistics — le16, then le64, packed.
    #[test]
    fn a_statistic_has_ten_bytes_without_a_gap() {
        assert_eq!(statistic(0x102, 0x0807_0605_0403_0201, false), [2, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
