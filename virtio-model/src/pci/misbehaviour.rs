//! The lies that a device can tell through its registers.
//!
//! All are off by default. A test switches them on with
//! [`PciDevice::misbehave`](super::PciDevice::misbehave), before bring-up or in the middle.

/// How long something takes that the driver has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Completion {
    /// It is done at once.
    #[default]
    Prompt,
    /// It is done after so many reads of the register have shown that it is not.
    AfterReads(u32),
    /// It is never done.
    Never,
}

/// What the device does wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each lie is told or not, whatever the others")]
pub struct Misbehaviour {
    /// How long a device reset takes; until then everything goes on as before.
    pub reset: Completion,
    /// How long a queue reset takes.
    pub queue_reset: Completion,
    /// How long the device takes to suspend itself; looked at whenever the status is read, so that a test can say when its work is done.
    pub suspend: Completion,
    /// How long the device takes to resume.
    pub resume: Completion,
    /// Asked to suspend itself, or to resume, the device sets `NEEDS_RESET` instead, after that time.
    pub fails_suspension: bool,
    /// What the status reads, whatever it is.
    pub status_read: Option<u8>,
    /// `FEATURES_OK` does not stick, whatever the driver chose.
    pub drops_features_ok: bool,
    /// The features offered once `FEATURES_OK` is set.
    pub features_after_ok: Option<u128>,
    /// Any feature selector but 0 is taken for 1 (QEMU's MMIO devices do that).
    pub knows_two_feature_words: bool,
    /// What the driver writes to the device-specific configuration is lost.
    pub ignores_config_writes: bool,
    /// The configuration generation is a new one at every read.
    pub generation_never_rests: bool,
    /// The device is gone: every read gives all ones, every write is lost.
    pub all_ones: bool,
    /// The device is gone after so many further register accesses.
    pub removed_after: Option<u32>,
    /// Once the device is gone its BARs read zeros, as behind host bridges that give no all ones (QEMU's q35); configuration space reads all ones.
    pub gone_bars_read_zero: bool,
    /// What `num_queues` reads.
    pub num_queues: Option<u16>,
    /// What `queue_size` reads for every queue.
    pub queue_size: Option<u16>,
    /// `queue_enable` reads 1 from the start.
    pub queue_already_enabled: bool,
    /// What the registers with vectors read, whatever was written.
    pub vector_read_back: Option<u16>,
    /// What `queue_notify_off` reads for every queue.
    pub notify_off: Option<u16>,
}
