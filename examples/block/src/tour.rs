//! Mode `tour`: files on a FAT disk, with blocking calls.
//!
//! It lists the files of the disk's first partition, prints the first text file, writes a new one, and flushes.

use alloc::string::{String, ToString};
use core::ops::ControlFlow;

use embedded_sdmmc::{Mode, VolumeIdx, VolumeManager};
use example_platform::devices::{Interrupts, Way};
use example_platform::{DMA, Dma, clock, devices, println};
use virtio_guest::adapter::{Blocks, BlocksError};
use virtio_guest::device::block::{Block, HANDLED, Settings, Storage};
use virtio_guest::hal::Patience;
use virtio_guest::lifecycle::Wants;

use crate::date::Clock;

/// The file that is written.
const NEW_FILE: &str = "GUEST.TXT";

/// As much of a file as is printed.
const SHOWN_BYTES_MAX: u32 = 4096;

/// How long one call may take.
const PATIENCE_MILLIS: u64 = 5000;

/// Brings the disk up, and uses its files.
pub fn run() -> Result<(), String> {
    let mut device = devices::take_disk()?;
    println!("disk at {}", device.place);
    let wiring = device.connect(Interrupts::asked_for()?)?;

    // As many descriptors as a legacy device of QEMU's has, which does not do with fewer.
    let mut storage = Storage::<256>::new();
    let settings = Settings { notifications: wiring.kind != Interrupts::None, ..Settings::default() };
    let (wants, patience) = (Wants::features(HANDLED), wiring.patience(1000));
    let disk = Block::start_with(device.transport, DMA, &mut storage, &settings, wants, patience)
        .map_err(|error| error.to_string())?;
    println!("interrupts: {} ({:?})", wiring.kind.name(), disk.active_paths().vectors);
    let sectors = disk.capacity_sectors();
    println!("capacity: {sectors} sectors of 512 bytes ({} MiB)", sectors >> 11);
    println!("paths: {:?}", disk.active_paths());

    let blocks = Blocks::new(disk, || wiring.patience(PATIENCE_MILLIS));
    let used = use_files(blocks, sectors, || wiring.arrived());
    used.map_err(|error| match error {
        embedded_sdmmc::Error::DeviceError(error) => alloc::format!("the disk failed: {error}"),
        error @ (embedded_sdmmc::Error::FormatError(_) | embedded_sdmmc::Error::NoSuchVolume) => alloc::format!(
            "no FAT file system in the disk's first partition ({error:?}): `scripts/image.sh IMAGE FOLDER` makes an image with one"
        ),
        error => alloc::format!("the file system failed: {error:?}"),
    })
}

/// The crate's own traits are implemented by an adapter of the library's; see the guide's page on adapters for others.
fn use_files<W: Patience>(
    blocks: Blocks<Block<'_, Way, Dma>, impl Fn() -> W>,
    sectors: u64,
    interrupts: impl Fn() -> u64,
) -> Result<(), embedded_sdmmc::Error<BlocksError>> {
    let start = clock::now();
    let manager: VolumeManager<_, _> = VolumeManager::new(blocks, Clock);
    let volume = manager.open_volume(VolumeIdx(0))?;
    let root = volume.open_root_dir()?;

    println!("files:");
    let mut text_file = None;
    root.iterate_dir(|entry| {
        if entry.attributes.is_volume() || entry.attributes.is_lfn() {
            return ControlFlow::Continue(());
        }
        println!("  {:<12} {:>8} bytes  {}", entry.name.to_string(), entry.size, entry.mtime.to_string());
        if text_file.is_none()
            && !entry.attributes.is_directory()
            && entry.name.extension() == b"TXT"
            && entry.name.to_string() != NEW_FILE
        {
            text_file = Some(entry.name);
        }
        ControlFlow::Continue(())
    })?;

    if let Some(name) = text_file {
        println!("--- {name}");
        let file = root.open_file_in_dir(name, Mode::ReadOnly)?;
        let mut text = alloc::vec![0; file.length().min(SHOWN_BYTES_MAX) as usize];
        let mut filled = 0;
        while filled < text.len() && !file.is_eof() {
            filled += file.read(text.get_mut(filled..).unwrap_or_default())?;
        }
        println!("{}", String::from_utf8_lossy(&text).trim_end());
        println!("--- {filled} of {} bytes", file.length());
    }

    let text = alloc::format!(
        "Written by the block example.\nThe disk has {sectors} sectors.\nReading took {} microseconds.\n",
        clock::since(start).as_micros()
    );
    let file = root.open_file_in_dir(NEW_FILE, Mode::ReadWriteCreateOrTruncate)?;
    file.write(text.as_bytes())?;
    file.close()?;
    root.close()?;
    volume.close()?;
    manager.device(|blocks| blocks.flush()).map_err(embedded_sdmmc::Error::DeviceError)?;
    println!("interrupts that arrived: {}", interrupts());
    println!("wrote {NEW_FILE} ({} bytes) in {} ms", text.len(), clock::since(start).as_millis());
    Ok(())
}
