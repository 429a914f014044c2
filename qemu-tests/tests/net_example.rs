//! The web server of `examples/net`: a file of 10 MiB, over all connections and rings, and thousands of pings.

use std::process::Command;
use std::time::Duration;

use qemu_tests::net::{Namespace, NetDevice, Network, free_port};
use qemu_tests::pattern::fill;
use qemu_tests::{Connection, Ended, Machine, Qemu};

const FILE_BYTES: usize = 10 << 20;
const PINGS: u32 = 10_000;
/// Where the guest is on a network of the test's own, and the bridge.
const ADDRESSES: &str = "address=10.77.0.2/24 gateway=10.77.0.1";

/// What the guest serves: as if it were a disk that has one long sector.
fn file() -> Vec<u8> {
    let mut bytes = vec![0; FILE_BYTES];
    fill(0, 0, &mut bytes);
    bytes
}

fn example(machine: Machine, words: &str) -> Qemu {
    Qemu::new(machine, "example-net").append(words).limit(Duration::from_mins(2))
}

/// Fetches what is there.
fn fetch(url: &str) -> Vec<u8> {
    let output =
        Command::new("curl").args(["--silent", "--show-error", "--fail", "--max-time", "60", url]).output();
    let output = output.expect("`curl` runs: `make setup` installs it");
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Each machine, with each layout of rings, with and without mergeable buffers.
fn combinations() -> impl Iterator<Item = (Machine, NetDevice)> {
    Machine::MODERN.into_iter().flat_map(|(machine, connection)| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(packed, mergeable)| {
            let connection = Some(connection);
            (machine, NetDevice { connection, packed, mergeable, ..NetDevice::default() })
        })
    })
}

/// Whether the guest says that it has what it was to have.
fn assert_agreed(output: &str, device: &NetDevice) {
    let layout = if device.packed { "layout: Packed" } else { "layout: Split" };
    assert!(output.contains(layout), "{output}");
    assert_eq!(output.contains("MRG_RXBUF"), device.mergeable, "{output}");
}

#[test]
fn a_file_of_10_mib_is_served_without_a_wrong_byte_in_every_combination() {
    let expected = file();
    for (machine, device) in combinations() {
        let port = free_port();
        let network = Network::User { forwarded: Some((port, 80)) };
        let mut guest = example(machine, "").card(network, device.clone()).boot();
        guest.wait_for("serving at port 80");

        let served = fetch(&format!("http://127.0.0.1:{port}/10M"));
        fetch(&format!("http://127.0.0.1:{port}/quit"));

        let output = guest.finish(Ended::Success, "net example: done");
        assert!(served == expected, "{} of {FILE_BYTES} bytes, or another file\n{output}", served.len());
        assert_agreed(&output, &device);
    }
}

/// Machines of the three architectures, over both buses.
fn machines() -> impl Iterator<Item = (Machine, NetDevice)> {
    Machine::MODERN.into_iter().zip([false, true, true, false].into_iter().cycle()).map(
        |((machine, connection), packed)| {
            (machine, NetDevice { connection: Some(connection), packed, ..NetDevice::default() })
        },
    )
}

/// A network of the host's own, with the guest on it.
fn host_network() -> (Namespace, Network) {
    let namespace = Namespace::new();
    namespace.bridge("lan");
    namespace.run("ip address add 10.77.0.1/24 dev lan");
    let network = namespace.tap("guest", "lan", 1500, 1);
    (namespace, network)
}

#[test]
fn ten_thousand_pings_of_the_host_are_answered() {
    for (machine, device) in machines().filter(|(machine, _)| *machine != Machine::Microvm).step_by(2) {
        let (namespace, network) = host_network();
        let mut guest = example(machine, ADDRESSES).inside(&namespace).card(network, device).boot();
        guest.wait_for("serving at port 80");

        let said = namespace.run(&format!("ping -f -q -c {PINGS} -W 2 10.77.0.2"));

        assert!(
            said.contains(&format!("{PINGS} packets transmitted, {PINGS} received, 0% packet loss")),
            "{said}"
        );
        namespace.run("curl --silent --show-error --fail http://10.77.0.2/quit");
        guest.finish(Ended::Success, "net example: done");
    }
}

#[test]
fn ten_thousand_pings_of_the_guest_are_answered_in_every_combination() {
    for (machine, device) in combinations() {
        let (network, words) = (Network::User { forwarded: None }, format!("mode=ping count={PINGS}"));

        let output = example(machine, &words).card(network, device.clone()).run_to("net example: done");

        assert_agreed(&output, &device);
        assert!(output.contains(&format!("ping: {PINGS} sent, {PINGS} answered, 0 lost")), "{output}");
    }
}

/// Where the card completes checksums, and vouches for those that came in.
#[test]
fn a_file_is_served_without_a_wrong_byte_with_checksums_left_to_the_card_or_not() {
    for (machine, device) in machines() {
        for checksums in ["on", "off"] {
            let (namespace, network) = host_network();
            let words = format!("{ADDRESSES} checksums={checksums}");
            let mut guest = example(machine, &words).inside(&namespace).card(network, device.clone()).boot();
            guest.wait_for("serving at port 80");
            let folder = tempfile::tempdir().expect("a temporary folder");
            let copy = folder.path().join("file");

            namespace.run(&format!(
                "curl --silent --show-error --fail --max-time 60 --output {} http://10.77.0.2/10M",
                copy.display()
            ));
            namespace.run("curl --silent --show-error --fail http://10.77.0.2/quit");

            let output = guest.finish(Ended::Success, "net example: done");
            assert!(std::fs::read(copy).expect("curl wrote it") == file(), "another file\n{output}");
            assert_eq!(output.contains("features: NetFeatures(CSUM"), checksums == "on", "{output}");
        }
    }
}

#[test]
fn random_numbers_are_from_an_entropy_device_if_there_is_one() {
    for (machine, device) in machines() {
        let is_mmio = device.connection.is_some_and(Connection::is_mmio);
        let rng = if is_mmio { "virtio-rng-device" } else { "virtio-rng-pci" };
        for (arguments, source) in [(["-device", rng].as_slice(), "entropy device at "), (&[], "clock")] {
            let network = Network::User { forwarded: None };
            let qemu = example(machine, "mode=ping count=10").with(arguments).card(network, device.clone());

            let output = qemu.run_to("net example: done");

            assert!(output.contains(&format!("random numbers: from the {source}")), "{output}");
            assert!(output.contains("10 sent, 10 answered, 0 lost"), "{output}");
        }
    }
}
