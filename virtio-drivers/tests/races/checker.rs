//! loom under the memory that driver and device share.
//!
//! Every word of four bytes is an atomic of the model checker's.
//!
//! Wider accesses are several words, which may tear: there the checker grants less than a processor would. A narrower store keeps the other part of its word, and shows it
//! together with what it stores: there it grants more (the two halves of a word, as flags and index, are never seen apart).

use std::collections::BTreeMap;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicU32, fence};

/// The stand-in for driver and device.
pub struct Checker;

/// Bytes of one word.
const WORD: usize = 4;

/// The rings and tables of a queue of two descriptors are within this; larger memory is the driver's own and stays with the processor.
const SHARED_MAX: usize = 512;

loom::lazy_static! {
    /// The shared words of one execution, by address.
    static ref WORDS: Mutex<BTreeMap<usize, Shared>> = Mutex::default();
}

/// A word, and what was stored last: a store of a part of it keeps the rest, without a load that the checker would take for one of the program's.
struct Shared {
    word: Arc<AtomicU32>,
    last: [u8; WORD],
}

/// The word at `address`. Nothing is locked when it comes back, for using it may switch threads.
fn word(address: usize) -> Option<Arc<AtomicU32>> {
    WORDS.lock().unwrap().get(&address).map(|shared| Arc::clone(&shared.word))
}

/// The word at `address`, and its value with a part of it replaced.
fn word_with(address: usize, part: Range<usize>, bytes: &[u8]) -> Option<(Arc<AtomicU32>, u32)> {
    let mut words = WORDS.lock().unwrap();
    let shared = words.get_mut(&address)?;
    shared.last[part].copy_from_slice(bytes);
    Some((Arc::clone(&shared.word), u32::from_le_bytes(shared.last)))
}

/// The words that `bytes` bytes at `address` are in: where each begins, and which of its bytes it is about.
fn parts(address: usize, bytes: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let first = address / WORD * WORD;
    (first..address + bytes).step_by(WORD).map(move |word| {
        let end = (address + bytes).min(word + WORD);
        (word, address.max(word) - word..end - word)
    })
}

fn load(address: usize, bytes: &mut [u8], order: Ordering) -> bool {
    let mut rest = bytes;
    for (place, part) in parts(address, rest.len()) {
        let Some(word) = word(place) else { return false };
        let (now, later) = rest.split_at_mut(part.len());
        now.copy_from_slice(&word.load(order).to_le_bytes()[part]);
        rest = later;
    }
    true
}

fn store(address: usize, bytes: &[u8], order: Ordering) -> bool {
    let mut rest = bytes;
    for (place, part) in parts(address, rest.len()) {
        let (now, later) = rest.split_at(part.len());
        let Some((word, value)) = word_with(place, part, now) else { return false };
        word.store(value, order);
        rest = later;
    }
    true
}

impl virtio_guest::raw::stand_in::StandIn for Checker {
    fn share(&self, place: NonNull<u8>, len: usize) {
        let mut words = WORDS.lock().unwrap();
        let address = place.addr().get();
        for address in
            (address..(address + len).next_multiple_of(WORD)).step_by(WORD).filter(|_| len <= SHARED_MAX)
        {
            words.insert(address, Shared { word: Arc::new(AtomicU32::new(0)), last: [0; WORD] });
        }
    }

    fn load(&self, place: NonNull<u8>, word: &mut [u8]) -> bool {
        load(place.addr().get(), word, Ordering::Relaxed)
    }

    fn store(&self, place: NonNull<u8>, word: &[u8]) -> bool {
        store(place.addr().get(), word, Ordering::Relaxed)
    }

    fn fence(&self, ordering: Ordering) -> bool {
        fence(ordering);
        true
    }

    fn platform_barrier(&self, ordering: Ordering) -> bool {
        virtio_guest::raw::stand_in::StandIn::fence(self, ordering)
    }
}

impl virtio_model::memory::stand_in::StandIn for Checker {
    fn load(&self, place: *mut u8, word: &mut [u8], order: Ordering) -> bool {
        load(place.addr(), word, order)
    }

    fn store(&self, place: *mut u8, word: &[u8], order: Ordering) -> bool {
        store(place.addr(), word, order)
    }

    fn fence(&self, order: Ordering) -> bool {
        fence(order);
        true
    }
}

/// Runs `scenario` in every order that the memory model allows.
pub fn in_every_order(scenario: impl Fn() + Sync + Send + 'static) {
    virtio_guest::raw::stand_in::install(&Checker);
    virtio_model::memory::stand_in::install(&Checker);
    loom::model(scenario);
}
