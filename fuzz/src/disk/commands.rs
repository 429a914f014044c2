//! Everything that a disk can be asked for beside its sectors: at each of the three levels.
//!
//! Spec: §5.2.6 Device Operation. What comes back must have come back whole, and of the disk that was asked; what ranges hold afterwards is for other tests.

use virtio_guest::device::block::{
    RequestError, RequestQueue, Sector, SectorRange, Ticket, Unmap, Zone, ZoneAction, ZoneState, ZoneType,
};
use virtio_guest::hal::Direction;

use super::device::{SECTORS, sector};
use super::ledger::{Entry, Ledger, judge};
use super::life::submit;
use super::memory::{Buffer, Load, WatchedHal};
use super::tasks::{Tasks, done};
use super::world::{detail, patience};

type Queue<'s> = RequestQueue<'s, WatchedHal, Load>;

/// Kinds of commands.
const KINDS: u8 = 10;

/// What a command is about, as the script says.
struct About {
    range: SectorRange,
    unmap: Unmap,
    action: ZoneAction,
    zone: Sector,
}

impl About {
    fn read() -> Self {
        let (first, sectors, number) = (detail(), detail(), detail());
        let first = if first == u8::MAX { u64::MAX - 1 } else { u64::from(first) % (SECTORS + 2) };
        Self {
            range: SectorRange { first: Sector(first), sectors: sectors.into() },
            unmap: if number & 4 == 0 { Unmap::Allowed } else { Unmap::Forbidden },
            action: [ZoneAction::Open, ZoneAction::Close, ZoneAction::Finish, ZoneAction::Reset]
                [usize::from(number % 4)],
            zone: Sector(if number >= 0xf0 { first } else { first / 16 * 16 }),
        }
    }

    /// What is appended to the zone.
    fn bytes(&self) -> Vec<u8> {
        let sectors = 1 + self.range.sectors % 3;
        (0..sectors).flat_map(|at| sector(self.zone.0.wrapping_add(at), 0x99)).collect()
    }
}

/// A call that waits.
pub(crate) fn call(queue: &mut Queue<'_>) {
    let (kind, about) = (detail() % KINDS, About::read());
    let About { range, unmap, action, zone } = about;
    let result = match kind {
        0 => queue.flush_blocking(patience(3)),
        1 => queue.device_id_blocking(patience(3)).map(|id| assert!(id.as_bytes().len() <= 20)),
        2 => queue.lifetime_blocking(patience(3)).map(drop),
        3 => queue.discard_blocking(range, patience(5)),
        4 => queue.write_zeroes_blocking(range, unmap, patience(5)),
        5 => queue.secure_erase_blocking(range, patience(5)),
        6 => queue.zone_blocking(action, zone, patience(3)),
        7 => queue.reset_all_zones_blocking(patience(3)),
        8 => queue.append_blocking(zone, &about.bytes(), patience(3)).map(drop),
        _ => {
            let nothing = Zone {
                start: Sector(u64::MAX),
                capacity_sectors: 0,
                write_pointer: None,
                zone_type: ZoneType::Conventional,
                state: ZoneState::Offline,
            };
            let mut zones = [nothing; 5];
            let read = queue.report_zones_blocking(range.first, &mut zones, patience(5));
            read.map(|count| {
                assert!(zones[count..].iter().all(|zone| *zone == nothing), "more zones than it says")
            })
        }
    };
    judge(result.as_ref());
}

/// A request with a ticket.
pub(crate) fn hand_in<'s>(queue: &mut Queue<'s>, ledger: &mut Ledger) {
    let (kind, about) = (detail() % KINDS, About::read());
    let About { range, unmap, action, zone } = about;
    let other = SectorRange { first: Sector(1), sectors: 2 };
    let ranges = &[range, other, other][..1 + usize::from(detail() % 3)];
    let result = match kind {
        0 => queue.submit_flush(),
        1 => queue.submit_device_id().map(Some),
        2 => queue.submit_lifetime().map(Some),
        3 => queue.submit_discard(ranges).map(Some),
        4 => queue.submit_write_zeroes(ranges, unmap).map(Some),
        5 => queue.submit_secure_erase(ranges).map(Some),
        6 => queue.submit_zone(action, zone).map(Some),
        7 => queue.submit_reset_all_zones().map(Some),
        8 => {
            let (bytes, direction) = (about.bytes(), Direction::DeviceReadable);
            return submit(queue, ledger, zone, bytes, direction, None, Queue::submit_append);
        }
        _ => {
            let (bytes, direction) = (vec![0xee; usize::from(detail()) * 4], Direction::DeviceWritable);
            return submit(queue, ledger, range.first, bytes, direction, None, Queue::submit_report_zones);
        }
    };
    judge(result.as_ref());
    if let Ok(Some(ticket)) = result {
        let ticket: Ticket = ticket;
        ledger.accept(ticket, Entry { buffer: None, read_from: None }, queue.requests());
    }
}

/// What a task wants.
pub(crate) async fn ask(shared: &Tasks<'_>) {
    let (kind, about) = (detail() % KINDS, About::read());
    let About { range, unmap, action, zone } = about;
    let result: Result<(), RequestError> = match kind {
        0 => shared.flush().await,
        1 => shared.device_id().await.map(drop),
        2 => shared.lifetime().await.map(drop),
        3 => shared.discard(range).await,
        4 => shared.write_zeroes(range, unmap).await,
        5 => shared.secure_erase(range).await,
        6 => shared.zone(action, zone).await,
        7 => shared.reset_all_zones().await,
        8 => {
            let buffer = Buffer::new(about.bytes());
            let id = buffer.id();
            let append = async { shared.append(zone, buffer).await.map(|(_, buffer)| buffer) };
            done(id, append).await;
            Ok(())
        }
        _ => {
            let buffer = Buffer::new(vec![0xee; 320]);
            let (id, mut bytes) = (buffer.id(), 0);
            let report = async {
                let (read, buffer) = shared.report_zones(range.first, buffer).await?;
                bytes = read;
                Ok(buffer)
            };
            done(id, report).await;
            assert!(bytes <= 320, "no more of a report than there is room for");
            Ok(())
        }
    };
    judge(result.as_ref());
}
