//! A network of the host's that nobody else is in: a namespace, with bridges and taps.
//!
//! It is made for a test and removed with all that is in it. What a test that was killed left behind is removed by the next one.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::network::Network;
use super::port::Port;

/// What the names begin with; the process's id and a number follow.
const PREFIX: &str = "virtio-guest-";
/// Where `ip netns` keeps them.
const FOLDER: &str = "/run/netns";

/// A network namespace. Dropping it removes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// Runs `ip`.
fn ip(arguments: &[&str]) -> Output {
    Command::new("ip").args(arguments).output().expect("`ip` runs: `make setup` installs iproute2")
}

/// Removes what processes left behind that are no more.
fn remove_orphans() {
    for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            ip(&["netns", "delete", &name]);
        }
    }
}

impl Namespace {
    /// An empty one.
    ///
    /// # Panics
    /// If that is not allowed, with what to do about it.
    pub fn new() -> Self {
        static ORPHANS: Once = Once::new();
        static MADE: AtomicU32 = AtomicU32::new(0);
        ORPHANS.call_once(remove_orphans);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let made = ip(&["netns", "add", &name]);
        assert!(
            made.status.success(),
            "no network namespace: {}\nThis test makes network interfaces of its own, which takes root: run it with `sudo -E env PATH=\"$PATH\" make test-qemu`, or in a container with CAP_NET_ADMIN, CAP_SYS_ADMIN and /dev/net/tun.",
            String::from_utf8_lossy(&made.stderr)
        );
        let namespace = Self { name };
        // Nothing is said on these networks but what tests say: not by a host that looks for others over IPv6, if it has that.
        namespace.inside(|| {
            for which in ["all", "default"] {
                fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1").unwrap_or_default();
            }
        });
        namespace.run("ip link set lo up");
        namespace
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command in it, and returns what it printed. Words are separated by blanks.
    ///
    /// # Panics
    /// If the command fails.
    pub fn run(&self, command: &str) -> String {
        let words: Vec<&str> = command.split_ascii_whitespace().collect();
        let output = ip(&[&["netns", "exec", &self.name], words.as_slice()].concat());
        let (said, problem) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "`{command}` fails: {said}{problem}");
        said.into_owned()
    }

    /// Makes a bridge.
    ///
    /// # Panics
    /// If the kernel has none.
    pub fn bridge(&self, name: &str) {
        // Ports forward at once, and nobody listens in on multicast.
        self.run(&format!("ip link add {name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"));
        self.run(&format!("ip link set {name} up"));
    }

    /// Makes a port of a bridge for a machine.
    ///
    /// # Panics
    /// If the kernel has no taps.
    pub fn tap(&self, name: &str, bridge: &str, mtu: u16, queues: u16) -> Network {
        self.make_tap(name, bridge, mtu, queues);
        Network::Tap { interface: name.into() }
    }

    /// Makes a port of a bridge for the test itself.
    ///
    /// # Panics
    /// As [`tap`](Self::tap).
    pub fn port(&self, name: &str, bridge: &str, mtu: u16) -> Port {
        self.make_tap(name, bridge, mtu, 1);
        self.inside(|| Port::open(name))
    }

    fn make_tap(&self, name: &str, bridge: &str, mtu: u16, queues: u16) {
        let several = if queues > 1 { "multi_queue" } else { "" };
        self.run(&format!("ip tuntap add dev {name} mode tap vnet_hdr {several}"));
        self.run(&format!("ip link set dev {name} mtu {mtu} master {bridge} up"));
    }

    /// Runs something on a thread that is in it.
    fn inside<R: Send>(&self, act: impl FnOnce() -> R + Send) -> R {
        let namespace = File::open(Path::new(FOLDER).join(&self.name)).expect("`ip` made it");
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                use std::os::fd::AsFd;
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("whoever makes a namespace may enter it");
                act()
            });
            thread.join().expect("it said why")
        })
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.name]);
    }
}
