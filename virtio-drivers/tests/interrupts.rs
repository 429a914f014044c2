//! Interrupts behind PCI, of modern and legacy devices: messages, shared where there are too few, or the line, or none.
//!
//! Spec: §4.1.5.1.2 MSI-X Vector Configuration, §4.1.5.3 Notifications From The Device. The model counts a vector that is not read back, or written with MSI-X off, as
//! the driver's mistake.
//!
//! Under miri in long rounds only (`make miri`): what it reaches of unsafe code, shorter programs reach, too.

#![cfg(any(not(miri), virtio_guest_long))]
#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use support::{ConfigSpace, Either, EitherBench, MESSAGE_ADDRESS, Mapper, Meddler, SETTINGS, claim, message};
use virtio_guest::hal::{Attempts, MapMmio, MsiMessage, RegisterWindow};
use virtio_guest::lifecycle::{InstallError, VectorRouting};
use virtio_guest::raw::Tag;
use virtio_guest::ring::Slots;
use virtio_guest::transport::pci::MsiXError;
use virtio_guest::transport::{AnyTransport, InterruptCause, Transport};
use virtio_guest::wire::status::Status;
use virtio_model::pci::{Bar, Capability, PciDevice};

const PATIENCE: Attempts = Attempts(10);
const NO_VECTOR: u16 = 0xffff;
/// Where a BAR is that the kernel cannot map.
const UNMAPPED: u64 = 0xfebd_0000;
const NOTHING: InterruptCause = InterruptCause { used_buffer: false, configuration_change: false };
const USED: InterruptCause = InterruptCause { used_buffer: true, configuration_change: false };

fn messages(count: u16) -> Vec<MsiMessage> {
    (0..count).map(|vector| message(0x40 + u32::from(vector))).collect()
}

/// The vectors of the messages that were sent since the last call.
fn sent(device: &PciDevice) -> Vec<u32> {
    let vector = |(address, data)| {
        assert_eq!(address, MESSAGE_ADDRESS);
        data - 0x40
    };
    device.take_messages().into_iter().map(vector).collect()
}

fn open_with_messages(bench: &EitherBench, count: u16) -> Either {
    let mut transport = bench.open();
    transport.enable_msi_x(&messages(count)).expect("there is room");
    transport
}

/// Spec: §4.1.5.1.2 — each event has the vector that its register was given; where there are too few, they share.
#[test]
fn vectors_are_one_for_each_queue_and_shared_where_there_are_too_few() {
    use VectorRouting::{PerQueue, SharedByAll, SharedByQueues};
    // Messages, vectors that the device grants; what becomes of it: of three queues, and of the configuration.
    for (count, granted, routing, expected) in [
        (4, 4, PerQueue, [1, 2, 3, 0]),
        (6, 6, PerQueue, [1, 2, 3, 0]),
        (3, 6, SharedByQueues, [1, 1, 1, 0]),
        (6, 3, SharedByQueues, [1, 1, 1, 0]),
        (6, 2, SharedByQueues, [1, 1, 1, 0]),
        (1, 6, SharedByAll, [0, 0, 0, 0]),
        (6, 1, SharedByAll, [0, 0, 0, 0]),
    ] {
        for bench in EitherBench::each(|builder| builder.msi_x(6).vectors(granted)) {
            let mut installing = EitherBench::install(open_with_messages(&bench, count));
            assert_eq!(installing.route_vectors(3), routing, "{count} messages, {granted} granted");
            let (mut running, mut queues) = bench.start(installing, 3);
            assert_eq!(running.vector_routing(), routing);
            assert!(running.use_interrupt_line().is_none(), "messages instead");

            for (queue, vector) in queues.iter_mut().zip(expected) {
                bench.round_trip(queue);
                assert_eq!(sent(&bench.device), [vector]);
            }
            bench.device.raise_config();
            assert_eq!(sent(&bench.device), [expected[3]]);
            assert_eq!((bench.device.withheld_messages(), bench.device.line_is_raised()), (0, false));
            bench.finish(running, queues);
        }
    }
}

