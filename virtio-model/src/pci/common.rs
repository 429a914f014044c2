//! The common configuration structure: one register per access, and its rules.
//!
//! Spec: §4.1.4.3 Common configuration structure layout. An access must have the width of its
//! field; the 64-bit fields are written in halves. A write against the rules is a driver error
//! and has no effect.

use super::misbehaviour::Completion;
use super::queue::QueueRegisters;
use super::state::{State, all_ones};
use super::status::{DRIVER, DRIVER_OK, FEATURES_OK, feature};

impl State {
    pub(crate) fn common_read(&mut self, offset: u64, width: u8) -> u32 {
        match (offset, width) {
            (0x00, 4) => self.device_feature_select,
            (0x04, 4) => feature_word(self.presented_features(), self.device_feature_select),
            (0x08, 4) => self.driver_feature_select,
            (0x0c, 4) => feature_word(self.accepted, self.driver_feature_select),
            (0x10, 2) => self.read_config_vector().into(),
            (0x12, 2) => self.lies.num_queues.unwrap_or(self.queue_count()).into(),
            (0x14, 1) => self.read_status().into(),
            (0x15, 1) => self.read_generation().into(),
            (0x16, 2) => self.queue_select.into(),
            (0x18..=0x1e, 2) => self.read_queue_word(offset).into(),
            (0x20..=0x34, 4) => self.read_queue_half(offset),
            (0x38, 2) if self.negotiated(feature::NOTIF_CONFIG_DATA) => {
                self.selected().map_or(0, |queue| queue.notif_config_data.into())
            }
            (0x3a, 2) if self.negotiated(feature::RING_RESET) => self.read_queue_reset().into(),
            (0x3c | 0x3e, 2) if self.negotiated(feature::ADMIN_VQ) => 0,
            _ => {
                self.complain(format!("read of {width} bytes at {offset:#x} of the common structure"));
                all_ones(width)
            }
        }
    }

    pub(crate) fn common_write(&mut self, offset: u64, width: u8, value: u32) {
        if self.awaits_reset() && offset != 0x14 {
            self.complain(format!("common register {offset:#x} written during a reset"));
        }
        let [low, second, ..] = value.to_le_bytes();
        let word = u16::from_le_bytes([low, second]);
        if offset != 0x14 || low != 0 {
            self.use_interface(false);
        }
        match (offset, width) {
            (0x00, 4) => self.device_feature_select = value,
            (0x08, 4) => self.driver_feature_select = value,
            (0x0c, 4) => self.write_features(value),
            (0x10, 2) => self.write_config_vector(word),
            (0x14, 1) => self.write_status(low),
            (0x16, 2) => self.queue_select = word,
            (0x18 | 0x1a | 0x1c, 2) => self.write_queue_word(offset, word),
            (0x20..=0x34, 4) => self.write_queue_half(offset, value),
            (0x3a, 2) if self.negotiated(feature::RING_RESET) => self.write_queue_reset(word),
            _ => self.complain(format!("write of {width} bytes at {offset:#x} of the common structure")),
        }
    }

