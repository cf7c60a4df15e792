//! Random sweeps with two packets to each port, all mixed, of one source.
//!
//! An order where each is as likely as any other is that of independent times between 0 and 1, so
//! sums over orders are integrals over a time. Windows, and bans, last as long as the sweep.

use super::sweep::{binomial, falling};

/// That both packets to a port come late: `2 (1 - x)` is the density of the earlier one.
const TRIES: f64 = 2.0;

/// Traps as a sweep meets them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    /// How many.
    pub(super) traps: u32,
    /// Different ones that make a ban.
    pub(super) strikes: u32,
}

impl Guard {
    /// That no ban was made up to `time`.
    fn unbanned(self, time: f64) -> f64 {
        let untouched = (1.0 - time) * (1.0 - time);
        binomial(self.traps, 1.0 - untouched).iter().take(self.strikes as usize).sum()
    }
}

/// That a sweep opens a door where wrong knocks do nothing: each knock is made by its first packet
/// after the one before, which comes so much later with density `2 (1 - x)`.
pub(super) fn keeping(knocks: u32, guard: Guard) -> f64 {
    integral(|time| last_knock(knocks, time) * guard.unbanned(time))
}

/// That a sweep of so many packets that count opens a door of two knocks or more where a wrong knock
/// takes all back: the knocks come one after another. A packet again right after its like does not
/// harm; of the first knock that is a case of its own packet being the second.
///
/// Two such runs in one sweep are counted twice, so the value is too large by less than its square.
pub(super) fn strict(packets: u32, knocks: u32, guard: Guard) -> f64 {
    runs(packets, knocks, 0) * integral(|time| guard.unbanned(time))
}

/// The same where a wrong knock makes the source wait for longer than the sweep: only what follows
/// the first packet to the first knock counts.
pub(super) fn cooling(packets: u32, knocks: u32, guard: Guard) -> f64 {
    let alone = runs(packets, knocks, 0) * integral(|time| (1.0 - time) * guard.unbanned(time));
    alone + runs(packets, knocks, 1) * integral(|time| guard.unbanned(time))
}

/// Expected number of runs of all knocks, where each but the first and the last may be there twice,
/// and `more` packets are besides.
fn runs(packets: u32, knocks: u32, more: u32) -> f64 {
    let middle = knocks - 2;
    let mut choices = TRIES.powi(knocks as i32);
    let mut sum = 0.0;
    for twice in 0..=middle {
        sum += choices / falling(packets, knocks + twice + more - 1);
        choices *= f64::from(middle - twice) / f64::from(twice + 1);
    }
    sum
}

/// The density of the moment of the last knock: the `knocks`-fold convolution of `2 (1 - x)`, whose
/// Laplace transform is `2^k (s - 1)^k / s^2k`.
fn last_knock(knocks: u32, time: f64) -> f64 {
    let mut term = TRIES;
    for knock in 1..knocks {
        term *= TRIES * time / f64::from(knock);
    }
    let mut sum = 0.0;
    for index in 0..=knocks {
        sum += term;
        term *= -time * f64::from(knocks - index) / (f64::from(index + 1) * f64::from(knocks + index));
    }
    sum
}

/// Of a polynomial over 0 to 1, by Gauss and Legendre with five points in each of 64 parts.
fn integral(of: impl Fn(f64) -> f64) -> f64 {
    const PARTS: u32 = 64;
    const POINTS: [(f64, f64); 5] = [
        (0.0, 0.568_888_888_888_888_9),
        (-0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
        (0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
        (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
        (0.906_179_845_938_664, 0.236_926_885_056_189_1),
    ];
    let half = 0.5 / f64::from(PARTS);
    let part = |middle: f64| POINTS.iter().map(|(at, weight)| weight * of(middle + at * half)).sum::<f64>();
    (0..PARTS).map(|index| half * part(f64::from(2 * index + 1) * half)).sum()
}
