//! Disk images: made before the guest runs, looked at afterwards.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::pattern::{SECTOR, fill};

/// Where the FAT partition starts, for mtools.
const PARTITION: &str = "@@1M";

/// A raw disk image in a folder of its own.
#[derive(Debug)]
pub struct Image {
    folder: TempDir,
    path: PathBuf,
}

impl Image {
    /// An image of zeros, sparse.
    pub fn blank(sectors: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("disk.img");
        let file = File::create(&path).expect("an image file");
        file.set_len(sectors * SECTOR as u64).expect("a sparse file");
        Self { folder, path }
    }

    /// An image with contents everywhere (on large ones: in the first and last 4096 sectors and in the middle).
    pub fn random(sectors: u64, seed: u64) -> Self {
        const EDGE: u64 = 4096;
        let image = Self::blank(sectors);
        let file = File::options().write(true).open(&image.path).expect("the image");
        let middle = sectors / 2;
        let ranges = if sectors <= 4 * EDGE {
            [0..sectors, 0..0, 0..0]
        } else {
            [0..EDGE, middle..middle + EDGE, sectors - EDGE..sectors]
        };
        let mut bytes = [0; SECTOR];
        for sector in ranges.into_iter().flatten() {
            fill(seed, sector, &mut bytes);
            file.write_all_at(&bytes, sector * SECTOR as u64).expect("room on the host's disk");
        }
        image
    }

    /// An image with one FAT partition that holds these files.
    pub fn fat(files: &[(&str, &str)]) -> Self {
        let image = Self::blank(0);
        let source = image.folder.path().join("files");
        fs::create_dir(&source).expect("a folder");
        for (name, text) in files {
            fs::write(source.join(name), text).expect("a file");
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/image.sh");
        let status = Command::new(script).arg(&image.path).arg(&source).status().expect("bash runs");
        assert!(status.success(), "the image could not be made: run `make setup`");
        image
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads sectors.
    pub fn read(&self, first: u64, count: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(count).expect("few sectors") * SECTOR];
        let file = File::open(&self.path).expect("the image");
        file.read_exact_at(&mut bytes, first * SECTOR as u64).expect("inside of the image");
        bytes
    }

    /// All of it.
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).expect("the image")
    }

    /// The text of a file in the FAT partition, as mtools reads it.
    pub fn file(&self, name: &str) -> String {
        let image = format!("{}{PARTITION}", self.path.display());
        let output = Command::new("mtype").args(["-i", &image, &format!("::{name}")]).output();
        let output = output.expect("mtools are installed: run `make setup`");
        assert!(
            output.status.success(),
            "no {name} on the image: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    }
}
