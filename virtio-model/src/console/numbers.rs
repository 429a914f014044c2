//! The numbers of features and control messages.
//!
//! Spec: §5.3.3 Feature bits, §5.3.6.2 Multiport Device Operation. Typed from the specification, and shared with nobody.

/// Feature bits, by number.
pub mod feature {
    /// There is a size in the configuration.
    pub const SIZE: u32 = 0;
    /// There may be several ports, and there are control queues.
    pub const MULTIPORT: u32 = 1;
    /// Characters can be written through the configuration.
    pub const EMERG_WRITE: u32 = 2;
    /// Framing is free, on a legacy device.
    pub const ANY_LAYOUT: u32 = 27;
}

/// What a control message is about.
pub mod event {
    /// The driver is ready for control messages; 1 if all is well.
    pub const DEVICE_READY: u16 = 0;
    /// There is a new port.
    pub const DEVICE_ADD: u16 = 1;
    /// A port is gone.
    pub const DEVICE_REMOVE: u16 = 2;
    /// The driver has a port ready; 1 if all is well.
    pub const PORT_READY: u16 = 3;
    /// A port is a console.
    pub const CONSOLE_PORT: u16 = 4;
    /// The size of a console changed; columns and rows follow.
    pub const RESIZE: u16 = 5;
    /// A side has opened (1) or closed (0) a port.
    pub const PORT_OPEN: u16 = 6;
    /// The name of a port, which follows.
    pub const PORT_NAME: u16 = 7;
}
