//! Where a card's cable goes: QEMU's `-netdev`.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use tempfile::TempDir;

use crate::disk::option_value;

/// The other end of a card's cable.
#[derive(Clone, Debug)]
pub enum Network {
    /// A network inside of QEMU: 10.0.2.0/24 with a gateway at 10.0.2.2. A TCP port of the host's leads to one of the guest's at 10.0.2.15.
    User {
        /// The host's port, and the guest's.
        forwarded: Option<(u16, u16)>,
    },
    /// Another card, frame by frame through sockets of the host's ([`Cable`]).
    Datagrams {
        /// Where this end listens.
        own: PathBuf,
        /// Where the other end does.
        peer: PathBuf,
    },
    /// Another card, through one connection.
    Stream {
        /// The socket.
        socket: PathBuf,
        /// This end makes the socket; it is started first.
        is_server: bool,
    },
    /// All other cards of the same machine with this number, frame by frame.
    Hub {
        /// The number.
        number: u32,
    },
    /// Nobody: everything is taken, and nothing comes.
    Sink,
    /// A network interface of the host's in a [`Namespace`](super::Namespace), with as many queues as the card has pairs.
    Tap {
        /// Its name.
        interface: String,
    },
    /// A port of a process that works in the guest's memory ([`backend`](crate::backend)), with as many queues as the card has pairs.
    VhostUser {
        /// The socket between QEMU and that process.
        socket: PathBuf,
        /// QEMU makes the socket, and waits for the process; else it connects to it, and does so again whenever the process is gone.
        is_server: bool,
    },
}

/// How often QEMU tries to connect to a process that is not there.
const RECONNECT_MILLIS: u32 = 50;

impl Network {
    /// Whether it works in the guest's memory, which is shared for that.
    pub(crate) const fn shares_memory(&self) -> bool {
        matches!(self, Self::VhostUser { .. })
    }

    /// QEMU's arguments.
    pub(crate) fn arguments(&self, name: &str, pairs: u16) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Self::VhostUser { socket, is_server } = self {
            let mode =
                if *is_server { "server=on".into() } else { format!("reconnect-ms={RECONNECT_MILLIS}") };
            let socket = option_value(socket);
            arguments.extend(["-chardev".into(), format!("socket,id={name}-socket,path={socket},{mode}")]);
        }
        arguments.extend(["-netdev".into(), self.option(name, pairs)]);
        arguments
    }

    /// The value of `-netdev`.
    fn option(&self, name: &str, pairs: u16) -> String {
        match self {
            Self::User { forwarded } => {
                let forward =
                    forwarded.map(|(host, guest)| format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
                format!("user,id={name}{}", forward.unwrap_or_default())
            }
            Self::Datagrams { own, peer } => {
                let (own, peer) = (option_value(own), option_value(peer));
                format!(
                    "dgram,id={name},local.type=unix,local.path={own},remote.type=unix,remote.path={peer}"
                )
            }
            Self::Stream { socket, is_server } => {
                let (socket, server) = (option_value(socket), crate::disk::on_off(*is_server));
                format!("stream,id={name},server={server},addr.type=unix,addr.path={socket}")
            }
            Self::Hub { number } => format!("hubport,id={name},hubid={number}"),
            Self::Sink => format!("user,id={name},restrict=on"),
            Self::Tap { interface } => {
                format!("tap,id={name},ifname={interface},script=no,downscript=no,vhost=off,queues={pairs}")
            }
            Self::VhostUser { .. } => format!("vhost-user,id={name},chardev={name}-socket,queues={pairs}"),
        }
    }
}

/// A cable between two cards, as sockets in a folder of their own.
#[derive(Debug)]
pub struct Cable(TempDir);

impl Cable {
    /// A cable that is not plugged in.
    ///
    /// # Panics
    /// If there is no place for its sockets.
    pub fn new() -> Self {
        // In /tmp, for the path of a socket may not be long.
        Self(tempfile::tempdir_in("/tmp").expect("a temporary folder"))
    }

    /// Both ends, of which either may be plugged in first: frames are lost until the other one is.
    pub fn datagrams(&self) -> [Network; 2] {
        let [one, other] = ["one", "other"].map(|name| self.0.path().join(name));
        [
            Network::Datagrams { own: one.clone(), peer: other.clone() },
            Network::Datagrams { own: other, peer: one },
        ]
    }

    /// Both ends; the first is plugged in first.
    pub fn stream(&self) -> [Network; 2] {
        let socket = self.0.path().join("stream");
        [true, false].map(|is_server| Network::Stream { socket: socket.clone(), is_server })
    }
}

impl Default for Cable {
    fn default() -> Self {
        Self::new()
    }
}

/// A TCP port of the host's that nobody uses at the moment.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it has an address").port()
}
