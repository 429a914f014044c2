//! The console, and the source of random bytes, of which only the ids are anybody's. Linux's header of consoles is not among the bindings.

use std::mem::offset_of;

use virtio_bindings::{virtio_config, virtio_ids};
use virtio_model::console::{CONFIG_BYTES, ConsoleConfig, PCI_DEVICE_ID, event, feature, message};
use virtio_model::{Console, Entropy, entropy};
use virtio_spec::console::{Config, ConfigVolatileFieldAccess, Control, Device, F, Resize};

/// Spec: §5.3.3 Feature bits, §5.4.3 Feature bits.
#[test]
fn features_of_consoles_are_numbered_as_virtio_spec_has_it() {
    for (ours, of_spec) in
        [(feature::SIZE, F::SIZE), (feature::MULTIPORT, F::MULTIPORT), (feature::EMERG_WRITE, F::EMERG_WRITE)]
    {
        assert_eq!(1 << ours, of_spec.bits().to_ne());
    }
    assert_eq!(feature::ANY_LAYOUT, virtio_config::VIRTIO_F_ANY_LAYOUT);
    let plain = F::INDIRECT_DESC | F::EVENT_IDX | F::VERSION_1;
    assert_eq!(Console::new().features(), plain.bits().to_ne());
    assert_eq!(Entropy::new(1).features(), plain.bits().to_ne());
    assert_eq!(u32::from(PCI_DEVICE_ID), 0x1040 + virtio_ids::VIRTIO_ID_CONSOLE);
    assert_eq!(u32::from(entropy::PCI_DEVICE_ID), 0x1040 + virtio_ids::VIRTIO_ID_RNG);
}

/// Spec: §5.3.4 Device configuration layout.
#[test]
fn the_configuration_of_a_console_is_laid_out_as_virtio_spec_lays_it_out() {
    let config = ConsoleConfig { cols: 0x0102, rows: 0x0304, max_nr_ports: 0x0506_0708 };
    let [cols, rows, ports, emergency] = offsets!(Config: cols, rows, max_nr_ports, emerg_wr);

    let bytes = config.bytes();

    assert_eq!(bytes[cols..][..2], config.cols.to_le_bytes());
    assert_eq!(bytes[rows..][..2], config.rows.to_le_bytes());
    assert_eq!(bytes[ports..][..4], config.max_nr_ports.to_le_bytes());
    assert_eq!((CONFIG_BYTES, CONFIG_BYTES - emergency), (size_of::<Config>(), 4));
}

/// Spec: §5.3.6.2 Multiport Device Operation.
#[test]
fn control_messages_are_laid_out_and_numbered_as_virtio_spec_has_it() {
    for (ours, of_spec) in [
        (event::DEVICE_READY, Device::DeviceReady),
        (event::DEVICE_ADD, Device::DeviceAdd),
        (event::DEVICE_REMOVE, Device::DeviceRemove),
        (event::PORT_READY, Device::PortReady),
        (event::CONSOLE_PORT, Device::ConsolePort),
        (event::RESIZE, Device::Resize),
        (event::PORT_OPEN, Device::PortOpen),
        (event::PORT_NAME, Device::PortName),
    ] {
        assert_eq!(ours, u16::from(of_spec));
    }
    let bytes = message(0x0102_0304, 0x0506, 0x0708, &[]);
    assert_eq!(bytes[offset_of!(Control, id)..][..4], 0x0102_0304_u32.to_le_bytes());
    assert_eq!(bytes[offset_of!(Control, event)..][..2], 0x0506_u16.to_le_bytes());
    assert_eq!(bytes[offset_of!(Control, value)..][..2], 0x0708_u16.to_le_bytes());
    assert_eq!(bytes.len(), size_of::<Control>());
    assert_eq!([offset_of!(Resize, cols), offset_of!(Resize, rows), size_of::<Resize>()], [0, 2, 4]);
}
