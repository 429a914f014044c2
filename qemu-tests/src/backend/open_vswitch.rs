//! Open vSwitch with DPDK: a bridge whose ports are virtio back-ends.
//!
//! A database and a switch, which have all that is theirs in a folder, and their interfaces in a network namespace. The ports connect to sockets that QEMU makes (`dpdkvhostuserclient`), and to them again
//! after a restart of either.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::MutexGuard;

use tempfile::TempDir;

use super::process::{LIMIT, Process, missing};
use super::{processors, turn};
use crate::net::{Namespace, Network};

/// Where Debian has the switch that was built with DPDK; others have it under its usual name.
const DEBIANS_SWITCH: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
/// What DPDK in the switch is told: no real cards, no huge pages, nothing left behind for other programs of DPDK's.
const DPDK: &str = "--no-pci --no-huge -m 300 --legacy-mem --no-shconf --no-telemetry";

/// A switch with a bridge. Dropping it kills it.
#[derive(Debug)]
pub struct OpenVSwitch {
    /// `None` while it is killed.
    switch: Option<Process>,
    /// Dropped, and so killed, behind the switch.
    _database: Process,
    ports: usize,
    namespace: Namespace,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// The switch, if it was built with DPDK.
fn program() -> &'static str {
    let program = if Path::new(DEBIANS_SWITCH).exists() { DEBIANS_SWITCH } else { "ovs-vswitchd" };
    let version = Command::new(program).arg("--version").output();
    let has_dpdk = version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("DPDK"));
    if has_dpdk { program } else { missing("ovs-vswitchd with DPDK") }
}

impl OpenVSwitch {
    /// Starts it with a bridge that has so many ports for guests, of which it learns who is where.
    ///
    /// # Panics
    /// If it is not there, does not start, or the test may not make networks, with what it said.
    pub fn start(ports: usize) -> Self {
        let turn = turn();
        // In /tmp, for the path of a socket may not be long.
        let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
        let namespace = Namespace::new();
        let path = |name: &str| folder.path().join(name).display().to_string();
        run(folder.path(), "ovsdb-tool", &["create", &path("conf.db"), SCHEMA]);
        let words = [
            "ovsdb-server",
            &path("conf.db"),
            &format!("--remote=punix:{}", path("db.sock")),
            &format!("--unixctl={}", path("database.control")),
        ]
        .map(str::to_owned);
        let database = Process::start(&[words.as_slice(), &quiet()].concat(), folder.path(), "database");
        let mut switch = Self { switch: None, _database: database, ports, namespace, folder, _turn: turn };
        let settings = [
            "dpdk-init=true".into(),
            format!("dpdk-extra=\"{DPDK}\""),
            format!("pmd-cpu-mask={}", last_processor()),
            // Else there is one pool for all ports, which is larger than memory without huge pages can be.
            "per-port-memory=true".into(),
        ]
        .map(|setting| format!("other_config:{setting}"));
        let words = ["--no-wait", "--retry", "init", "--", "set", "Open_vSwitch", "."];
        switch.configure(&[words.as_slice(), &settings.each_ref().map(String::as_str)].concat());
        switch.start_again();
        switch.configure(&["add-br", "bridge", "--", "set", "bridge", "bridge", "datapath_type=netdev"]);
        for port in 0..ports {
            let (name, number) = (format!("port{port}"), format!("ofport_request={}", port + 1));
            let socket = format!("options:vhost-server-path={}", switch.socket(port).display());
            let words = [
                "add-port",
                "bridge",
                &name,
                "--",
                "set",
                "Interface",
                &name,
                "type=dpdkvhostuserclient",
                &socket,
                &number,
            ];
            switch.configure(&words);
            let problem = switch.configure(&["get", "Interface", &name, "error"]);
            assert_eq!(problem.trim(), "[]", "a port of the bridge");
        }
        switch.count();
        switch
    }

    /// The socket of a port, to which the switch connects.
    pub fn socket(&self, port: usize) -> PathBuf {
        self.folder.path().join(format!("port{port}"))
    }

    /// Where the cable of a guest's card goes that is to be at this port.
    ///
    /// # Panics
    /// If there is no such port.
    pub fn port(&self, port: usize) -> Network {
        assert!(port < self.ports, "{} ports", self.ports);
        Network::VhostUser { socket: self.socket(port), is_server: true }
    }

