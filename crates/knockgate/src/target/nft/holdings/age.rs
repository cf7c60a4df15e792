//! How much time has passed since something was saved, by clocks that can be wrong.

use super::super::trial::clock::{boot, now_ms, unix_ms};
use super::super::{Element, TargetError};

/// A moment, by two clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Milliseconds since 1970, by the clock that can be set.
    pub(super) unix_ms: u64,
    /// Milliseconds since this start of the machine.
    pub(super) up_ms: u64,
    /// Tells this start of the machine from every other.
    pub(super) boot: String,
}

impl Stamp {
    pub(super) fn now() -> Result<Self, TargetError> {
        Ok(Self { unix_ms: unix_ms(), up_ms: now_ms(), boot: boot()? })
    }

    /// Milliseconds from an earlier moment to this one. Within one start of the machine they are exact;
    /// else a clock that is behind makes it no time at all, and never prolongs anything.
    pub(super) fn since(&self, earlier: &Self) -> u64 {
        if self.boot == earlier.boot {
            self.up_ms.saturating_sub(earlier.up_ms)
        } else {
            self.unix_ms.saturating_sub(earlier.unix_ms)
        }
    }
}

/// The element after `passed` milliseconds; `None` if its time has run out.
pub(super) fn aged(element: Element, passed: u64) -> Option<Element> {
    let Some(left) = element.left_ms else { return Some(element) };
    let left = left.checked_sub(passed).filter(|left| *left > 0)?;
    Some(element.lasting(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(unix_ms: u64, up_ms: u64, boot: &str) -> Stamp {
        Stamp { unix_ms, up_ms, boot: boot.to_owned() }
    }

    #[test]
    fn time_passes_by_the_clock_that_can_be_trusted_and_never_backwards() {
        let saved = stamp(1_000_000, 50_000, "one");
        for (now, passed, why) in [
            (stamp(1_060_000, 2000, "two"), 60_000, "a restart"),
            (stamp(0, 2000, "two"), 0, "a clock that begins in 1970"),
            (stamp(999_999, 2000, "two"), 0, "a clock that is behind"),
            (stamp(9_000_000, 2000, "two"), 8_000_000, "a clock that is ahead"),
            (stamp(0, 57_000, "one"), 7000, "a clock that was set back meanwhile"),
            (stamp(9_000_000, 57_000, "one"), 7000, "a clock that was set ahead meanwhile"),
        ] {
            assert_eq!(now.since(&saved), passed, "{why}");
        }
    }

    #[test]
    fn nothing_has_more_left_than_it_had() {
        let element = |left_ms| Element { left_ms, ..Element::of("192.0.2.1".parse().unwrap()) };
        for (left, passed, now) in [
            (Some(5000), 0, Some(Some(5000))),
            (Some(5000), 4999, Some(Some(1))),
            (Some(5000), 5000, None),
            (Some(5000), u64::MAX, None),
            (None, 5000, Some(None)),
        ] {
            assert_eq!(aged(element(left), passed), now.map(element));
        }
    }
}
