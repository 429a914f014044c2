//! Deadlines and dates: what is made of a machine's clocks.

use core::time::Duration;

use virtio_guest::hal::Patience;

use crate::clock::now;

/// Time since `earlier`, a moment that [`now`] gave.
pub fn since(earlier: Duration) -> Duration {
    now().saturating_sub(earlier)
}

/// A moment until which somebody is willing to wait.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Duration);

impl Patience for Deadline {
    fn keep_waiting(&mut self) -> bool {
        core::hint::spin_loop();
        now() < self.0
    }
}

/// Patience for so many milliseconds from now on.
pub fn within_millis(millis: u64) -> Deadline {
    Deadline(now() + Duration::from_millis(millis))
}

/// A date and a time of day, as the machine's clock shows them (QEMU: UTC).
#[derive(Clone, Copy, Debug)]
pub struct Date {
    /// Full year.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
impl Date {
    /// The date of a number of seconds since 1970, in the Gregorian calendar.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clocks of machines end before the year 65536, and months have 31 days"
    )]
    pub(crate) fn at_seconds_since_1970(seconds: u64) -> Self {
        let is_leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let (mut year, mut month) = (1970, 1);
        let mut days = seconds / 86_400;
        loop {
            let length = match month {
                2 if is_leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            if days < length {
                break;
            }
            days -= length;
            month += 1;
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        Self {
            year: year as u16,
            month,
            day: days as u8 + 1,
            hour: (seconds / 3600 % 24) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
        }
    }
}
