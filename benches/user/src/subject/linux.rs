//! Linux's own: reads and writes of the same file, past the page cache, one after the other.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use super::Subject;
use super::disk::REQUEST_BYTES;
use crate::back_end::DISK_BYTES;
use crate::line::BlockLine;
use crate::sample::Window;

/// Bytes at an address that the disk likes.
#[repr(C, align(4096))]
struct Page([u8; REQUEST_BYTES]);

/// See the module's head.
pub struct FileAccess {
    file: File,
    page: Box<Page>,
    write: bool,
    random: fastrand::Rng,
}

impl FileAccess {
    /// Of this file.
    pub fn open(line: BlockLine, path: &Path) -> Result<Self, String> {
        let file = open(path, OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        let page = Box::new(Page([0; REQUEST_BYTES]));
        Ok(Self { file: file.into(), page, write: line.write, random: fastrand::Rng::with_seed(7) })
    }
}

impl Subject for FileAccess {
    fn turn(&mut self, window: &mut Window) -> Result<(), String> {
        let Self { file, page, write, random } = self;
        let offset = random.u64(..) % (DISK_BYTES / REQUEST_BYTES as u64) * REQUEST_BYTES as u64;
        let done =
            if *write { file.write_all_at(&page.0, offset) } else { file.read_exact_at(&mut page.0, offset) };
        done.map_err(|error| format!("the file: {error}"))?;
        window.operations += 1;
        window.bursts += 1;
        Ok(())
    }

    fn kicks(&self) -> u64 {
        0
    }
}
