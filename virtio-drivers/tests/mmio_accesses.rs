//! Which registers are accessed behind MMIO, how wide, and in which order.
//!
//! Spec: §4.2.2.2 Driver Requirements: MMIO Device Register Layout, §4.2.3 MMIO-specific Initialization And Device Operation.

#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::TestHal;
use support::record::{Access, Recorder};
use virtio_guest::hal::AccessWidth::{Byte, Long, Word};
use virtio_guest::hal::{AccessWidth, Attempts, MapMmio, RegisterHandler, RegisterWindow};
use virtio_guest::lifecycle::{Installing, Negotiating, Wants};
use virtio_guest::raw::{Registers, Tag};
use virtio_guest::ring::{QueueSettings, Slots};
use virtio_guest::transport::mmio::{MmioTransport, OpenError};
use virtio_guest::transport::{InterruptCause, Transport};
use virtio_guest::wire::block::BlockFeatures;
use virtio_guest::wire::field::Field;
use virtio_model::mmio::MmioDevice;
use virtio_model::pci::PciDevice;

const VERSION_1: u128 = 1 << 32;
const RING_RESET: u128 = 1 << 40;
const PATIENCE: Attempts = Attempts(10);
const SETTINGS: QueueSettings = QueueSettings { size_max: 8, indirect_segments: 0, memory_bytes: 64 };
const INTERRUPT_STATUS: usize = 0x60;

/// The registers, as they are; but the interrupt status has these bits beside its own.
#[derive(Clone, Debug)]
struct Behind {
    device: MmioDevice,
    more_status: u32,
}

const fn bytes(width: AccessWidth) -> u8 {
    match width {
        Byte => 1,
        Word => 2,
        Long => 4,
    }
}

// SAFETY: each access goes to the modelled device.
unsafe impl RegisterHandler for Behind {
    fn read(&self, offset: usize, width: AccessWidth) -> u32 {
        let value = self.device.read(offset as u64, bytes(width));
        if offset == INTERRUPT_STATUS { value | self.more_status } else { value }
    }

    fn write(&self, offset: usize, width: AccessWidth, value: u32) {
        self.device.write(offset as u64, bytes(width), value);
    }
}

// SAFETY: the window is made of calls; there is no memory behind it.
unsafe impl MapMmio for Behind {
    unsafe fn map_mmio(&self, _: u64, _: usize) -> Option<RegisterWindow> {
        Some(RegisterWindow::Handler(Box::leak(Box::new(self.clone()))))
    }
}

fn device_of_type(features: u128, device_type: u32) -> MmioDevice {
    let builder = PciDevice::builder().features(features | VERSION_1).queue_sizes(&[8, 0, 4]);
    MmioDevice::new(builder.config((0..16).collect::<Vec<u8>>()).build(), device_type)
}

fn device(features: u128) -> MmioDevice {
    device_of_type(features, 62)
}

fn record(device: &MmioDevice) -> Recorder<Behind> {
    Recorder::new(Behind { device: device.clone(), more_status: 0 })
}

fn registers(recorder: &Recorder<Behind>) -> Registers {
    // SAFETY: the registers are modelled, and reach memory through an address space alone.
    unsafe { Registers::map(recorder, 0, 0x200) }.expect("a call can always be mapped")
}

fn open(recorder: &Recorder<Behind>) -> MmioTransport {
    MmioTransport::open(registers(recorder)).expect("it is one").expect("and not empty")
}

fn negotiate(recorder: &Recorder<Behind>) -> Installing<MmioTransport, BlockFeatures> {
    Negotiating::begin(open(recorder), PATIENCE).unwrap().negotiate(Wants::none()).unwrap()
}

const fn read(register: u64) -> Access {
    Access::Read(register, Long)
}

const fn write(register: u64, value: u32) -> Access {
    Access::Write(register, Long, value)
}

