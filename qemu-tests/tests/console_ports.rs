//! Eight ports of a console: plugged in and out while data flows through the others, opened and closed by the host, and filled until nothing fits.
//!
//! Spec: §5.3.6.2 Multiport Device Operation.

#[path = "common/console.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod console;
#[path = "common/ports.rs"]
mod ports;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use console::{LIMIT, first_difference, random_bytes};
use ports::{Flow, Guest};
use qemu_tests::{Connection, ConsoleDevice, ConsolePort, Machine, random_seed};

const PORTS: u32 = 8;
/// How often a port is taken out and put in again.
const ROUNDS: u32 = 2;

/// What a port is called that was put in again so often.
fn name(number: u32, round: u32) -> String {
    format!("data-{number}-{round}")
}

/// Takes ports out and puts them in again, under other names, while data flows through others.
fn change(guest: &mut Guest, changed: &[u32], streams: &mut [Option<UnixStream>]) {
    let mut qmp = guest.running.qmp();
    let others: Vec<u32> = (1..=PORTS).filter(|number| !changed.contains(number)).collect();
    let flows: Vec<(u32, Flow)> = others
        .iter()
        .map(|number| (*number, Flow::start(streams[*number as usize].take().expect("it is connected"))))
        .collect();
    for round in 1..=ROUNDS {
        for number in changed {
            guest.unplug(&mut qmp, *number, &name(*number, round - 1));
            guest.plug(&mut qmp, *number, &name(*number, round));
            // The host's end was connected all the while.
            guest.running.wait_for(&format!("port {number}: opened"));
            let mut stream = streams[*number as usize].take().expect("it is connected");
            guest.echo(*number, &mut stream, 3000);
            streams[*number as usize] = Some(stream);
        }
    }
    for (number, flow) in flows {
        let (stream, result) = flow.end();
        match result {
            Ok(rounds) => assert!(rounds > 0, "nothing flowed through port {number}"),
            Err(problem) => guest.running.failed(&format!("port {number}: {problem}")),
        }
        streams[number as usize] = Some(stream);
    }
}

fn plugged_in_and_out(machine: Machine, packed: bool) {
    let device = ConsoleDevice { packed, ..ConsoleDevice::with_room_for(PORTS) };
    let mut guest = Guest::boot(machine, device, "");
    let mut qmp = guest.running.qmp();
    let mut streams = vec![None];
    for number in 1..=PORTS {
        guest.plug(&mut qmp, number, &name(number, 0));
        streams.push(Some(guest.connect(number)));
    }
    drop(qmp);

    change(&mut guest, &[5, 6, 7, 8], &mut streams);
    change(&mut guest, &[1, 2, 3, 4], &mut streams);

    // A port that goes in the middle of its own data is there again as if nothing had been.
    let mut qmp = guest.running.qmp();
    let own = streams[3].take().expect("it is connected");
    let end = own.try_clone().expect("the same socket");
    let flow = Flow::start(own);
    thread::sleep(Duration::from_millis(50));
    guest.unplug(&mut qmp, 3, &name(3, ROUNDS));
    end.shutdown(Shutdown::Both).expect("it is connected");
    assert!(flow.end().1.is_err(), "there is no port");
    drop(end);
    guest.plug(&mut qmp, 3, "again");
    let mut stream = guest.connect(3);
    guest.echo(3, &mut stream, 100_000);
    // So it is when the host lets go of it.
    guest.disconnect(3, stream);
    let mut stream = guest.connect(3);
    guest.echo(3, &mut stream, 100_000);

    let output = guest.end();
    assert!(output.contains("MULTIPORT"), "{output}");
    assert!(output.contains("port 0: is a console"), "{output}");
}

#[test]
fn ports_come_and_go_while_data_flows_through_others_on_x86_64() {
    for packed in [false, true] {
        plugged_in_and_out(Machine::Q35, packed);
    }
}

#[test]
fn ports_come_and_go_while_data_flows_through_others_on_aarch64() {
    for packed in [false, true] {
        plugged_in_and_out(Machine::Aarch64Virt, packed);
    }
}

#[test]
fn ports_come_and_go_while_data_flows_through_others_on_riscv64() {
    for packed in [false, true] {
        plugged_in_and_out(Machine::Riscv64Virt, packed);
    }
}

