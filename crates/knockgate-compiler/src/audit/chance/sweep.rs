//! Random sweeps, one packet to each port: every order counted.
//!
//! All orders of the packets are equally likely, and each packet is from any of the sources alike.
//! So the knocks are all from one of them with `sources^(1-k)`, and only this one matters: what
//! the others send changes nothing for it.

use std::cell::LazyCell;
use std::collections::HashMap;

/// A random sweep as a door meets it, in packets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sweep {
    /// Ports that are looked at.
    pub(super) ports: u32,
    /// Most packets from each knock to the next.
    pub(super) gaps: Vec<u32>,
    /// Whether anything that counts between two knocks spoils them.
    pub(super) strict: bool,
    /// Ports whose packets do not count.
    pub(super) quiet: u32,
    /// Traps, whose bans last as long as the sweep.
    pub(super) traps: u32,
    /// Different ones that make a ban.
    pub(super) strikes: u32,
    /// Sources that share it.
    pub(super) sources: u32,
}

/// Sweeps that were counted: most doors of a policy are alike.
#[derive(Debug, Default)]
pub(super) struct Counted(HashMap<Sweep, f64>);

impl Counted {
    /// See [`Sweep::probability`].
    pub(super) fn probability(&mut self, sweep: &Sweep) -> f64 {
        *self.0.entry(sweep.clone()).or_insert_with(|| sweep.probability())
    }

    /// The probabilities of sweeps that differ in nothing but gaps, with 0, 1, ... `most` traps.
    pub(super) fn by_traps(&mut self, sweeps: &[Sweep], most: u32) -> Vec<Vec<f64>> {
        let ways: Vec<_> = sweeps.iter().map(|sweep| LazyCell::new(|| sweep.ways())).collect();
        let mut found = vec![vec![]; sweeps.len()];
        for traps in 0..=most {
            let with = |sweep: &Sweep| Sweep { traps, ..sweep.clone() };
            let later = LazyCell::new(|| sweeps.first().map(|sweep| with(sweep).later()).unwrap_or_default());
            for ((sweep, ways), row) in sweeps.iter().map(with).zip(&ways).zip(&mut found) {
                let count = || sweep.given(ways, || &later);
                row.push(*self.0.entry(sweep.clone()).or_insert_with(count));
            }
        }
        found
    }
}

/// What adds less than this part to a sum is left out of it.
const NEGLIGIBLE: f64 = 1e-17;

impl Sweep {
    /// That it opens a door whose knocks are pairwise different ports, none of them a trap.
    pub(super) fn probability(&self) -> f64 {
        let later = LazyCell::new(|| self.later());
        self.given(&self.ways(), || &later)
    }