    fn queue_count(&self) -> u16 {
        u16::try_from(self.queues.len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn presented_features(&self) -> u128 {
        let negotiation_is_over = self.status & FEATURES_OK != 0;
        self.lies.features_after_ok.filter(|_| negotiation_is_over).unwrap_or(self.offered)
    }

    pub(crate) fn read_generation(&mut self) -> u8 {
        if self.lies.generation_never_rests {
            self.generation = self.generation.wrapping_add(1);
        }
        self.generation
    }

    pub(crate) fn write_features(&mut self, value: u32) {
        if self.status & DRIVER == 0 {
            self.complain("features written before DRIVER was set");
        }
        if self.status & (FEATURES_OK | DRIVER_OK) != 0 {
            self.complain("features written after FEATURES_OK");
            return;
        }
        match self.driver_feature_select {
            select @ 0..4 => {
                let shift = 32 * select;
                self.accepted &= !(u128::from(u32::MAX) << shift);
                self.accepted |= u128::from(value) << shift;
            }
            select if value != 0 => self.complain(format!("features {value:#x} in word {select}")),
            _ => {}
        }
    }

    pub(crate) fn selected(&mut self) -> Option<&mut QueueRegisters> {
        let index = usize::from(self.queue_select);
        self.queues.get_mut(index).filter(|queue| queue.max_size != 0)
    }

    pub(super) fn read_config_vector(&mut self) -> u16 {
        self.vector_is_read(None);
        self.lies.vector_read_back.unwrap_or(self.config_vector)
    }

    pub(super) fn write_config_vector(&mut self, vector: u16) {
        self.config_vector = self.granted_vector(None, vector);
    }

    pub(crate) fn read_queue_word(&mut self, offset: u64) -> u16 {
        let lies = self.lies.clone();
        if offset == 0x1a {
            self.vector_is_read(Some(self.queue_select));
        }
        let Some(queue) = self.selected() else {
            return 0;
        };
        match offset {
            0x18 => lies.queue_size.unwrap_or(queue.size),
            0x1a => lies.vector_read_back.unwrap_or(queue.vector),
            0x1c => u16::from(queue.enabled || lies.queue_already_enabled),
            _ => lies.notify_off.unwrap_or(queue.notify_off),
        }
    }

    fn read_queue_half(&mut self, offset: u64) -> u32 {
        let address = self.selected().map_or(0, |queue| *queue.address_mut(offset));
        let half = if offset & 4 == 0 { address } else { address >> 32 };
        u32::try_from(half & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// Complains unless the selected queue may be configured now.
    pub(crate) fn queue_is_open(&mut self) -> bool {
        let (index, status, is_agreed) = (self.queue_select, self.status, self.negotiation_is_over());
        let suspended = self.suspension_was_asked_for();
        let Some(queue) = self.selected() else {
            self.complain(format!("queue {index} configured, which does not exist"));
            return false;
        };
        let complaint = if queue.enabled {
            "after it was enabled"
        } else if !is_agreed {
            "before FEATURES_OK"
        } else if suspended {
            "after SUSPEND"
        } else if status & DRIVER_OK != 0 && !queue.was_reset {
            "after DRIVER_OK"
        } else {
            return true;
        };
        self.complain(format!("queue {index} configured {complaint}"));
        false
    }

    pub(crate) fn write_queue_word(&mut self, offset: u64, value: u16) {
        if !self.queue_is_open() {
            return;
        }
        let vector = match offset {
            0x1a => self.granted_vector(Some(self.queue_select), value),
            _ => value,
        };
        if offset == 0x1c {
            self.check_vectors_were_read();
        }
        let packed = self.negotiated(feature::RING_PACKED);
        let Some(queue) = self.selected() else {
            return;
        };
        match offset {
            0x18 if value == 0 || value > queue.max_size || !(packed || value.is_power_of_two()) => {
                let max_size = queue.max_size;
                self.complain(format!("queue size {value} written, at most {max_size}"));
            }
            0x18 => queue.size = value,
            0x1a => queue.vector = vector,
            _ if value != 1 => self.complain(format!("queue_enable written {value}")),
            _ => {
                if let Some(fault) = queue.fault(packed) {
                    self.complain(format!("queue enabled with {fault}"));
                } else {
                    queue.enabled = true;
                    queue.epoch += 1;
                }
            }
        }
    }

    pub(crate) fn write_queue_half(&mut self, offset: u64, value: u32) {
        if !self.queue_is_open() {
            return;
        }
        if let Some(queue) = self.selected() {
            let address = queue.address_mut(offset);
            let shift = if offset & 4 == 0 { 0 } else { 32 };
            *address &= !(u64::from(u32::MAX) << shift);
            *address |= u64::from(value) << shift;
        }
    }

    pub(crate) fn write_queue_reset(&mut self, value: u16) {
        let completion = self.lies.queue_reset;
        if self.selected().is_some_and(|queue| queue.resetting) {
            self.complain("queue_reset written while that queue is being reset");
        }
        let enabled = self.selected().is_some_and(|queue| queue.enabled);
        if value != 1 || !enabled {
            self.complain(format!("queue_reset written {value}, queue enabled: {enabled}"));
            return;
        }
        if let Some(queue) = self.selected() {
            queue.resetting = true;
            match completion {
                Completion::Prompt => {
                    queue.reset();
                    queue.was_reset = true;
                }
                Completion::AfterReads(reads) => queue.reset_reads_left = Some(reads),
                Completion::Never => queue.reset_reads_left = None,
            }
        }
    }

    pub(crate) fn read_queue_reset(&mut self) -> u16 {
        let Some(queue) = self.selected() else {
            return 0;
        };
        match &mut queue.reset_reads_left {
            Some(0) => {
                queue.reset();
                queue.was_reset = true;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        queue.resetting.into()
    }

    /// Takes an available buffer notification. Spec: §4.1.5.2 Available Buffer Notifications.
    pub(crate) fn notify(&mut self, multiplier: u64, within: u64, width: u8, value: u32) {
        let with_data = self.negotiated(feature::NOTIFICATION_DATA);
        let by_config_data = self.negotiated(feature::NOTIF_CONFIG_DATA);
        if width != if with_data { 4 } else { 2 } {
            self.complain(format!("notification of {width} bytes"));
        }
        self.check_that_notifications_are_due();
        let identifier = value & 0xffff;
        let forced_off = self.lies.notify_off;
        let found = self.queues.iter_mut().enumerate().find(|(index, queue)| {
            let own = if by_config_data { queue.notif_config_data.into() } else { *index };
            let notify_off = forced_off.unwrap_or(queue.notify_off);
            usize::try_from(identifier) == Ok(own) && u64::from(notify_off) * multiplier == within
        });
        let Some((index, queue)) = found else {
            self.complain(format!("notification {value:#x} at {within:#x} names no queue"));
            return;
        };
        let enabled = queue.enabled && !queue.resetting;
        queue.notifications += 1;
        queue.last_notification = Some(value);
        if !enabled {
            self.complain(format!("notification for queue {index}, which is not enabled"));
        }
    }
}

/// The 32 bits of a feature set that `select` names; there are none above bit 127.
pub(crate) fn feature_word(features: u128, select: u32) -> u32 {
    let shifted = if select < 4 { features >> (32 * select) } else { 0 };
    u32::try_from(shifted & u128::from(u32::MAX)).unwrap_or(0)
}
