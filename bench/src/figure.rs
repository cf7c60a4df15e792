//! What many measurements of one thing come to.

use std::fmt;
use std::time::Duration;

/// Median and quartiles.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    /// Of some values, which are not none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len() - 1;
        Self { low: values[last / 4], median: values[last / 2], high: values[last - last / 4] }
    }

    /// With every value multiplied by `factor`.
    pub fn scaled(self, factor: f64) -> Self {
        Self { low: self.low * factor, median: self.median * factor, high: self.high * factor }
    }
}

/// Rounds of all, each beginning with another one, so that none always comes after the same.
pub fn in_turn<T>(
    entries: &mut [T],
    rounds: usize,
    mut round: impl FnMut(&mut T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let count = entries.len();
    for turn in 0..rounds {
        (0..count).try_for_each(|place| round(&mut entries[(turn + place) % count]))?;
    }
    Ok(())
}

/// How much more the one is than the other in the same round: what else the machine does comes and goes, and falls
/// on both. Of rounds, which are not none.
pub fn ratio(one: &[f64], other: &[f64]) -> Spread {
    Spread::of(one.iter().zip(other).map(|(one, other)| one / other).collect())
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = digits(self.median);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.low, self.high)
    }
}

/// Digits behind the point that a figure like this is told with: about three in all.
pub fn digits(value: f64) -> usize {
    match value.abs() {
        0.0 => 0,
        ..0.1 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    }
}

/// A [`Spread`] of times, told in the units that fit.
#[derive(Clone, Copy, Debug)]
pub struct Times(Spread);

impl Times {
    /// Of some times, which are not none.
    pub fn of(times: Vec<Duration>) -> Self {
        Self(Spread::of(times.iter().map(Duration::as_secs_f64).collect()))
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, median, high] = [self.0.low, self.0.median, self.0.high].map(Duration::from_secs_f64);
        write!(f, "{median:.1?} ({low:.1?} to {high:.1?})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_all_values_lie_between_the_quartiles() {
        let spread = Spread::of(vec![9.0, 1.0, 5.0, 7.0, 3.0]);
        assert_eq!((spread.low, spread.median, spread.high), (3.0, 5.0, 7.0));
        assert_eq!(spread.to_string(), "5.00 (3.00 to 7.00)");
    }
}