    /// Runs `ovs-vsctl`, which waits until the switch has done what it says.
    fn configure(&self, words: &[&str]) -> String {
        let database = format!("--db=unix:{}", self.folder.path().join("db.sock").display());
        let limit = format!("--timeout={}", LIMIT.as_secs());
        run(self.folder.path(), "ovs-vsctl", &[&[database.as_str(), &limit], words].concat())
    }

    /// Runs `ovs-ofctl` about the bridge.
    fn flows(&self, command: &str, words: &[&str]) -> String {
        let bridge = format!("unix:{}", self.folder.path().join("bridge.mgmt").display());
        run(self.folder.path(), "ovs-ofctl", &[&[command, &bridge], words].concat())
    }

    fn control(&self) -> String {
        self.folder.path().join("switch.control").display().to_string()
    }

    /// Has it count what comes in at each port; it forwards as before.
    fn count(&self) {
        for port in 1..=self.ports {
            self.flows("add-flow", &[&format!("in_port={port},actions=NORMAL")]);
        }
    }

    /// Gives the bridge itself an address, in its network namespace: a station behind it, which answers.
    ///
    /// # Panics
    /// If it cannot have it.
    pub fn give_address(&self, address: &str) {
        self.namespace.run(&format!("ip address add {address} dev bridge"));
        self.namespace.run("ip link set bridge up");
    }

    /// Starts it after it was killed, and waits until it forwards.
    ///
    /// # Panics
    /// If it does not start, with what it said.
    pub fn start_again(&mut self) {
        assert!(self.switch.is_none(), "it is there");
        let database = format!("unix:{}", self.folder.path().join("db.sock").display());
        let control = format!("--unixctl={}", self.control());
        let words =
            ["ip", "netns", "exec", self.namespace.name(), program(), &database, &control].map(str::to_owned);
        let mut process =
            Process::start(&[words.as_slice(), &quiet()].concat(), self.folder.path(), "switch");
        process.wait_for("DPDK", 0, |said| said.contains("DPDK Enabled - initialized").then_some(()));
        self.switch = Some(process);
        // Waits until it has done what the database says.
        self.configure(&[
            "set",
            "Open_vSwitch",
            ".",
            &format!("external_ids:process={}", std::process::id()),
        ]);
    }

    /// How many frames came in at a port from its guest, and went on.
    ///
    /// # Panics
    /// If it does not say.
    pub fn frames_from(&self, port: usize) -> u64 {
        // What it forwarded lately is counted then.
        run(self.folder.path(), "ovs-appctl", &["--target", &self.control(), "revalidator/wait"]);
        let said = self.flows("dump-flows", &[&format!("in_port={}", port + 1)]);
        let number = said.split_once("n_packets=").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no counter of port {port}:\n{said}"))
    }

    /// Kills it in the middle of its work; its database stays.
    ///
    /// # Panics
    /// If it was not there.
    pub fn kill(&mut self) {
        self.switch.take().expect("it is there").kill();
    }

    /// Has it end, and checks that it does so with success.
    ///
    /// # Panics
    /// If it does not, with what it said.
    pub fn stop(mut self) {
        run(self.folder.path(), "ovs-appctl", &["--target", &self.control(), "exit"]);
        self.switch.take().expect("it is there").end();
    }
}

/// The last processor that this process may use, as a mask: the first one is DPDK's own.
fn last_processor() -> String {
    let processors = processors();
    let last = processors.rsplit([',', '-']).next().and_then(|last| last.parse::<u32>().ok());
    format!("{:#x}", 1_u128 << last.unwrap_or_default())
}

/// Both programs log to where they are started only.
fn quiet() -> [String; 3] {
    ["-vconsole:info", "-vsyslog:off", "-vfile:off"].map(str::to_owned)
}

/// Runs one of its programs to its end, and returns what that said.
fn run(folder: &Path, program: &str, words: &[&str]) -> String {
    let output = Command::new(program).env("OVS_RUNDIR", folder).args(words).output();
    let output = output.unwrap_or_else(|_| missing(program));
    let (said, problem) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`{program} {}` fails: {said}{problem}", words.join(" "));
    said.into_owned()
}
