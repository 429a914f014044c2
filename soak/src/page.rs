//! Buffers that are accounted for: each says where it went, also when nobody asked for it back.
//!
//! A future that is dropped leaves its page with the queue until the device lets go. Only then it is known that its operation is over.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;

use virtio_guest::hal::DmaBuffer;

use crate::errand::Errand;

/// Where pages come from.
#[derive(Default)]
struct Home {
    /// How many are out.
    out: usize,
    /// Those that came back by being dropped: what was to be done with them.
    dropped: Vec<Errand>,
    /// Memory for others.
    spare: Vec<Vec<u8>>,
}

/// A pool of pages.
#[derive(Clone, Default)]
pub struct Pages(Rc<RefCell<Home>>);

/// Memory that goes to the device and comes back.
pub struct Page {
    bytes: Vec<u8>,
    errand: Option<Errand>,
    home: Pages,
}

impl Pages {
    /// A page of so many bytes, for an operation.
    pub fn take(&self, errand: Errand, bytes: usize) -> Page {
        let mut home = self.0.borrow_mut();
        home.out += 1;
        let mut memory = home.spare.pop().unwrap_or_default();
        memory.resize(bytes, 0);
        Page { bytes: memory, errand: Some(errand), home: self.clone() }
    }

    /// How many are out.
    pub fn out(&self) -> usize {
        self.0.borrow().out
    }

    /// What was to be done with those that were dropped since the last time.
    pub fn take_dropped(&self) -> Vec<Errand> {
        std::mem::take(&mut self.0.borrow_mut().dropped)
    }
}

impl Page {
    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// What was to be done with it, which is over; the page can be dropped.
    ///
    /// # Panics
    /// If it was over before.
    pub fn end_errand(&mut self) -> Errand {
        self.errand.take().expect("an operation ends once")
    }
}

// SAFETY: the vector is this page's own as long as it lives, and nobody resizes it after it was made; a page that is forgotten leaks it.
unsafe impl DmaBuffer for Page {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(self.bytes.as_mut_slice())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let mut home = self.home.0.borrow_mut();
        home.out -= 1;
        home.dropped.extend(self.errand.take());
        home.spare.push(std::mem::take(&mut self.bytes));
    }
}
