//! Where in a scan the packets stand that a door tells apart.

use std::collections::{BTreeSet, HashMap};

use super::Scan;
use super::field::Field;
use super::sweep::Sweep;
use crate::audit::{Shape, Trapping};
use crate::net::Endpoint;
use crate::policy::Wrong;
use crate::random::Rng;
use crate::time::Lifetime;

/// A packet of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Touch {
    /// Packets of the scan before it.
    pub(super) place: u32,
    /// Where it goes.
    pub(super) port: Endpoint,
}

/// All of a random sweep that its outcome depends on: with equal ones, doors open alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    sweep: Sweep,
    tries: u8,
    rate: u32,
    wrong: Wrong,
    windows: Vec<Lifetime>,
    /// For each knock, the first that is like it.
    alike: Vec<Option<usize>>,
    bans: Option<[Lifetime; 3]>,
}

impl Key {
    pub(super) fn of(shape: &Shape, scan: Scan, field: &Field, sweep: &Sweep) -> Self {
        let first = |knock: &Endpoint| field.knocks.iter().position(|other| other == knock);
        let bans = |traps: &Trapping| [traps.memory, traps.ban, traps.ban_max];
        Self {
            sweep: sweep.clone(),
            tries: scan.tries,
            rate: scan.rate,
            wrong: shape.wrong,
            windows: shape.knocks.iter().skip(1).map(|beat| beat.window).collect(),
            alike: field.knocks.iter().map(first).collect(),
            bans: shape.traps.as_ref().map(bans),
        }
    }

    /// The same for knocks that come one after another: no window ends in between.
    pub(super) fn of_runs(shape: &Shape, scan: Scan, field: &Field, sweep: &Sweep) -> Self {
        let mut key = Self::of(shape, scan, field, sweep);
        if sweep.gaps.iter().all(|gap| *gap > sweep.quiet) {
            key.windows.clear();
            key.sweep.gaps.fill(0);
        }
        key
    }
}

/// Random sweeps in which nothing but a ban keeps the knocks from opening the door.
pub(super) struct Lucky<'a> {
    field: &'a Field,
    sweep: Sweep,
    /// For each gap, sums of the ways in which it and those before it add up to less than 0, 1, ...
    sums: Vec<Vec<f64>>,
}

impl<'a> Lucky<'a> {
    /// Of a sweep that lets anything come between, or of one of a single source.
    pub(super) fn of(field: &'a Field, sweep: &Sweep) -> Self {
        let mut sweep = sweep.clone();
        if sweep.strict {
            // The knocks come one after another, but for what does not count.
            sweep.ports -= sweep.quiet;
            sweep.quiet = 0;
        }
        let mut stages = sweep.stages();
        if let Some(whole) = stages.last_mut() {
            for (gap, ways) in whole.iter_mut().enumerate() {
                *ways *= f64::from(sweep.ports) - gap as f64;
            }
        }
        let sums = stages.into_iter().map(|ways| running(&ways)).collect();
        Self { field, sweep, sums }
    }

    /// Any of them, each as likely as any other: the packets of the source that makes the knocks.
    pub(super) fn draw(&self, rng: &mut Rng) -> Vec<Touch> {
        let mut places = self.knock_places(rng);
        let mut touches: Vec<Touch> = places
            .iter()
            .zip(&self.field.knocks)
            .map(|(place, port)| Touch { place: *place, port: *port })
            .collect();
        for port in &self.field.traps {
            if rng.below(self.sweep.sources as usize) == 0 {
                let place = free_place(rng, self.sweep.ports, &places);
                places.push(place);
                touches.push(Touch { place, port: *port });
            }
        }
        self.let_quiet_ones_in(rng, &mut touches);
        touches.sort_unstable();
        touches
    }

    /// From the last gap to the first, for the ways of each are those of all before it.
    fn knock_places(&self, rng: &mut Rng) -> Vec<u32> {
        let mut reach = self.sums.last().map_or(0, |all| draw_between(rng, all, 0, all.len() - 1));
        let first = rng.below(self.sweep.ports as usize - reach);
        let mut places = vec![(first + reach) as u32];
        for (index, most) in self.sweep.gaps.iter().enumerate().rev() {
            let least = reach.saturating_sub(*most as usize);
            reach = draw_between(rng, &self.sums[index], least, reach);
            places.push((first + reach) as u32);
        }
        places.reverse();
        places
    }

    /// Moves packets back by those that do not count and stand before them.
    fn let_quiet_ones_in(&self, rng: &mut Rng, touches: &mut [Touch]) {
        let quiet = if self.sweep.strict { self.field.quiet } else { 0 };
        for place in distinct_places(rng, self.sweep.ports + quiet, quiet) {
            for touch in touches.iter_mut().filter(|touch| touch.place >= place) {
                touch.place += 1;
            }
        }
    }
}

