//! The lines of the table, and the kernels that measure them.

/// What a kernel drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// A disk that answers at once.
    Disk,
    /// A disk that takes its time, so that whoever waits does so.
    SlowDisk,
    /// Three network cards.
    Cards,
}

/// Whose drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This repository's.
    Ours,
    /// Crate `virtio-drivers` 0.13.
    Rcore,
}

impl Whose {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ours, Self::Rcore];

    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Rcore => "rcore",
        }
    }

    /// The package that has the kernels.
    pub const fn package(self) -> &'static str {
        match self {
            Self::Ours => "guest-ours",
            Self::Rcore => "guest-rcore",
        }
    }

    /// Whether it knows packed rings.
    pub const fn knows_packed(self) -> bool {
        matches!(self, Self::Ours)
    }
}

/// A kernel: whoever's, for some lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The end of its program's name, behind whose it is.
    pub name: &'static str,
    /// What it drives.
    pub devices: Devices,
    /// Its lines.
    pub lines: &'static [&'static str],
}

/// All of them, in the table's order.
pub const KERNELS: [Kernel; 3] = [
    Kernel {
        name: "block",
        devices: Devices::Disk,
        lines: &[
            "block-4k-depth1",
            "block-4k-depth16",
            "block-4k-depth64",
            "block-512-depth1",
            "block-512-depth16",
            "block-512-depth64",
        ],
    },
    Kernel { name: "blocking", devices: Devices::SlowDisk, lines: &["blocking-4k", "blocking-512"] },
    Kernel {
        name: "net",
        devices: Devices::Cards,
        lines: &[
            "transmit-64-burst1",
            "transmit-64-burst32",
            "transmit-1500-burst1",
            "transmit-1500-burst32",
            "receive-64-burst1",
            "receive-64-burst32",
            "receive-1500-burst1",
            "receive-1500-burst32",
            "forward-64-burst1",
            "forward-64-burst32",
        ],
    },
];

/// Lines that are measured once more with interrupts.
pub const INTERRUPTED: [&str; 2] = ["block-4k-depth16", "receive-64-burst32"];

/// Which kernel has a line.
pub fn kernel_of(line: &str) -> Option<Kernel> {
    KERNELS.into_iter().find(|kernel| kernel.lines.contains(&line))
}

/// A kernel on a machine of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Whose drivers.
    pub whose: Whose,
    /// Which kernel.
    pub kernel: Kernel,
    /// Whether the rings are packed.
    pub packed: bool,
    /// Whether the device interrupts.
    pub interrupts: bool,
}

impl Setup {
    /// All that are measured without interrupts, for these lines (none: all).
    pub fn polling(lines: &[String]) -> Vec<Self> {
        let is_wanted = |kernel: &Kernel| {
            lines.is_empty() || lines.iter().any(|line| kernel.lines.contains(&line.as_str()))
        };
        let mut all = Vec::new();
        for kernel in KERNELS.into_iter().filter(is_wanted) {
            for whose in Whose::ALL {
                for packed in [false, true] {
                    if !packed || whose.knows_packed() {
                        all.push(Self { whose, kernel, packed, interrupts: false });
                    }
                }
            }
        }
        all
    }

    /// Those that are run with interrupts.
    pub fn interrupted() -> Vec<Self> {
        let all = Self::polling(&INTERRUPTED.map(String::from)).into_iter();
        all.filter(|setup| setup.whose == Whose::Ours)
            .map(|setup| Self { interrupts: true, ..setup })
            .collect()
    }

    /// The kernel's program.
    pub fn program(&self) -> String {
        format!("{}-{}", self.whose.name(), self.kernel.name)
    }

    /// How the rings are laid out.
    pub const fn layout(&self) -> &'static str {
        if self.packed { "packed" } else { "split" }
    }
}