/// Spec: §4.1.5.1.2.1 — a device may refuse vectors: whatever it refuses, it ends up with those it took, or with its line.
#[test]
fn a_device_that_takes_no_vectors_is_left_to_its_line() {
    for registers in 0..4 {
        for bench in EitherBench::each(|builder| builder.msi_x(4).vector_registers(registers)) {
            let mut installing = EitherBench::install(open_with_messages(&bench, 4));
            assert_eq!(installing.route_vectors(3), VectorRouting::NoVectors);
            assert!(!bench.device.msi_x_is_on());

            let (mut running, mut queues) = bench.start(installing, 3);
            let line = running.use_interrupt_line().expect("there is one");
            for queue in &mut queues {
                bench.round_trip(queue);
                assert!(bench.device.line_is_raised());
                assert_eq!((line.acknowledge(), bench.device.line_is_raised()), (USED, false));
            }
            assert!(bench.device.take_messages().is_empty());
            bench.finish(running, queues);
        }
    }
}

/// Spec: §4.1.5.1.2.2 — a vector counts if it reads back. What reads back as another one would be sent for anyone's guess, and is taken away.
#[test]
fn a_vector_that_reads_back_as_another_is_refused() {
    for lie in [5, 1, NO_VECTOR - 1, NO_VECTOR] {
        for bench in EitherBench::each(|builder| builder.msi_x(6)) {
            bench.device.misbehave(|lies| lies.vector_read_back = Some(lie));
            let mut installing = EitherBench::install(open_with_messages(&bench, 6));

            assert_eq!(installing.route_vectors(3), VectorRouting::NoVectors, "reads back as {lie:#x}");

            assert!(!bench.device.msi_x_is_on());
            if lie != NO_VECTOR {
                assert_eq!(bench.device.config_vector(), NO_VECTOR);
            }
            bench.device.assert_driver_was_correct();
        }
    }
}

#[test]
fn a_vector_that_is_refused_later_is_an_error_of_its_queue() {
    for bench in EitherBench::each(|builder| builder.msi_x(6)) {
        let mut installing = EitherBench::install(open_with_messages(&bench, 6));
        assert_eq!(installing.route_vectors(3), VectorRouting::PerQueue);
        bench.device.misbehave(|lies| lies.vector_read_back = Some(NO_VECTOR));

        let failed = installing.install_queue(1, &bench.hal, &SETTINGS, Slots::<Tag<()>>::allocate(8));

        assert_eq!(failed.unwrap_err().error, InstallError::VectorRefused { index: 1 });
        assert!(!bench.device.queue(1).unwrap().enabled);
        bench.hal.assert_all_returned();
    }
}

/// Spec: §2.6.1, §4.1.5.1.2 — a reset forgets vectors: of one queue that queue's, of the device all.
#[test]
fn vectors_are_given_again_after_a_reset() {
    for bench in EitherBench::each(|builder| builder.msi_x(4)) {
        let mut transport = open_with_messages(&bench, 4);
        for _ in 0..2 {
            let mut installing = EitherBench::install(transport);
            assert_eq!(installing.route_vectors(3), VectorRouting::PerQueue);
            let (mut running, mut queues) = bench.start(installing, 3);
            if !bench.is_legacy {
                let reset = running.reset_queue(queues.remove(1), PATIENCE).unwrap();
                assert_eq!(bench.device.queue(1).unwrap().vector, NO_VECTOR);
                let slots = reset.returned.into_slots();
                let queue = running.reinstall_queue(reset.vacancy, &bench.hal, &SETTINGS, slots);
                queues.insert(1, queue.unwrap());
            }
            bench.round_trip(&mut queues[1]);
            assert_eq!(sent(&bench.device), [2]);

            let (again, reset) = running.reset(PATIENCE).unwrap();
            for queue in queues {
                assert_eq!(queue.reclaim(&reset).unwrap().count(), 0);
            }
            assert_eq!(bench.device.config_vector(), NO_VECTOR);
            transport = again;
        }
        bench.device.assert_driver_was_correct();
        bench.hal.assert_all_returned();
    }
}

