//! Blocking calls on a disk that is taken out: one in the middle, those afterwards.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use example_platform::{clock, println};
use virtio_guest::device::block::{RequestError, Sector};
use virtio_guest::hal::Patience;
use virtio_guest::transport::InterruptCause;

use crate::slot::Watched;
use crate::{Disk, GONE_PATIENCE_MILLIS, PATIENCE_MILLIS, REQUEST_BYTES, SECTOR, ensure};

/// Bytes of one call: four times the requests that can be in flight.
const CALL_BYTES: usize = 4 << 20;

/// Reads again and again, until the slot is switched off in the middle of a read, which then ends with an error.
pub fn read_until_removed(disk: &mut Disk, slot: &Watched) -> Result<(), String> {
    let mut buffer = vec![0; CALL_BYTES];
    while !slot.is_off() {
        let before = disk.driver.statistics().chains;
        let read = read(disk, slot, &mut buffer);
        let requests = disk.driver.statistics().chains - before;
        if !slot.is_off() {
            read.map_err(|error| format!("a read before the disk was taken out: {error}"))?;
            continue;
        }
        println!("interrupts: {}", disk.wiring.arrived());
        let is_middle = requests < (CALL_BYTES / REQUEST_BYTES as usize) as u64;
        ensure(is_middle, "the slot is switched off in the middle of a call")?;
        say("the read", read)?;
    }
    Ok(())
}

/// One read, with short patience from when the slot is switched off.
fn read(disk: &mut Disk, slot: &Watched, buffer: &mut [u8]) -> Result<(), RequestError> {
    let Disk { driver, wiring } = disk;
    let (began, mut patience) = (clock::now(), wiring.patience(PATIENCE_MILLIS));
    driver.read_blocking(Sector(0), buffer, || {
        if slot.look(began) {
            patience = wiring.patience(GONE_PATIENCE_MILLIS);
        }
        patience.keep_waiting()
    })
}

/// Calls of every kind, each of which ends with an error.
pub fn ask_in_vain(disk: &mut Disk) -> Result<(), String> {
    let Disk { driver, wiring } = disk;
    let patience = || wiring.patience(GONE_PATIENCE_MILLIS);
    let mut sectors = [0; 8 * SECTOR];
    say("read", driver.read_blocking(Sector(8), &mut sectors, patience()))?;
    say("write", driver.write_blocking(Sector(8), &sectors, patience()))?;
    say("flush", driver.flush_blocking(patience()))?;
    say("id", driver.device_id_blocking(patience()).map(drop))?;
    let cause = driver.acknowledge_interrupt();
    ensure(cause == InterruptCause::default(), "a disk that is gone has no reason to interrupt")
}

/// Prints how a call failed, which it must.
fn say(call: &str, result: Result<(), RequestError>) -> Result<(), String> {
    let error = result.err().ok_or_else(|| format!("{call}: success, of a disk that is gone"))?;
    println!("{call}: {error}");
    Ok(())
}
