//! Scans played in the simulator.

use std::collections::{BTreeSet, HashMap};

use super::layout::{Key, Touch};
use super::sweep::Counted;
use crate::net::{Destination, Endpoint, Packet, Payload, TcpFlags, Transport};
use crate::program::Program;
use crate::random::Rng;
use crate::sim::{Change, Decision, Fate, Simulator};
use crate::time::{Lifetime, Moment};

/// The same text always has the same numbers.
const SEED: u64 = 0x6b6e_6f63_6b67_6174;
/// Scans that are played at least, and those that are where the budget is used up.
const LEAST: u32 = 1000;
const FEW: u32 = 100;
/// Of the budget that is left, one estimate may use this part.
const SHARE: u64 = 16;
/// An estimate is good enough with a standard error of this part of the value, or of this.
const RELATIVE: f64 = 0.02;
const ABSOLUTE: f64 = 1e-4;
/// Source ports of scans. Each has one of its own, so that what was accepted for one is no
/// connection of another.
const FROM: std::ops::Range<u16> = 1024..u16::MAX;

/// Plays scans through a program, as long as the budget lasts, and remembers what came out. What
/// was counted is remembered too, so one serves for all doors of a program.
#[derive(Debug)]
pub struct Played<'p> {
    program: &'p Program,
    simulator: Simulator<'p>,
    /// When the last packet was played, in milliseconds.
    now: u64,
    from: u16,
    /// Packets that may still be played.
    budget: u64,
    spent: u64,
    known: HashMap<Key, Tally>,
    pub(super) counted: Counted,
}

/// What came of scans.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    opened: u32,
    scans: u32,
}

/// A probability that was found by playing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) probability: f64,
    pub(super) scans: u32,
    pub(super) error: f64,
}

/// What a scan is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    /// The packet that is let in once the door is open, from the source that scans.
    pub(super) service: &'a Packet,
    /// The last knock.
    pub(super) last: Endpoint,
    /// What stands in all places that have no packet of their own; `None` if that changes nothing.
    pub(super) filling: Option<Endpoint>,
    /// Packets a second.
    pub(super) rate: u32,
}

impl<'p> Played<'p> {
    /// Plays about `budget` packets through `program`: beyond it, a hundred scans for each chance
    /// that has to be played.
    pub fn new(program: &'p Program, budget: u64) -> Self {
        let simulator = Simulator::new(program);
        Self {
            program,
            simulator,
            now: 0,
            from: FROM.start,
            budget,
            spent: 0,
            known: HashMap::new(),
            counted: Counted::default(),
        }
    }

    /// The part of `factor` that `scan` has: a scan says whether it opened the door.
    pub(super) fn estimate(
        &mut self,
        factor: f64,
        scan: impl FnMut(&mut Self, &mut Rng) -> bool,
    ) -> Estimate {
        Estimate::of(factor, self.play_all(factor, scan))
    }

    /// The same, or what is known of a case that does not differ in anything that matters.
    pub(super) fn estimate_once(
        &mut self,
        key: Key,
        factor: f64,
        scan: impl FnMut(&mut Self, &mut Rng) -> bool,
    ) -> Estimate {
        let tally = match self.known.get(&key) {
            Some(known) => *known,
            None => self.play_all(factor, scan),
        };
        self.known.insert(key, tally);
        Estimate::of(factor, tally)
    }

    /// Plays scans until the estimate is good enough, or has had its part of the budget.
    fn play_all(&mut self, factor: f64, mut scan: impl FnMut(&mut Self, &mut Rng) -> bool) -> Tally {
        let allowance = self.budget / SHARE;
        let (mut rng, mut tally) = (Rng::new(SEED), Tally::default());
        self.spent = 0;
        while !(tally.scans >= LEAST && Estimate::of(factor, tally).is_settled()
            || tally.scans >= FEW && self.spent >= allowance)
        {
            tally.opened += u32::from(scan(self, &mut rng));
            tally.scans += 1;
        }
        self.budget = self.budget.saturating_sub(self.spent);
        tally
    }

    /// Whether a source that nobody remembers opens the door with these packets, the earliest first.
    pub(super) fn opens(&mut self, target: &Target<'_>, touches: &[Touch]) -> bool {
        let mut scan = Passing::begin(self, target);
        if scan.is_let_in(0) {
            return false;
        }
        let mut next = 0;
        for touch in touches {
            if let Some(filling) = target.filling {
                scan.fill(next..touch.place, filling);
            }
            if scan.send(touch.place, touch.port) && touch.port == target.last && scan.is_let_in(touch.place)
            {
                return true;
            }
            next = touch.place + 1;
        }
        false
    }

