//! Packets a second, as they are computed of two counts.

use std::collections::VecDeque;
use std::time::Duration;

/// Rates that are kept, one for each snapshot.
const HISTORY: usize = 240;

/// Packets a second.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    pub now: Option<f64>,
    /// The oldest first.
    pub history: VecDeque<u64>,
}

impl Rate {
    pub fn count(&mut self, before: u64, after: u64, time: Duration) {
        self.now = rate(before, after, time);
        if let Some(now) = self.now {
            self.history.push_back(now.round() as u64);
        }
        let surplus = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..surplus);
    }
}

/// `None` where a new ruleset began to count anew.
pub fn rate(before: u64, after: u64, time: Duration) -> Option<f64> {
    let more = after.checked_sub(before)?;
    (!time.is_zero()).then(|| more as f64 / time.as_secs_f64())
}
