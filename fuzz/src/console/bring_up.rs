//! A console comes up, lives, and goes down, at once or at the second try.
//!
//! Spec: §5.3.5 Device Initialization, §2.4 Device Reset. The first bytes of an input are what the device offers and how its driver is set.

use std::cell::RefCell;
use std::rc::Rc;

use virtio_guest::device::console::{
    Control, ControlStorage, HANDLED, ReceiveQueue, Settings, SizeOrder, Starting, Storage, TransmitQueue,
};
use virtio_guest::hal::Attempts;
use virtio_guest::lifecycle::Wants;
use virtio_guest::transport::mmio::MmioTransport;
use virtio_model::Console;
use virtio_model::mmio::MmioDevice;
use virtio_model::pci::Completion;
use virtio_test_hal::TestHal;

use super::device::{Device, PORTS};
use super::life::Life;
use super::registers;
use crate::script::Script;

pub(super) type Way = MmioTransport;
pub(super) type Half<'s> = Control<'s, Way, TestHal>;
pub(super) type Queues<'s> = (ReceiveQueue<'s, TestHal>, TransmitQueue<'s, TestHal>);

/// The type of the device.
const DEVICE_TYPE: u32 = 3;
/// Descriptors of a queue.
pub(super) const DESCRIPTORS: usize = 16;
/// Ports for which there are queues: one fewer than the device can have.
pub(super) const USABLE: usize = PORTS - 1;
/// Ring features: events, packed rings, order.
const COMMON: [u32; 3] = [29, 34, 35];

/// Control messages and bytes, as `bytes` say. Panics if a promise is broken.
pub fn console_control(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let [common, chosen, buffers] = [(); 3].map(|()| script.detail());
    let features = COMMON.iter().enumerate().filter(|(bit, _)| common & 1 << bit != 0);
    let features = features.fold(0, |set, (_, feature)| set | 1 << feature);
    let console = Console::new().with_size(80, 25).with_emergency_write().with_ports(PORTS as u32);
    let builder = console.builder().with_features(features).queue_sizes(&[DESCRIPTORS as u16; 2 + 2 * PORTS]);
    let hal = TestHal::default();
    let function = builder.build();
    let modelled = if common & 0x80 == 0 {
        MmioDevice::new(function.clone(), DEVICE_TYPE)
    } else {
        hal.put_memory_at(1 << 32);
        MmioDevice::legacy(function.clone(), DEVICE_TYPE)
    };
    let transport = registers::open(modelled);
    let device = Device::new(console, function, hal.clone(), script);
    let device = Rc::new(RefCell::new(device));
    let settings = Settings {
        ports_max: USABLE as u16,
        receive_buffers: (buffers & 0xf).into(),
        transmit_buffers: (buffers >> 4).into(),
        buffer_bytes: 1 + u32::from(chosen >> 3),
        notifications: chosen & 1 != 0,
        size_order: if chosen & 2 == 0 { SizeOrder::ColumnsRows } else { SizeOrder::RowsColumns },
        drop_attempts: Attempts(3),
        ..Settings::default()
    };
    live(&device, transport, &hal, &settings, chosen & 4 != 0);
    assert_eq!((hal.dma_regions(), hal.space.mapped_count()), (0, 0), "memory is left with the device");
    device.borrow().assert_driver_was_correct();
}

fn live(
    device: &Rc<RefCell<Device>>,
    transport: Way,
    hal: &TestHal,
    settings: &Settings,
    confirms_late: bool,
) {
    let mut storage = [const { Storage::<DESCRIPTORS>::new() }; USABLE];
    let mut control = ControlStorage::<USABLE, DESCRIPTORS>::new();
    let wants = Wants::features(HANDLED);
    let mut starting = Starting::begin(transport, settings, wants, Attempts(3)).expect("it begins");
    let mut idle = Vec::new();
    for storage in &mut storage {
        idle.push(starting.install_port(hal, storage).expect("the port installs"));
    }
    starting.install_control(hal, &mut control).expect("the control queues install");
    let control = starting.start().expect("the control queues are installed");
    let queues = idle.into_iter().map(|port| control.activate(port)).collect();
    let (control, queues) = Life::new(Rc::clone(device), control, queues).run();
    let function = device.borrow().device.clone();
    end(&function, hal, control, queues, confirms_late);
}

/// Takes the driver down. A reset that is not confirmed frees nothing.
fn end(
    function: &virtio_model::pci::PciDevice,
    hal: &TestHal,
    mut control: Half<'_>,
    queues: Vec<Queues<'_>>,
    confirms_late: bool,
) {
    if confirms_late {
        let regions = hal.dma_regions();
        function.misbehave(|lies| lies.reset = Completion::Never);
        control = control.take_down(Attempts(3)).expect_err("nobody confirms it").control;
        assert!(control.next_event().is_err(), "the device is told and asked nothing");
        assert_eq!(hal.dma_regions(), regions, "memory is freed that the device may use");
        function.misbehave(|lies| lies.reset = Completion::Prompt);
    }
    let down = control.take_down(Attempts(3)).unwrap_or_else(|failed| panic!("{failed}"));
    for (receive, transmit) in queues {
        assert!(receive.reclaim(&down.reset).is_ok() && transmit.reclaim(&down.reset).is_ok());
    }
}
