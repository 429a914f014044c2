//! QEMU's command line, as types.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::console::ConsoleDevice;
use crate::daemon::StorageDaemon;
use crate::disk::{DiskDevice, on_off, option_value};
use crate::image::Image;
use crate::kernel;
use crate::machine::{Architecture, Connection, Machine};
use crate::net::{Namespace, NetDevice, Network};
use crate::run::{Ended, Running};

/// How often a machine is booted at most, while QEMU itself ends it by a known fault.
const BOOTS_MAX: usize = 3;

/// How often QEMU looks whether a process is there again that serves a disk.
const RECONNECT_MILLIS: u32 = 20;

/// What a disk is.
#[derive(Clone, Debug)]
enum Medium {
    /// A file.
    Image(PathBuf),
    /// Nothing: what is read is nothing, and what is written is lost. It answers after this time.
    Nothing(Duration),
}

/// How large a disk is that is nothing.
const NOTHING_BYTES: u64 = 1 << 30;

/// Who executes the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU itself.
    Tcg,
    /// The host's processor.
    Kvm,
}

/// A virtual machine to be.
#[derive(Clone, Debug)]
pub struct Qemu {
    machine: Machine,
    accelerator: Accelerator,
    kernel: PathBuf,
    command_line: String,
    disks: Vec<(Medium, DiskDevice)>,
    cards: Vec<(Network, NetDevice)>,
    console: Option<ConsoleDevice>,
    namespace: Option<String>,
    paused: bool,
    memory_mib: u32,
    processors: u32,
    more: Vec<String>,
    limit: Duration,
}

impl Qemu {
    /// A machine with one processor and 256 MiB that runs a kernel, by the name of its package, within a minute.
    ///
    /// # Panics
    /// If the kernel does not build.
    pub fn new(machine: Machine, package: &str) -> Self {
        Self::with_kernel(machine, kernel(package, machine.architecture()))
    }

    /// The same with a kernel that was built elsewhere.
    pub fn with_kernel(machine: Machine, kernel: impl Into<PathBuf>) -> Self {
        Self {
            machine,
            accelerator: Accelerator::Tcg,
            kernel: kernel.into(),
            command_line: String::new(),
            disks: Vec::new(),
            cards: Vec::new(),
            console: None,
            namespace: None,
            paused: false,
            memory_mib: 256,
            processors: 1,
            more: Vec::new(),
            limit: Duration::from_mins(1),
        }
    }

    /// Chooses who executes the guest.
    #[must_use]
    pub fn accelerator(mut self, accelerator: Accelerator) -> Self {
        self.accelerator = accelerator;
        self
    }

    /// Sets the kernel's command line.
    #[must_use]
    pub fn append(mut self, command_line: impl Into<String>) -> Self {
        self.command_line = command_line.into();
        self
    }

    /// Adds a virtio disk.
    #[must_use]
    pub fn disk(mut self, image: &Image, device: DiskDevice) -> Self {
        self.disks.push((Medium::Image(image.path().into()), device));
        self
    }

    /// Adds a virtio disk that is nothing: what is read is nothing, and what is written is lost. It answers after this time (of the host's).
    #[must_use]
    pub fn null_disk(mut self, latency: Duration, device: DiskDevice) -> Self {
        self.disks.push((Medium::Nothing(latency), device));
        self
    }

    /// Adds a virtio network card, which QMP calls `card` and its number from 0 on.
    #[must_use]
    pub fn card(mut self, network: Network, device: NetDevice) -> Self {
        self.cards.push((network, device));
        self
    }

    /// Adds a virtio console.
    #[must_use]
    pub fn console(mut self, device: ConsoleDevice) -> Self {
        self.console = Some(device);
        self
    }

    /// Has QEMU run in a namespace, where its taps are.
    #[must_use]
    pub fn inside(mut self, namespace: &Namespace) -> Self {
        self.namespace = Some(namespace.name().into());
        self
    }

