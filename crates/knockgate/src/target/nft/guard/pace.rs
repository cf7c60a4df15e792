//! How often rules are put in force again that somebody else takes away again and again.

use std::time::{Duration, Instant};

/// After the second repair in a row. Each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// Nobody who leaves the rules alone for so long beyond a pause fights for them.
const QUIET: Duration = Duration::from_secs(60);

/// The first repair is made at once, and the next ones ever later.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The last repair.
    last: Option<Instant>,
    pause: Option<Duration>,
}

impl Pace {
    /// When the next repair may be made, if not at once.
    pub(super) fn not_before(&self) -> Option<Instant> {
        Some(self.last? + self.pause?)
    }

    /// Begins a repair, and says how long the next one has to wait, if it has to.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Duration> {
        let since = self.last.map(|last| now.duration_since(last));
        let in_a_row = since.is_some_and(|since| since < QUIET + self.pause.unwrap_or_default());
        self.pause = match self.pause {
            _ if !in_a_row => None,
            None => Some(FIRST),
            Some(pause) => Some(LONGEST.min(pause * 2)),
        };
        self.last = Some(now);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repair_is_made_at_once_and_each_of_many_waits_longer_until_there_was_peace() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        assert_eq!(pace.not_before(), None);
        for wanted in [None, Some(1), Some(2), Some(4), Some(8), Some(16), Some(32), Some(60), Some(60)] {
            let wanted = wanted.map(Duration::from_secs);
            assert_eq!(pace.begin(now), wanted);
            assert_eq!(pace.not_before(), wanted.map(|wanted| now + wanted));
            now = pace.not_before().unwrap_or(now);
        }
        now += QUIET;
        assert_eq!((pace.begin(now), pace.not_before()), (None, None));
    }
}
