//! The template, `examples/minimal`: it reads its disk, and whoever is on its network pings it.

use qemu_tests::net::{Namespace, NetDevice};
use qemu_tests::{DiskDevice, Image, Machine, Qemu};

#[test]
fn the_shortest_kernel_reads_a_disk_and_answers_pings() {
    for (machine, connection) in Machine::MODERN {
        let namespace = Namespace::new();
        namespace.bridge("lan");
        namespace.run("ip address add 10.0.2.2/24 dev lan");
        let network = namespace.tap("guest", "lan", 1500, 1);
        let image = Image::random(64, 5);
        let disk = DiskDevice { connection: Some(connection), ..DiskDevice::default() };
        let card = NetDevice { connection: Some(connection), ..NetDevice::default() };

        let qemu = Qemu::new(machine, "example-minimal").inside(&namespace).disk(&image, disk);
        let mut guest = qemu.card(network, card).boot();

        let first = &image.bytes()[..8];
        guest.wait_for(&format!("disk: 64 sectors, the first begins with {first:02x?}"));
        guest.wait_for("card: ");
        let said = namespace.run("ping -q -c 5 -i 0.2 -W 2 10.0.2.15");
        assert!(said.contains("5 packets transmitted, 5 received, 0% packet loss"), "{said}");
    }
}