    /// The same where [`Sweep::ways`] and [`Sweep::later`] are known.
    fn given<'a>(&self, ways: &[f64], later: impl FnOnce() -> &'a [f64]) -> f64 {
        if self.knocks() + self.traps + self.quiet > self.ports {
            return 0.0;
        }
        let places = if self.strict { self.strict(ways) } else { self.keeping(ways, later()) };
        let alone = f64::from(self.sources).powi(1 - self.knocks() as i32);
        alone * places / falling(self.ports, self.knocks())
    }

    /// In how many ways the gaps between the knocks add up to 0, 1, 2, ... packets.
    fn ways(&self) -> Vec<f64> {
        self.stages().pop().unwrap_or_default()
    }

    /// The same after the first knock, the first two, the first three, ...
    pub(super) fn stages(&self) -> Vec<Vec<f64>> {
        let most = self.farthest() as usize;
        let mut first = vec![0.0; most + 1];
        first[0] = 1.0;
        let mut stages = vec![first];
        for gap in &self.gaps {
            let before = &stages[stages.len() - 1];
            stages.push(with_gap(before, *gap as usize));
        }
        stages
    }

    pub(super) fn knocks(&self) -> u32 {
        self.gaps.len() as u32 + 1
    }

    /// The most packets from the first knock to the last that can still add to the sum.
    fn farthest(&self) -> u32 {
        let reach = self.gaps.iter().fold(0, |sum: u32, gap| sum.saturating_add(*gap));
        let most = reach.min(self.ports - 1);
        if !self.strict {
            return most;
        }
        let foreign = if self.sources == 1 { 0 } else { self.sources.saturating_mul(40) };
        most.min(foreign.saturating_add(self.quiet + self.knocks() - 1))
    }

    fn others(&self) -> u32 {
        self.ports - self.knocks()
    }

    /// Where anything may come between: for each place of the first knock and of the last, the
    /// orders of the knocks times the probability that no ban came before the last.
    fn keeping(&self, ways: &[f64], later: &[f64]) -> f64 {
        let between = self.knocks() as usize - 1;
        ways.iter().skip(between).zip(later).map(|(ways, places)| ways * places).sum()
    }

    /// Sums of the probabilities that no ban was made after so many packets that are no knocks, or
    /// more: those that can be before the last knock if so many are between it and the first.
    fn later(&self) -> Vec<f64> {
        let mut later = self.unbanned();
        for index in (1..later.len()).rev() {
            later[index - 1] += later[index];
        }
        later
    }

    /// After 0, 1, 2, ... packets that are no knocks: that no ban was made.
    fn unbanned(&self) -> Vec<f64> {
        let others = self.others();
        let mut found = vec![0.0; others as usize + 1];
        for (touched, weight) in binomial(self.traps, 1.0 / f64::from(self.sources)).into_iter().enumerate() {
            if weight > NEGLIGIBLE {
                add_unbanned(&mut found, weight, touched as u32, self.strikes);
            }
        }
        found
    }

    /// Where nothing that counts and is from the same source may come between: the knocks are as
    /// one packet, and stand behind as many traps as before them with equal probability.
    fn strict(&self, ways: &[f64]) -> f64 {
        let mine = binomial(self.traps, 1.0 / f64::from(self.sources));
        let mut sum = 0.0;
        for (touched, weight) in mine.into_iter().enumerate() {
            if weight > NEGLIGIBLE {
                let unbanned = (f64::from(self.strikes) / (touched as f64 + 1.0)).min(1.0);
                sum += weight * unbanned * self.undisturbed(ways, touched as u32);
            }
        }
        sum
    }

    /// Orders of the knocks with nothing between that counts and is the source's own; `touched`
    /// traps are.
    fn undisturbed(&self, ways: &[f64], touched: u32) -> f64 {
        let between = self.knocks() - 1;
        let mut sum = 0.0;
        for (gap, ways) in ways.iter().enumerate().skip(between as usize) {
            let gap = gap as u32;
            let clean = self.clean(gap - between, touched);
            sum += ways * f64::from(self.ports - gap) * clean;
            if clean < NEGLIGIBLE {
                break;
            }
        }
        sum
    }

    /// That so many packets between the knocks are all quiet ones, traps that another source
    /// touches, or others that another source sends.
    fn clean(&self, between: u32, touched: u32) -> f64 {
        let (others, safe) = (self.others(), self.quiet + self.traps - touched);
        let plain = others - safe - touched;
        let elsewhere = 1.0 - 1.0 / f64::from(self.sources);
        // Of `between` packets `calm` are safe ones; the first term has as many as there can be.
        let mut sum = 0.0;
        for calm in 0..=safe.min(between) {
            let rest = between - calm;
            if rest > plain || (rest > 0 && self.sources == 1) {
                continue;
            }
            let orders = ln_choose(safe, calm) + ln_choose(plain, rest) - ln_choose(others, between);
            let term = orders.exp() * elsewhere.powi(rest as i32);
            sum += term;
            if term < sum * NEGLIGIBLE {
                break;
            }
        }
        sum
    }
}

/// `ways` with another gap of 1 to `most` packets behind.
fn with_gap(ways: &[f64], most: usize) -> Vec<f64> {
    let mut window = 0.0;
    let mut found = vec![0.0; ways.len()];
    for sum in 1..ways.len() {
        window += ways[sum - 1];
        if let Some(lost) = (sum - 1).checked_sub(most) {
            window -= ways[lost];
        }
        // What is left of the rounding must not count as ways.
        found[sum] = f64::max(window, 0.0);
    }
    found
}

/// Adds to each of `found` the `weight`ed probability that after so many packets fewer than
/// `strikes` of `traps` were touched.
fn add_unbanned(found: &mut [f64], weight: f64, traps: u32, strikes: u32) {
    if traps < strikes {
        found.iter_mut().for_each(|place| *place += weight);
        return;
    }
    let others = found.len() as u32 - 1;
    let mut touched = vec![0.0; strikes as usize];
    touched[0] = 1.0;
    for (seen, place) in (0u32..).zip(found) {
        *place += weight * touched.iter().sum::<f64>();
        for count in (0..touched.len()).rev() {
            let left = f64::from(traps) - count as f64;
            let moved = touched[count] * left / f64::from(others.saturating_sub(seen).max(1));
            let moved = moved.min(touched[count]);
            touched[count] -= moved;
            if let Some(next) = touched.get_mut(count + 1) {
                *next += moved;
            }
        }
    }
}

/// The probabilities of 0, 1, ... successes of `trials`.
pub(super) fn binomial(trials: u32, success: f64) -> Vec<f64> {
    let mut found = vec![1.0];
    for _ in 0..trials {
        let mut next = vec![0.0; found.len() + 1];
        for (count, probability) in found.iter().enumerate() {
            next[count] += probability * (1.0 - success);
            next[count + 1] += probability * success;
        }
        found = next;
    }
    found
}

/// `n (n-1) ... (n-count+1)`.
pub(super) fn falling(n: u32, count: u32) -> f64 {
    (0..count).map(|index| f64::from(n) - f64::from(index)).product()
}

fn ln_choose(n: u32, some: u32) -> f64 {
    ln_factorial(n) - ln_factorial(some) - ln_factorial(n - some)
}

/// Stirling's series from 16 on, whose next term is below 1e-12; the product before.
fn ln_factorial(n: u32) -> f64 {
    let x = f64::from(n) + 1.0;
    if n < 16 {
        return (1..=n).map(f64::from).product::<f64>().ln();
    }
    let (inverse, square) = (1.0 / x, 1.0 / (x * x));
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}
