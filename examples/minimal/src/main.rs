//! A template: the shortest kernel that reads a disk and answers pings.
//!
//! A test boots it on all three architectures (`qemu-tests/tests/minimal.rs`). It polls; the other examples sleep until there is something to do. Memory, the processor and the buses are
//! the business of `examples/platform`, which a kernel of its own replaces: see the guide's page on porting.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};

use example_platform::{DMA, clock, devices, println};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use virtio_guest::adapter::{PacketMemory, Packets};
use virtio_guest::device::block::{self, Block, Sector};
use virtio_guest::device::net::{self, FramePool, Net, PoolSettings};
use virtio_guest::raw::PoolStorage;

/// Descriptors of each queue: as many as QEMU's devices have.
const DESCRIPTORS: usize = 256;
/// Where this machine is: an address of QEMU's user network.
const ADDRESS: &str = "10.0.2.15/24";

example_platform::entry!(run);

fn run() -> Result<(), String> {
    read_disk()?;
    answer_pings()
}

/// Reads the disk's first sector.
fn read_disk() -> Result<(), String> {
    let device = devices::take_disk()?;
    let mut storage = block::Storage::<DESCRIPTORS>::new();
    let patience = || clock::within_millis(1000);
    let mut disk =
        Block::start(device.transport, DMA, &mut storage, patience()).map_err(|error| error.to_string())?;

    let mut sector = [0; 512];
    disk.read_blocking(Sector(0), &mut sector, patience()).map_err(|error| error.to_string())?;
    println!("disk: {} sectors, the first begins with {:02x?}", disk.capacity_sectors(), &sector[..8]);
    Ok(())
}

/// Has a network stack answer whatever asks for this machine, for ever.
fn answer_pings() -> Result<(), String> {
    let device = devices::take_network_cards()?.swap_remove(0);
    let mut frames = PoolStorage::<{ 2 * DESCRIPTORS }>::new();
    let pool =
        FramePool::new(&DMA, &mut frames, PoolSettings::default()).map_err(|error| error.to_string())?;
    let supply = pool.supply().ok_or("the pool's supply is taken")?;
    let mut storage = net::Storage::<_, DESCRIPTORS>::new();
    let card = Net::start(device.transport, DMA, &mut storage, supply, clock::within_millis(1000))
        .map_err(|failed| failed.to_string())?;
    let (control, receive, transmit) = card.split();

    let (mut received, mut transmitted) = ([0; 1514], [0; 1514]);
    let memory = PacketMemory { received: &mut received, transmitted: &mut transmitted };
    let mut packets = Packets::new(&control, receive, transmit, memory);
    let config = Config::new(EthernetAddress(packets.mac()).into());
    let mut interface = Interface::new(config, &mut packets, now());
    let address: IpCidr = ADDRESS.parse().map_err(|()| "that is no address")?;
    // A new interface has room for one.
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(address);
    });
    println!("card: {} is at {address}", EthernetAddress(packets.mac()));

    let mut sockets = SocketSet::new([]);
    loop {
        interface.poll(now(), &mut packets, &mut sockets);
        if let Some(broken) = packets.receive_queue().broken().or(packets.transmit_queue().broken()) {
            return Err(alloc::format!("the card misbehaves: {broken}"));
        }
    }
}

/// The time since the machine came up, as the stack wants it.
fn now() -> Instant {
    Instant::from_micros(i64::try_from(clock::now().as_micros()).unwrap_or(i64::MAX))
}
