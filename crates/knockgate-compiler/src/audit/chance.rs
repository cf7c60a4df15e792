//! How likely a scan opens a door by accident.
//!
//! A door is taken by itself: what a scan does to other doors, whose grants spare their holders from
//! bans, is left out. Where all orders can be counted, they are: `sweep` for one packet to each
//! port, `twice` for two. Else scans are `played`, drawn by `layout`; a factor that can be
//! counted still is, so that few need to be played.

mod field;
mod layout;
mod played;
mod sweep;
mod twice;

use std::fmt;

use crate::net::Packet;
use crate::policy::{Wrong, default};
use crate::time::Lifetime;

use super::Shape;
use field::Field;
use layout::{Drawn, Key, Lucky};
use played::{Estimate, Target};
use sweep::Sweep;
use twice::Guard;

pub use played::Played;

/// A scan of a gateway's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Which ports, in which order.
    pub order: Order,
    /// Packets to each port: 1 or 2.
    pub tries: u8,
    /// Packets a second, of all sources together.
    pub rate: u32,
    /// Sources that share it, each packet from any of them.
    pub sources: u32,
}

/// Which ports are scanned, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// All, from 1 up. A second try is a second pass.
    Up,
    /// All, from 65535 down. A second try is a second pass.
    Down,
    /// All, in an order where each is as likely as any other; second tries are mixed with the first.
    Random,
    /// The thousand that nmap scans by default, in random order.
    Thousand,
    /// From a hundred below the lowest knock to a hundred above the highest, in random order.
    Neighbourhood,
    /// All but the traps, from 1 up: by someone who knows where they are.
    UpWithoutTraps,
}

/// How likely a scan opens a door.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// The scan.
    pub scan: Scan,
    /// The probability that it does, 0 to 1.
    pub probability: f64,
    /// How that is known.
    pub how: How,
}

/// How a number is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// By a formula, or by counting all cases.
    Exact,
    /// By playing so many scans in the simulator.
    Played {
        /// Scans.
        scans: u32,
        /// The standard error of the probability.
        error: f64,
    },
}

/// Probabilities of a random sweep by one source, by number of traps whose bans outlast it.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Packets a second; `None` for as fast as any window allows.
    pub rate: Option<u32>,
    /// The probability with 0, 1, 2, ... traps.
    pub by_traps: Vec<f64>,
}

/// Scans that a report tells of: order, packets to each port, packets a second, sources.
const TOLD: [(Order, u8, u32, u32); 13] = [
    (Order::Random, 1, 100_000, 1),
    (Order::Random, 1, 1000, 1),
    (Order::Random, 1, 100, 1),
    (Order::Random, 2, 100_000, 1),
    (Order::Random, 1, 100_000, 100),
    (Order::Up, 1, 100_000, 1),
    (Order::Up, 1, 1000, 1),
    (Order::Up, 1, 100, 1),
    (Order::Up, 2, 1000, 1),
    (Order::Down, 1, 1000, 1),
    (Order::UpWithoutTraps, 1, 1000, 1),
    (Order::Thousand, 1, 1000, 1),
    (Order::Neighbourhood, 1, 1000, 1),
];

/// Packets a second of [`curves`].
const RATES: [Option<u32>; 3] = [None, Some(1000), Some(100)];
/// The most traps of a curve.
const MOST_TRAPS: u32 = 10;

/// How likely the scans of a report open the door. `service` is a packet that is let in once it is
/// open, and not before, from a source that is neither allowed nor exempt.
pub fn chances(shape: &Shape, service: &Packet, played: &mut Played<'_>) -> Vec<Chance> {
    let avoids_none = |order| order == Order::UpWithoutTraps && shape.traps.is_none();
    let told = TOLD.into_iter().filter(|(order, ..)| !avoids_none(*order));
    told.map(|(order, tries, rate, sources)| {
        chance(shape, Scan { order, tries, rate, sources }, service, played)
    })
    .collect()
}

/// How likely `scan`, of at least one packet a second and one source, opens the door.
pub fn chance(shape: &Shape, scan: Scan, service: &Packet, played: &mut Played<'_>) -> Chance {
    let case = Field::of(shape, scan.order).map(|field| Case::of(shape, scan, field));
    match case {
        Some(case) => case.chance(service, played),
        None => scan.opens_exactly(0.0),
    }
}

/// Chances of random sweeps by number of traps, by formula; empty if no sweep can open the door.
pub fn curves(shape: &Shape, played: &mut Played<'_>) -> Vec<Curve> {
    let sweep = |rate: Option<u32>| {
        let scan = Scan { order: Order::Random, tries: 1, rate: rate.unwrap_or(u32::MAX), sources: 1 };
        let sweep = Case::of(shape, scan, Field::of(shape, scan.order)?).sweep_with_any_traps();
        sweep.map(|sweep| (rate, sweep))
    };
    let (rates, sweeps): (Vec<_>, Vec<_>) = RATES.into_iter().filter_map(sweep).unzip();
    let found = played.counted.by_traps(&sweeps, MOST_TRAPS);
    rates.into_iter().zip(found).map(|(rate, by_traps)| Curve { rate, by_traps }).collect()
}

