//! The console. Linux's header of it is not among the bindings.

use std::mem::{offset_of, size_of};

use virtio_bindings::virtio_ids;
use virtio_guest::wire::console::{CONTROL_MESSAGE_BYTES, ConsoleFeatures, ControlMessage, config, event};
use virtio_guest::wire::device_type::DeviceType;
use virtio_spec::console::{Config, ConfigVolatileFieldAccess, Control, Device, F};

use super::by_name;

/// Spec: §5.3.3 Feature bits, §5 Device Types.
#[test]
fn console_feature_bits_are_what_virtio_spec_says() {
    let ours = by_name::<ConsoleFeatures>();
    let theirs = by_name::<F>();

    // That type has the device-independent ones as well.
    let theirs: Vec<_> = theirs.iter().map(|&(name, bits)| (name, bits.to_ne())).take(ours.len()).collect();
    assert_eq!(ours, theirs);
    assert_eq!(u32::from(DeviceType::CONSOLE.0), virtio_ids::VIRTIO_ID_CONSOLE);
}

/// Spec: §5.3.4 Device configuration layout.
#[test]
fn console_configuration_fields_are_where_virtio_spec_has_them() {
    let words = [config::COLS.offset(), config::ROWS.offset()];
    let longs = [config::MAX_NR_PORTS.offset(), config::EMERG_WR.offset()];
    let theirs = offsets!(Config: cols, rows, max_nr_ports, emerg_wr);
    assert_eq!([words, longs].concat().iter().map(|at| usize::from(*at)).collect::<Vec<_>>(), theirs);
    assert_eq!(size_of::<Config>(), 12);
}

/// Spec: §5.3.6.2 Multiport Device Operation.
#[test]
fn control_messages_are_laid_out_and_numbered_as_virtio_spec_has_it() {
    let ours = [
        offset_of!(ControlMessage, id),
        offset_of!(ControlMessage, event),
        offset_of!(ControlMessage, value),
    ];
    assert_eq!(ours, [offset_of!(Control, id), offset_of!(Control, event), offset_of!(Control, value)]);
    assert_eq!(CONTROL_MESSAGE_BYTES, size_of::<Control>());
    for (ours, theirs) in [
        (event::DEVICE_READY, Device::DeviceReady),
        (event::DEVICE_ADD, Device::DeviceAdd),
        (event::DEVICE_REMOVE, Device::DeviceRemove),
        (event::PORT_READY, Device::PortReady),
        (event::CONSOLE_PORT, Device::ConsolePort),
        (event::RESIZE, Device::Resize),
        (event::PORT_OPEN, Device::PortOpen),
        (event::PORT_NAME, Device::PortName),
    ] {
        assert_eq!(ours, u16::from(theirs));
    }
}
