//! The machines that guests are booted on, and what each has.

/// A processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Architecture {
    /// The target that kernels are built for.
    pub const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-none",
            Self::Aarch64 => "aarch64-unknown-none",
            Self::Riscv64 => "riscv64gc-unknown-none-elf",
        }
    }

    /// The program that emulates it.
    pub const fn emulator(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86_64",
            Self::Aarch64 => "qemu-system-aarch64",
            Self::Riscv64 => "qemu-system-riscv64",
        }
    }
}

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// A PC with PCI Express, with memory-mapped configuration space.
    Q35,
    /// A PC with conventional PCI, with I/O ports.
    Pc,
    /// No PCI and no ACPI: devices behind MMIO, which the kernel's command line names.
    Microvm,
    /// The same with ACPI, whose tables name the devices then.
    MicrovmAcpi,
    /// Arm with a GIC of version 3, messages through its ITS; PCI Express and MMIO, in a device tree.
    Aarch64Virt,
    /// The same with a GIC of version 2, messages through a GICv2m frame.
    Aarch64VirtGic2,
    /// RISC-V with a PLIC, so without messages; PCI Express and MMIO, in a device tree.
    Riscv64Virt,
    /// The same with the Advanced Interrupt Architecture: messages through an IMSIC, lines through an APLIC.
    Riscv64VirtAia,
}

/// How a virtio device is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// PCI, modern interface only (`disable-legacy=on`).
    Pci,
    /// PCI, both interfaces.
    PciTransitional,
    /// PCI, legacy interface only (`disable-modern=on`).
    PciLegacy,
    /// MMIO, version 2.
    Mmio,
    /// MMIO, version 1: QEMU's default.
    MmioLegacy,
}

impl Connection {
    /// Whether it is one of MMIO registers.
    pub const fn is_mmio(self) -> bool {
        matches!(self, Self::Mmio | Self::MmioLegacy)
    }

    /// Whether drivers find the legacy interface only.
    pub const fn is_legacy(self) -> bool {
        matches!(self, Self::PciLegacy | Self::MmioLegacy)
    }
}

impl Machine {
    /// Machines of each architecture, with each connection that has every feature.
    pub const MODERN: [(Self, Connection); 6] = [
        (Self::Q35, Connection::Pci),
        (Self::Microvm, Connection::Mmio),
        (Self::Aarch64Virt, Connection::Pci),
        (Self::Aarch64Virt, Connection::Mmio),
        (Self::Riscv64Virt, Connection::Pci),
        (Self::Riscv64Virt, Connection::Mmio),
    ];

    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Q35,
        Self::Pc,
        Self::Microvm,
        Self::MicrovmAcpi,
        Self::Aarch64Virt,
        Self::Aarch64VirtGic2,
        Self::Riscv64Virt,
        Self::Riscv64VirtAia,
    ];

    /// Its processors' architecture.
    pub const fn architecture(self) -> Architecture {
        match self {
            Self::Q35 | Self::Pc | Self::Microvm | Self::MicrovmAcpi => Architecture::X86_64,
            Self::Aarch64Virt | Self::Aarch64VirtGic2 => Architecture::Aarch64,
            Self::Riscv64Virt | Self::Riscv64VirtAia => Architecture::Riscv64,
        }
    }

    /// Its name, as a person says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q35 => "x86_64 q35",
            Self::Pc => "x86_64 pc",
            Self::Microvm => "x86_64 microvm",
            Self::MicrovmAcpi => "x86_64 microvm (ACPI)",
            Self::Aarch64Virt => "aarch64 virt (GICv3, ITS)",
            Self::Aarch64VirtGic2 => "aarch64 virt (GICv2m)",
            Self::Riscv64Virt => "riscv64 virt (PLIC)",
            Self::Riscv64VirtAia => "riscv64 virt (AIA)",
        }
    }

    /// What QEMU calls it.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::Q35 => "q35",
            Self::Pc => "pc",
            Self::Microvm => "microvm,acpi=off",
            Self::MicrovmAcpi => "microvm,acpi=on",
            Self::Aarch64Virt => "virt,gic-version=3",
            Self::Aarch64VirtGic2 => "virt,gic-version=2",
            Self::Riscv64Virt => "virt",
            Self::Riscv64VirtAia => "virt,aia=aplic-imsic",
        }
    }

    /// How devices are connected unless a test says otherwise.
    pub const fn default_connection(self) -> Connection {
        match self {
            Self::Microvm | Self::MicrovmAcpi => Connection::Mmio,
            _ => Connection::Pci,
        }
    }

    /// Why it has no devices with this connection; `None` if it has.
    pub const fn lacks(self, connection: Connection) -> Option<&'static str> {
        match (self, connection.is_mmio()) {
            (Self::Q35 | Self::Pc, true) => Some("PCs have no slots for MMIO"),
            (Self::Microvm | Self::MicrovmAcpi, false) => Some("microvm has no PCI unless it is asked for"),
            _ => None,
        }
    }

    /// Why its devices cannot send messages; `None` if they can, behind PCI.
    pub const fn lacks_messages(self) -> Option<&'static str> {
        match self {
            Self::Riscv64Virt => Some("a PLIC takes no messages"),
            _ => None,
        }
    }

    /// What makes it end with the status that the guest wants.
    pub(crate) const fn exit_arguments(self) -> &'static [&'static str] {
        match self.architecture() {
            Architecture::X86_64 => &["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
            Architecture::Aarch64 => &["-semihosting-config", "enable=on,target=native"],
            // There is a device for it on the board.
            Architecture::Riscv64 => &[],
        }
    }

    /// A bridge to a bus named `bridge`.
    pub(crate) const fn bridge(self) -> &'static str {
        match self {
            Self::Pc => "pci-bridge,id=bridge,chassis_nr=1",
            _ => "pcie-root-port,id=bridge,chassis=1",
        }
    }
}
