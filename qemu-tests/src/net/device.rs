//! A virtio network card on QEMU's command line.

use std::path::PathBuf;

use crate::disk::{on_off, option_value};
use crate::machine::{Connection, Machine};

/// Properties of a virtio network card.
#[derive(Clone, Debug)]
pub struct NetDevice {
    /// How it is connected, unless in the machine's own way.
    pub connection: Option<Connection>,
    /// Its address.
    pub mac: [u8; 6],
    /// Offer `EVENT_IDX`.
    pub event_idx: bool,
    /// Offer `INDIRECT_DESC`.
    pub indirect_desc: bool,
    /// Offer `RING_PACKED` (`packed`).
    pub packed: bool,
    /// Offer `IN_ORDER` (`in_order`).
    pub in_order: bool,
    /// Offer `MRG_RXBUF` (`mrg_rxbuf`).
    pub mergeable: bool,
    /// Pairs of queues; more than one offers `MQ`.
    pub pairs: u16,
    /// Descriptors of each receive queue.
    pub receive_queue_size: Option<u16>,
    /// Offer `MTU`, with this one.
    pub mtu: Option<u16>,
    /// Properties that are switched on besides, by QEMU's names: `rss`, `hash`, …
    pub on: Vec<&'static str>,
    /// Properties that are switched off: `guest_tso4`, `ctrl_vq`, …
    pub off: Vec<&'static str>,
    /// All frames are written to this file, too, for [`captured`](crate::net::captured).
    pub capture: Option<PathBuf>,
}

impl Default for NetDevice {
    /// Modern only, one pair of queues, with everything offered that QEMU and the network offer.
    fn default() -> Self {
        Self {
            connection: None,
            mac: [0x52, 0x54, 0, 0x12, 0x34, 0x56],
            event_idx: true,
            indirect_desc: true,
            packed: false,
            in_order: false,
            mergeable: true,
            pairs: 1,
            receive_queue_size: None,
            mtu: None,
            on: Vec::new(),
            off: Vec::new(),
            capture: None,
        }
    }
}

impl NetDevice {
    /// How it is connected on this machine.
    pub fn connection_on(&self, machine: Machine) -> Connection {
        self.connection.unwrap_or(machine.default_connection())
    }

    /// What QMP calls the card with this index.
    pub(crate) fn id(index: usize) -> String {
        format!("card{index}")
    }

    /// The arguments, after the one for the network, which has this name.
    pub(crate) fn arguments(&self, machine: Machine, index: usize, network: &str) -> Vec<String> {
        let driver = match self.connection_on(machine) {
            Connection::Pci => "virtio-net-pci,disable-legacy=on",
            Connection::PciTransitional => "virtio-net-pci,disable-legacy=off,disable-modern=off",
            Connection::PciLegacy => "virtio-net-pci,disable-legacy=off,disable-modern=on",
            Connection::Mmio | Connection::MmioLegacy => "virtio-net-device",
        };
        let mac = self.mac.map(|byte| format!("{byte:02x}")).join(":");
        let mut card = format!("{driver},id={},netdev={network},mac={mac}", Self::id(index));
        let switches = [
            ("event_idx", self.event_idx),
            ("indirect_desc", self.indirect_desc),
            ("packed", self.packed),
            ("in_order", self.in_order),
            ("mrg_rxbuf", self.mergeable),
            ("mq", self.pairs > 1),
        ];
        let more = self.on.iter().map(|name| (*name, true)).chain(self.off.iter().map(|name| (*name, false)));
        for (name, on) in switches.into_iter().chain(more) {
            card += &format!(",{name}={}", on_off(on));
        }
        let is_pci = !self.connection_on(machine).is_mmio();
        // A vector for each queue, with that of commands, and one for the configuration.
        let vectors = is_pci.then_some(2 * self.pairs + 2);
        let numbers =
            [("vectors", vectors), ("rx_queue_size", self.receive_queue_size), ("host_mtu", self.mtu)];
        for (name, value) in numbers {
            if let Some(value) = value {
                card += &format!(",{name}={value}");
            }
        }
        if is_pci {
            // There is no firmware that would boot from the network.
            card += ",romfile=";
        }
        let mut arguments = vec!["-device".into(), card];
        if let Some(file) = &self.capture {
            let file = option_value(file);
            let dump = format!("filter-dump,id=capture{index},netdev={network},file={file}");
            arguments.extend(["-object".into(), dump]);
        }
        arguments
    }
}
