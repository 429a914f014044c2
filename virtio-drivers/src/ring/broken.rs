//! Why a queue is out of service.
//!
//! Spec: §2.7.14, §2.8.22: what a device may write when it returns buffers. Everything else ends here.

/// The queue refuses further work until the device is reset; buffers stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The used index moved by more than the chains that the device holds.
    #[error("the device moved the used index by {by}, but holds only {held} chains")]
    UsedIndexJumped {
        /// How far it moved.
        by: u16,
        /// Chains in the device's hands.
        held: u16,
    },
    /// A used element names a chain that the device does not hold: never made available, not published yet, returned before, or not the head of a chain.
    #[error("the device returned chain {id}, which it does not hold")]
    UnknownChain {
        /// What it wrote.
        id: u32,
    },
    /// A used element claims more bytes than the device was allowed to write.
    #[error("the device claims {written_len} bytes written to chain {id}, which has {writable_bytes}")]
    WrittenTooMuch {
        /// The chain.
        id: u32,
        /// What the device claims, in bytes.
        written_len: u32,
        /// What it was allowed, in bytes.
        writable_bytes: u32,
    },
    /// Under IN_ORDER: the device returned a chain, and with it all before it, which are more than its used index covers.
    #[error("the device returned chain {id}, which ends a batch of {chains} chains, but used only {covered}")]
    BatchTooLong {
        /// The chain.
        id: u32,
        /// How many chains end with it.
        chains: u16,
        /// How many the device can have used.
        covered: u16,
    },
    /// The queue was activated with another device than its own, or with another bring-up of it. The device did nothing wrong.
    #[error("the queue was activated with another device than its own")]
    OtherDevice,
    /// A reset of the queue, or of its device, was asked for and not confirmed in time. The device may still do it.
    #[error("a reset was asked for and not confirmed")]
    ResetPending,
}
