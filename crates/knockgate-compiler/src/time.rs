//! Lengths of time a packet filter can really keep.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// How long something lives: at least one millisecond, at most [`Lifetime::MAX`].
///
/// nftables keeps element timeouts in milliseconds (`man nft`, SETS), RouterOS up to
/// 35w3d13h13m56s, which is 2^31 hundredths of a second; the smaller bound holds for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(NonZeroU64);

impl Lifetime {
    /// 35w3d13h13m56s, the longest timeout RouterOS takes.
    pub const MAX: Duration = Duration::from_secs(21_474_836);

    /// A lifetime of `millis` milliseconds, or `None` outside `1..=MAX`.
    pub fn from_millis(millis: u64) -> Option<Self> {
        let millis = NonZeroU64::new(millis)?;
        (Duration::from_millis(millis.get()) <= Self::MAX).then_some(Self(millis))
    }

    /// A lifetime of whole seconds, for constants.
    ///
    /// # Panics
    /// At compile time, when used in a `const` with zero or more than [`Lifetime::MAX`].
    pub const fn from_secs(secs: u64) -> Self {
        assert!(secs <= Self::MAX.as_secs());
        match NonZeroU64::new(secs * 1000) {
            Some(millis) => Self(millis),
            None => panic!("a lifetime is never zero"),
        }
    }

    /// Milliseconds, at least 1.
    pub fn as_millis(self) -> u64 {
        self.0.get()
    }

    /// The same as a [`Duration`].
    pub fn as_duration(self) -> Duration {
        Duration::from_millis(self.as_millis())
    }

    /// Twice as long, but no longer than `most`.
    pub fn doubled_up_to(self, most: Self) -> Self {
        Self(self.0.saturating_mul(TWO)).min(most)
    }
}

/// A point in time, in milliseconds since some beginning that all moments of a run share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// So many milliseconds after the beginning.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the beginning.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// When something ends that begins now.
    #[must_use]
    pub fn after(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_add(lifetime.as_millis()))
    }
}

impl fmt::Display for Moment {
    /// Seconds, with as many decimals as are needed: `1.5s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        if millis == 0 {
            return write!(f, "{seconds}s");
        }
        let decimals = format!("{millis:03}");
        write!(f, "{seconds}.{}s", decimals.trim_end_matches('0'))
    }
}

const TWO: NonZeroU64 = NonZeroU64::new(2).expect("two is not zero");

/// Units of the duration grammar, longest first, in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl fmt::Display for Lifetime {
    /// The shortest exact spelling that [`Lifetime::from_str`] reads: `30s`, `1m30s`, `250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_millis();
        for (unit, millis) in UNITS {
            if rest >= millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

/// Why a text is not a [`Lifetime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeError {
    /// Not a number followed by a unit, such as `30s` or `1m30s`.
    Malformed,
    /// A bare number: seconds, minutes and hours look alike without a unit.
    UnitMissing,
    /// Nothing lives for zero time.
    Zero,
    /// A negative length of time.
    Negative,
    /// Longer than [`Lifetime::MAX`].
    TooLong,
}

impl fmt::Display for LifetimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a duration such as `30s`, `1m30s` or `1h`",
            Self::UnitMissing => "a duration needs a unit: `ms`, `s`, `m`, `h`, `d` or `w`",
            Self::Zero => "a duration is never zero",
            Self::Negative => "a duration is never negative",
            Self::TooLong => "a duration is at most 35w3d13h13m56s",
        })
    }
}

impl std::error::Error for LifetimeError {}

impl FromStr for Lifetime {
    type Err = LifetimeError;

    fn from_str(text: &str) -> Result<Self, LifetimeError> {
        if let Some(positive) = text.strip_prefix('-') {
            return Err(if positive.starts_with(|c: char| c.is_ascii_digit()) {
                LifetimeError::Negative
            } else {
                LifetimeError::Malformed
            });
        }
        let mut total: u64 = 0;
        let mut rest = text;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 {
                return Err(LifetimeError::Malformed);
            }
            let (number, tail) = rest.split_at(digits);
            let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let (unit, tail) = tail.split_at(letters);
            if unit.is_empty() && tail.is_empty() {
                return Err(LifetimeError::UnitMissing);
            }
            let (_, millis) =
                UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(LifetimeError::Malformed)?;
            if millis >= last_unit {
                return Err(LifetimeError::Malformed);
            }
            last_unit = millis;
            let number: u64 = number.parse().map_err(|_| LifetimeError::TooLong)?;
            total = number
                .checked_mul(millis)
                .and_then(|part| total.checked_add(part))
                .ok_or(LifetimeError::TooLong)?;
            rest = tail;
        }
        if text.is_empty() {
            return Err(LifetimeError::Malformed);
        }
        if total == 0 {
            return Err(LifetimeError::Zero);
        }
        Self::from_millis(total).ok_or(LifetimeError::TooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_read_and_printed_back_in_their_shortest_form() {
        for (text, printed) in [
            ("30s", "30s"),
            ("90s", "1m30s"),
            ("1m30s", "1m30s"),
            ("250ms", "250ms"),
            ("1000m", "16h40m"),
            ("7d", "1w"),
        ] {
            assert_eq!(text.parse::<Lifetime>().unwrap().to_string(), printed);
            assert_eq!(printed.parse::<Lifetime>(), text.parse());
        }
    }

    #[test]
    fn what_is_not_a_lifetime_is_refused_for_its_own_reason() {
        for (text, error) in [
            ("", LifetimeError::Malformed),
            ("soon", LifetimeError::Malformed),
            ("30", LifetimeError::UnitMissing),
            ("1m30", LifetimeError::UnitMissing),
            ("30 s", LifetimeError::Malformed),
            ("30x", LifetimeError::Malformed),
            ("30s1m", LifetimeError::Malformed),
            ("0s", LifetimeError::Zero),
            ("-5s", LifetimeError::Negative),
            ("-", LifetimeError::Malformed),
            ("99999999999999999999s", LifetimeError::TooLong),
            ("18446744073709551615w", LifetimeError::TooLong),
            ("36w", LifetimeError::TooLong),
        ] {
            assert_eq!(text.parse::<Lifetime>(), Err(error), "{text}");
        }
    }

    #[test]
    fn doubling_stops_at_the_bound() {
        let bound = Lifetime::from_secs(100);
        assert_eq!(Lifetime::from_secs(30).doubled_up_to(bound), Lifetime::from_secs(60));
        assert_eq!(Lifetime::from_secs(60).doubled_up_to(bound), bound);
    }
}
