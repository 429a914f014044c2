//! What is in frames: a value that fills them, or bytes that are only theirs.

use alloc::string::String;

use example_platform::frames::{FRAME_BYTES, Frame, Frames};

use crate::pattern::{SECTOR, fill};

/// All frames that are free, as blocks as large as `frames`; what is left is too small.
pub fn take_all(from: &mut Frames, frames: u16) -> impl Iterator<Item = Frame> {
    core::iter::from_fn(move || from.take(frames))
}

/// Gives them all back.
pub fn put_all(into: &mut Frames, all: impl IntoIterator<Item = Frame>) {
    for frame in all {
        into.put(frame);
    }
}

/// Fills a frame with a value.
pub fn fill_with(frame: &mut Frame, value: u32) {
    let value = value.to_le_bytes();
    frame.contents().chunks_exact_mut(value.len()).for_each(|word| word.copy_from_slice(&value));
}

/// Whether a frame is full of a value.
pub fn is_full_of(frame: &mut Frame, value: u32) -> bool {
    let value = value.to_le_bytes();
    frame.contents().chunks_exact(value.len()).all(|word| word == value)
}

/// Writes the pattern of this number to the beginning of each page.
pub fn mark(frame: &mut Frame, seed: u64, number: u64) {
    for (page, at) in frame.contents().chunks_mut(FRAME_BYTES).zip(0..) {
        if let Some(sector) = page.get_mut(..SECTOR) {
            fill(seed, number << 16 | at, sector);
        }
    }
}

/// An error if it is not there any more.
pub fn check_mark(frame: &mut Frame, seed: u64, number: u64) -> Result<(), String> {
    for (page, at) in frame.contents().chunks(FRAME_BYTES).zip(0..) {
        let mut expected = [0; SECTOR];
        fill(seed, number << 16 | at, &mut expected);
        if page.get(..SECTOR) != Some(&expected) {
            return Err(alloc::format!("page {at} of frame {number} is not as it was"));
        }
    }
    Ok(())
}

/// Sees that each free frame is memory of its own: what is written to all of them stays.
pub fn use_all(frames: &mut Frames, seed: u64) -> Result<(), String> {
    let mut taken: alloc::vec::Vec<Frame> = take_all(frames, 1).collect();
    for (frame, number) in taken.iter_mut().zip(0..) {
        mark(frame, seed, number);
    }
    let checked = taken.iter_mut().zip(0..).try_for_each(|(frame, number)| check_mark(frame, seed, number));
    put_all(frames, taken);
    checked
}
