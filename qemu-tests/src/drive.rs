//! What is behind a virtio disk: a file, and what is put in its way.
//!
//! QEMU's `-drive` and its storage daemon's `--blockdev` have the same words for it.

use std::path::Path;

use crate::disk::{DiskDevice, on_off, option_value};

/// What a drive is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To read.
    Read,
    /// To write.
    Write,
    /// To write zeros.
    WriteZeroes,
    /// To discard.
    Discard,
    /// To flush.
    Flush,
}

/// What a drive fails at, with an input/output error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it is asked for this,
    pub asked: Asked,
    /// and this sector is among those that it is asked for; whichever they are, if it is `None`.
    pub sector: Option<u64>,
    /// Only the first time.
    pub once: bool,
}

impl Fault {
    /// It never does what it is asked for.
    pub const fn always(asked: Asked) -> Self {
        Self { asked, sector: None, once: false }
    }

    /// It does not do it with this sector, the first time.
    pub const fn once_at(asked: Asked, sector: u64) -> Self {
        Self { asked, sector: Some(sector), once: true }
    }

    /// It never does it with this sector.
    pub const fn always_at(asked: Asked, sector: u64) -> Self {
        Self { asked, sector: Some(sector), once: false }
    }

    /// As an option of the drive (`blkdebug`).
    fn option(self, index: usize) -> String {
        let asked = match self.asked {
            Asked::Read => "read",
            Asked::Write => "write",
            Asked::WriteZeroes => "write-zeroes",
            Asked::Discard => "discard",
            Asked::Flush => "flush",
        };
        let name = format!("file.inject-error.{index}");
        let sector = self.sector.map(|sector| format!(",{name}.sector={sector}")).unwrap_or_default();
        let once = if self.once { format!(",{name}.once=on") } else { String::new() };
        // Not bound to what else happens in the drive, only to what it is asked for.
        format!(",{name}.event=none,{name}.iotype={asked},{name}.errno=5{sector}{once}")
    }
}

impl DiskDevice {
    /// The drive behind it, with the options for it.
    pub(crate) fn drive(&self, path: &Path) -> String {
        let file = option_value(path);
        // Through io_uring requests complete in order; QEMU 10.0.2 loses some that do not (see the guide's page on testing).
        let order = if self.in_order { ",file.aio=io_uring" } else { "" };
        let unmap = if self.unmap { ",discard=unmap" } else { "" };
        let file = if self.faults.is_empty() && !self.breakpoints {
            format!("file.driver=file,file.filename={file}{order}")
        } else {
            let faults: String = (0..).zip(&self.faults).map(|(index, fault)| fault.option(index)).collect();
            format!("file.driver=blkdebug,file.image.driver=file,file.image.filename={file}{faults}")
        };
        format!("driver=raw,{file}{unmap}")
    }

    /// The arguments with which a storage daemon has it, under this name.
    pub(crate) fn nodes(&self, name: &str, path: &Path) -> Vec<String> {
        let (drive, read_only) = (self.drive(path), on_off(self.read_only));
        let node = |name: &str| format!("node-name={name},{drive},read-only={read_only}");
        let Some(most) = self.requests_per_second else { return vec!["--blockdev".into(), node(name)] };
        let (speed, behind) = (format!("{name}-speed"), format!("{name}-drive"));
        [
            ["--object", &format!("throttle-group,id={speed},x-iops-total={most}")],
            ["--blockdev", &node(&behind)],
            [
                "--blockdev",
                &format!("node-name={name},driver=throttle,throttle-group={speed},file={behind},read-only={read_only}"),
            ],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
    }

    /// How slow `-drive` makes it.
    pub(crate) fn throttle(&self) -> String {
        let speed = self.requests_per_second.map(|most| format!(",throttling.iops-total={most}"));
        speed.unwrap_or_default()
    }
}
