//! Dates and times of day, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The moment that many milliseconds from now, for people: `2026-11-23 04:16:09 UTC`.
pub fn utc_after(millis: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    utc_at(UNIX_EPOCH + Duration::from_secs(now + millis / 1000))
}

/// That moment, for people: `2026-11-23 04:16:09 UTC`.
pub fn utc_at(at: SystemTime) -> String {
    let (date, time) = utc(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    format!("{date} {time} UTC")
}

/// Its time of day, in UTC: `04:16:09`.
pub fn time_of_day(at: SystemTime) -> String {
    utc(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()).1
}

/// A moment for programs, to the millisecond: `2026-11-23T04:16:09.007Z` (RFC 3339).
pub fn rfc3339(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (date, time) = utc(since.as_secs());
    format!("{date}T{time}.{:03}Z", since.subsec_millis())
}

/// Seconds since 1970 as a date and a time of day.
fn utc(seconds: u64) -> (String, String) {
    let (mut days, time) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let february = days_of(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    (format!("{year}-{month:02}-{:02}", days + 1), format!("{hour:02}:{minute:02}:{second:02}"))
}

fn days_of(year: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if is_leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_the_date_that_they_are() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_798_761_599, "2026-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7)), date);
        }
    }
}
