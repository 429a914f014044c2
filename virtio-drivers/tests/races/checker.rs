//! loom under the memory that driver and device share: every word of two bytes is an atomic of the model checker's.
//!
//! Wider accesses are several words, which may tear: the checker grants both sides less than a processor would.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicU16, fence};

/// The stand-in for driver and device.
pub struct Checker;

/// Bytes of one word.
const WORD: usize = 2;

/// The rings and tables of a queue of two descriptors are within this; larger memory is the driver's own and stays with the processor.
const SHARED_MAX: usize = 512;

loom::lazy_static! {
    /// The shared words of one execution, by address.
    static ref WORDS: Mutex<BTreeMap<usize, Arc<AtomicU16>>> = Mutex::default();
}

/// The word at `address`. Nothing is locked when it comes back, for using it may switch threads.
fn word(address: usize) -> Option<Arc<AtomicU16>> {
    WORDS.lock().unwrap().get(&address).map(Arc::clone)
}

fn load(address: usize, bytes: &mut [u8], order: Ordering) -> bool {
    for (index, bytes) in bytes.chunks_mut(WORD).enumerate() {
        let Some(word) = word(address + WORD * index) else { return false };
        bytes.copy_from_slice(&word.load(order).to_le_bytes());
    }
    true
}

fn store(address: usize, bytes: &[u8], order: Ordering) -> bool {
    for (index, bytes) in bytes.chunks(WORD).enumerate() {
        let Some(word) = word(address + WORD * index) else { return false };
        word.store(u16::from_le_bytes(bytes.try_into().expect("a whole word")), order);
    }
    true
}

impl virtio_guest::raw::stand_in::StandIn for Checker {
    fn share(&self, place: NonNull<u8>, len: usize) {
        let mut words = WORDS.lock().unwrap();
        let address = place.addr().get();
        for address in (address..address + len).step_by(WORD).filter(|_| len <= SHARED_MAX) {
            words.insert(address, Arc::new(AtomicU16::new(0)));
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