/// A console that has all its ports from the start.
fn full_device(connection: Connection, packed: bool) -> ConsoleDevice {
    let room = ConsoleDevice::with_room_for(PORTS);
    let mut device = ConsoleDevice { connection: Some(connection), packed, ..room };
    device.ports.extend((1..=PORTS).map(|number| {
        // The last has no name.
        let name = (number < PORTS).then(|| format!("data-{number}"));
        ConsolePort { number, is_console: number == 2, name }
    }));
    device
}

fn served_from_the_start(machine: Machine, device: ConsoleDevice) -> String {
    let mut guest = Guest::boot(machine, device, "");
    let streams: Vec<UnixStream> = (1..=PORTS).map(|number| guest.running.console_port(number)).collect();

    let flows: Vec<Flow> = streams.into_iter().map(Flow::start).collect();
    thread::sleep(Duration::from_millis(200));

    for (number, flow) in (1..).zip(flows) {
        let (mut stream, result) = flow.end();
        if let Err(problem) = result {
            guest.running.failed(&format!("port {number}: {problem}"));
        }
        guest.echo(number, &mut stream, 10);
    }
    let output = guest.end();
    for number in 1..PORTS {
        for happened in ["added".into(), format!("named data-{number}"), "opened".into()] {
            assert!(output.contains(&format!("port {number}: {happened}")), "{number} {happened}\n{output}");
        }
        assert_eq!(output.contains(&format!("port {number}: is a console")), number == 2, "{output}");
    }
    assert!(!output.contains(&format!("port {PORTS}: named")), "{output}");
    output
}

#[test]
fn eight_ports_are_served_from_the_start_behind_mmio() {
    for machine in [Machine::Microvm, Machine::Aarch64Virt, Machine::Riscv64Virt] {
        for packed in [false, true] {
            served_from_the_start(machine, full_device(Connection::Mmio, packed));
        }
    }
}

/// Spec: §5.3.4.1 Legacy Interface: Device configuration layout.
#[test]
fn eight_ports_are_served_by_legacy_consoles() {
    let output = served_from_the_start(Machine::Q35, full_device(Connection::PciLegacy, false));
    assert!(output.contains("Legacy interface"), "{output}");
    served_from_the_start(Machine::Microvm, full_device(Connection::MmioLegacy, false));
}

/// The host sends and does not read: the guest's buffers fill, the guest stops to read, and the host is kept from sending more. Then it reads.
#[test]
fn nothing_is_lost_when_the_host_does_not_read_for_a_while() {
    const BYTES: usize = 2 << 20;
    for (machine, packed) in [(Machine::Q35, false), (Machine::Aarch64Virt, true)] {
        let device = ConsoleDevice { packed, ..ConsoleDevice::with_room_for(PORTS) };
        let mut guest = Guest::boot(machine, device, "");
        let mut qmp = guest.running.qmp();
        guest.plug(&mut qmp, 1, "slow");
        let mut reader = guest.connect(1);
        guest.plug(&mut qmp, 2, "other");
        let mut other = guest.connect(2);
        let mut writer = reader.try_clone().expect("the same socket");
        let (sent, counted) = (random_bytes(random_seed(), BYTES), Arc::new(AtomicUsize::new(0)));
        let (bytes, progress) = (sent.clone(), Arc::clone(&counted));
        let writing = thread::spawn(move || {
            for piece in bytes.chunks(1000) {
                writer.write_all(piece).expect("the guest takes it in the end");
                progress.fetch_add(piece.len(), Ordering::Relaxed);
            }
        });

        // Until it stands still.
        let mut before = usize::MAX;
        while counted.load(Ordering::Relaxed) != before {
            before = counted.load(Ordering::Relaxed);
            thread::sleep(Duration::from_millis(300));
        }
        assert!((1..BYTES).contains(&before), "{before} of {BYTES} bytes went somewhere");
        guest.echo(2, &mut other, 100_000);

        reader.set_read_timeout(Some(LIMIT)).expect("a time limit");
        let mut back = vec![0; BYTES];
        if let Err(error) = reader.read_exact(&mut back) {
            guest.running.failed(&error.to_string());
        }
        assert_eq!(first_difference(&back, &sent), None);
        writing.join().expect("everything was sent");
        guest.end();
    }
}