impl fmt::Display for Scan {
    /// `all ports, random order, 2 tries, 100 sources`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.order {
            Order::Up => "all ports, from 1 up",
            Order::Down => "all ports, from 65535 down",
            Order::Random => "all ports, random order",
            Order::Thousand => "nmap's thousand ports",
            Order::Neighbourhood => "ports around the knocks, random order",
            Order::UpWithoutTraps => "all ports but the traps, from 1 up",
        })?;
        if self.tries > 1 {
            write!(f, ", {} tries", self.tries)?;
        }
        if self.sources > 1 {
            write!(f, ", {} sources", self.sources)?;
        }
        Ok(())
    }
}

impl Scan {
    fn opens_exactly(self, probability: f64) -> Chance {
        Chance { scan: self, probability, how: How::Exact }
    }

    fn opens_about(self, estimate: Estimate) -> Chance {
        let Estimate { probability, scans, error } = estimate;
        Chance { scan: self, probability, how: How::Played { scans, error } }
    }

    fn is_ordered(self) -> bool {
        matches!(self.order, Order::Up | Order::Down | Order::UpWithoutTraps)
    }
}

/// A scan of a door's ports.
struct Case<'a> {
    shape: &'a Shape,
    scan: Scan,
    field: Field,
    /// Packets of the whole scan.
    packets: u32,
}

impl<'a> Case<'a> {
    fn of(shape: &'a Shape, scan: Scan, field: Field) -> Self {
        let packets = field.len(shape) * u32::from(scan.tries);
        Self { shape, scan, field, packets }
    }

    fn chance(&self, service: &Packet, played: &mut Played<'_>) -> Chance {
        let exactly = |probability| self.scan.opens_exactly(probability);
        if self.scan.tries == 1 && !self.knocks_differ() {
            return exactly(0.0);
        }
        if self.scan.is_ordered() {
            return self.in_order(service, played);
        }
        if !self.is_plain() {
            return self.drawn(service, played);
        }
        match (self.scan.tries, self.one_way()) {
            (1, Some(sweep)) if self.bans_last() => exactly(played.counted.probability(&sweep)),
            (1, Some(sweep)) if !sweep.strict || sweep.sources == 1 => self.lucky(&sweep, service, played),
            (2, _) => match self.two_ways() {
                Some(probability) => exactly(probability),
                None => self.drawn(service, played),
            },
            _ => self.drawn(service, played),
        }
    }

    /// Whether the knocks are pairwise different ports.
    fn knocks_differ(&self) -> bool {
        let knocks = &self.field.knocks;
        (1..knocks.len()).all(|index| !knocks[..index].contains(&knocks[index]))
    }

    /// Whether formulas hold for the ports: each is a knock, a trap or neither.
    fn is_plain(&self) -> bool {
        self.knocks_differ() && !self.field.traps.iter().any(|trap| self.field.knocks.contains(trap))
    }

    /// Whether no ban, nor a strike before one, ends while the scan goes on.
    fn bans_last(&self) -> bool {
        let Some(traps) = &self.shape.traps else { return true };
        (self.field.traps.len() as u32) < traps.strikes
            || self.outlasts(traps.ban) && (traps.strikes == 1 || self.outlasts(traps.memory))
    }

    fn outlasts(&self, lifetime: Lifetime) -> bool {
        self.packets_in(lifetime) >= self.packets
    }

    /// The packets that arrive in less than a time after one.
    fn packets_in(&self, lifetime: Lifetime) -> u32 {
        let packets = lifetime.as_millis().saturating_mul(self.scan.rate.into()).div_ceil(1000) - 1;
        u32::try_from(packets).unwrap_or(u32::MAX)
    }

    /// A random sweep with one packet to each port; `None` if it is none that is counted.
    fn one_way(&self) -> Option<Sweep> {
        let strict = match self.shape.wrong {
            Wrong::Ignore => false,
            Wrong::Reset => true,
            Wrong::Cooldown(lifetime) => self.is_like_reset(lifetime).then_some(true)?,
        };
        let ports = self.field.len(self.shape);
        let windows = self.shape.knocks.iter().skip(1).map(|beat| beat.window);
        Some(Sweep {
            ports,
            gaps: windows.map(|window| self.packets_in(window).min(ports - 1)).collect(),
            strict,
            quiet: if strict { self.field.quiet } else { 0 },
            traps: self.field.traps.len() as u32,
            strikes: self.shape.traps.as_ref().map_or(1, |traps| traps.strikes),
            sources: self.scan.sources,
        })
    }

    /// Whether a cooldown does to a sweep with one packet to each port what a reset does.
    ///
    /// Before the first knock nothing can be wrong. From it on the source has begun, for as long as
    /// the stage lasts at least. So a wrong knock before the next right one makes the source wait,
    /// and the last of them does so right before: less than the cooldown before, if no more
    /// packets come between than those that do not count. Of several sources, others send those
    /// between: for 20 times the packets that each source has its turn in, with less than 1e-8.
    fn is_like_reset(&self, cooldown: Lifetime) -> bool {
        let packets = self.packets_in(cooldown);
        match self.scan.sources {
            1 => packets > self.field.quiet,
            sources => packets / 20 > sources.saturating_add(self.field.quiet),
        }
    }

