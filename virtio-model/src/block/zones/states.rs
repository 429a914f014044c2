//! The states of a zone, and how requests change them.
//!
//! Spec: §5.2.6 Device Operation. Only the transitions that the specification lists are made: an empty or a closed zone is not finished, though
//! other standards would permit that.
//!
//! ```text
//!            open                      close
//!   EMPTY ----------> EXPLICITLY OPEN -------> CLOSED (or EMPTY, if nothing is written)
//!     |                 ^      ^  |               |
//!     | write      open |      |  | finish, end   | write
//!     v                 |      |  v               v
//!   IMPLICITLY OPEN ----+      | FULL      IMPLICITLY OPEN
//!     | close, or another zone is opened: CLOSED -+ open
//! ```

use super::{Zone, ZoneLimits, Zones};
use crate::block::numbers::{request_type, status, zone_state as state, zone_type};
use std::ops::Range;

impl Zones {
    /// Does what a request asks for with the zone that starts at `sector`, or with all; tells which ranges are unwritten afterwards.
    pub(in crate::block) fn manage(
        &mut self,
        kind: u32,
        sector: u64,
        limits: ZoneLimits,
    ) -> Result<Vec<Range<u64>>, u8> {
        if kind == request_type::ZONE_RESET_ALL {
            return Ok(self.list.iter_mut().filter_map(Zone::reset_with_all).collect());
        }
        let index = self.starting_at(sector).ok_or(status::ZONE_INVALID_CMD)?;
        let zone = &mut self.list[index];
        if zone.zone_type == zone_type::CONVENTIONAL || zone.is_beyond_repair() {
            return Err(status::ZONE_INVALID_CMD);
        }
        match (kind, zone.state) {
            (request_type::ZONE_OPEN, state::FULL)
            | (request_type::ZONE_CLOSE, state::EMPTY | state::FULL)
            | (request_type::ZONE_FINISH, state::EMPTY | state::CLOSED) => {
                return Err(status::ZONE_INVALID_CMD);
            }
            (request_type::ZONE_OPEN, _) => self.open(index, state::EXPLICITLY_OPEN, limits)?,
            (request_type::ZONE_CLOSE, state::EXPLICITLY_OPEN) if zone.write_pointer == zone.start => {
                zone.state = state::EMPTY;
            }
            (request_type::ZONE_CLOSE, _) => zone.state = state::CLOSED,
            (request_type::ZONE_FINISH, _) => zone.state = state::FULL,
            _ => {
                zone.empty();
                return Ok(vec![zone.span()]);
            }
        }
        Ok(Vec::new())
    }

    /// Brings a zone into an open state, if the limits permit that; an implicitly open one may be closed for it.
    pub(super) fn open(&mut self, index: usize, into: u8, limits: ZoneLimits) -> Result<(), u8> {
        let count = |is: fn(&Zone) -> bool| {
            u32::try_from(self.list.iter().filter(|zone| is(zone)).count()).unwrap_or(u32::MAX)
        };
        let (open, active) = (count(Zone::is_open), count(Zone::is_active));
        let zone = &self.list[index];
        if !zone.is_active() && limits.active != 0 && active >= limits.active {
            return Err(status::ZONE_ACTIVE_RESOURCE);
        }
        if !zone.is_open() && limits.open != 0 && open >= limits.open {
            let mut zones = self.list.iter_mut();
            let other = zones.find(|zone| zone.state == state::IMPLICITLY_OPEN);
            other.ok_or(status::ZONE_OPEN_RESOURCE)?.state = state::CLOSED;
        }
        self.list[index].state = into;
        Ok(())
    }
}

impl Zone {
    /// Whether nothing that a driver asks for changes it any more.
    pub(super) fn is_beyond_repair(&self) -> bool {
        matches!(self.state, state::READ_ONLY | state::OFFLINE)
    }

    /// Empties it if it is one of those that a reset of all zones is about; tells its sectors.
    fn reset_with_all(&mut self) -> Option<Range<u64>> {
        if !self.is_active() && self.state != state::FULL {
            return None;
        }
        self.empty();
        Some(self.span())
    }
}
