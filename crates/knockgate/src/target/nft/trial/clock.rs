//! Clocks, for trials and for what lists remember.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use super::super::TargetError;
use super::super::files::failed;

/// Milliseconds since the machine started, those in which it slept among them. Nobody can set this
/// clock (`man 2 clock_gettime`, CLOCK_BOOTTIME).
pub(in crate::target::nft) fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let whole = |number: i64| u64::try_from(number).unwrap_or_default();
    whole(now.tv_sec) * 1000 + whole(now.tv_nsec) / 1_000_000
}

/// Tells this start of the machine from every other (`man 4 random`).
pub(in crate::target::nft) fn boot() -> Result<String, TargetError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(path).map_err(|error| failed(path, error))?;
    Ok(text.trim().to_owned())
}

/// Seconds since 1970, for people alone: this clock can be set.
pub(in crate::target::nft) fn unix_s() -> u64 {
    unix_ms() / 1000
}

/// Milliseconds since 1970, by the clock that can be set.
pub(in crate::target::nft) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A time of day, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    /// Seconds since 1970.
    pub(super) unix_s: u64,
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.unix_s % 86_400;
        write!(f, "{:02}:{:02}:{:02} UTC", s / 3600, s / 60 % 60, s % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_told_in_hours_minutes_and_seconds() {
        let told = |unix_s| TimeOfDay { unix_s }.to_string();
        assert_eq!(
            [told(0), told(86_399), told(1_792_000_000)],
            ["00:00:00 UTC", "23:59:59 UTC", "17:46:40 UTC"]
        );
    }
}