/// Spec: §4.2.3.1.1 — magic value and version first, the device type behind them, and nothing else of what is no device.
#[test]
fn nothing_is_looked_at_behind_what_says_that_it_is_no_device() {
    let (magic, version, device_type) = (read(0), read(4), read(8));
    for (number, pretended, expected) in [
        (62, None, vec![magic, version, device_type]),
        (0, None, vec![magic, version, device_type]),
        (62, Some((0x7472_6976, 3)), vec![magic, version]),
        (62, Some((0x7472_6977, 2)), vec![magic]),
    ] {
        let device = device_of_type(0, number);
        let recorder = record(&device);
        if let Some((magic, version)) = pretended {
            device.pretend(magic, version);
        }

        let opened = MmioTransport::open(registers(&recorder));

        assert_eq!(recorder.take(), expected);
        match pretended {
            None => assert_eq!(opened.unwrap().is_some(), number != 0, "an empty slot is no mistake"),
            Some((magic @ 0x7472_6977, _)) => assert_eq!(opened.unwrap_err(), OpenError::BadMagic { magic }),
            Some((_, version)) => {
                assert_eq!(opened.unwrap_err(), OpenError::UnsupportedVersion { version });
            }
        }
    }
}

/// Spec: §4.2.2.2, §4.2.3.1.1 — each register is accessed whole, and those of shared memory not at all.
#[test]
fn a_device_is_brought_up_and_used_by_accesses_of_32_bits() {
    let (device, hal) = (device(0), TestHal::default());
    let recorder = record(&device);

    let mut installing = negotiate(&recorder);
    let queue = installing.install_queue(0, &hal, &SETTINGS, Slots::<Tag<()>>::allocate(8)).unwrap();
    let running = installing.start();
    device.device().raise_used(0);
    running.acknowledge_interrupt();
    let queue = running.activate(queue);
    let (_, reset) = running.reset(PATIENCE).unwrap();
    assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);

    let accesses = recorder.take();
    for access in &accesses {
        let (Access::Read(_, width) | Access::Write(_, width, _)) = access;
        assert_eq!(*width, Long, "{access:x?}");
        assert!(!(0xac..0xc0).contains(&access.address()), "{access:x?} of shared memory");
    }
    assert_eq!(device.device().statuses_written(), [0, 1, 3, 0xb, 0xf, 0]);
    device.device().assert_driver_was_correct();
    hal.assert_all_returned();
}

/// Spec: §4.2.2.2 — a word of features is selected before each access to one.
#[test]
fn each_word_of_features_is_selected_first() {
    let device = device(0);
    let recorder = record(&device);

    negotiate(&recorder);

    let accesses = recorder.take();
    for (of, select) in [(0x10, 0x14), (0x20, 0x24)] {
        let at = |access: &Access| access.address() == of;
        let places: Vec<_> = accesses.iter().enumerate().filter(|(_, access)| at(access)).collect();
        assert!(places.len() >= 4, "of {of:#x}");
        for (place, _) in places {
            assert_eq!(accesses[place - 1].address(), select, "before an access to {of:#x}");
        }
    }
}

/// Spec: §4.2.3.2 — a queue is selected, looked at, told of, and made ready last.
#[test]
fn a_queue_is_told_of_in_order_and_made_ready_last() {
    let (device, hal) = (device(0), TestHal::default());
    hal.put_memory_at(0x7_0000_0000);
    let recorder = record(&device);
    let mut installing = negotiate(&recorder);
    recorder.take();

    let _queue = installing.install_queue(2, &hal, &SETTINGS, Slots::<Tag<()>>::allocate(8)).unwrap();

    let mut accesses = recorder.take();
    let told =
        accesses.split_off(accesses.iter().position(|access| *access == read(0x44)).expect("looked at"));
    for looked in accesses.chunks(2) {
        assert_eq!(looked, [write(0x30, 2), read(0x34)], "selected, and its greatest size read");
    }
    let address = |register, address: u64| {
        [write(register, address as u32), write(register + 4, (address >> 32) as u32)]
    };
    let queue = device.device().queue(2).unwrap();
    let mut expected = vec![read(0x44), write(0x38, 4)];
    expected.extend(address(0x80, queue.descriptor_area));
    expected.extend(address(0x90, queue.driver_area));
    expected.extend(address(0xa0, queue.device_area));
    expected.push(write(0x44, 1));
    assert_eq!(told, expected, "it has the size that the device can have, though there was room for more");
    device.device().assert_driver_was_correct();
}

