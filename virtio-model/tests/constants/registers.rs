//! A driver made of virtio-spec's offsets and Linux's numbers, before the model.
//!
//! The model complains about whatever is no register to it, is written too early, or means
//! something else; so a driver without a complaint shows that they mean the same.

use virtio_bindings::{virtio_config as linux, virtio_ring as linux_ring};
use virtio_model::PciDevice;
use virtio_model::pci::STANDARD_BAR;
use virtio_spec::pci::{CommonCfg, CommonCfgVolatileFieldAccess, IsrStatus, NotificationData};
use virtio_spec::{DeviceStatus, F, le128};

/// Offsets of the registers, by virtio-spec.
struct Registers {
    device_feature_select: usize,
    device_feature: usize,
    driver_feature_select: usize,
    driver_feature: usize,
    num_queues: usize,
    device_status: usize,
    config_generation: usize,
    queue_select: usize,
    queue_size: usize,
    queue_enable: usize,
    queue_notify_off: usize,
    /// Low and high halves of the three areas' addresses.
    areas: [usize; 6],
    queue_notif_config_data: usize,
    queue_reset: usize,
    /// `admin_queue_index` and `admin_queue_num`.
    admin: [usize; 2],
    /// The vectors for the configuration and for a queue.
    vectors: [usize; 2],
}

fn registers() -> Registers {
    let [device_feature_select, device_feature, driver_feature_select, driver_feature] =
        offsets!(CommonCfg: device_feature_select, device_feature, driver_feature_select, driver_feature);
    let [num_queues, device_status, config_generation] =
        offsets!(CommonCfg: num_queues, device_status, config_generation);
    let [queue_select, queue_size, queue_enable, queue_notify_off] =
        offsets!(CommonCfg: queue_select, queue_size, queue_enable, queue_notify_off);
    let [queue_notif_config_data, queue_reset] = offsets!(CommonCfg: queue_notif_config_data, queue_reset);
    Registers {
        device_feature_select,
        device_feature,
        driver_feature_select,
        driver_feature,
        num_queues,
        device_status,
        config_generation,
        queue_select,
        queue_size,
        queue_enable,
        queue_notify_off,
        areas: offsets!(
            CommonCfg: queue_desc_low, queue_desc_high, queue_driver_low, queue_driver_high,
            queue_device_low, queue_device_high,
        ),
        queue_notif_config_data,
        queue_reset,
        admin: offsets!(CommonCfg: admin_queue_index, admin_queue_num),
        vectors: offsets!(CommonCfg: config_msix_vector, queue_msix_vector),
    }
}

/// A driver of queue 1 of 2; the standard list has the structures in pages of their own.
struct Driver {
    device: PciDevice,
    at: Registers,
}

const ISR: usize = 0x1000;
/// The place of queue 1, with a multiplier of 4.
const DOORBELL: usize = 0x3000 + 4;
const AREAS: [u64; 3] = [0x1_1111_1000, 0x2_2222_2000, 0x3_3333_3000];

impl Driver {
    fn write(&self, offset: usize, width: u8, value: u32) {
        self.device.bar_write(STANDARD_BAR, offset as u64, width, value);
    }

    fn read(&self, offset: usize, width: u8) -> u32 {
        self.device.bar_read(STANDARD_BAR, offset as u64, width)
    }

    fn add_status(&self, bit: DeviceStatus) {
        let status = self.read(self.at.device_status, 1) | u32::from(bit.bits());
        self.write(self.at.device_status, 1, status);
        assert_eq!(self.read(self.at.device_status, 1), status);
    }

    /// Brings a device with these features up, and accepts them all.
    fn with_features(features: F) -> Self {
        let features = features | F::VERSION_1;
        let device =
            PciDevice::builder().features(features.bits().to_ne()).queue_sizes(&[8, 16]).msi_x(2).build();
        device.config_write(0x04, 0b110);
        let driver = Self { device, at: registers() };
        driver.switch_msi_x(true);
        driver.write(driver.at.device_status, 1, 0);
        assert_eq!(driver.read(driver.at.device_status, 1), 0);
        driver.add_status(DeviceStatus::ACKNOWLEDGE);
        driver.add_status(DeviceStatus::DRIVER);
        let mut offered = 0;
        for word in 0..4 {
            driver.write(driver.at.device_feature_select, 4, word);
            let bits = driver.read(driver.at.device_feature, 4);
            offered |= u128::from(bits) << (32 * word);
            driver.write(driver.at.driver_feature_select, 4, word);
            driver.write(driver.at.driver_feature, 4, bits);
        }
        assert_eq!(le128::from_ne(offered), features.bits());
        driver.add_status(DeviceStatus::FEATURES_OK);
        driver.enable_queue();
        driver.add_status(DeviceStatus::DRIVER_OK);
        driver
    }

    /// Switches MSI-X on or off, as the PCI Local Bus Specification 3.0 has it in §6.8.2.
    fn switch_msi_x(&self, is_on: bool) {
        let word = |at: u32| self.device.config_read(u16::try_from(at).unwrap());
        let mut at = word(0x34) & 0xff;
        while word(at) & 0xff != 0x11 {
            at = word(at) >> 8 & 0xff;
        }
        self.device.config_write(u16::try_from(at).unwrap(), u32::from(is_on) << 31);
    }

