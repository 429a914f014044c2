//! Disks of `qemu-storage-daemon`, under the driver that kernels use.

mod support;

use qemu_tests::{DiskDevice, Image, StorageDaemon, random_seed};
use support::{memory, patience, polled};
use virtio_guest::device::block::{Block, Sector, Storage};
use virtio_guest::wire::device_type::DeviceType;
use virtio_user::VhostUser;
use virtio_user::memory::SharedMemory;

fn connect(daemon: &StorageDaemon, memory: &SharedMemory) -> VhostUser {
    VhostUser::connect(daemon.address(), DeviceType::BLOCK, memory, &polled()).expect("the daemon is there")
}

/// Reads so many sectors from the beginning of the disk, and ends the driver.
fn read(disk: &mut VhostUser, memory: &SharedMemory, sectors: u64) -> Vec<u8> {
    let mut storage = Storage::<64>::new();
    let mut block =
        Block::start(&mut *disk, memory.hal(), &mut storage, patience()).expect("the disk comes up");
    let mut bytes = vec![0; usize::try_from(sectors).expect("few") * 512];
    block.read_blocking(Sector(0), &mut bytes, patience()).expect("it reads");
    block.close(patience()).expect("it lets itself be reset");
    bytes
}

#[test]
fn a_disk_of_a_file_reads_as_the_file() {
    let image = Image::random(2048, random_seed());
    let daemon = StorageDaemon::of_image(&image, &DiskDevice::default());
    let memory = memory();
    let mut disk = connect(&daemon, &memory);

    assert_eq!(read(&mut disk, &memory, 2048), image.bytes());
}

#[test]
fn a_disk_of_nothing_has_its_size_and_reads_as_zeros() {
    let daemon = StorageDaemon::of_nothing(4096, &DiskDevice::default());
    let memory = memory();
    let mut disk = connect(&daemon, &memory);

    assert_eq!(read(&mut disk, &memory, 64), vec![0; 64 * 512]);
}

#[test]
fn what_was_written_is_in_the_file() {
    let image = Image::blank(1024);
    let daemon = StorageDaemon::of_image(&image, &DiskDevice::default());
    let memory = memory();
    let mut disk = connect(&daemon, &memory);
    let mut storage = Storage::<64>::new();
    let mut block =
        Block::start(&mut disk, memory.hal(), &mut storage, patience()).expect("the disk comes up");
    let bytes: Vec<u8> = (0..4096u32).map(|at| (at % 251) as u8).collect();

    block.write_blocking(Sector(7), &bytes, patience()).expect("it writes");
    block.flush_blocking(patience()).expect("it flushes");

    assert_eq!(image.read(7, 8), bytes);
}