    /// The probability for a random sweep with two packets to each port, if it can be counted.
    fn two_ways(&self) -> Option<f64> {
        if self.scan.sources != 1 || !self.bans_last() {
            return None;
        }
        let knocks = self.field.knocks.len() as u32;
        let guard = Guard {
            traps: self.field.traps.len() as u32,
            strikes: self.shape.traps.as_ref().map_or(1, |traps| traps.strikes),
        };
        let windows = || self.shape.knocks.iter().skip(1).map(|beat| beat.window);
        let counting = self.packets - 2 * self.field.quiet;
        // Between two knocks of a run are their copies and what does not count.
        let reached = windows().all(|window| self.packets_in(window) > 2 * self.field.quiet + 2);
        match self.shape.wrong {
            _ if knocks == 1 => Some(twice::keeping(knocks, guard)),
            Wrong::Ignore => {
                windows().all(|window| self.outlasts(window)).then(|| twice::keeping(knocks, guard))
            }
            Wrong::Reset => {
                let runs = twice::strict(counting, knocks, guard);
                (reached && runs < 1e-4).then_some(runs)
            }
            Wrong::Cooldown(lifetime) => {
                let waits = self.packets_in(lifetime) > 2 * self.field.quiet + 2;
                let stays = windows().all(|window| self.outlasts(window));
                (reached && waits && stays).then(|| twice::cooling(counting, knocks, guard))
            }
        }
    }

    fn sweep_with_any_traps(&self) -> Option<Sweep> {
        let sweep = self.one_way().filter(|_| self.is_plain())?;
        let strikes = self.shape.traps.as_ref().map_or(default::STRIKES.get(), |traps| traps.strikes);
        Some(Sweep { strikes, ..sweep })
    }

    fn target<'s>(&self, service: &'s Packet) -> Target<'s> {
        let alone = self.scan.sources == 1 && self.shape.wrong != Wrong::Ignore;
        Target {
            service,
            last: self.field.knocks[self.field.knocks.len() - 1],
            filling: self.field.wrong.filter(|_| alone),
            rate: self.scan.rate,
        }
    }

    /// Random sweeps with one packet to each port and bans that end: only what bans do is played.
    fn lucky(&self, sweep: &Sweep, service: &Packet, played: &mut Played<'_>) -> Chance {
        let free = played.counted.probability(&Sweep { traps: 0, ..sweep.clone() });
        if free == 0.0 {
            return self.scan.opens_exactly(0.0);
        }
        // Between the knocks is nothing that counts, and before them nothing that a wrong knock can take.
        let target = Target { filling: None, ..self.target(service) };
        let lucky = Lucky::of(&self.field, sweep);
        let of = if sweep.strict { Key::of_runs } else { Key::of };
        let key = of(self.shape, self.scan, &self.field, sweep);
        let scan = |played: &mut Played<'_>, rng: &mut _| played.opens(&target, &lucky.draw(rng));
        self.scan.opens_about(played.estimate_once(key, free, scan))
    }

    /// Scans as they come, but for one: of one packet to each port, all knocks are from one source.
    fn drawn(&self, service: &Packet, played: &mut Played<'_>) -> Chance {
        let target = self.target(service);
        let (drawing, factor) = self.drawing();
        let scan = |played: &mut Played<'_>, rng: &mut _| {
            drawing.draw(rng).iter().any(|touches| played.opens(&target, touches))
        };
        let estimate = match self.one_way().filter(|_| self.is_plain() && !self.scan.is_ordered()) {
            Some(sweep) => {
                played.estimate_once(Key::of(self.shape, self.scan, &self.field, &sweep), factor, scan)
            }
            None => played.estimate(factor, scan),
        };
        self.scan.opens_about(estimate)
    }

    fn drawing(&self) -> (Drawn<'_>, f64) {
        let alone = self.scan.tries == 1;
        let others = 1 - self.field.knocks.len() as i32;
        let factor = if alone { f64::from(self.scan.sources).powi(others) } else { 1.0 };
        let ordered = self.scan.is_ordered();
        (Drawn { shape: self.shape, field: &self.field, scan: self.scan, ordered, alone }, factor)
    }

    /// With one source, there is only one such scan.
    fn in_order(&self, service: &Packet, played: &mut Played<'_>) -> Chance {
        if self.scan.sources > 1 {
            return self.drawn(service, played);
        }
        let (drawing, _) = self.drawing();
        let touches = drawing.draw(&mut crate::random::Rng::new(0));
        let opens = touches.iter().any(|touches| played.opens(&self.target(service), touches));
        self.scan.opens_exactly(if opens { 1.0 } else { 0.0 })
    }
}

#[cfg(test)]
mod tests;
