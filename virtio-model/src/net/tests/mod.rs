//! Promises of the network device.
