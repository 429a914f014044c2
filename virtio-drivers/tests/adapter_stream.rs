//! A disk as a stream of bytes.
//!
//! Crate `embedded-io`, and a file system that is made, used and found again on top of it. Not under miri: adapters are safe code over calls that other tests make there, and file systems take their time.

#![cfg(all(feature = "embedded-io", not(miri)))]
#![allow(clippy::cast_possible_truncation, reason = "tests choose numbers that fit")]

mod support;

use std::io::{Read as _, Write as _};

use embedded_io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use embedded_io_adapters::std::ToStd;
use proptest::prelude::*;
use support::{Disk, DiskBench};
use virtio_guest::adapter::embedded_io::{BlockStream, StreamError};
use virtio_guest::device::block::{RequestError, Storage};
use virtio_model::block::request_type;

const ROUNDS: usize = 50;

/// Runs `act` with a stream on a disk, through a block of so many bytes.
fn with_stream<const BYTES: usize, R>(bench: &DiskBench, act: impl FnOnce(&mut (dyn Stream + '_)) -> R) -> R {
    let mut storage = Storage::<16>::new();
    let disk = bench.start(&mut storage).unwrap();
    let result = act(&mut stream::<BYTES>(bench, disk));
    bench.assert_all_returned();
    result
}

/// What the tests do with streams through blocks of any size.
trait Stream: Read<Error = StreamError> + Write<Error = StreamError> + Seek<Error = StreamError> {}
impl<S: Read<Error = StreamError> + Write<Error = StreamError> + Seek<Error = StreamError>> Stream for S {}

fn stream<'a, const BYTES: usize>(
    bench: &'a DiskBench,
    disk: Disk<'a>,
) -> BlockStream<Disk<'a>, impl Fn() -> Box<dyn FnMut() -> bool + 'a> + 'a, BYTES> {
    BlockStream::new(disk, [0xcc; BYTES], move || Box::new(bench.working(ROUNDS)) as Box<dyn FnMut() -> bool>)
        .expect("a block that suits the disk")
}

/// Types and first sectors of what the disk was asked for.
fn seen(bench: &DiskBench) -> Vec<(u32, u64, u64)> {
    let requests = bench.disk.requests().into_iter();
    let seen =
        requests.map(|request| (request.request_type, request.sector, request.data_bytes / 512)).collect();
    bench.disk.clear_requests();
    seen
}

#[derive(Clone, Debug)]
enum Step {
    Seek(SeekFrom),
    Read(usize),
    Write(usize, u8),
    Flush,
}

const BYTES: i64 = 19 * 512;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..BYTES as u64 + 100).prop_map(|at| Step::Seek(SeekFrom::Start(at))),
        (0..BYTES as u64 / 512).prop_map(|at| Step::Seek(SeekFrom::Start(at * 512))),
        (-BYTES..100).prop_map(|at| Step::Seek(SeekFrom::End(at))),
        (-3000i64..3000).prop_map(|at| Step::Seek(SeekFrom::Current(at))),
        (0usize..5000).prop_map(Step::Read),
        (0usize..5000, any::<u8>()).prop_map(|(len, fill)| Step::Write(len, fill)),
        Just(Step::Flush),
    ]
}