    fn enable_queue(&self) {
        self.write(self.at.queue_select, 2, 1);
        assert_eq!(self.read(self.at.queue_size, 2), 16);
        assert_eq!(self.read(self.at.queue_notify_off, 2), 1);
        self.write(self.at.queue_size, 2, 4);
        for (register, vector) in self.at.vectors.into_iter().zip([0, 1]) {
            self.write(register, 2, vector);
            assert_eq!(self.read(register, 2), vector);
        }
        let halves = AREAS.iter().flat_map(|area| [area & 0xffff_ffff, area >> 32]);
        for (register, half) in self.at.areas.into_iter().zip(halves) {
            self.write(register, 4, u32::try_from(half).unwrap());
        }
        self.write(self.at.queue_enable, 2, 1);
    }
}

/// Spec: §4.1.4.3 Common configuration structure layout.
#[test]
fn every_register_is_where_virtio_spec_has_it() {
    let driver = Driver::with_features(F::empty());
    let setup = driver.device.queue_setup(1).expect("enabled");

    assert_eq!(setup.size, 4);
    assert_eq!([setup.descriptor_area, setup.driver_area, setup.device_area], AREAS);
    assert_eq!(driver.read(driver.at.num_queues, 2), 2);
    let generation = driver.read(driver.at.config_generation, 1);
    driver.device.set_config([1]);
    assert_ne!(driver.read(driver.at.config_generation, 1), generation);
    driver.device.assert_driver_was_correct();
}

/// Spec: §6 Reserved Feature Bits: those that change what a queue is.
#[test]
fn features_of_queues_have_the_numbers_that_linux_and_virtio_spec_give_them() {
    for (feature, number) in [
        (F::INDIRECT_DESC, linux_ring::VIRTIO_RING_F_INDIRECT_DESC),
        (F::EVENT_IDX, linux_ring::VIRTIO_RING_F_EVENT_IDX),
        (F::RING_PACKED, linux::VIRTIO_F_RING_PACKED),
        (F::IN_ORDER, linux::VIRTIO_F_IN_ORDER),
    ] {
        assert_eq!(feature.bits().to_ne(), 1 << number);
        let device = Driver::with_features(feature).device;

        let setup = device.queue_setup(1).expect("enabled");
        let queue = device.device_queue(1, &virtio_model::AddressSpace::new()).expect("enabled").unwrap();

        assert_eq!(setup.indirect, feature == F::INDIRECT_DESC);
        assert_eq!(setup.event_idx, feature == F::EVENT_IDX);
        assert_eq!(queue.is_packed(), feature == F::RING_PACKED);
        assert_eq!(queue.is_in_order(), feature == F::IN_ORDER);
        device.assert_driver_was_correct();
    }
}

/// Spec: §6 Reserved Feature Bits, §4.1.4.3: registers that come with a feature, and only with it.
#[test]
fn features_that_add_registers_have_the_numbers_that_linux_and_virtio_spec_give_them() {
    for (feature, number) in [
        (F::NOTIF_CONFIG_DATA, linux::VIRTIO_F_NOTIF_CONFIG_DATA),
        (F::RING_RESET, linux::VIRTIO_F_RING_RESET),
        (F::ADMIN_VQ, linux::VIRTIO_F_ADMIN_VQ),
    ] {
        assert_eq!(feature.bits().to_ne(), 1 << number);
        let [with, without] = [feature, F::empty()].map(Driver::with_features);
        for driver in [&with, &without] {
            let at = &driver.at;
            if feature == F::RING_RESET {
                driver.write(at.queue_reset, 2, 1);
            } else if feature == F::NOTIF_CONFIG_DATA {
                driver.read(at.queue_notif_config_data, 2);
            } else {
                for register in at.admin {
                    driver.read(register, 2);
                }
            }
        }

        with.device.assert_driver_was_correct();
        assert_ne!(without.device.driver_errors(), Vec::<String>::new(), "{feature:?}");
        if feature == F::RING_RESET {
            assert!(with.device.queue_setup(1).is_none(), "the queue was reset");
        }
    }
}

/// Spec: §4.1.5.2 Available Buffer Notifications, §2.9 Driver Notifications.
#[test]
fn a_notification_with_data_is_what_virtio_spec_makes_of_it() {
    let data = NotificationData::new().with_vq_notif_config_data(1).with_next_off(3).with_next_wrap(1);
    assert_eq!(F::NOTIFICATION_DATA.bits().to_ne(), 1 << linux::VIRTIO_F_NOTIFICATION_DATA);
    let driver = Driver::with_features(F::NOTIFICATION_DATA);

    driver.write(DOORBELL, 4, data.into_bits().to_ne());

    assert_eq!(driver.device.notifications(1), 1);
    driver.device.assert_driver_was_correct();
}

/// Spec: §4.1.4.5 ISR status capability.
#[test]
fn interrupt_causes_are_what_virtio_spec_says() {
    let driver = Driver::with_features(F::empty());

    driver.switch_msi_x(false);
    driver.device.raise_used(1);
    let used = driver.read(ISR, 1);
    driver.device.raise_config();
    let config = driver.read(ISR, 1);

    assert_eq!(used, IsrStatus::QUEUE_INTERRUPT.bits().into());
    assert_eq!(config, IsrStatus::DEVICE_CONFIGURATION_INTERRUPT.bits().into());
}
