//! Which pages the balloon has, and which are on their way: each is in one place.
//!
//! Spec: §5.5.6 Device Operation. One burst is with the device at a time. Its pages are at the top, whichever way they go:
//!
//! ```text
//!   │ in the balloon: the device acknowledged that │ the burst │ free room │
//! ```

use super::places::Stack;
use crate::hal::BalloonPage;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Books<'s, P> {
    pages: Stack<'s, P>,
    /// How many of them are below the burst,
    settled: usize,
    /// and how many frames those have.
    frames: u32,
    burst: Option<Burst>,
}

/// Pages that the device was told of, and has not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Burst {
    pub(super) way: Way,
    pub(super) pages: usize,
    pub(super) frames: u32,
}

/// Where a burst goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Inflating,
    Deflating,
}

impl<'s, P: BalloonPage> Books<'s, P> {
    /// An empty balloon, with this room.
    pub(super) const fn new(pages: Stack<'s, P>) -> Self {
        Self { pages, settled: 0, frames: 0, burst: None }
    }

    /// The burst, if there is one.
    pub(super) const fn burst(&self) -> Option<Burst> {
        self.burst
    }

    /// Frames that the balloon has: pages are in it from when the device acknowledged that until it acknowledged that they are not.
    pub(super) fn held_frames(&self) -> u32 {
        match self.burst {
            Some(Burst { way: Way::Deflating, frames, .. }) => self.frames.saturating_add(frames),
            _ => self.frames,
        }
    }

    /// For how many more pages there is room.
    pub(super) fn room(&self) -> usize {
        self.pages.room()
    }

    /// Takes a page in, for the burst that begins next.
    pub(super) fn add(&mut self, page: P) -> Result<(), P> {
        self.pages.push(page)
    }

    /// Takes out a page that is neither in the balloon nor in a burst: of one that did not begin after all, or whose end a panic of the kernel's cut short.
    pub(super) fn remove_stray(&mut self) -> Option<P> {
        let is_stray = self.burst.is_none() && self.pages.len() > self.settled;
        if is_stray { self.pages.pop() } else { None }
    }

    /// The device was told that these, which were taken in last, are for the balloon.
    pub(super) const fn begin_inflating(&mut self, pages: usize, frames: u32) {
        self.burst = Some(Burst { way: Way::Inflating, pages, frames });
    }

    /// The pages that come out first: the last ones.
    pub(super) fn top(&self) -> impl Iterator<Item = &P> {
        (0..self.pages.len()).map_while(|depth| self.pages.peek(depth))
    }

    /// The device was told that these, which are at the top, are wanted back.
    pub(super) const fn begin_deflating(&mut self, pages: usize, frames: u32) {
        (self.settled, self.frames) =
            (self.settled.saturating_sub(pages), self.frames.saturating_sub(frames));
        self.burst = Some(Burst { way: Way::Deflating, pages, frames });
    }

    /// The device acknowledged the burst: its pages are in the balloon, or go to `take_back`.
    pub(super) fn end_burst(&mut self, mut take_back: impl FnMut(P)) {
        let Some(Burst { way, pages, frames }) = self.burst.take() else { return };
        match way {
            Way::Inflating => {
                (self.settled, self.frames) =
                    (self.settled.saturating_add(pages), self.frames.saturating_add(frames));
            }
            Way::Deflating => {
                while let Some(page) = self.remove_stray() {
                    take_back(page);
                }
            }
        }
    }

    /// All pages, after the device was reset.
    pub(super) fn into_pages(self) -> Stack<'s, P> {
        self.pages
    }
}
