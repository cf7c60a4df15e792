//! Axes and their ticks.

use knockgate_compiler::audit::numbers;

/// How values are laid out along a line, and what is written beside it.
pub struct Axis {
    pub label: &'static str,
    scale: Scale,
    /// The values between which it reaches.
    ends: (f64, f64),
    ticks: Vec<(f64, String)>,
}

enum Scale {
    Linear,
    Logarithmic,
}

/// Ticks that an axis has at most.
const TICKS: usize = 7;

impl Axis {
    /// Whole numbers from 0 to `most`, which is more than 0.
    pub fn whole(label: &'static str, most: u32) -> Self {
        let every = most as usize / 12 + 1;
        let ticks = (0..=most).step_by(every).map(|value| (f64::from(value), value.to_string()));
        Self { label, scale: Scale::Linear, ends: (0.0, f64::from(most)), ticks: ticks.collect() }
    }

    /// Powers of ten around `values`, none of which is above `most`.
    pub fn decades(label: &'static str, values: impl Iterator<Item = f64>, most: i32) -> Self {
        let marks = (-300..=most).map(|exponent| (10f64.powi(exponent), numbers::decade(exponent)));
        Self::between(label, values, marks.collect())
    }

    /// Lengths of time around `values`, which are seconds.
    pub fn durations(label: &'static str, values: impl Iterator<Item = f64>) -> Self {
        const MINUTE: f64 = 60.0;
        const DAY: f64 = 86_400.0;
        const YEAR: f64 = 365.25 * DAY;
        let short = [1e-3, 1e-2, 0.1, 1.0, 10.0, MINUTE, 10.0 * MINUTE, 60.0 * MINUTE, 600.0 * MINUTE];
        let long = [DAY, 10.0 * DAY, 100.0 * DAY];
        let years = (0..=250).map(|exponent| YEAR * 10f64.powi(exponent));
        let marks = short.into_iter().chain(long).chain(years);
        let marks = marks.map(|seconds| (seconds, numbers::duration(seconds)));
        Self::between(label, values, marks.collect())
    }

    /// From the last of `marks` below the `values` to the first above them.
    fn between(label: &'static str, values: impl Iterator<Item = f64>, marks: Vec<(f64, String)>) -> Self {
        let (least, most) =
            values.fold((f64::INFINITY, 0.0f64), |(least, most), value| (least.min(value), most.max(value)));
        let below = |limit: f64| marks.partition_point(|(mark, _)| *mark <= limit);
        let last = below(most * (1.0 - ROUNDING)).min(marks.len() - 1).max(1);
        let first = below(least * (1.0 + ROUNDING)).saturating_sub(1).min(last - 1);
        let mut ticks: Vec<(f64, String)> = marks[first..=last].to_vec();
        let ends = (marks[first].0, marks[last].0);
        let every = ticks.len().div_ceil(TICKS);
        let mut index = 0;
        ticks.retain(|_| {
            index += 1;
            (index - 1) % every == 0
        });
        Self { label, scale: Scale::Logarithmic, ends, ticks }
    }

    /// Values with what is written at them.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        self.ticks.clone()
    }

    /// How far along the axis `value` is, 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        let (first, last) = self.ends;
        let share = match self.scale {
            Scale::Linear => (value - first) / (last - first),
            Scale::Logarithmic => (value / first).ln() / (last / first).ln(),
        };
        share.clamp(0.0, 1.0)
    }
}

/// A mark is hit in spite of what was rounded.
const ROUNDING: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn an_axis_reaches_around_its_values() {
        let axis = Axis::decades("", [0.02, 0.3].into_iter(), 0);
        assert_eq!(labels(&axis), ["0.01", "0.1", "1"]);
        assert_eq!((axis.share(0.01), axis.share(1.0)), (0.0, 1.0));
        assert!((axis.share(0.1) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn one_value_alone_has_an_axis_too() {
        assert_eq!(labels(&Axis::decades("", [1.0].into_iter(), 0)), ["0.1", "1"]);
        assert_eq!(labels(&Axis::decades("", [0.1].into_iter(), 0)), ["0.01", "0.1"]);
    }

    #[test]
    fn far_apart_values_have_few_ticks() {
        let axis = Axis::decades("", [1e-70, 0.5].into_iter(), 0);
        assert!((2..=TICKS).contains(&axis.ticks().len()), "{:?}", labels(&axis));
    }

    #[test]
    fn times_have_ticks_that_people_say() {
        let axis = Axis::durations("", [0.4, 4000.0].into_iter());
        assert_eq!(labels(&axis), ["100 ms", "1 s", "10 s", "1 min", "10 min", "1 h", "10 h"]);
    }
}
