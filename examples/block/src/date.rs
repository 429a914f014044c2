//! What the FAT crate asks of a kernel besides a disk: the date, for new files.

use embedded_sdmmc::{TimeSource, Timestamp};
use example_platform::clock;

/// The machine's date, for new files.
pub struct Clock;

impl TimeSource for Clock {
    fn get_timestamp(&self) -> Timestamp {
        let date = clock::date();
        Timestamp {
            year_since_1970: u8::try_from(date.year.saturating_sub(1970)).unwrap_or(u8::MAX),
            zero_indexed_month: date.month.saturating_sub(1),
            zero_indexed_day: date.day.saturating_sub(1),
            hours: date.hour,
            minutes: date.minute,
            seconds: date.second,
        }
    }
}
