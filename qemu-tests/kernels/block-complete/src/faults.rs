//! A drive that fails some of many requests: each failure is told of the request that it is of, and all others are done.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use example_platform::println;
use virtio_guest::device::block::{Completion, RequestError, Ticket, Unmap};

use crate::disk::{Buffer, Disk, Queue, Range, bytes, read, take, write};
use crate::{Seeds, ensure};

/// Of each kind, of so many sectors each.
const REQUESTS: u64 = 16;
const SECTORS: u64 = 8;
const ROUNDS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    WriteZeroes,
    Discard,
}

/// With names for the host, and the first sector of each.
const KINDS: [(Kind, &str, u64); 4] = [
    (Kind::Read, "read", 0),
    (Kind::Write, "write", 256),
    (Kind::WriteZeroes, "write zeroes", 512),
    (Kind::Discard, "discard", 768),
];

#[derive(Clone, Copy)]
struct Request {
    kind: Kind,
    name: &'static str,
    range: Range,
}

fn send(queue: &mut Queue, seeds: Seeds) -> Result<Vec<(Ticket, Request)>, String> {
    let mut sent = Vec::new();
    for number in 0..REQUESTS {
        for (kind, name, first) in KINDS {
            let range = Range { first: first + number * SECTORS, count: SECTORS };
            let ticket = match kind {
                Kind::Read => read(queue, range)?,
                Kind::Write => write(queue, range, seeds.new)?,
                Kind::WriteZeroes => queue
                    .submit_write_zeroes(&[range.sectors()], Unmap::Forbidden)
                    .map_err(|error| error.to_string())?,
                Kind::Discard => {
                    queue.submit_discard(&[range.sectors()]).map_err(|error| error.to_string())?
                }
            };
            sent.push((ticket, Request { kind, name, range }));
        }
    }
    queue.publish();
    Ok(sent)
}

/// Looks at what came back of one request; says what failed.
fn judge(request: Request, completion: Completion<Buffer>, seeds: Seeds) -> Result<(), String> {
    let Request { kind, name, range } = request;
    let has_buffer = matches!(kind, Kind::Read | Kind::Write);
    ensure(completion.payload.is_some() == has_buffer, "a request that fails gives its buffer back, too")?;
    match bytes(completion) {
        Ok(read) if kind == Kind::Read => {
            ensure(read == range.contents(seeds.old), "a read beside one that fails is right")
        }
        Ok(_) => Ok(()),
        Err(error) => {
            println!("failed: {name} {} {}: {error}", range.first, range.count);
            ensure(error == RequestError::Device, "the device says that it failed")
        }
    }
}

pub fn run(seeds: Seeds) -> Result<(), String> {
    let mut disk = Disk::start(&[0])?;
    let mut queue = disk.queues.pop().ok_or("no queue")?;
    let places = queue.free_requests();
    for round in 1..=ROUNDS {
        println!("round {round}");
        let mut sent = send(&mut queue, seeds)?;
        for completion in take(&mut queue, sent.len(), disk.interrupts)? {
            let found = sent.iter().position(|(ticket, _)| *ticket == completion.ticket);
            let (_, request) = sent.swap_remove(found.ok_or("a request came back that was not in flight")?);
            judge(request, completion, seeds)?;
        }
        ensure(sent.is_empty(), "every request comes back")?;
        queue.submit_flush().map_err(|error| error.to_string())?.ok_or("the disk is not flushed")?;
        queue.publish();
        for completion in take(&mut queue, 1, disk.interrupts)? {
            println!("flush: {}", completion.result.err().map_or("done".into(), |error| error.to_string()));
        }
        ensure(queue.free_requests() == places, "every place is free again")?;
    }
    disk.end([queue])
}
