//! A disk in blocks: under a FAT volume of `embedded-sdmmc`, and under a partition table of `gpt_disk_io`.
//!
//! Each is made by other code than reads it here. Not under miri: adapters are safe code over calls that other tests make there, and file systems take their time.

#![cfg(all(feature = "embedded-sdmmc", feature = "gpt-disk-io", not(miri)))]
#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use std::io::{Cursor, Read as _, Write as _};

use embedded_sdmmc::{Block, BlockDevice, BlockIdx, Mode, TimeSource, Timestamp, VolumeIdx, VolumeManager};
use gpt_disk_io::gpt_disk_types::{
    BlockSize, GptHeader, GptPartitionEntry, GptPartitionEntryArrayLayout, GptPartitionType, Lba, LbaLe,
    U32Le,
};
use gpt_disk_io::{BlockIo, BlockIoAdapter, Disk};
use support::DiskBench;
use virtio_guest::adapter::{Blocks, BlocksError};
use virtio_guest::device::block::{RequestError, Sector, Storage};
use virtio_guest::hal::Attempts;

const ROUNDS: usize = 50;

/// Where the partition with the volume begins.
const VOLUME_AT: usize = 8;
/// Enough for the smallest FAT16 file system.
const VOLUME_SECTORS: usize = 4200;

struct Clock;

impl TimeSource for Clock {
    fn get_timestamp(&self) -> Timestamp {
        Timestamp {
            year_since_1970: 55,
            zero_indexed_month: 1,
            zero_indexed_day: 1,
            hours: 1,
            minutes: 1,
            seconds: 0,
        }
    }
}

/// A FAT16 volume with one file, made in memory by another crate.
fn volume(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut volume = Cursor::new(vec![0; VOLUME_SECTORS * 512]);
    let options = fatfs::FormatVolumeOptions::new().bytes_per_cluster(512).fat_type(fatfs::FatType::Fat16);
    fatfs::format_volume(&mut volume, options).unwrap();
    {
        let files = fatfs::FileSystem::new(&mut volume, fatfs::FsOptions::new()).unwrap();
        files.root_dir().create_file(name).unwrap().write_all(contents).unwrap();
    }
    volume.into_inner()
}

/// A master boot record with one partition.
fn boot_record() -> [u8; 512] {
    let mut record = [0; 512];
    record[446 + 4] = 0x0e;
    record[446 + 8..446 + 12].copy_from_slice(&(VOLUME_AT as u32).to_le_bytes());
    record[446 + 12..446 + 16].copy_from_slice(&(VOLUME_SECTORS as u32).to_le_bytes());
    record[510..].copy_from_slice(&[0x55, 0xaa]);
    record
}

#[test]
fn a_fat_volume_is_read_and_written() {
    let text = b"what another system wrote ".repeat(3000);
    let bench = DiskBench::new(|config| config.capacity = (VOLUME_AT + VOLUME_SECTORS) as u64);
    bench.disk.fill(0, &boot_record());
    bench.disk.fill(VOLUME_AT, &volume("THEIRS.TXT", &text));
    let mut storage = Storage::<16>::new();
    let mut disk = bench.start(&mut storage).unwrap();

    let volumes: VolumeManager<_, _> =
        VolumeManager::new(Blocks::new(&mut disk, || bench.working(ROUNDS)), Clock);
    {
        let volume = volumes.open_volume(VolumeIdx(0)).unwrap();
        let folder = volume.open_root_dir().unwrap();
        let file = folder.open_file_in_dir("THEIRS.TXT", Mode::ReadOnly).unwrap();
        let mut read = vec![0; text.len()];
        let mut at = 0;
        while at < read.len() {
            at += file.read(&mut read[at..]).unwrap();
        }
        assert!(read == text, "the file has other bytes");
        let file = folder.open_file_in_dir("OURS.TXT", Mode::ReadWriteCreate).unwrap();
        file.write(&text).unwrap();
    }
    volumes.device(BlockIo::flush).unwrap();
    drop(volumes);
    drop(disk);
    bench.assert_all_returned();

    assert_eq!(bench.disk.flushes(), 1);
    let mut image = Cursor::new(bench.disk.contents()[VOLUME_AT * 512..].to_vec());
    let files = fatfs::FileSystem::new(&mut image, fatfs::FsOptions::new()).unwrap();
    let mut read = Vec::new();
    files.root_dir().open_file("OURS.TXT").unwrap().read_to_end(&mut read).unwrap();
    assert!(read == text, "another reader sees other bytes");
}

