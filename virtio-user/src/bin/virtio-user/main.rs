//! Disks and cards of vhost-user back-ends, from the command line.
//!
//! ```text
//!   virtio-user blk read | write | copy | bench      a disk: qemu-storage-daemon, vhost-device-blk …
//!   virtio-user net transmit | receive | forward | ping      a port: dpdk-testpmd, Open vSwitch …
//! ```
//!
//! It ends with 0 if it did its work, with 1 if something stood in the way (which it says, with what to do next), and with 2 if it did not understand what it was asked for.

mod blk;
mod connection;
mod failure;
mod net;
mod progress;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Uses disks and network cards that vhost-user back-ends serve, with the drivers of virtio-guest, in this process and its memory.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    device: Device,
}

const EXAMPLES: &str = "Examples:
  qemu-storage-daemon --blockdev driver=file,filename=disk.img,node-name=d \\
      --export type=vhost-user-blk,id=d,node-name=d,addr.type=unix,addr.path=/tmp/disk,writable=on &
  virtio-user blk read /tmp/disk --sectors 8 | hexdump -C
  virtio-user blk bench /tmp/disk --depth 32

  dpdk-testpmd --no-pci --no-huge -m 64 --vdev=net_vhost0,iface=/tmp/port -- \\
      --auto-start --forward-mode=rxonly --total-num-mbufs=8192 &
  virtio-user net transmit /tmp/port --seconds 5";

#[derive(Debug, Subcommand)]
enum Device {
    /// A disk: reads it, writes it, copies it, or says how fast it is.
    #[command(subcommand)]
    Blk(blk::Command),
    /// A network card: transmits, receives, forwards, or pings.
    #[command(subcommand)]
    Net(net::Command),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().device {
        Device::Blk(command) => blk::run(command),
        Device::Net(command) => net::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { what, next }) => {
            eprintln!("virtio-user: {what}");
            if let Some(next) = next {
                eprintln!("next: {next}");
            }
            ExitCode::FAILURE
        }
    }
}