    /// Starts the machine with its processors stopped, until QMP says `cont`.
    #[must_use]
    pub fn paused(mut self) -> Self {
        self.paused = true;
        self
    }

    /// Sets how much memory the machine has.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// Sets how many processors the machine has.
    #[must_use]
    pub fn processors(mut self, processors: u32) -> Self {
        self.processors = processors;
        self
    }

    /// Adds arguments for QEMU, before those for disks.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.more.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Has QEMU write these trace events to a file.
    #[must_use]
    pub fn trace(mut self, events: &[&str], file: &Path) -> Self {
        self.more.extend(["-D".into(), file.display().to_string()]);
        self.more.extend(events.iter().flat_map(|event| ["-trace".into(), (*event).to_owned()]));
        self
    }

    /// Has the guest's time stand for its instructions, one nanosecond each, so that what is counted in it is the same in each run. Only with [`Accelerator::Tcg`]; a guest
    /// that sleeps is woken at once.
    #[must_use]
    pub fn time_is_instructions(self) -> Self {
        self.with(&["-icount", "shift=0,sleep=off"])
    }

    /// Sets how long the machine may run.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The program that runs it.
    pub(crate) const fn emulator(&self) -> &'static str {
        self.machine.architecture().emulator()
    }

    /// What comes before it on the command line: for taps, whoever moves it to their namespace.
    pub(crate) fn launcher(&self) -> Vec<String> {
        let Some(namespace) = &self.namespace else { return vec![self.emulator().into()] };
        ["ip", "netns", "exec", namespace, self.emulator()].map(Into::into).into()
    }

    pub(crate) fn time_limit(&self) -> Duration {
        self.limit
    }

    /// What serves the disks that QEMU itself does not serve, with sockets in this folder.
    pub(crate) fn storage_daemons(&self, folder: &Path) -> Vec<StorageDaemon> {
        let disks = (0..).zip(&self.disks).filter(|(_, (_, device))| device.storage_daemon);
        disks
            .map(|(index, (medium, device))| match medium {
                Medium::Image(path) => StorageDaemon::start(folder, index, path, device),
                Medium::Nothing(_) => panic!("a storage daemon serves an image"),
            })
            .collect()
    }

    /// Whether processes beside QEMU work in the guest's memory.
    fn shares_memory(&self) -> bool {
        let mut disks = self.disks.iter().map(|(_, device)| device.storage_daemon);
        let mut cards = self.cards.iter().map(|(network, _)| network.shares_memory());
        disks.any(|shares| shares) || cards.any(|shares| shares)
    }

    /// The arguments, with QMP, and storage daemons, on sockets in this folder.
    pub(crate) fn arguments(&self, folder: &Path) -> Vec<String> {
        let (accelerator, processor) = match (self.accelerator, self.machine.architecture()) {
            (Accelerator::Tcg, Architecture::X86_64) => ("tcg", "qemu64"),
            (Accelerator::Tcg, Architecture::Aarch64) => ("tcg", "cortex-a72"),
            (Accelerator::Tcg, Architecture::Riscv64) => ("tcg", "rv64"),
            (Accelerator::Kvm, _) => ("kvm", "host"),
        };
        let mut arguments: Vec<String> = [
            ["-machine", self.machine.option()],
            ["-accel", accelerator],
            ["-cpu", processor],
            ["-display", "none"],
            ["-monitor", "none"],
            ["-serial", "stdio"],
        ]
        .concat()
        .iter()
        .chain(self.machine.exit_arguments())
        .map(|argument| (*argument).to_owned())
        .collect();
        arguments.extend(["-no-reboot".into(), "-nodefaults".into()]);
        arguments.extend(["-m".into(), self.memory_mib.to_string()]);
        arguments.extend(["-smp".into(), self.processors.to_string()]);
        arguments.extend(self.more.iter().cloned());
        arguments.extend([
            "-qmp".into(),
            format!("unix:{},server=on,wait=off", option_value(&folder.join("qmp"))),
        ]);
        if self.disks.iter().any(|(_, device)| device.behind_bridge) {
            arguments.extend(["-device".into(), self.machine.bridge().into()]);
        }
        let disks = self.disks.iter().map(|(_, device)| device.connection_on(self.machine));
        let cards = self.cards.iter().map(|(_, device)| device.connection_on(self.machine));
        let console = self.console.iter().map(|device| device.connection_on(self.machine));
        let mut connections = disks.chain(cards).chain(console);
        let force_legacy = on_off(connections.any(|connection| connection == Connection::MmioLegacy));
        arguments.extend(["-global".into(), format!("virtio-mmio.force-legacy={force_legacy}")]);
        let ioeventfd = on_off(self.disks.iter().all(|(_, device)| device.ioeventfd));
        arguments.extend(["-global".into(), format!("virtio-mmio.ioeventfd={ioeventfd}")]);
        if self.paused {
            arguments.push("-S".into());
        }
        arguments.extend(["-kernel".into(), self.kernel.display().to_string()]);
        if !self.command_line.is_empty() {
            arguments.extend(["-append".into(), self.command_line.clone()]);
        }
        if self.shares_memory() {
            // Who serves a device from outside works in the guest's memory, which is a file for that.
            let memory = format!("memory-backend-memfd,id=memory,size={}M,share=on", self.memory_mib);
            arguments.extend(["-object".into(), memory, "-machine".into(), "memory-backend=memory".into()]);
        }
        for (index, (medium, device)) in (0..).zip(&self.disks) {
            let backend = format!("disk{index}");
            if device.storage_daemon {
                let socket = option_value(&StorageDaemon::socket(folder, index));
                let socket = format!("socket,id={backend},path={socket},reconnect-ms={RECONNECT_MILLIS}");
                arguments.extend(["-chardev".into(), socket]);
            } else {
                let drive = match medium {
                    Medium::Image(path) => device.drive(path),
                    Medium::Nothing(latency) => {
                        format!("driver=null-co,size={NOTHING_BYTES},latency-ns={}", latency.as_nanos())
                    }
                };
                let throttle = device.throttle();
                let read_only = on_off(device.read_only);
                let drive = format!("id={backend},if=none,{drive}{throttle},readonly={read_only}");
                arguments.extend(["-drive".into(), drive]);
            }
            arguments.extend(["-device".into(), device.properties(self.machine, &backend)]);
        }
        for (index, (network, device)) in self.cards.iter().enumerate() {
            let name = format!("network{index}");
            arguments.extend(network.arguments(&name, device.pairs));
            arguments.extend(device.arguments(self.machine, index, &name));
        }
        if let Some(console) = &self.console {
            arguments.extend(console.arguments(self.machine, folder));
        }
        arguments
    }

    /// Boots it.
    pub fn boot(&self) -> Running {
        Running::start(self)
    }

    /// Boots it, and expects it to print a closing line and to end with success. Returns what it printed.
    ///
    /// # Panics
    /// With QEMU's command line and the guest's output, if it does not.
    pub fn run_to(&self, closing_line: &str) -> String {
        self.run(Ended::Success, closing_line)
    }

    /// Boots it, and expects it to print a line and to end with a failure. Returns what it printed.
    ///
    /// # Panics
    /// With QEMU's command line and the guest's output, if it does not.
    pub fn run_to_failure(&self, line: &str) -> String {
        self.run(Ended::Failure, line)
    }

    /// Boots it, anew if QEMU ends by a known fault of its own.
    fn run(&self, expected: Ended, line: &str) -> String {
        for _ in 1..BOOTS_MAX {
            if let Some(output) = self.boot().finish_unless_faulty(expected, line) {
                return output;
            }
            eprintln!("QEMU ended by a fault of its own; it is started again");
        }
        self.boot().finish(expected, line)
    }
}
