//! One register per access, and its rules.
//!
//! Spec: §4.2.2 MMIO Device Register Layout, §4.2.4 Legacy interface.

use super::{CONFIG, Registers};
use crate::pci::state::State;
use crate::pci::status::feature;

/// "There is none", in both halves of a shared memory register.
const NO_REGION: u64 = u64::MAX;

impl State {
    fn registers(&self) -> &Registers {
        self.mmio.as_ref().expect("the device is behind MMIO")
    }

    fn is_wide(&mut self, offset: u64, width: u8) -> bool {
        let is_wide = width == 4 && offset.is_multiple_of(4);
        if !is_wide {
            self.complain(format!("access of {width} bytes at {offset:#x} of the MMIO registers"));
        }
        is_wide
    }

    pub(crate) fn mmio_read(&mut self, offset: u64, width: u8) -> u32 {
        if offset >= CONFIG {
            self.check_config_width(width);
            return self.device_config_read(offset - CONFIG, width);
        }
        if !self.is_wide(offset, width) {
            return u32::MAX;
        }
        match (offset, self.is_legacy) {
            (0x000, _) => self.registers().magic,
            (0x004, _) => self.registers().version,
            (0x008, _) => self.registers().device_type,
            (0x00c, _) => 0x554d_4551,
            (0x010, _) => {
                crate::pci::common::feature_word(self.presented_features(), self.device_feature_select)
            }
            (0x034, _) => {
                let lie = self.lies.queue_size;
                self.selected().map_or(0, |queue| lie.unwrap_or(queue.max_size).into())
            }
            (0x040, true) => self.read_page_number(self.registers().page_bytes),
            (0x044, false) => self.read_queue_word(0x1c).into(),
            (0x060, _) => self.isr.into(),
            (0x070, _) => self.read_status().into(),
            (0x0b0..=0x0bc, false) => self.registers().region_word(offset),
            (0x0c0, false) if self.negotiated(feature::RING_RESET) => self.read_queue_reset().into(),
            (0x0fc, false) => self.read_generation().into(),
            _ => {
                self.complain(format!("read of MMIO register {offset:#x}"));
                u32::MAX
            }
        }
    }

    pub(crate) fn mmio_write(&mut self, offset: u64, width: u8, value: u32) {
        if self.awaits_reset() && offset != 0x070 {
            self.complain(format!("MMIO register {offset:#x} written during a reset"));
        }
        if offset >= CONFIG {
            self.check_config_width(width);
            self.device_config_write(offset - CONFIG, width, value);
            return;
        }
        if !self.is_wide(offset, width) {
            return;
        }
        let [low, second, ..] = value.to_le_bytes();
        let word = u16::from_le_bytes([low, second]);
        match (offset, self.is_legacy) {
            (0x014, _) => self.device_feature_select = self.taken_selector(value),
            (0x020, _) => self.write_features(value),
            (0x024, _) => self.driver_feature_select = self.taken_selector(value),
            (0x028, true) => self.set(|registers| registers.page_bytes = value),
            (0x030, _) => self.queue_select = word,
            (0x038, _) => self.write_queue_word(0x18, word),
            (0x03c, true) => self.set(|registers| registers.queue_align = value),
            (0x040, true) => {
                let Registers { page_bytes, queue_align, .. } = *self.registers();
                self.write_page_number(value, page_bytes, queue_align);
            }
            (0x044, false) => self.write_queue_word(0x1c, word),
            (0x050, _) => self.notify_by_index(value),
            (0x064, _) => self.acknowledge(value),
            (0x070, _) => self.write_status(low),
            (0x080 | 0x084 | 0x090 | 0x094 | 0x0a0 | 0x0a4, false) => {
                // As the common configuration has them: 8 bytes each, one after the other.
                self.write_queue_half(0x20 + (offset - 0x080) / 0x10 * 8 + offset % 8, value);
            }
            (0x0ac, false) => self.set(|registers| registers.region_select = value),
            (0x0c0, false) if self.negotiated(feature::RING_RESET) => self.write_queue_reset(word),
            _ => self.complain(format!("write of MMIO register {offset:#x}")),
        }
    }

    fn taken_selector(&self, selector: u32) -> u32 {
        if self.lies.knows_two_feature_words { selector.min(1) } else { selector }
    }

    fn set(&mut self, change: impl FnOnce(&mut Registers)) {
        if let Some(registers) = &mut self.mmio {
            change(registers);
        }
    }

    /// Legacy drivers access the configuration space byte by byte. Spec: §4.2.4.
    fn check_config_width(&mut self, width: u8) {
        if self.is_legacy && width != 1 {
            self.complain(format!("legacy configuration accessed with {width} bytes"));
        }
    }

    /// Takes a notification that begins with the queue's index. Spec: §4.2.3.3 Available Buffer Notifications.
    pub(crate) fn notify_by_index(&mut self, value: u32) {
        self.check_that_notifications_are_due();
        if value > 0xffff && !self.negotiated(feature::NOTIFICATION_DATA) {
            self.complain(format!("notification {value:#x}"));
        }
        let index = usize::try_from(value & 0xffff).unwrap_or(usize::MAX);
        let Some(queue) = self.queues.get_mut(index) else {
            self.complain(format!("notification {value:#x} names no queue"));
            return;
        };
        queue.notifications += 1;
        queue.last_notification = Some(value);
        if !queue.enabled || queue.resetting {
            self.complain(format!("notification for queue {index}, which is not enabled"));
        }
    }

    /// Spec: §4.2.3.4.1 Driver Requirements: Notifications From The Device.
    fn acknowledge(&mut self, value: u32) {
        let raised = u32::from(self.isr);
        if value & !raised != 0 || value == 0 {
            self.complain(format!("interrupt {value:#x} acknowledged, raised was {raised:#x}"));
        }
        let [low, ..] = value.to_le_bytes();
        self.isr &= !low;
    }
}

impl Registers {
    /// A word of what is said of the selected shared memory region.
    fn region_word(&self, offset: u64) -> u32 {
        let region = self.regions.iter().find(|(number, ..)| u32::from(*number) == self.region_select);
        let (address, bytes) =
            region.map_or((NO_REGION, NO_REGION), |(_, address, bytes)| (*address, *bytes));
        let long = if offset < 0x0b8 { bytes } else { address };
        let half = if offset & 4 == 0 { long } else { long >> 32 };
        u32::try_from(half & u64::from(u32::MAX)).unwrap_or(0)
    }
}
