//! Notification suppression as arithmetic: does an index that was asked for lie in what was just published?
//!
//! Spec: §2.7.7.1, §2.7.10.1 (`used_event`, `avail_event`). All indices run freely modulo 65536.

/// Whether moving an index from `old` to `new` passes `event`: the other side asked to be told when the entry at
/// `event` is done, and it is among the entries from `old` up to, not including, `new`.
///
/// Right for every batch from 1 to 65535 entries, across the wrap as well; `false` where nothing moved.
pub(super) const fn passes(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use super::passes;

    /// The definition, counted out: is `event` one of the entries old, old + 1, ... new - 1?
    fn counted(event: u16, new: u16, old: u16) -> bool {
        let mut entry = old;
        while entry != new {
            if entry == event {
                return true;
            }
            entry = entry.wrapping_add(1);
        }
        false
    }

    /// Spec: §2.7.10 — for every batch size, no notification is lost and none is superfluous, also at the wrap.
    #[test]
    fn an_event_is_passed_exactly_when_its_entry_is_in_the_batch() {
        let batches = [1, 2, 3, 7, 16, 255, 256, 1024, 32767, 32768, 65535];
        let starts: [u16; 7] = [0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff, 0xff00];
        for (old, batch) in starts.into_iter().flat_map(|old| batches.map(|batch| (old, batch))) {
            let new = old.wrapping_add(batch);
            let near = [
                old.wrapping_sub(1),
                old,
                old.wrapping_add(1),
                new.wrapping_sub(1),
                new,
                new.wrapping_add(1),
            ];
            for event in near {
                let expected =
                    if batch > 1024 { event.wrapping_sub(old) < batch } else { counted(event, new, old) };
                assert_eq!(passes(event, new, old), expected, "event {event} old {old} new {new}");
            }
        }
    }

    #[test]
    fn nothing_published_passes_no_event() {
        assert!(!passes(5, 5, 5));
        assert!(!passes(4, 5, 5));
    }
}
