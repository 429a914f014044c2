//! The registers of one queue.
//!
//! Spec: §4.1.4.3 Common configuration structure layout, fields from `queue_size` on. The rules
//! about when they may be written are in `common`; here is what they hold.

/// What the driver wrote about one queue, and what it did with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRegisters {
    /// The largest size that the device supports; 0 if there is no such queue.
    pub max_size: u16,
    /// The size that the driver chose.
    pub size: u16,
    /// Whether the driver enabled it.
    pub enabled: bool,
    /// Device address of the descriptor area.
    pub descriptor_area: u64,
    /// Device address of the driver area.
    pub driver_area: u64,
    /// Device address of the device area.
    pub device_area: u64,
    /// The interrupt vector; 0xffff is none.
    pub vector: u16,
    /// How often it was enabled so far: a new number means a new ring.
    pub epoch: u64,
    /// The number of notifications received, over the life of the device.
    pub notifications: usize,
    /// What the last notification wrote.
    pub last_notification: Option<u32>,
    /// What `queue_notify_off` says.
    pub notify_off: u16,
    /// What `queue_notif_config_data` says; not the index, so that a driver cannot mix them up.
    pub notif_config_data: u16,
    pub(crate) was_reset: bool,
    pub(crate) reset_reads_left: Option<u32>,
    pub(crate) resetting: bool,
}

/// "No vector" in a vector register.
pub(crate) const NO_VECTOR: u16 = 0xffff;

impl QueueRegisters {
    pub(crate) fn new(index: u16, max_size: u16) -> Self {
        Self {
            max_size,
            size: max_size,
            enabled: false,
            descriptor_area: 0,
            driver_area: 0,
            device_area: 0,
            vector: NO_VECTOR,
            epoch: 0,
            notifications: 0,
            last_notification: None,
            notify_off: index,
            notif_config_data: index | 0x4100,
            was_reset: false,
            reset_reads_left: None,
            resetting: false,
        }
    }

    /// Back to the values after a reset; the counters stay.
    pub(crate) fn reset(&mut self) {
        self.size = self.max_size;
        self.enabled = false;
        self.descriptor_area = 0;
        self.driver_area = 0;
        self.device_area = 0;
        self.vector = NO_VECTOR;
        self.was_reset = false;
        self.resetting = false;
        self.reset_reads_left = None;
    }

    /// The address register that holds the half at `offset` (0x20 to 0x3c).
    pub(crate) fn address_mut(&mut self, offset: u64) -> &mut u64 {
        match offset & !7 {
            0x20 => &mut self.descriptor_area,
            0x28 => &mut self.driver_area,
            _ => &mut self.device_area,
        }
    }

    /// What is wrong with the registers of a queue that is being enabled.
    pub(crate) fn fault(&self, packed: bool) -> Option<String> {
        let [table, driver, device] = if packed { [16, 4, 4] } else { [16, 2, 4] };
        let size_is_legal = self.size != 0 && (packed || self.size.is_power_of_two());
        if !size_is_legal {
            return Some(format!("size {}", self.size));
        }
        for (name, address, alignment) in [
            ("descriptor", self.descriptor_area, table),
            ("driver", self.driver_area, driver),
            ("device", self.device_area, device),
        ] {
            if !address.is_multiple_of(alignment) {
                return Some(format!("{name} area {address:#x} not a multiple of {alignment}"));
            }
        }
        None
    }
}
