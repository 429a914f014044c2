//! What went over a card's cable, as QEMU wrote it down (`filter-dump`, a file in the format of pcap).

use std::fs::File;
use std::path::{Path, PathBuf};

use pcap_file::pcap::PcapReader;
use tempfile::TempDir;

/// A place for a capture. Dropping it removes the file.
#[derive(Debug)]
pub struct Capture(TempDir);

impl Capture {
    /// A place where nothing is yet.
    ///
    /// # Panics
    /// If there is no place.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// The file's path, for [`NetDevice::capture`](super::NetDevice::capture).
    pub fn path(&self) -> PathBuf {
        self.0.path().join("capture.pcap")
    }

    /// All frames, in both directions, once the machine has ended.
    ///
    /// # Panics
    /// As [`captured`].
    pub fn frames(&self) -> Vec<Vec<u8>> {
        captured(&self.path())
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self::new()
    }
}

/// The frames in a file.
///
/// # Panics
/// If it is none of QEMU's captures, or a frame is not there in full.
pub fn captured(file: &Path) -> Vec<Vec<u8>> {
    let file = File::open(file).expect("QEMU wrote a capture");
    let mut reader = PcapReader::new(file).expect("in the format of pcap");
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.expect("a whole packet");
        assert_eq!(packet.orig_len as usize, packet.data.len(), "the capture has the whole frame");
        frames.push(packet.data.into_owned());
    }
    frames
}