/// PCI Local Bus Specification 3.0, §6.8.2 — entries are written while they are masked, and those without a message stay so.
#[test]
fn messages_can_be_replaced_and_those_that_are_none_stay_masked() {
    for bench in EitherBench::each(|builder| builder.msi_x(4)) {
        let mut transport = open_with_messages(&bench, 4);
        transport.enable_msi_x(&messages(2)).unwrap();

        let controls = [0, 1, 2, 3].map(|entry| bench.device.bar_read(1, 16 * entry + 12, 4));
        assert_eq!((controls, transport.vectors()), ([0, 0, 1, 1], 2));
        assert!(transport.set_queue_vector(0, 2).is_err() && transport.set_config_vector(2).is_err());
        bench.device.assert_driver_was_correct();
    }
}

/// PCI Local Bus Specification 3.0, §6.8.2 — while a table is being filled nothing is sent, least of all a message that another system left in it.
#[test]
fn nothing_is_sent_while_messages_are_written() {
    for bench in EitherBench::each(|builder| builder.msi_x(2)) {
        let mut installing = EitherBench::install(open_with_messages(&bench, 2));
        assert_eq!(installing.route_vectors(1), VectorRouting::PerQueue);
        core::mem::forget(installing.start()); // that system is gone, and did not reset its devices

        let meddler = Meddler::new(&bench.device, |device, _| device.raise_config());
        let mut transport = AnyTransport::<ConfigSpace>::open_pci(claim(&bench.device), &meddler).unwrap();
        transport.set_status(Status::from_bits_retain(bench.device.status())); // lets it send
        meddler.begin();
        transport.enable_msi_x(&[message(0x50), message(0x51)]).unwrap();

        assert_eq!((bench.device.take_messages(), bench.device.withheld_messages() > 0), (vec![], true));
        bench.device.raise_config();
        assert_eq!(bench.device.take_messages(), [(MESSAGE_ADDRESS, 0x50)]);
    }
}

struct NotTheTable(Mapper);

// SAFETY: the mapper inside made the promise; what is not mapped is not used.
unsafe impl MapMmio for NotTheTable {
    unsafe fn map_mmio(&self, physical_address: u64, size_bytes: usize) -> Option<RegisterWindow> {
        if physical_address == UNMAPPED {
            return None;
        }
        // SAFETY: the caller's promise.
        unsafe { self.0.map_mmio(physical_address, size_bytes) }
    }
    unsafe fn map_ports(&self, port: u32, size_bytes: usize) -> Option<RegisterWindow> {
        // SAFETY: the caller's promise.
        unsafe { self.0.map_ports(port, size_bytes) }
    }
}

/// Switches MSI-X on as firmware might have left it.
fn leave_on(device: &PciDevice) {
    let mut at = device.config_read(0x34) as u16 & 0xff;
    while device.config_read(at) & 0xff != 0x11 {
        at = (device.config_read(at) >> 8) as u16 & 0xff;
    }
    device.config_write(at, 1 << 31);
    assert!(device.msi_x_is_on());
}