/// An index from `least` to before `end`, as likely as its part of the sums.
fn draw_between(rng: &mut Rng, sums: &[f64], least: usize, end: usize) -> usize {
    let (from, to) = (sums[least], sums[end]);
    let chosen = from + (to - from) * rng.fraction();
    let after = sums.partition_point(|sum| *sum <= chosen);
    after.saturating_sub(1).clamp(least, end - 1)
}

/// The sums of the first 0, 1, 2, ...
fn running(ways: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let sums = ways.iter().map(|ways| {
        sum += ways;
        sum
    });
    std::iter::once(0.0).chain(sums).collect()
}

fn free_place(rng: &mut Rng, places: u32, taken: &[u32]) -> u32 {
    loop {
        let place = rng.below(places as usize) as u32;
        if !taken.contains(&place) {
            return place;
        }
    }
}

/// `count` of `places` in ascending order (Floyd's choice).
fn distinct_places(rng: &mut Rng, places: u32, count: u32) -> BTreeSet<u32> {
    let mut chosen = BTreeSet::new();
    for top in places - count..places {
        let place = rng.below(top as usize + 1) as u32;
        if !chosen.insert(place) {
            chosen.insert(top);
        }
    }
    chosen
}

/// Any scan, drawn as it comes.
pub(super) struct Drawn<'a> {
    pub(super) shape: &'a Shape,
    pub(super) field: &'a Field,
    pub(super) scan: Scan,
    /// Whether the scan is in order, not at random.
    pub(super) ordered: bool,
    /// Whether all knocks are taken to be from one source, and nothing but its packets is drawn.
    pub(super) alone: bool,
}

impl Drawn<'_> {
    /// The packets of every source that could open the door.
    pub(super) fn draw(&self, rng: &mut Rng) -> Vec<Vec<Touch>> {
        let mut all = self.copies(rng);
        all.sort_unstable();
        if self.scan.sources == 1 {
            return vec![all];
        }
        let mut of_source: HashMap<usize, Vec<Touch>> = HashMap::new();
        for touch in &all {
            let knock = self.field.knocks.contains(&touch.port);
            let source = if self.alone && knock { 0 } else { rng.below(self.scan.sources as usize) };
            of_source.entry(source).or_default().push(*touch);
        }
        let mut found: Vec<(usize, Vec<Touch>)> =
            of_source.into_iter().filter(|(_, touches)| self.could_open(touches)).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, touches)| self.with_wrong_ones(rng, touches, &all)).collect()
    }

    fn could_open(&self, touches: &[Touch]) -> bool {
        self.field.knocks.iter().all(|knock| touches.iter().any(|touch| touch.port == *knock))
    }

    /// Packets to ports that the door tells apart, of all sources.
    fn copies(&self, rng: &mut Rng) -> Vec<Touch> {
        let mut ports: BTreeSet<Endpoint> =
            self.field.knocks.iter().chain(&self.field.traps).copied().collect();
        if self.shape.wrong != Wrong::Ignore {
            ports.extend(self.field.quiet_ports(self.shape));
        }
        let (length, tries) = (self.field.len(self.shape), u32::from(self.scan.tries));
        if self.ordered {
            let pass = |pass: u32| {
                let place = move |port: Endpoint| pass * length + self.field.place(self.shape, port);
                ports.iter().map(move |port| Touch { place: place(*port), port: *port })
            };
            return (0..tries).flat_map(pass).collect();
        }
        let copies: Vec<Endpoint> = (0..tries).flat_map(|_| ports.iter().copied()).collect();
        let mut places: Vec<u32> =
            distinct_places(rng, length * tries, copies.len() as u32).into_iter().collect();
        rng.shuffle(&mut places);
        places.into_iter().zip(copies).map(|(place, port)| Touch { place, port }).collect()
    }

    /// `touches` of a source, and what it sends in places that `all` leave free.
    fn with_wrong_ones(&self, rng: &mut Rng, mut touches: Vec<Touch>, all: &[Touch]) -> Vec<Touch> {
        let Some(port) = self.field.wrong.filter(|_| self.shape.wrong != Wrong::Ignore) else {
            return touches;
        };
        let mut free = all.iter().map(|touch| touch.place).peekable();
        for place in 0..touches.last().map_or(0, |touch| touch.place) {
            let taken = free.next_if_eq(&place).is_some();
            if !taken && rng.below(self.scan.sources as usize) == 0 {
                touches.push(Touch { place, port });
            }
        }
        touches.sort_unstable();
        touches
    }
}
