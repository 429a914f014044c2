//! Features of the protocol itself, as opposed to those of the device.

bitflags::bitflags! {
    /// Features of the protocol: which messages there are.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ProtocolFeatures: u64 {
        /// The back-end says how many queues it can have.
        const MQ = 1 << 0;
        /// The back-end says for each message whether it did what was asked.
        const REPLY_ACK = 1 << 3;
        /// A network back-end is told how long packets can be.
        const MTU = 1 << 4;
        /// The back-end has a channel of its own, for what it has to say.
        const BACKEND_REQ = 1 << 5;
        /// The configuration space is the back-end's.
        const CONFIG = 1 << 9;
        /// The device can be reset by one message.
        const RESET_DEVICE = 1 << 13;
        const _ = !0;
    }
}

impl ProtocolFeatures {
    /// What this crate can do with.
    pub(crate) const HANDLED: Self = Self::MQ
        .union(Self::REPLY_ACK)
        .union(Self::MTU)
        .union(Self::BACKEND_REQ)
        .union(Self::CONFIG)
        .union(Self::RESET_DEVICE);
}

/// The bit among the device's features that says that there are [`ProtocolFeatures`]; also, that queues begin disabled.
pub(crate) const PROTOCOL_FEATURES: u64 = 1 << 30;
/// The bit among the device's features that says that the back-end can keep a list of what it wrote to, for a migration.
pub(crate) const LOG_ALL: u64 = 1 << 26;
