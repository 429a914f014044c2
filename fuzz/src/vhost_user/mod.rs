//! A driver in a process, at a vhost-user back-end that says whatever the fuzzer says.
//!
//! The vhost-user protocol. From the front comes what the driver does: bringing a disk or a card up and down, configuration, vectors, links, connecting anew. From the back comes what the back-end
//! does with each message: answer honestly, or in any other way, or say something of its own. Both are at the ends of a real socket, the back-end in a thread.
//!
//! What must hold: no panic; each call ends; who hangs up has given back all memory; and when an input is over no file is open that was not before.

mod back_end;
mod life;

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use virtio_user::memory::{MemorySettings, Pages, SharedMemory};

use crate::script::Script;
use back_end::BackEnd;

/// The memory of a life, in bytes.
const MEMORY_BYTES: usize = 512 << 10;

/// The current input: one thread reads it from the front, another from the back.
static SCRIPT: Mutex<Option<Script>> = Mutex::new(None);

/// What the driver does next; `None` when the script is over.
fn step() -> Option<u8> {
    SCRIPT.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.step()
}

/// A byte that says more about it.
fn detail() -> u8 {
    step().unwrap_or(0)
}

/// What the back-end does next; 0 when the script is over.
fn decision() -> u8 {
    SCRIPT.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map_or(0, Script::decision)
}

const EVENTS: &str = "anon_inode:";
const KINDS: [&str; 3] = ["socket:", EVENTS, "/memfd:"];
/// As many doorbells as the front-end keeps back, and those that are in use meanwhile.
const DOORBELLS_MAX: usize = 64 + 8;

/// Files that this process has open, of the kinds that a front-end opens: the fuzzer itself has others.
fn open_files() -> Vec<PathBuf> {
    let of_all = fs::read_dir("/proc/self/fd").expect("Linux").flatten();
    let mut names: Vec<_> = of_all.filter_map(|file| fs::read_link(file.path()).ok()).collect();
    names.retain(|name| {
        let name = name.to_string_lossy();
        KINDS.iter().any(|kind| name.starts_with(kind))
    });
    names
}

/// One input.
pub fn vhost_user(bytes: &[u8]) {
    static BACK_END: OnceLock<(BackEnd, Vec<PathBuf>)> = OnceLock::new();
    let (back_end, before) = BACK_END.get_or_init(|| {
        let back_end = BackEnd::start();
        // An honest life of each kind: what is kept for ever (doorbells) is there from now on.
        for kind in [0, 1] {
            run(&back_end, &[&[kind][..], &[0; 100]].concat());
        }
        let before = open_files();
        (back_end, before)
    });
    run(back_end, bytes);
    let after = open_files();
    // Doorbells that a back-end did not let go of are kept back for a while, but not more of them.
    let limit = |kind: &str| if kind == EVENTS { DOORBELLS_MAX } else { 0 };
    let count = |files: &[PathBuf], kind: &str| {
        files.iter().filter(|name| name.to_string_lossy().starts_with(kind)).count()
    };
    assert!(
        KINDS.iter().all(|kind| count(&after, kind) <= count(before, kind) + limit(kind)),
        "these files are open: {after:?}, and these were before: {before:?}"
    );
}

fn run(back_end: &BackEnd, bytes: &[u8]) {
    *SCRIPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Script::new(bytes));
    let settings = MemorySettings { bytes: MEMORY_BYTES, pages: Pages::Ordinary };
    let memory = SharedMemory::new(&settings).expect("little memory");
    let before = memory.free_bytes();
    life::live(back_end.path(), &memory);
    back_end.wait_until_idle();
    assert_eq!(memory.free_bytes(), before, "all memory is back");
}
