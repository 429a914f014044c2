//! When to look whether the back-end is still there.

use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{Link, Vector};

/// As many looks that found nothing go by before the clock is asked,
const LOOKS: u32 = 64;
/// and so long before the socket is.
const PAUSE: Duration = Duration::from_millis(1);

/// A link that is looked at rarely, and only when nothing comes: each look is a system call.
#[derive(Debug)]
pub(super) struct Watch {
    link: Link,
    looks: u32,
    looked: Instant,
    /// Whether to look at once.
    is_due: bool,
}

impl Watch {
    pub(super) fn new(link: Link) -> Self {
        Self { link, looks: 0, looked: Instant::now(), is_due: false }
    }

    pub(super) const fn link(&self) -> &Link {
        &self.link
    }

    /// Whoever slept looks at once: nothing wakes him for the same reason again.
    pub(super) const fn look_at_once(&mut self) {
        self.is_due = true;
    }

    /// Nothing came. Says whether that is because nobody is there.
    pub(super) fn is_down_after_all(&mut self) -> bool {
        if !mem::take(&mut self.is_due) {
            self.looks += 1;
            if self.looks < LOOKS {
                return false;
            }
            self.looks = 0;
            let now = Instant::now();
            if now < self.looked + PAUSE {
                return false;
            }
            self.looked = now;
        }
        !self.link.is_up()
    }
}

/// Sleeps until one of these vectors has fired, or the time is over. The configuration's fires when the back-end goes, too.
pub(super) fn wait_for_any(vectors: &[Vector], limit: Duration) {
    if vectors.is_empty() {
        thread::yield_now();
        return;
    }
    let mut files: Vec<PollFd<'_>> =
        vectors.iter().map(|vector| PollFd::new(vector, PollFlags::IN)).collect();
    let fired = poll(&mut files, Timespec::try_from(limit).ok().as_ref());
    drop(files);
    // If the wait was interrupted, or cannot be, whoever waits looks once more all the same.
    if fired.is_ok_and(|count| count > 0) {
        for vector in vectors {
            vector.acknowledge();
        }
    }
}