/// Spec: §4.2.2.2, §4.2.3.4.1 — bits of the interrupt status that mean nothing yet are no reason, and not acknowledged.
#[test]
fn unknown_reasons_for_an_interrupt_are_ignored() {
    for more_status in [4, 0x8000_0000, 0xffff_fffc, 0x7fff_fff0] {
        let device = device(0);
        let recorder = Recorder::new(Behind { device: device.clone(), more_status });
        let transport = open(&recorder);
        recorder.take();

        assert_eq!(transport.acknowledge_interrupt(), InterruptCause::default(), "{more_status:#x}");
        assert_eq!(recorder.take(), [read(0x60)]);
        device.device().raise_config();
        let cause = transport.acknowledge_interrupt();

        assert_eq!((cause.used_buffer, cause.configuration_change), (false, true), "{more_status:#x}");
        assert_eq!(recorder.take(), [read(0x60), write(0x64, 2)]);
        device.device().assert_driver_was_correct();
    }
}

/// Spec: §4.2.2.2 — fields of the configuration are accessed with their own width; those of 64 bits as two halves.
#[test]
fn configuration_fields_are_accessed_with_their_own_width() {
    let device = device(0);
    let recorder = record(&device);
    let mut installing = negotiate(&recorder);
    recorder.take();

    installing.config().read(Field::<u8>::at(3)).unwrap();
    installing.config().read(Field::<u16>::at(6)).unwrap();
    installing.config().read(Field::<u64>::at(8)).unwrap();
    installing.write_config(Field::<u8>::at(3), 1).unwrap();
    installing.write_config(Field::<u64>::at(8), 0x1_0000_0002).unwrap();

    let accesses: Vec<_> = recorder.take().into_iter().filter(|access| access.address() >= 0x100).collect();
    let (halves, written) = ([read(0x108), read(0x10c)], [write(0x108, 2), write(0x10c, 1)]);
    let mut expected = vec![Access::Read(0x103, Byte), Access::Read(0x106, Word)];
    expected.extend(halves);
    expected.push(Access::Write(0x103, Byte, 1));
    expected.extend(written);
    assert_eq!(accesses, expected);
}

/// Spec: §4.2.2.2 — after its reset a queue may have another size, and is made ready again.
#[test]
fn a_queue_that_was_reset_comes_back_with_another_size() {
    let (device, hal) = (device(RING_RESET), TestHal::default());
    let mut installing = negotiate(&record(&device));
    let queue = installing.install_queue(0, &hal, &SETTINGS, Slots::<Tag<()>>::allocate(8)).unwrap();
    let mut running = installing.start();
    let queue = running.activate(queue);

    let reset = running.reset_queue(queue, PATIENCE).unwrap();
    assert!(!device.device().queue(0).unwrap().enabled);
    let smaller = QueueSettings { size_max: 2, ..SETTINGS };
    let slots = reset.returned.into_slots();
    let queue = running.reinstall_queue(reset.vacancy, &hal, &smaller, slots).unwrap();

    let told = device.device().queue(0).unwrap();
    assert_eq!((queue.size(), told.size, told.enabled), (2, 2, true));
    device.device().assert_driver_was_correct();
}

/// Spec: §4.2.5, §6.1 — what only functions of PCI have is not accepted.
#[test]
fn features_of_pci_alone_are_not_accepted() {
    let device = device(1 << 37 | 1 << 39 | 1 << 41);

    let _installing = negotiate(&record(&device));

    assert_eq!(device.device().negotiated_features(), VERSION_1);
}
