//! The knocks of a door in order, and their timing.

use std::fmt;
use std::time::Duration;

use crate::knock::Knock;
use crate::ping::PATIENCE;

/// The most knocks in one sequence.
pub const MOST_KNOCKS: usize = 16;
/// The most copies of each knock.
pub const MOST_COPIES: u8 = 8;
/// The gap between two knocks when nobody says another.
pub const DEFAULT_GAP: Duration = Duration::from_millis(200);
/// The longest gap between two knocks. A gateway forgets a half-said sequence much earlier.
pub const LONGEST_GAP: Duration = Duration::from_secs(60);

/// The knocks of a door, in order, and how to say them.
///
/// Each knock is sent `copies` times, since a network may lose a packet, and knocks begin `gap` apart. The copies lie in
/// the first half of the gap, so a packet that is late by less than the other half cannot overtake the next knock.
///
/// Knockgate ignores an immediate repeat of a knock. knockd takes it for a wrong knock: say one copy to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    knocks: Vec<Knock>,
    gap: Duration,
    copies: u8,
}

impl Sequence {
    /// Checks and joins the parts of a sequence.
    ///
    /// # Errors
    /// [`SequenceError`] names the part that is out of its bounds. Two equal knocks in a row together with `copies` above
    /// one are refused, since no receiver could tell a copy from the next knock.
    pub fn new(knocks: Vec<Knock>, gap: Duration, copies: u8) -> Result<Self, SequenceError> {
        if knocks.is_empty() {
            return Err(SequenceError::NoKnocks);
        }
        if knocks.len() > MOST_KNOCKS {
            return Err(SequenceError::TooManyKnocks { given: knocks.len() });
        }
        if gap > LONGEST_GAP {
            return Err(SequenceError::GapTooLong { gap });
        }
        if copies == 0 || copies > MOST_COPIES {
            return Err(SequenceError::BadCopies { copies });
        }
        if copies > 1
            && let Some(pair) = knocks.windows(2).find(|pair| pair[0] == pair[1])
        {
            return Err(SequenceError::CopiesOfRepeatedKnock { knock: pair[0] });
        }
        Ok(Self { knocks, gap, copies })
    }

    /// The knocks, in order: 1 to [`MOST_KNOCKS`].
    #[must_use]
    pub fn knocks(&self) -> &[Knock] {
        &self.knocks
    }

    /// The time from one knock to the next.
    #[must_use]
    pub fn gap(&self) -> Duration {
        self.gap
    }

    /// How often each knock is sent: 1 to [`MOST_COPIES`].
    #[must_use]
    pub fn copies(&self) -> u8 {
        self.copies
    }

    /// The time between two copies of one knock.
    pub(crate) fn spread(&self) -> Duration {
        self.gap / 2 / u32::from(self.copies)
    }

    /// The time from the last copy of a knock to the next knock: at least half a gap.
    pub(crate) fn rest(&self) -> Duration {
        self.gap - self.spread() * u32::from(self.copies - 1)
    }

    /// The longest that saying the sequence should take, if no ping is answered.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let last = self.spread() * u32::from(self.copies - 1);
        let gaps = self.gap * (self.knocks.len() as u32 - 1);
        let pings = self.knocks.iter().filter(|knock| matches!(knock, Knock::Ping(_))).count();
        gaps + last + PATIENCE * pings as u32 * u32::from(self.copies)
    }
}

/// Why some knocks are not a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceError {
    /// There is no knock.
    NoKnocks,
    /// There are more than [`MOST_KNOCKS`] knocks.
    TooManyKnocks {
        /// How many there are.
        given: usize,
    },
    /// The gap is longer than [`LONGEST_GAP`].
    GapTooLong {
        /// The gap that was asked for.
        gap: Duration,
    },
    /// No copies, or more than [`MOST_COPIES`].
    BadCopies {
        /// The copies that were asked for.
        copies: u8,
    },
    /// Several copies, and the same knock twice in a row.
    CopiesOfRepeatedKnock {
        /// That knock.
        knock: Knock,
    },
}

impl fmt::Display for SequenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKnocks => f.write_str("no knocks are given: name one to sixteen, as in 333 777/udp 888"),
            Self::TooManyKnocks { given } => {
                write!(f, "{given} knocks are too many: a sequence has at most {MOST_KNOCKS}")
            }
            Self::GapTooLong { gap } => {
                write!(f, "a gap of {gap:?} is too long: the longest is {LONGEST_GAP:?}")
            }
            Self::BadCopies { copies } => {
                write!(f, "{copies} copies of each knock are not possible: ask for 1 to {MOST_COPIES}")
            }
            Self::CopiesOfRepeatedKnock { knock } => {
                write!(f, "{knock} comes twice in a row, so a copy could not be told from it: ask for 1 copy")
            }
        }
    }
}

impl std::error::Error for SequenceError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn knocks(texts: &[&str]) -> Vec<Knock> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    const GAP: Duration = Duration::from_millis(200);

    #[test]
    fn copies_stay_in_the_first_half_of_the_gap() {
        for copies in 1..=MOST_COPIES {
            let sequence = Sequence::new(knocks(&["333", "777"]), GAP, copies).unwrap();
            assert!(sequence.rest() >= GAP / 2, "{copies}");
            assert_eq!(sequence.spread() * u32::from(copies - 1) + sequence.rest(), GAP);
        }
    }

    #[test]
    fn the_duration_counts_gaps_copies_and_unanswered_pings() {
        let plain = Sequence::new(knocks(&["333", "777", "888"]), GAP, 2).unwrap();
        assert_eq!(plain.duration(), Duration::from_millis(450));
        let ping = Sequence::new(knocks(&["333", "100/ping"]), Duration::ZERO, 2).unwrap();
        assert_eq!(ping.duration(), PATIENCE * 2);
    }

    #[test]
    fn parts_out_of_bounds_are_refused() {
        let one = knocks(&["333"]);
        let longer = LONGEST_GAP + Duration::from_millis(1);
        assert_eq!(Sequence::new(vec![], GAP, 1), Err(SequenceError::NoKnocks));
        assert_eq!(Sequence::new(one.repeat(17), GAP, 1), Err(SequenceError::TooManyKnocks { given: 17 }));
        assert_eq!(Sequence::new(one.clone(), longer, 1), Err(SequenceError::GapTooLong { gap: longer }));
        assert_eq!(Sequence::new(one.clone(), GAP, 0), Err(SequenceError::BadCopies { copies: 0 }));
        assert_eq!(Sequence::new(one.clone(), GAP, 9), Err(SequenceError::BadCopies { copies: 9 }));
        assert!(Sequence::new(one.repeat(2), GAP, 2).is_err());
        assert!(Sequence::new(one.repeat(16), LONGEST_GAP, 1).is_ok());
        assert!(Sequence::new(knocks(&["333", "333/udp", "333"]), GAP, 2).is_ok());
    }
}
