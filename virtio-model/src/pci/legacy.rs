//! The ports of a device of before version 1, and how it is told of a queue.
//!
//! Spec: §4.1.4.10 Legacy Interfaces: A Note on PCI Device Layout, §2.7.2 Legacy Interfaces: A Note on Virtqueue Layout. A transitional device has these beside its
//! modern registers; which of them its driver used first, after a reset, is what it has to keep to.
//!
//! ```text
//!   0 features  4 driver features  8 page  12 size  14 select  16 notify  18 status  19 ISR  20 configuration, or (MSI-X) 20 vectors 24 configuration
//! ```

use super::common::feature_word;
use super::state::{State, all_ones};

/// The BAR with the ports.
pub(super) const LEGACY_BAR: u8 = 0;
/// Bytes of a page; the used ring starts at a multiple of them, too.
const PAGE_BYTES: u32 = 4096;

impl State {
    /// Where the configuration begins.
    fn config_port(&self) -> u64 {
        if self.msi_x_is_on() { 0x18 } else { 0x14 }
    }

    pub(super) fn port_read(&mut self, port: u64, width: u8) -> u32 {
        if port >= self.config_port() {
            return self.device_config_read(port - self.config_port(), width);
        }
        match (port, width) {
            (0x00, 4) => feature_word(self.presented_features(), 0),
            (0x04, 4) => feature_word(self.accepted, 0),
            (0x08, 4) => self.read_page_number(PAGE_BYTES),
            (0x0c, 2) => self.read_queue_word(0x18).into(),
            (0x0e, 2) => self.queue_select.into(),
            (0x12, 1) => self.read_status().into(),
            (0x13, 1) => std::mem::take(&mut self.isr).into(),
            (0x14, 2) => self.read_config_vector().into(),
            (0x16, 2) => self.read_queue_word(0x1a).into(),
            _ => {
                self.complain(format!("read of {width} bytes at port {port:#x}"));
                all_ones(width)
            }
        }
    }

    pub(super) fn port_write(&mut self, port: u64, width: u8, value: u32) {
        let [low, second, ..] = value.to_le_bytes();
        let word = u16::from_le_bytes([low, second]);
        if port != 0x12 || low != 0 {
            self.use_interface(true);
        }
        if self.awaits_reset() && port != 0x12 {
            self.complain(format!("port {port:#x} written during a reset"));
        }
        if port >= self.config_port() {
            self.device_config_write(port - self.config_port(), width, value);
            return;
        }
        match (port, width) {
            (0x04, 4) => {
                self.driver_feature_select = 0;
                self.write_features(value);
            }
            (0x08, 4) => self.write_page_number(value, PAGE_BYTES, PAGE_BYTES),
            (0x0e, 2) => self.queue_select = word,
            (0x10, 2) => self.notify_by_index(value),
            (0x12, 1) => self.write_status(low),
            (0x14, 2) => self.write_config_vector(word),
            (0x16, 2) => self.write_queue_word(0x1a, word),
            _ => self.complain(format!("write of {width} bytes at port {port:#x}")),
        }
    }

    /// Notes which interface of a transitional device is used.
    pub(super) fn use_interface(&mut self, is_legacy: bool) {
        if !self.is_transitional {
            return;
        }
        if self.interface_in_use.is_some_and(|in_use| in_use != is_legacy) {
            self.complain("both interfaces of a transitional device are used");
        }
        self.interface_in_use = Some(is_legacy);
        self.is_legacy = is_legacy;
    }

    /// The number of the selected queue's first page; 0 if it is not enabled.
    pub(crate) fn read_page_number(&mut self, page_bytes: u32) -> u32 {
        let lie = self.lies.queue_already_enabled;
        let queue = self.selected().filter(|queue| queue.enabled);
        let page = queue.map_or(0, |queue| queue.descriptor_area / u64::from(page_bytes.max(1)));
        u32::try_from(page).unwrap_or(u32::MAX) | u32::from(lie)
    }

    /// Takes the number of a queue's first page, and finds its areas by rule.
    pub(crate) fn write_page_number(&mut self, page: u32, page_bytes: u32, queue_align: u32) {
        if !page_bytes.is_power_of_two() || !queue_align.is_power_of_two() {
            self.complain(format!("queue placed with pages of {page_bytes} bytes, aligned to {queue_align}"));
            return;
        }
        if page == 0 {
            self.complain("a queue was taken away without a reset");
            return;
        }
        if !self.queue_is_open() {
            return;
        }
        if let Some(queue) = self.selected() {
            let size = u64::from(queue.size);
            queue.descriptor_area = u64::from(page) * u64::from(page_bytes);
            queue.driver_area = queue.descriptor_area + 16 * size;
            queue.device_area = (queue.driver_area + 6 + 2 * size).next_multiple_of(queue_align.into());
        }
        self.write_queue_word(0x1c, 1);
    }
}
