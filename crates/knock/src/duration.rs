//! Durations as people write them: `200ms`, `30s`, `2m`.

use std::fmt;
use std::time::Duration;

/// Reads a whole number and its unit, `ms`, `s` or `m`.
///
/// # Errors
/// [`DurationError`] when the text is something else, or too large to count in milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(DurationError { text: text.to_owned() }),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(millis_per_unit))
        .map(Duration::from_millis)
        .ok_or_else(|| DurationError { text: text.to_owned() })
}

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationError {
    text: String,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a duration: write a number and its unit, as in 200ms, 30s or 2m", self.text)
    }
}

impl std::error::Error for DurationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_its_unit_are_a_duration() {
        assert_eq!(parse_duration("0ms"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "30", "s", "-1s", "1.5s", "30 s", "3h", "18446744073709551615m"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
