//! Addresses that are handed out, one range after the other.

/// Addresses that are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    next: u64,
    end: u64,
}

impl Space {
    pub(super) const fn new(start: u64, end: u64) -> Self {
        Self { next: start, end }
    }

    /// So many addresses, a power of two, aligned to their number. The address 0 is none.
    pub(super) fn take(&mut self, count: u64) -> Option<u64> {
        self.take_several(count, 1)
    }

    /// The same, as often as that, one behind the other.
    pub(super) fn take_several(&mut self, count: u64, times: u64) -> Option<u64> {
        let start = self.next.max(1).checked_next_multiple_of(count)?;
        let end = start.checked_add(count.checked_mul(times)?)?;
        if end > self.end {
            return None;
        }
        self.next = end;
        Some(start)
    }

    /// Goes on to where a window may start or end.
    pub(super) fn align(&mut self, to: u64) -> u64 {
        self.next = self.next.checked_next_multiple_of(to).unwrap_or(self.end).min(self.end);
        self.next
    }
}
