//! The numbers of features, statistics and hint commands.
//!
//! Spec: §5.5.3 Feature bits, §5.5.6.4 Memory Statistics Tags, §5.5.6.5 Free Page Hinting. Typed from the specification, and shared with nobody.

/// Feature bits, by number.
pub mod feature {
    /// The device has to be told before pages are used again.
    pub const MUST_TELL_HOST: u32 = 0;
    /// There is a queue for statistics.
    pub const STATS_VQ: u32 = 1;
    /// Pages may be taken out when memory is short.
    pub const DEFLATE_ON_OOM: u32 = 2;
    /// There is a queue for hints of free pages.
    pub const FREE_PAGE_HINT: u32 = 3;
    /// The driver fills pages with a value that it says.
    pub const PAGE_POISON: u32 = 4;
    /// There is a queue for reports of free pages.
    pub const PAGE_REPORTING: u32 = 5;
}

/// What a statistic is about.
pub mod statistic {
    /// Bytes that were swapped in.
    pub const SWAP_IN: u16 = 0;
    /// Bytes that were swapped out.
    pub const SWAP_OUT: u16 = 1;
    /// Major page faults.
    pub const MAJFLT: u16 = 2;
    /// Minor page faults.
    pub const MINFLT: u16 = 3;
    /// Free bytes.
    pub const MEMFREE: u16 = 4;
    /// All bytes.
    pub const MEMTOT: u16 = 5;
    /// Bytes that could be had without swapping.
    pub const AVAIL: u16 = 6;
    /// Bytes of caches that can be had at once.
    pub const CACHES: u16 = 7;
    /// Huge pages that were had.
    pub const HTLB_PGALLOC: u16 = 8;
    /// Huge pages that could not be had.
    pub const HTLB_PGFAIL: u16 = 9;
}

/// Hint commands that are no round.
pub mod hint_command {
    /// No more hints for now; what was hinted stays.
    pub const STOP: u32 = 0;
    /// What was hinted is free again.
    pub const DONE: u32 = 1;
}
