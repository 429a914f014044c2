//! A virtio PCI function, modern or legacy: configuration space, BARs, registers.
//!
//! Spec: §4.1 Virtio Over PCI Bus. A test platform forwards configuration and register accesses
//! to it; device models such as [`block`](crate::block) look up queues and raise interrupts. It
//! refuses to know what the queues carry. It plays strict: what a driver must not do ends up in
//! [`PciDevice::driver_errors`].
//!
//! ```text
//!   driver --config_read/write--> configuration space --capabilities--+
//!   driver --bar_read/write--> BAR --> common | notify | isr | device <
//! ```

mod access;
mod bar;
mod bridge;
mod builder;
mod bus;
mod capability;
pub(crate) mod common;
mod config_space;
mod device_config;
mod legacy;
mod misbehaviour;
mod msi_x;
mod power;
pub(crate) mod queue;
pub mod sr_iov;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod suspend;
#[cfg(test)]
mod tests;

pub use bar::Bar;
pub use bridge::Bridge;
pub use builder::Builder;
pub use bus::{Bus, Function, Placed, Space};
pub use capability::{Capability, MSI_X, STANDARD_BAR, VENDOR_SPECIFIC, cfg_type};
pub use device_config::{ConfigField, FieldRule};
pub use misbehaviour::{Completion, Misbehaviour};
pub use queue::QueueRegisters;
pub use sr_iov::SrIovDevice;
pub use status::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FAILED, FEATURES_OK, NEEDS_RESET, SUSPEND};

use crate::error::ModelError;
use crate::memory::AddressSpace;
use crate::queue::DeviceQueue;
use crate::setup::Setup;
use crate::split::SplitQueue;
use state::State;
use status::feature;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One PCI function; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct PciDevice {
    state: Arc<Mutex<State>>,
}

impl PciDevice {
    /// Starts to build a device.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_state(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a double word of configuration space.
    pub fn config_read(&self, offset: u16) -> u32 {
        self.lock().config_read(offset)
    }

    /// Writes a double word of configuration space.
    pub fn config_write(&self, offset: u16, value: u32) {
        self.lock().config_write(offset, value);
    }

    /// Reads `width` bytes (1, 2 or 4) at `offset` of a BAR.
    pub fn bar_read(&self, bar: u8, offset: u64, width: u8) -> u32 {
        let mut state = self.lock();
        match state.is_removed() {
            true if state.lies.gone_bars_read_zero => 0,
            true => state::all_ones(width),
            false => state.bar_read(bar, offset, width, false),
        }
    }

    /// Writes `width` bytes (1, 2 or 4) at `offset` of a BAR.
    pub fn bar_write(&self, bar: u8, offset: u64, width: u8, value: u32) {
        let mut state = self.lock();
        if !state.is_removed() {
            state.bar_write(bar, offset, width, value, false);
        }
    }

    /// The BARs that have an address: which, where, first and last address.
    pub(crate) fn placed_bars(&self) -> Vec<(u8, (Space, u64, u64))> {
        let state = self.lock();
        (0..6).filter_map(|index| Some((index, state.config_space.bar(index)?.placed()?))).collect()
    }

    /// The memory BAR that decodes a physical address, and the offset in it.
    pub fn memory_bar_at(&self, address: u64) -> Option<(u8, u64)> {
        self.lock().config_space.bar_at(address, false)
    }

    /// The I/O BAR that decodes a port, and the offset in it.
    pub fn io_bar_at(&self, port: u64) -> Option<(u8, u64)> {
        self.lock().config_space.bar_at(port, true)
    }

    /// Everything the driver did wrong so far.
    pub fn driver_errors(&self) -> Vec<String> {
        self.lock().errors.clone()
    }

    /// Adds to the driver errors; device models report here what they find in the queues.
    pub fn report_driver_error(&self, text: impl Into<String>) {
        self.lock().complain(text);
    }

    /// Expects the driver to have done nothing wrong so far.
    ///
    /// # Panics
    /// With the list of driver errors, if there are any.
    pub fn assert_driver_was_correct(&self) {
        let errors = self.driver_errors();
        assert!(errors.is_empty(), "driver errors: {errors:#?}");
    }