    fn begin(&mut self) -> u64 {
        self.from += 1;
        if !FROM.contains(&self.from) {
            self.simulator = Simulator::new(self.program);
            (self.now, self.from) = (0, FROM.start);
        }
        // By then nothing is on any list.
        self.now + Lifetime::MAX.as_millis() as u64 + 1
    }

    fn play(&mut self, now: u64, packet: &Packet) -> Decision<'p> {
        (self.now, self.spent) = (now, self.spent + 1);
        self.simulator.play(Moment::from_millis(now), packet)
    }
}

impl Estimate {
    fn of(factor: f64, tally: Tally) -> Self {
        let (opened, all) = (f64::from(tally.opened), f64::from(tally.scans));
        // As if there had been one more of either kind: no run of equal outcomes is certainty.
        let likely = (opened + 1.0) / (all + 2.0);
        let error = factor * (likely * (1.0 - likely) / all).sqrt();
        Self { probability: factor * opened / all, scans: tally.scans, error }
    }

    fn is_settled(&self) -> bool {
        self.error <= (RELATIVE * self.probability).max(ABSOLUTE)
    }
}

/// One scan on its way.
struct Passing<'a, 'p> {
    played: &'a mut Played<'p>,
    rate: u64,
    start: u64,
    knock: Packet,
    service: Packet,
    /// When something ends that the scan began.
    endings: BTreeSet<u64>,
}

impl<'a, 'p> Passing<'a, 'p> {
    fn begin(played: &'a mut Played<'p>, target: &Target<'_>) -> Self {
        let start = played.begin();
        let mut service = target.service.clone();
        match &mut service.payload {
            Payload::Tcp { from, .. } | Payload::Udp { from, .. } => *from = played.from,
            Payload::Icmp { .. } => {}
        }
        let knock = Packet { destination: Destination::Gateway, ..service.clone() };
        Self { played, rate: target.rate.into(), start, knock, service, endings: BTreeSet::new() }
    }

    fn time(&self, place: u32) -> u64 {
        self.start + u64::from(place) * 1000 / self.rate
    }

    /// The first place at `time` or later.
    fn place_at(&self, time: u64) -> u32 {
        let place = (time - self.start).saturating_mul(self.rate).div_ceil(1000);
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Whether the service answers.
    fn is_let_in(&mut self, place: u32) -> bool {
        let now = self.time(place);
        self.played.play(now, &self.service).fate == Fate::Accept
    }

    /// Whether it changed anything.
    fn send(&mut self, place: u32, port: Endpoint) -> bool {
        let (from, to) = (self.played.from, port.port.number());
        self.knock.payload = match port.transport {
            Transport::Tcp => Payload::Tcp { from, to, flags: TcpFlags::SYN },
            Transport::Udp => Payload::Udp { from, to },
        };
        let now = self.time(place);
        let changes = self.played.play(now, &self.knock).changes;
        self.endings.extend(changes.iter().filter_map(ending));
        !changes.is_empty()
    }

    /// Sends so many packets to one port as do the same as one to each place.
    ///
    /// As long as nothing ends by itself, the first of them and the last do all there is to do:
    /// those between meet the same conditions, so what they add is there already, and what they
    /// prolong the last one prolongs further. What ends in between they meet before and after its
    /// end, so the last one before and the first one after are sent too.
    fn fill(&mut self, places: std::ops::Range<u32>, port: Endpoint) {
        let Some(last) = places.clone().next_back() else { return };
        let mut place = places.start;
        loop {
            self.send(place, port);
            if place == last {
                return;
            }
            let now = self.time(place);
            self.endings = self.endings.split_off(&(now + 1));
            let after = self.endings.first().map_or(last, |ending| self.place_at(*ending));
            let before = after.saturating_sub(1);
            place = if before > place { before } else { after.max(place + 1) }.min(last);
        }
    }
}

fn ending(change: &Change) -> Option<u64> {
    match change {
        Change::Added(_, until) | Change::DestinationAdded(_, until) | Change::Moved(_, _, until) => {
            Some(until.as_millis())
        }
        _ => None,
    }
}
