//! QEMU's command line, as types.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::image::Image;
use crate::run::{Ended, Running};

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// PCI Express, with memory-mapped configuration space.
    Q35,
    /// Conventional PCI, with I/O ports.
    Pc,
    /// No PCI and no ACPI: devices behind MMIO, which the kernel's command line names.
    Microvm,
    /// The same, with the legacy interface of before version 1.
    MicrovmLegacy,
}

impl Machine {
    /// Whether its virtio devices are behind MMIO.
    const fn has_mmio(self) -> bool {
        matches!(self, Self::Microvm | Self::MicrovmLegacy)
    }
}

/// Who executes the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU itself.
    Tcg,
    /// The host's processor.
    Kvm,
}

/// Properties of a virtio disk, and of the drive behind it.
#[derive(Clone, Debug)]
pub struct DiskDevice {
    /// No legacy interface (`disable-legacy`; PCI only).
    pub modern_only: bool,
    /// Offer `EVENT_IDX`.
    pub event_idx: bool,
    /// Offer `INDIRECT_DESC`.
    pub indirect_desc: bool,
    /// Offer `RING_PACKED` (`packed`).
    pub packed: bool,
    /// Offer `IN_ORDER` (`in_order`).
    pub in_order: bool,
    /// Offer, and insist on, `ACCESS_PLATFORM` (`iommu_platform`).
    pub iommu_platform: bool,
    /// It is on a bus behind a PCI Express port.
    pub behind_bridge: bool,
    /// The drive fails when it is to be flushed.
    pub flush_fails: bool,
    /// Descriptors of each queue.
    pub queue_size: Option<u16>,
    /// The drive is read-only.
    pub read_only: bool,
    /// The id string.
    pub serial: Option<String>,
}

impl Default for DiskDevice {
    /// Modern only, with everything offered that QEMU offers.
    fn default() -> Self {
        Self {
            modern_only: true,
            event_idx: true,
            indirect_desc: true,
            packed: false,
            in_order: false,
            iommu_platform: false,
            behind_bridge: false,
            flush_fails: false,
            queue_size: None,
            read_only: false,
            serial: None,
        }
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// A path as a part of an option: a comma there is written twice.
fn option_value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

impl DiskDevice {
    fn properties(&self, machine: Machine, drive: &str) -> String {
        let device = if machine.has_mmio() {
            "virtio-blk-device".into()
        } else {
            format!("virtio-blk-pci,disable-legacy={}", on_off(self.modern_only))
        };
        let mut properties = format!(
            "{device},drive={drive},event_idx={},indirect_desc={},packed={},in_order={},iommu_platform={}",
            on_off(self.event_idx),
            on_off(self.indirect_desc),
            on_off(self.packed),
            on_off(self.in_order),
            on_off(self.iommu_platform)
        );
        if self.in_order {
            properties += ",request-merging=off";
        }
        if self.behind_bridge {
            properties += ",bus=bridge";
        }
        if let Some(size) = self.queue_size {
            properties += &format!(",queue-size={size}");
        }
        if let Some(serial) = &self.serial {
            properties += &format!(",serial={serial}");
        }
        properties
    }
}

/// A virtual machine to be.
#[derive(Clone, Debug)]
pub struct Qemu {
    machine: Machine,
    accelerator: Accelerator,
    kernel: PathBuf,
    command_line: String,
    disks: Vec<(PathBuf, DiskDevice)>,
    paused: bool,
    memory_mib: u32,
    limit: Duration,
}

impl Qemu {
    /// A machine with 256 MiB that runs a kernel, within a minute.
    pub fn new(machine: Machine, kernel: &Path) -> Self {
        Self {
            machine,
            accelerator: Accelerator::Tcg,
            kernel: kernel.into(),
            command_line: String::new(),
            disks: Vec::new(),
            paused: false,
            memory_mib: 256,
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
        self.disks.push((image.path().into(), device));
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

    /// Sets how long the machine may run.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn time_limit(&self) -> Duration {
        self.limit
    }

    /// The arguments, with QMP on a socket.
    pub(crate) fn arguments(&self, qmp: &Path) -> Vec<String> {
        let machine = match self.machine {
            Machine::Q35 => "q35",
            Machine::Pc => "pc",
            Machine::Microvm | Machine::MicrovmLegacy => "microvm,acpi=off",
        };
        let (accelerator, processor) = match self.accelerator {
            Accelerator::Tcg => ("tcg", "qemu64"),
            Accelerator::Kvm => ("kvm", "host"),
        };
        let mut arguments: Vec<String> = [
            ["-machine", machine],
            ["-accel", accelerator],
            ["-cpu", processor],
            ["-display", "none"],
            ["-monitor", "none"],
            ["-serial", "stdio"],
            ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect();
        arguments.extend(["-no-reboot".into(), "-nodefaults".into()]);
        arguments.extend(["-m".into(), self.memory_mib.to_string()]);
        arguments.extend(["-qmp".into(), format!("unix:{},server=on,wait=off", option_value(qmp))]);
        if self.disks.iter().any(|(_, device)| device.behind_bridge) {
            arguments.extend(["-device".into(), "pcie-root-port,id=bridge,chassis=1".into()]);
        }
        if self.machine.has_mmio() {
            let force_legacy = on_off(self.machine == Machine::MicrovmLegacy);
            arguments.extend(["-global".into(), format!("virtio-mmio.force-legacy={force_legacy}")]);
        }
        if self.paused {
            arguments.push("-S".into());
        }
        arguments.extend(["-kernel".into(), self.kernel.display().to_string()]);
        if !self.command_line.is_empty() {
            arguments.extend(["-append".into(), self.command_line.clone()]);
        }
        for (index, (path, device)) in self.disks.iter().enumerate() {
            let drive = format!("disk{index}");
            let read_only = on_off(device.read_only);
            let file = option_value(path);
            let backend = if device.flush_fails {
                format!(
                    "driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={file},\
                     file.inject-error.0.event=flush_to_disk,file.inject-error.0.errno=5"
                )
            } else {
                // Through io_uring requests complete in order; QEMU 10.0.2 loses some that do not (see the guide's page on testing).
                let order = if device.in_order { ",aio=io_uring" } else { "" };
                format!("format=raw,file={file}{order}")
            };
            arguments.extend([
                "-drive".into(),
                format!("id={drive},if=none,{backend},readonly={read_only}"),
                "-device".into(),
                device.properties(self.machine, &drive),
            ]);
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
        self.boot().finish(Ended::Success, closing_line)
    }

    /// Boots it, and expects it to print a line and to end with a failure. Returns what it printed.
    ///
    /// # Panics
    /// With QEMU's command line and the guest's output, if it does not.
    pub fn run_to_failure(&self, line: &str) -> String {
        self.boot().finish(Ended::Failure, line)
    }
}