    /// How often a BAR was written while the function decoded addresses.
    pub fn bar_writes_while_decoding(&self) -> usize {
        self.lock().config_space.bar_writes_while_decoding
    }

    /// The COMMAND register.
    pub fn command(&self) -> u16 {
        self.lock().config_space.command()
    }

    /// Everything that the driver wrote to the status register, oldest first.
    pub fn statuses_written(&self) -> Vec<u8> {
        self.lock().statuses_written.clone()
    }

    /// Whether the function may reach memory.
    pub fn is_bus_master(&self) -> bool {
        self.lock().config_space.is_bus_master()
    }

    /// Overwrites bytes of configuration space behind the driver's back.
    pub fn poke_config(&self, offset: u8, bytes: &[u8]) {
        self.lock().config_space.put(usize::from(offset), bytes);
    }

    /// Switches lies on and off.
    pub fn misbehave(&self, change: impl FnOnce(&mut Misbehaviour)) {
        change(&mut self.lock().lies);
    }

    /// The device status, without the side effects of a register read.
    pub fn status(&self) -> u8 {
        self.lock().status
    }

    /// Whether the device works: `DRIVER_OK` is set, it is not suspended, needs no reset and was not removed.
    pub fn is_live(&self) -> bool {
        let state = self.lock();
        state.status & (DRIVER_OK | NEEDS_RESET) == DRIVER_OK && !state.is_suspended() && !state.lies.all_ones
    }

    /// Whether the device was asked to suspend itself, and is about to: it takes no more buffers, and finishes those that it has.
    pub fn is_suspending(&self) -> bool {
        self.lock().is_suspending()
    }

    /// Whether the device is suspended: it does not look at its queues, and keeps what it has.
    pub fn is_suspended(&self) -> bool {
        self.lock().is_suspended()
    }

    /// How many resets were completed.
    pub fn resets(&self) -> usize {
        self.lock().resets
    }

    /// The features that the device offers.
    pub fn offered_features(&self) -> u128 {
        self.lock().offered
    }

    /// The features that both sides agreed on; 0 before `FEATURES_OK`.
    pub fn negotiated_features(&self) -> u128 {
        let state = self.lock();
        if state.negotiation_is_over() { state.accepted } else { 0 }
    }

    /// Sets `NEEDS_RESET`, with a configuration change notification after `DRIVER_OK`.
    pub fn set_needs_reset(&self) {
        self.lock().need_reset();
    }

    /// The device-specific configuration.
    pub fn config(&self) -> Vec<u8> {
        self.lock().device_config.clone()
    }

    /// A byte of it, if it has that many.
    pub fn config_byte(&self, at: usize) -> Option<u8> {
        self.lock().device_config.get(at).copied()
    }

    /// Replaces the device-specific configuration; the generation goes up, nothing is notified.
    pub fn set_config(&self, bytes: impl Into<Vec<u8>>) {
        self.lock().set_device_config(bytes.into());
    }

    /// Overwrites bytes of it, and leaves the others as they are; the generation goes up, nothing is notified.
    pub(crate) fn patch_config(&self, at: usize, bytes: &[u8]) {
        let mut state = self.lock();
        let mut config = state.device_config.clone();
        config[at..at + bytes.len()].copy_from_slice(bytes);
        state.set_device_config(config);
    }

    /// Replaces the device-specific configuration right after `reads` more reads of it.
    pub fn set_config_after_reads(&self, reads: u32, bytes: impl Into<Vec<u8>>) {
        self.lock().scheduled_config = Some((reads, bytes.into()));
    }

    /// What the driver wrote to the device-specific configuration: offset, width, value.
    pub fn config_writes(&self) -> Vec<(u64, u8, u32)> {
        self.lock().config_writes.clone()
    }

    /// What it wrote there since the last reset, but for the first `skip` of these.
    pub(crate) fn config_writes_since_reset(&self, skip: usize) -> Vec<(u64, u8, u32)> {
        let state = self.lock();
        let since = state.config_writes.iter().skip(state.config_writes_before_reset);
        since.skip(skip).copied().collect()
    }

