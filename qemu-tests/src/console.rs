//! A virtio console on QEMU's command line: its ports, and the host's ends of them.

use std::path::{Path, PathBuf};

use crate::disk::{on_off, option_value};
use crate::machine::{Connection, Machine};

/// A port that is there from the start.
#[derive(Clone, Debug)]
pub struct ConsolePort {
    /// Its number; 0 is for a console only.
    pub number: u32,
    /// Whether it is a console port (`virtconsole`); else a generic one (`virtserialport`).
    pub is_console: bool,
    /// What it is called.
    pub name: Option<String>,
}

/// Properties of a virtio console. For each port that it may have there is a socket, which QEMU calls `port` and the number, whether the port is there from the start or is added later.
#[derive(Clone, Debug)]
pub struct ConsoleDevice {
    /// How it is connected, unless in the machine's own way.
    pub connection: Option<Connection>,
    /// Offer `EVENT_IDX`.
    pub event_idx: bool,
    /// Offer `RING_PACKED` (`packed`).
    pub packed: bool,
    /// Offer `EMERG_WRITE` (`emergency-write`).
    pub emergency_write: bool,
    /// How many ports there can be; more than one offers `MULTIPORT` (`max_ports`).
    pub ports_max: u32,
    /// Those that are there.
    pub ports: Vec<ConsolePort>,
}

impl Default for ConsoleDevice {
    /// Modern only, one console port, with everything offered that QEMU offers.
    fn default() -> Self {
        Self {
            connection: None,
            event_idx: true,
            packed: false,
            emergency_write: true,
            ports_max: 1,
            ports: vec![ConsolePort { number: 0, is_console: true, name: None }],
        }
    }
}

impl ConsoleDevice {
    /// A console port, and so many generic ones behind it, of which none is there yet.
    pub fn with_room_for(generic_ports: u32) -> Self {
        Self { ports_max: generic_ports + 1, ..Self::default() }
    }

    /// How it is connected on this machine.
    pub fn connection_on(&self, machine: Machine) -> Connection {
        self.connection.unwrap_or(machine.default_connection())
    }

    /// What QMP, too, calls the bus that ports are added to.
    pub const BUS: &str = "console0.0";

    /// Where QEMU listens for whoever is at the host's end of a port.
    pub(crate) fn socket(folder: &Path, number: u32) -> PathBuf {
        folder.join(format!("port{number}"))
    }

    /// The arguments, with sockets in this folder.
    pub(crate) fn arguments(&self, machine: Machine, folder: &Path) -> Vec<String> {
        let connection = self.connection_on(machine);
        let driver = match connection {
            Connection::Pci => "virtio-serial-pci,disable-legacy=on",
            Connection::PciTransitional => "virtio-serial-pci,disable-legacy=off,disable-modern=off",
            Connection::PciLegacy => "virtio-serial-pci,disable-legacy=off,disable-modern=on",
            Connection::Mmio | Connection::MmioLegacy => "virtio-serial-device",
        };
        let mut device = format!("{driver},id=console0,max_ports={}", self.ports_max);
        let switches = [
            ("event_idx", self.event_idx),
            ("packed", self.packed),
            ("emergency-write", self.emergency_write),
        ];
        for (name, on) in switches {
            device += &format!(",{name}={}", on_off(on));
        }
        if !connection.is_mmio() {
            // A vector for each queue, with those of control messages, and one for the configuration.
            device += &format!(",vectors={}", 2 * self.ports_max + 3);
        }
        let mut arguments = vec!["-device".into(), device];
        for number in 0..self.ports_max {
            let path = option_value(&Self::socket(folder, number));
            arguments.extend([
                "-chardev".into(),
                format!("socket,id=port{number},path={path},server=on,wait=off"),
            ]);
        }
        for ConsolePort { number, is_console, name } in &self.ports {
            let kind = if *is_console { "virtconsole" } else { "virtserialport" };
            let name = name.as_ref().map(|name| format!(",name={name}")).unwrap_or_default();
            let port =
                format!("{kind},bus={},nr={number},chardev=port{number},id=plug{number}{name}", Self::BUS);
            arguments.extend(["-device".into(), port]);
        }
        arguments
    }
}
