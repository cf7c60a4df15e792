//! Whether the clock that can be set was set since rules were put in force.

use super::super::TargetError;
use super::super::state::{Clocks, noted_clocks};
use super::Doubt;

/// Milliseconds by which two clocks may differ more than before: a leap second, and what reading both takes.
const SLACK: u64 = 5000;

pub(super) fn set() -> Result<Option<Doubt>, TargetError> {
    let by = noted_clocks()?.map(|then| difference(&then, &Clocks::now()));
    Ok(by.filter(|by| by.unsigned_abs() > SLACK).map(|by| Doubt::ClockSet { by_s: by / 1000 }))
}

/// Milliseconds that the clock went on beyond what passed.
fn difference(then: &Clocks, now: &Clocks) -> i64 {
    let passed = |then: u64, now: u64| i128::from(now) - i128::from(then);
    let beyond = passed(then.unix_ms, now.unix_ms) - passed(then.up_ms, now.up_ms);
    i64::try_from(beyond).unwrap_or(if beyond > 0 { i64::MAX } else { i64::MIN })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_on_with_the_other_was_not_set() {
        let clocks = |unix_ms, up_ms| Clocks { unix_ms, up_ms };
        let then = clocks(1_000_000, 50_000);
        for (now, by) in [
            (clocks(1_000_000, 50_000), 0),
            (clocks(9_000_000, 8_050_000), 0),
            (clocks(1_060_000, 50_000), 60_000),
            (clocks(400_000, 51_000), -601_000),
            (clocks(u64::MAX, 0), i64::MAX),
        ] {
            assert_eq!(difference(&then, &now), by, "{now:?}");
        }
    }
}