#[test]
fn blocks_go_to_the_disk_together_and_in_order() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let disk = Blocks::new(bench.start(&mut storage).unwrap(), || bench.working(ROUNDS));
    let mut blocks = vec![Block::new(); 35];

    BlockDevice::read(&disk, &mut blocks, BlockIdx(3)).unwrap();
    assert!(blocks.iter().zip(3..).all(|(block, sector)| block.contents == [sector; 512]));
    assert_eq!(bench.device.notifications(0), 3, "sixteen blocks at a time");
    blocks.reverse();
    BlockDevice::write(&disk, &blocks, BlockIdx(29)).unwrap();
    BlockDevice::write(&disk, &[], BlockIdx(29)).unwrap();

    assert!((29..64).zip((3..38).rev()).all(|(at, byte)| bench.disk.sector(at) == [byte; 512]));
    assert_eq!(BlockDevice::num_blocks(&disk).unwrap().0, 64);
    let beyond = BlockDevice::read(&disk, &mut blocks, BlockIdx(u32::MAX));
    assert!(matches!(beyond, Err(BlocksError::Request(RequestError::OutOfRange { .. }))));
    let given_out = disk.disk().unwrap();
    assert_eq!(BlockDevice::read(&disk, &mut blocks, BlockIdx(0)), Err(BlocksError::InUse));
    drop(given_out);
    disk.into_disk().close(Attempts(10)).unwrap();
    bench.assert_all_returned();
}

/// A table with one partition.
fn write_table<Io: BlockIo>(io: Io, block_bytes: usize) -> GptHeader
where
    Io::Error: PartialEq,
{
    let mut disk = Disk::new(io).unwrap();
    let mut block = vec![0; block_bytes];
    let mut header = GptHeader {
        partition_entry_lba: LbaLe::from_u64(2),
        number_of_partition_entries: U32Le::from_u32(4),
        ..GptHeader::default()
    };
    let layout: GptPartitionEntryArrayLayout = header.get_partition_entry_array_layout().unwrap();
    let bytes =
        layout.num_bytes_rounded_to_block_as_usize(BlockSize::new(block_bytes as u32).unwrap()).unwrap();
    let mut storage = vec![0; bytes];
    let mut entries = disk.read_gpt_partition_entry_array(layout, &mut storage).unwrap();
    let entry = entries.get_partition_entry_mut(1).unwrap();
    entry.partition_type_guid = GptPartitionType::BASIC_DATA;
    (entry.starting_lba, entry.ending_lba) = (LbaLe::from_u64(5), LbaLe::from_u64(6));
    header.partition_entry_array_crc32 = entries.calculate_crc32();
    header.update_header_crc32();
    disk.write_protective_mbr(&mut block).unwrap();
    disk.write_primary_gpt_header(&header, &mut block).unwrap();
    disk.write_gpt_partition_entry_array(&entries).unwrap();
    disk.flush().unwrap();
    header
}

/// Also on a disk whose blocks are larger than sectors: a table's numbers count those.
#[test]
fn a_partition_table_is_written_and_read_in_the_disks_own_blocks() {
    for block_bytes in [512, 4096] {
        let bench = DiskBench::new(|config| config.blk_size = Some(block_bytes));
        let block_bytes = block_bytes as usize;
        bench.disk.fill(0, &vec![0; 64 * 512]);
        let mut storage = Storage::<16>::new();
        let mut disk = bench.start(&mut storage).unwrap();
        let size = BlockSize::new(block_bytes as u32).unwrap();

        let mut expected = vec![0; 64 * 512];
        let header = write_table(BlockIoAdapter::new(&mut expected[..], size), block_bytes);
        write_table(Blocks::new(&mut disk, || bench.working(ROUNDS)), block_bytes);
        assert!(bench.disk.contents() == expected, "the table is another one than in memory");
        assert!(bench.disk.flushes() > 0, "it is safe from a power failure");

        let mut table = Disk::new(Blocks::new(&mut disk, || bench.working(ROUNDS))).unwrap();
        let mut block = vec![0; block_bytes];
        assert_eq!(table.read_primary_gpt_header(&mut block).unwrap(), header);
        let layout = header.get_partition_entry_array_layout().unwrap();
        let entries = table.gpt_partition_entry_array_iter(layout, &mut block).unwrap();
        let used: Vec<_> = entries.map(Result::unwrap).filter(GptPartitionEntry::is_used).collect();
        let lbas: Vec<_> = used.iter().map(|entry| entry.starting_lba.to_u64()).collect();
        assert_eq!(lbas, [5]);
    }
}

#[test]
fn blocks_that_no_disk_has_are_refused() {
    let bench = DiskBench::new(|config| (config.capacity, config.blk_size) = (63, Some(4096)));
    let mut storage = Storage::<16>::new();
    let mut disk = Blocks::new(bench.start(&mut storage).unwrap(), || bench.working(ROUNDS));
    let capacity_sectors = 63;

    assert_eq!(BlockIo::num_blocks(&mut disk), Ok(7), "whole ones");
    for (block, sector) in [(8, 64), (u64::MAX / 8, u64::MAX - 7), (u64::MAX, u64::MAX)] {
        let refused = RequestError::OutOfRange { sector, sectors: 8, capacity_sectors };
        assert_eq!(disk.read_blocks(Lba(block), &mut [0; 4096]), Err(refused.into()));
        assert_eq!(disk.write_blocks(Lba(block), &[0; 4096]), Err(refused.into()));
    }
    assert!(bench.disk.requests().is_empty());
    disk.disk().unwrap().read_blocking(Sector(0), &mut [0; 512], bench.working(ROUNDS)).unwrap();
}