/// A table that is not inside of its BAR, in no BAR, or that cannot be mapped, is none; the device uses its line, whatever firmware left on.
#[test]
fn a_table_that_cannot_be_used_is_none() {
    let tables = [
        ("in a BAR that cannot be mapped", Capability::msi_x(4, 1, 0)),
        ("beyond its BAR", Capability::msi_x(4, 2, 0xfd0)),
        ("far beyond its BAR", Capability::msi_x(4, 2, 0xffff_ff00)),
        ("too large", Capability::msi_x(0x800, 2, 0)),
        ("in no BAR", Capability::msi_x(4, 3, 0)),
        ("in a reserved BAR", Capability::msi_x(4, 7, 0)),
        ("at the end of configuration space", Capability::msi_x(4, 2, 0).placed_at(0xf8)),
    ];
    for (what, table) in tables {
        for bench in EitherBench::each(|builder| {
            let builder = builder.bar(1, Bar::memory32(0x1000, UNMAPPED));
            let builder = builder.bar(2, Bar::memory32(0x1000, UNMAPPED + 0x1000));
            builder.edit_capabilities(|list| list.push(table.clone()))
        }) {
            leave_on(&bench.device);
            let mapper = NotTheTable(Mapper(bench.device.clone()));
            let mut transport = AnyTransport::<ConfigSpace>::open_pci(claim(&bench.device), &mapper).unwrap();

            assert_eq!((transport.msi_x_entries(), transport.vectors()), (0, 0), "{what}");
            assert_eq!(transport.enable_msi_x(&messages(1)), Err(MsiXError::Absent), "{what}");
            assert!(!bench.device.msi_x_is_on(), "{what}");
            let line = transport.use_interrupt_line().expect("there is one");
            bench.device.raise_used(0);
            assert_eq!((bench.device.line_is_raised(), line.acknowledge()), (true, USED), "{what}");
            bench.device.assert_driver_was_correct();
        }
    }
}

/// What firmware left on is switched off: until its kernel has chosen, a device interrupts in no way.
#[test]
fn an_opened_device_does_not_interrupt_yet() {
    for bench in EitherBench::each(|builder| builder.msi_x(4)) {
        leave_on(&bench.device);
        let transport = bench.open();
        assert_eq!((transport.msi_x_entries(), transport.vectors()), (4, 0));

        bench.device.raise_used(0);
        bench.device.raise_config();

        assert_eq!((bench.device.msi_x_is_on(), bench.device.line_is_raised()), (false, false));
        assert!(bench.device.take_messages().is_empty() && bench.device.withheld_messages() == 0);
    }
}

/// PCI Local Bus Specification 3.0, §6.8.1: messages of the older kind, which are not used, would go to wherever firmware said.
#[test]
fn messages_of_the_older_kind_are_switched_off() {
    let msi = Capability::raw(0x05, &[0x81, 0, 0, 0, 0xe0, 0xfe, 0, 0, 0, 0, 0x40, 0]).placed_at(0xd0);
    for bench in EitherBench::each(|builder| builder.edit_capabilities(|list| list.push(msi.clone()))) {
        assert_eq!(bench.device.config_read(0xd0) >> 16, 0x81);

        let _transport = bench.open();

        assert_eq!(bench.device.config_read(0xd0) >> 16, 0x80, "on no more, and otherwise as it was");
        bench.device.assert_driver_was_correct();
    }
}

#[test]
fn as_many_messages_as_there_are_entries_and_at_least_one() {
    for bench in EitherBench::each(|builder| builder.msi_x(3)) {
        let mut transport = bench.open();
        for count in [0, 4] {
            let error = MsiXError::TableSize { messages: count.into(), entries: 3 };
            assert_eq!(transport.enable_msi_x(&messages(count)), Err(error));
            assert_eq!((bench.device.msi_x_is_on(), transport.vectors()), (false, 0));
        }
        transport.enable_msi_x(&messages(3)).unwrap();
        assert_eq!((bench.device.msi_x_is_on(), transport.vectors()), (true, 3));
    }
    for bench in EitherBench::each(|builder| builder) {
        let mut transport = bench.open();
        assert_eq!(transport.enable_msi_x(&messages(1)), Err(MsiXError::Absent));
        let mut installing = EitherBench::install(transport);
        assert_eq!(installing.route_vectors(3), VectorRouting::NoVectors);
    }
}

