//! What may be chosen about a device.

use std::time::Duration;

/// What may be chosen about a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long the back-end may take to read a message, and to answer it.
    pub answer_limit: Duration,
    /// How long is waited for a back-end that is to connect by itself ([`Listener`](crate::Listener)).
    pub accept_limit: Duration,
    /// Whether the device is to have interrupt vectors: files that say when a queue has used buffers. Without, queues are looked at, and the back-end is told not to interrupt.
    pub interrupts: bool,
    /// Most descriptors of a queue: back-ends do not say what they can.
    pub queue_size_max: u16,
    /// Most queues that drivers are told of, as back-ends count them: for a network card pairs.
    pub queues_max: u16,
    /// The address that a network card says it has. Back-ends have none.
    pub mac: Option<[u8; 6]>,
    /// The longest packet that a network card says it takes, without its Ethernet header; the back-end is told, too, if it wants to know.
    pub mtu: Option<u16>,
    /// Whether to take the caller's word for what kind of device it is. No message of the protocol says it, and what else the back-end says may look like another one.
    pub trusts_device_type: bool,
}

impl Default for Settings {
    /// Ten seconds each, interrupts, 1024 descriptors, all queues, no address, no longest packet, and no trust.
    fn default() -> Self {
        Self {
            answer_limit: Duration::from_secs(10),
            accept_limit: Duration::from_secs(10),
            interrupts: true,
            queue_size_max: 1024,
            queues_max: u16::MAX,
            mac: None,
            mtu: None,
            trusts_device_type: false,
        }
    }
}