    /// How often it was written.
    pub fn config_write_count(&self) -> usize {
        self.lock().config_writes.len()
    }

    /// A copy of the registers of one queue.
    pub fn queue(&self, index: u16) -> Option<QueueRegisters> {
        self.lock().queues.get(usize::from(index)).cloned()
    }

    /// The number of queues that the device really has.
    pub fn queue_count(&self) -> u16 {
        u16::try_from(self.lock().queues.len()).unwrap_or(u16::MAX)
    }

    /// How many notifications a queue received.
    pub fn notifications(&self, queue: u16) -> usize {
        self.queue(queue).map_or(0, |queue| queue.notifications)
    }

    /// What the last notification of a queue wrote: its index or configuration data, and with
    /// `NOTIFICATION_DATA` the next available position from bit 16 on.
    pub fn last_notification(&self, queue: u16) -> Option<u32> {
        self.queue(queue)?.last_notification
    }

    /// Takes over an enabled queue in the layout that was negotiated; `None` while it is not
    /// enabled.
    pub fn device_queue(&self, index: u16, memory: &AddressSpace) -> Option<Result<DeviceQueue, ModelError>> {
        let setup = self.queue_setup(index)?;
        let packed = self.negotiated_features() & (1 << feature::RING_PACKED) != 0;
        Some(DeviceQueue::new(memory, setup, packed))
    }

    /// Takes over an enabled queue with a split ring; `None` while it is not enabled.
    pub fn split_queue(&self, index: u16, memory: &AddressSpace) -> Option<Result<SplitQueue, ModelError>> {
        Some(SplitQueue::new(memory, self.queue_setup(index)?))
    }

    /// What the driver told about a queue; `None` while it is not enabled.
    pub fn queue_setup(&self, index: u16) -> Option<Setup> {
        let features = self.negotiated_features();
        let negotiated = |bit: u32| features & (1 << bit) != 0;
        let queue = self.queue(index).filter(|queue| queue.enabled)?;
        Some(Setup {
            size: queue.size,
            descriptor_area: queue.descriptor_area,
            driver_area: queue.driver_area,
            device_area: queue.device_area,
            event_idx: negotiated(feature::EVENT_IDX),
            indirect: negotiated(feature::INDIRECT_DESC),
            in_order: negotiated(feature::IN_ORDER),
        })
    }

    /// Raises a used buffer notification of a queue: by its message if MSI-X is on, else by the line.
    pub fn raise_used(&self, queue: u16) {
        self.lock().raise_used(queue);
    }

    /// Raises a configuration change notification.
    pub fn raise_config(&self) {
        self.lock().raise_config();
    }

    /// The messages that were sent since the last call, oldest first: address and data.
    pub fn take_messages(&self) -> Vec<(u64, u32)> {
        self.lock().msi_x.as_mut().map(|msi_x| std::mem::take(&mut msi_x.messages)).unwrap_or_default()
    }

    /// How many messages were not sent, since their entry or all were masked, or the function may not reach memory.
    pub fn withheld_messages(&self) -> usize {
        self.lock().msi_x.as_ref().map_or(0, |msi_x| msi_x.withheld)
    }

    /// Whether MSI-X is on.
    pub fn msi_x_is_on(&self) -> bool {
        self.lock().msi_x_is_on()
    }

    /// The vector for configuration changes; 0xffff is none.
    pub fn config_vector(&self) -> u16 {
        self.lock().config_vector
    }

    /// Whether the function pulls its interrupt line.
    pub fn line_is_raised(&self) -> bool {
        let state = self.lock();
        state.wants_line() && state.config_space.may_raise_line() && !state.lies.all_ones
    }

    /// The ISR status, not cleared.
    pub fn isr(&self) -> u8 {
        self.lock().isr
    }

    /// How many used buffer notifications were raised.
    pub fn used_interrupts(&self) -> usize {
        self.lock().used_interrupts
    }

    /// How many configuration change notifications were raised.
    pub fn config_interrupts(&self) -> usize {
        self.lock().config_interrupts
    }
}
