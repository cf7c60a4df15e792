//! How many lines are written in a second.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How many may come at once: those of so long.
const BURST: Duration = Duration::from_secs(1);
/// How long lines are left out before it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether it is a line's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Write,
    LeaveOut,
}

/// Lines that may be written, and lines that were left out.
#[derive(Debug)]
pub(super) struct Rate {
    /// What a line takes of a second.
    cost: Duration,
    /// Up to when the lines that were written have used the rate up.
    used_up_to: Option<Instant>,
    left_out: u64,
    /// When to tell of them.
    tell_at: Option<Instant>,
}

impl Rate {
    /// So many lines in a second, and as many at once.
    pub(super) fn new(lines: NonZeroU32) -> Self {
        Self { cost: BURST / lines.get(), used_up_to: None, left_out: 0, tell_at: None }
    }

    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        let used = self.used_up_to.map_or(now, |used| used.max(now)) + self.cost;
        if used > now + BURST {
            self.left_out += 1;
            self.tell_at.get_or_insert(now + PATIENCE);
            return Turn::LeaveOut;
        }
        self.used_up_to = Some(used);
        Turn::Write
    }

    /// How many lines were left out, if it is time to tell; from then on they are counted anew.
    pub(super) fn untold(&mut self, now: Instant) -> Option<u64> {
        let due = self.tell_at.is_some_and(|at| now >= at);
        if due { self.all_untold() } else { None }
    }

    /// How many lines were left out, if any, whether or not it is time to tell.
    pub(super) fn all_untold(&mut self) -> Option<u64> {
        self.tell_at.take().map(|_| std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(lines: u32) -> Rate {
        Rate::new(NonZeroU32::new(lines).unwrap())
    }

    #[test]
    fn a_second_has_as_many_lines_as_the_rate_says() {
        let (mut rate, start) = (rate(10), Instant::now());
        let mut written = |from_ms: u64, count: u64, every_ms: u64| {
            let at = |nth| start + Duration::from_millis(from_ms + nth * every_ms);
            (0..count).filter(|nth| rate.turn(at(*nth)) == Turn::Write).count()
        };
        assert_eq!(written(0, 1000, 0), 10, "a burst");
        assert_eq!(written(1, 1000, 10), 99, "a flood of ten seconds");
        assert_eq!(written(60_000, 1000, 0), 10, "rest saves no more than one burst");
        assert_eq!(written(120_000, 100, 100), 100, "as many as are allowed");
    }

    #[test]
    fn what_is_left_out_is_told_once_and_not_at_once() {
        let (mut rate, start) = (rate(1), Instant::now());
        assert_eq!(rate.turn(start), Turn::Write);
        assert_eq!(rate.all_untold(), None);
        (0..7).for_each(|_| assert_eq!(rate.turn(start), Turn::LeaveOut));
        assert_eq!(rate.untold(start + PATIENCE - Duration::from_millis(1)), None);
        assert_eq!(rate.untold(start + PATIENCE), Some(7));
        assert_eq!(rate.untold(start + PATIENCE * 2), None);
    }
}