/// Does the same with a stream and with memory.
fn live(stream: &mut (dyn Stream + '_), contents: &mut [u8], steps: &[Step]) {
    let mut position = 0u64;
    for step in steps {
        match *step {
            Step::Seek(to) => {
                let sought = match to {
                    SeekFrom::Start(at) => Some(at),
                    SeekFrom::End(at) => (BYTES as u64).checked_add_signed(at),
                    SeekFrom::Current(at) => position.checked_add_signed(at),
                };
                assert_eq!(stream.seek(to).ok(), sought);
                position = sought.unwrap_or(position);
            }
            Step::Read(len) => {
                let mut into = vec![0; len];
                let left = contents.get(position as usize..).unwrap_or_default();
                let read = stream.read(&mut into).unwrap();
                assert_eq!(into[..read], left[..read]);
                assert!(read > 0 || left.is_empty() || len == 0, "there was something to read");
                position += read as u64;
            }
            Step::Write(len, fill) => {
                let left = contents.get_mut(position as usize..).unwrap_or_default();
                match stream.write(&vec![fill; len]) {
                    Ok(written) => {
                        left[..written].fill(fill);
                        assert!(written > 0 || len == 0, "something is written");
                        position += written as u64;
                    }
                    Err(error) => assert!(left.is_empty() && error == StreamError::AtTheEnd),
                }
            }
            Step::Flush => stream.flush().unwrap(),
        }
        assert_eq!(stream.stream_position(), Ok(position));
    }
    stream.flush().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Also where the disk ends in the middle of a block.
    #[test]
    fn a_stream_is_read_and_written_as_memory_is(steps in prop::collection::vec(step(), 60), size in 0..3) {
        let bench = DiskBench::new(|config| config.capacity = BYTES as u64 / 512);
        let mut contents = bench.disk.contents();
        match size {
            0 => with_stream::<512, _>(&bench, |stream| live(stream, &mut contents, &steps)),
            1 => with_stream::<1024, _>(&bench, |stream| live(stream, &mut contents, &steps)),
            _ => with_stream::<4096, _>(&bench, |stream| live(stream, &mut contents, &steps)),
        }
        prop_assert_eq!(bench.disk.contents(), contents);
    }
}

#[test]
fn only_what_is_not_a_whole_block_goes_through_memory() {
    let bench = DiskBench::new(|_| {});
    let (read, write) = (request_type::IN, request_type::OUT);
    with_stream::<1024, _>(&bench, |stream| {
        stream.seek(SeekFrom::Start(1000)).unwrap();
        stream.write_all(&[0x5a; 24 + 2048 + 10]).unwrap();

        let expected = [(read, 0, 2), (write, 2, 4), (write, 0, 2), (read, 6, 2)];
        assert_eq!(seen(&bench), expected, "a block's end, two blocks, a block's beginning");

        stream.seek(SeekFrom::Start(3072)).unwrap();
        stream.read_exact(&mut [0; 512]).unwrap();
        assert_eq!(seen(&bench), [], "it is in memory");
    });
}

#[test]
fn a_flush_writes_back_once_and_flushes_the_disk() {
    let bench = DiskBench::new(|_| {});
    with_stream::<512, _>(&bench, |stream| {
        stream.write_all(&[1]).unwrap();
        assert_eq!(bench.disk.sector(0)[0], 0, "not yet");
        stream.flush().unwrap();
        stream.flush().unwrap();
    });

    assert_eq!(bench.disk.sector(0)[..2], [1, 0]);
    assert_eq!(seen(&bench), [(0, 0, 1), (1, 0, 1), (4, 0, 0), (4, 0, 0)]);
}

#[test]
fn what_the_disk_does_not_take_stays_in_memory_until_it_does_or_is_forgotten() {
    let bench = DiskBench::new(|_| {});
    let mut storage = Storage::<16>::new();
    let mut stream = stream::<512>(&bench, bench.start(&mut storage).unwrap());
    stream.write_all(b"held").unwrap();
    bench.disk.misbehave(|lies| lies.status = Some(1));

    let failed = Err(StreamError::Request(RequestError::Device));
    stream.seek(SeekFrom::Start(9000)).unwrap();
    assert_eq!(stream.read(&mut [0; 4]), failed.map(|()| 0), "there is no room for another block");
    assert_eq!(stream.flush(), failed);
    bench.disk.misbehave(|lies| lies.status = None);
    stream.flush().unwrap();
    assert_eq!(bench.disk.sector(0)[..4], *b"held");

    stream.rewind().unwrap();
    stream.write_all(b"lost").unwrap();
    stream.forget_changes();
    stream.flush().unwrap();
    assert_eq!(bench.disk.sector(0)[..4], *b"held");
    stream.into_disk().close(virtio_guest::hal::Attempts(10)).unwrap();
    bench.assert_all_returned();
}

#[test]
fn what_goes_wrong_has_its_kind() {
    let bench = DiskBench::new(|config| config.read_only = true);
    with_stream::<512, _>(&bench, |stream| {
        let kind = |result: Result<usize, StreamError>| result.map_err(|error| error.kind());
        assert_eq!(kind(stream.write(&[0; 512])), Err(ErrorKind::PermissionDenied));
        assert_eq!(kind(stream.seek(SeekFrom::Current(-1)).map(|_| 0)), Err(ErrorKind::InvalidInput));
        assert_eq!(stream.seek(SeekFrom::End(7)), Ok(64 * 512 + 7));
        assert_eq!(kind(stream.read(&mut [0; 4])), Ok(0));
        assert_eq!(kind(stream.write(&[0; 4])), Err(ErrorKind::WriteZero));
        stream.rewind().unwrap();
        bench.disk.hold();
        assert_eq!(kind(stream.read(&mut [0; 4])), Err(ErrorKind::TimedOut));
        bench.disk.release_all();
        bench.disk.misbehave(|lies| lies.status = Some(1));
        assert_eq!(kind(stream.read(&mut [0; 4])), Err(ErrorKind::Other));
        bench.device.misbehave(|lies| lies.all_ones = true);
        bench.disk.hold();
        assert_eq!(kind(stream.read(&mut [0; 4])), Err(ErrorKind::NotConnected));
        bench.device.misbehave(|lies| lies.all_ones = false);
    });
}

#[test]
fn memory_that_is_no_multiple_of_the_disks_block_is_refused() {
    let bench = DiskBench::new(|config| config.blk_size = Some(4096));
    let mut storage = Storage::<16>::new();
    let disk = bench.start(&mut storage).unwrap();
    let patience = || bench.working(ROUNDS);

    let refused = BlockStream::new(disk, [0; 512], patience).unwrap_err();
    assert_eq!(refused.block_bytes, 4096);
    let refused = BlockStream::new(refused.disk, [], patience).unwrap_err();
    let refused = BlockStream::new(refused.disk, [0; 4097], patience).unwrap_err();
    let mut stream = BlockStream::new(refused.disk, [0; 8192], patience).unwrap();
    stream.read_exact(&mut [0; 9000]).unwrap();

    assert!(bench.disk.requests().iter().all(|request| request.data_bytes % 2048 == 0));
}

#[test]
fn a_fat_file_system_is_made_used_and_found_again() {
    let sectors = 20_000;
    let bench = DiskBench::new(|config| config.capacity = sectors);
    let text = b"bytes of a file, which are many, ".repeat(5000);
    let mut storage = Storage::<16>::new();

    let mut disk = ToStd::new(stream::<4096>(&bench, bench.start(&mut storage).unwrap()));
    fatfs::format_volume(&mut disk, fatfs::FormatVolumeOptions::new().volume_label(*b"OUR DISK   ")).unwrap();
    {
        let files = fatfs::FileSystem::new(&mut disk, fatfs::FsOptions::new()).unwrap();
        let folder = files.root_dir().create_dir("notes").unwrap();
        folder.create_file("long.txt").unwrap().write_all(&text).unwrap();
    }
    disk.flush().unwrap();
    drop(disk);

    let mut disk = ToStd::new(stream::<512>(&bench, bench.start(&mut storage).unwrap()));
    let files = fatfs::FileSystem::new(&mut disk, fatfs::FsOptions::new()).unwrap();
    let mut read = Vec::new();
    files.root_dir().open_file("notes/long.txt").unwrap().read_to_end(&mut read).unwrap();
    assert!(read == text, "the file has other bytes");
    assert_eq!(files.volume_label_as_bytes(), b"OUR DISK");
}