/// Spec: §4.1.5.3, §4.1.4.5 — the line is used when it is allowed; one read of the ISR status says all that happened, and quiets it.
#[test]
fn one_look_at_the_line_tells_all_and_quiets_it() {
    for bench in EitherBench::each(|builder| builder.interrupt_pin(3)) {
        let installing = EitherBench::install(bench.open());
        let (mut running, mut queues) = bench.start(installing, 1);
        bench.round_trip(&mut queues[0]);
        assert!(!bench.device.line_is_raised(), "not allowed yet");
        let line = running.use_interrupt_line().expect("it has a pin");
        assert!(bench.device.line_is_raised());
        assert_eq!(line.acknowledge(), USED);

        assert_eq!(line.acknowledge(), NOTHING, "another device's interrupt");
        bench.device.raise_config();
        bench.device.raise_used(0);
        assert!(bench.device.line_is_raised());
        let both = InterruptCause { used_buffer: true, configuration_change: true };
        assert_eq!((line.acknowledge(), line.acknowledge()), (both, NOTHING));
        bench.device.raise_config();
        let config = InterruptCause { used_buffer: false, configuration_change: true };
        assert_eq!((running.acknowledge_interrupt(), bench.device.line_is_raised()), (config, false));

        bench.device.raise_used(0);
        bench.finish(running, queues);
        assert_eq!(line.acknowledge(), NOTHING, "not after a reset");
        bench.device.raise_used(0);
        bench.device.misbehave(|lies| lies.all_ones = true);
        assert_eq!(line.acknowledge(), NOTHING, "not of a device that is gone");
    }
}

#[test]
fn a_device_without_a_pin_or_that_is_gone_has_no_line_and_is_polled() {
    for bench in EitherBench::each(|builder| builder.interrupt_pin(0)) {
        let installing = EitherBench::install(bench.open());
        let (mut running, mut queues) = bench.start(installing, 1);
        assert!(running.use_interrupt_line().is_none());

        bench.round_trip(&mut queues[0]);

        assert!(!bench.device.line_is_raised());
        bench.finish(running, queues);
    }
    for bench in EitherBench::each(|builder| builder) {
        let mut transport = bench.open();
        bench.device.misbehave(|lies| lies.all_ones = true);
        assert!(transport.use_interrupt_line().is_none());
    }
}

/// Spec: §4.1.4.5.2 — with messages the ISR status is not looked at: a vector says by itself what happened.
#[test]
fn with_messages_the_interrupt_status_is_not_read() {
    for bench in EitherBench::each(|builder| builder.msi_x(4)) {
        let mut installing = EitherBench::install(open_with_messages(&bench, 4));
        installing.route_vectors(1);
        let (running, queues) = bench.start(installing, 1);
        bench.device.raise_config();
        let status = bench.device.isr();

        assert_eq!((running.acknowledge_interrupt(), bench.device.isr()), (NOTHING, status));

        assert_ne!(status, 0, "a read would have cleared it");
        bench.finish(running, queues);
    }
}

/// Whoever drove a function before may have left it queues, in memory that is something else's now: it reaches none from opening on, until it has been reset.
#[test]
fn a_function_that_was_left_running_reaches_no_memory_before_it_is_reset() {
    for bench in EitherBench::each(|builder| builder) {
        let installing = EitherBench::install(bench.open());
        let (running, queues) = bench.start(installing, 1);
        assert!(bench.device.is_bus_master());
        core::mem::forget((running, queues)); // that system is gone, and did not reset its devices

        let mut transport = bench.open();
        assert!(!bench.device.is_bus_master() && bench.device.is_live());
        transport.set_status(Status::empty());
        assert!(!bench.device.is_bus_master() && !bench.device.is_live());
        drop(EitherBench::install(transport));
        assert!(bench.device.is_bus_master());
    }
}
