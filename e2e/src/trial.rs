//! One program and one trace, in the simulator and in the kernel at the same time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use knockgate::lab::wire::{self, Heard};
use knockgate::lab::{Gateway, LabError, Seen};
use knockgate::target::nft as kernel;
use knockgate_compiler::backend::nft;
use knockgate_compiler::net::{Destination, Family, Packet, Payload, TcpFlags, truncate};
use knockgate_compiler::program::{ListId, Program, State, Timed, TrackId};
use knockgate_compiler::sim::{Change, Decider, Decision, Fate, Simulator};
use knockgate_compiler::time::Moment;

use crate::elements::{Element, class_id, elements};
use crate::world;

/// When a packet is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// At once.
    None,
    /// Shortly before the expiry that is so many expiries away.
    Before(usize),
    /// Shortly after it.
    After(usize),
    /// So many milliseconds after the first packet could be sent, or as soon as possible then.
    Until(u64),
}

/// A packet of a trace.
#[derive(Clone, Debug)]
pub struct Shot {
    /// When it is sent.
    pub wait: Wait,
    /// What is sent.
    pub packet: Packet,
}

/// No packet is sent nearer to an expiry.
const GUARD: u64 = 30;
/// A packet that was dealt with nearer to an expiry says nothing. The kernel's clock for
/// expiries has steps of up to 10 ms (CONFIG_HZ).
const MARGIN: u64 = 16;
/// The kernel collects what was removed within a second (nft_set_hash.c, `nft_rhash_gc`).
const COLLECTED: u64 = 1500;
/// Removed elements of one key that leave room in their bucket, with those of one more packet. It
/// has been seen full with 32.
const BUCKET: usize = 16;
/// What expires later than this is not waited for.
const PATIENCE: u64 = 5000;
/// How far the two may be apart about what is left of a lifetime.
const TOLERANCE: u64 = 40;

/// What a trial has covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Packets sent.
    pub packets: u64,
    /// Of them, let through.
    pub accepted: u64,
    /// Of them, refused.
    pub rejected: u64,
    /// Of them, seen as part of a connection.
    pub established: u64,
    /// Of them, redirected.
    pub redirected: u64,
    /// Changes of lists and tracks.
    pub changes: u64,
    /// Additions for which there was no room.
    pub full: u64,
    /// Packets sent as near to an expiry as could be.
    pub at_expiry: u64,
    /// Elements that both held at the end.
    pub elements: u64,
}

impl std::ops::AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.established += other.established;
        self.redirected += other.redirected;
        self.changes += other.changes;
        self.full += other.full;
        self.at_expiry += other.at_expiry;
        self.elements += other.elements;
    }
}

/// How a trial ended.
#[derive(Debug)]
pub enum Verdict {
    /// The simulator and the kernel agree.
    Agreed(Coverage),
    /// They do not.
    Disagreed(Disagreement),
    /// The machine was too slow at the wrong moment.
    Inconclusive,
}

/// Where the simulator and the kernel first part.
#[derive(Debug)]
pub struct Disagreement {
    /// Index of the packet; the length of the trace for what is held at the end.
    pub at: usize,
    /// What each says.
    pub what: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at packet {}: {}", self.at, self.what)
    }
}

/// What the simulator expects to be seen of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foretold {
    LetIn,
    PassedOn(Option<SocketAddr>, IpAddr),
    Refused,
    Vanished,
}

/// Plays `trace` in both. A ruleset that does not load is a disagreement too. It counts, as those do that an
/// apply loads.
pub fn play(program: &Program, trace: &[Shot]) -> Result<Verdict, LabError> {
    let ruleset = nft::print_live(program, &|_| true).expect("a program of words that nftables has");
    let gateway = match world::gateway(&ruleset.text) {
        Err(LabError::Failed { command, stderr }) if command.starts_with("nft") => {
            return Ok(Verdict::Disagreed(Disagreement { at: 0, what: stderr }));
        }
        other => other?,
    };
    let mut trial = Trial {
        simulator: Simulator::new(program),
        program,
        gateway,
        start: Instant::now(),
        redirects: HashMap::new(),
        taken: vec![],
        refused: Refused::default(),
        coverage: Coverage::default(),
    };
    for (index, shot) in trace.iter().enumerate() {
        match trial.step(index, shot)? {
            Step::Done => {}
            Step::Parted(what) => return Ok(Verdict::Disagreed(Disagreement { at: index, what })),
            Step::TooLate => return Ok(Verdict::Inconclusive),
        }
    }
    trial.finish(trace.len())
}

enum Step {
    Done,
    Parted(String),
    TooLate,
}

struct Trial<'p> {
    program: &'p Program,
    simulator: Simulator<'p>,
    gateway: Gateway,
    start: Instant,
    redirects: HashMap<(IpAddr, Destination, Payload), SocketAddr>,
    /// When what was taken off a set or map.
    taken: Vec<(Taken, u64)>,
    refused: Refused,
    coverage: Coverage,
}

/// Additions for which there was no room, by set, as the simulator knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused(BTreeMap<String, u64>);

impl Refused {
    /// Adds those of a packet of this family.
    pub fn note(&mut self, program: &Program, family: Family, changes: &[Change]) {
        for change in changes {
            let memory = match change {
                Change::Full(list) => program[*list].timed.map(|timed| &program[timed.pool].name),
                Change::TrackFull(track) => Some(&program[*track].name),
                _ => None,
            };
            let set = memory.map(|name| nft::set_name(name, family));
            set.into_iter().for_each(|set| *self.0.entry(set).or_default() += 1);
        }
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// How what a kernel has counted differs.
    pub fn differs(&self, gateway: &Gateway) -> Option<String> {
        let mut counted = match gateway.namespace().run(kernel::refused) {
            Ok(counted) => counted,
            Err(error) => return Some(error.to_string()),
        };
        counted.retain(|_, count| *count > 0);
        (counted != self.0).then(|| format!("the simulator refused {:?}, the kernel {counted:?}", self.0))
    }
}

/// A key of a list or track.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Off(ListId, IpAddr),
    Moved(TrackId, IpAddr),
}

impl Trial<'_> {
    fn now(&self) -> Moment {
        Moment::from_millis(self.start.elapsed().as_millis().try_into().expect("trials are short"))
    }

    /// Every moment at which something expires, from a little before now.
    fn expiries(&self) -> BTreeSet<u64> {
        let since = Moment::from_millis(self.now().as_millis().saturating_sub(GUARD));
        let lists = self.program.lists_with_ids().flat_map(|(id, _)| self.simulator.members(id, since));
        let tracks = self.program.tracks_with_ids().flat_map(|(id, _)| self.simulator.positions(id, since));
        lists.chain(tracks.map(|(entry, _)| entry)).map(|entry| entry.until.as_millis()).collect()
    }

    /// Waits until the moment for it has come. How near it is to an expiry afterwards is for
    /// [`Self::clear`] to say.
    fn wait(&mut self, wait: Wait) {
        let now = self.now().as_millis();
        let expiries = self.expiries();
        let coming = |nth| expiries.range(now + 1..now + PATIENCE).copied().nth(nth);
        let mut due = match wait {
            Wait::None => now,
            Wait::Before(nth) => coming(nth).map_or(now, |expiry| expiry.saturating_sub(GUARD)),
            Wait::After(nth) => coming(nth).map_or(now, |expiry| expiry + GUARD),
            Wait::Until(millis) => millis.max(now),
        };
        if due > now {
            self.coverage.at_expiry += 1;
        }
        for expiry in &expiries {
            if due.abs_diff(*expiry) < GUARD {
                due = expiry + GUARD;
            }
        }
        self.sleep_until(due);
        // Whoever sleeps may wake late, right where the next expiry is.
        for expiry in expiries {
            if self.now().as_millis().abs_diff(expiry) < MARGIN {
                self.sleep_until(expiry + GUARD);
            }
        }
    }

    /// Waits until the kernel has collected what was removed, where one key was removed often:
    /// removed elements stay in their bucket, and a full bucket takes no more.
    fn let_collect(&mut self) {
        let now = self.now().as_millis();
        self.taken.retain(|(_, at)| now < at + COLLECTED);
        let often = |taken: &Taken| self.taken.iter().filter(|(other, _)| other == taken).count() > BUCKET;
        if self.taken.iter().any(|(taken, _)| often(taken)) {
            self.taken.clear();
            self.sleep_until(now + COLLECTED);
        }
    }

    fn note_taken(&mut self, source: IpAddr, changes: &[Change], now: Moment) {
        let taken = changes.iter().filter_map(|change| match change {
            Change::Removed(list) => {
                let Timed { v6_bits, .. } = self.program[*list].timed?;
                let kept = if source.is_ipv6() { truncate(source, v6_bits) } else { source };
                Some(Taken::Off(*list, kept))
            }
            Change::Moved(track, ..) | Change::Forgotten(track) => Some(Taken::Moved(*track, source)),
            _ => None,
        });
        self.taken.extend(taken.map(|taken| (taken, now.as_millis())));
    }

    fn sleep_until(&self, millis: u64) {
        let due = self.start + Duration::from_millis(millis);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }

    /// Whether nothing expires around the time between `from` and now.
    fn clear(&self, expiries: &BTreeSet<u64>, from: Moment) -> bool {
        let window = from.as_millis().saturating_sub(MARGIN)..=self.now().as_millis() + MARGIN;
        expiries.range(window).next().is_none()
    }

    fn step(&mut self, index: usize, shot: &Shot) -> Result<Step, LabError> {
        self.let_collect();
        self.wait(shot.wait);
        let packet = &shot.packet;
        let number = u16::try_from(index + 1).expect("traces are short");
        let to = match packet.destination {
            Destination::Gateway => world::own_address(packet),
            Destination::Other(address) => address,
        };
        let expiries = self.expiries();
        let sent = self.now();
        let seen = self.gateway.play(packet, number, to)?;
        let took = self.now().as_millis() - sent.as_millis();
        if took > MARGIN / 2 || !self.clear(&expiries, sent) {
            return Ok(Step::TooLate);
        }
        let decision = self.simulator.play(sent, packet);

        self.count(&decision);
        self.refused.note(self.program, packet.family(), &decision.changes);
        self.note_taken(packet.source, &decision.changes, sent);
        let foretold = self.foretold(packet, &decision);
        if !agrees(packet, foretold, &seen) {
            let about = describe(self.program, packet, &decision);
            return Ok(Step::Parted(format!("{about}\n  kernel: {seen:?}")));
        }
        if decision.state == Some(State::New)
            && let Some(received) = seen.received().filter(|_| wire::answers(packet))
        {
            self.gateway.answer(&packet.interface, received)?;
        }
        Ok(Step::Done)
    }

    fn count(&mut self, decision: &Decision<'_>) {
        let full = |change: &&Change| matches!(change, Change::Full(_) | Change::TrackFull(_));
        self.coverage.packets += 1;
        self.coverage.accepted += u64::from(decision.fate == Fate::Accept);
        self.coverage.rejected += u64::from(decision.fate == Fate::Reject);
        self.coverage.established += u64::from(decision.state == Some(State::Established));
        self.coverage.changes += decision.changes.len() as u64;
        self.coverage.full += decision.changes.iter().filter(full).count() as u64;
    }

    /// What the simulator's decision looks like from outside.
    fn foretold(&mut self, packet: &Packet, decision: &Decision<'_>) -> Foretold {
        let flow = (packet.source, packet.destination, flow(packet.payload));
        let redirect = decision.changes.iter().find_map(|change| match change {
            Change::Redirected(target) => Some(*target),
            _ => None,
        });
        match decision.fate {
            Fate::Drop => return Foretold::Vanished,
            Fate::Reject => return Foretold::Refused,
            Fate::Accept => {}
        }
        match (decision.state, redirect) {
            (Some(State::New), Some(target)) => drop(self.redirects.insert(flow, target)),
            (Some(State::New), None) => drop(self.redirects.remove(&flow)),
            _ => {}
        }
        let earlier =
            || self.redirects.get(&flow).copied().filter(|_| decision.state == Some(State::Established));
        match (packet.destination, redirect.or_else(earlier)) {
            (_, Some(target)) => {
                self.coverage.redirected += 1;
                Foretold::PassedOn(Some(target), target.ip())
            }
            (Destination::Other(address), None) if !wire::to_group(packet) => {
                let port = packet.endpoint().map(|(_, port)| SocketAddr::new(address, port));
                Foretold::PassedOn(port, address)
            }
            _ => Foretold::LetIn,
        }
    }

    fn finish(mut self, end: usize) -> Result<Verdict, LabError> {
        for _ in 0..5 {
            self.wait(Wait::None);
            let expiries = self.expiries();
            let from = self.now();
            let kernel = elements(&self.gateway, nft::TABLE)?;
            if !self.clear(&expiries, from) {
                // It took so long that something has expired meanwhile.
                continue;
            }
            let simulated = self.simulated(from);
            let took = self.now().as_millis() - from.as_millis();
            let found = difference(&simulated, &kernel, took).or_else(|| self.refused.differs(&self.gateway));
            return Ok(match found {
                Some(what) => Verdict::Disagreed(Disagreement { at: end, what }),
                None => {
                    self.coverage.elements += simulated.len() as u64;
                    Verdict::Agreed(self.coverage)
                }
            });
        }
        Ok(Verdict::Inconclusive)
    }

    /// What the kernel's sets and maps must hold.
    fn simulated(&self, now: Moment) -> BTreeMap<Element, u64> {
        let digit = |source| if Family::of(source) == Family::V4 { '4' } else { '6' };
        let left = |until: Moment| until.as_millis() - now.as_millis();
        let mut found = BTreeMap::new();
        for (id, list) in self.program.lists_with_ids() {
            let Some(Timed { pool, tag, .. }) = list.timed else { continue };
            let pool = &self.program[pool];
            for entry in self.simulator.members(id, now) {
                let set = format!("{}{}", pool.name, digit(entry.source));
                let tag = if pool.shared { format!(" . {}", class_id(tag.get())) } else { String::new() };
                let key = format!("{}{tag}", entry.source);
                found.insert(Element { set, key, data: None }, left(entry.until));
            }
        }
        for (id, track) in self.program.tracks_with_ids() {
            for (entry, position) in self.simulator.positions(id, now) {
                let set = format!("{}{}", track.name, digit(entry.source));
                let data = Some(format!("0x{:08x}", position.number()));
                found.insert(Element { set, key: entry.source.to_string(), data }, left(entry.until));
            }
        }
        found
    }
}

/// The first difference between what is simulated and what the kernel listed within the `took`
/// milliseconds after that.
fn difference(
    simulated: &BTreeMap<Element, u64>,
    kernel: &BTreeMap<Element, Option<u64>>,
    took: u64,
) -> Option<String> {
    let fixed = |element: &&Element| kernel[*element].is_some();
    let missing = simulated.keys().find(|element| !kernel.contains_key(*element));
    let extra = kernel.keys().filter(fixed).find(|element| !simulated.contains_key(*element));
    let late = simulated.iter().find_map(|(element, left)| {
        let held = kernel.get(element).copied().flatten()?;
        let fits = held <= left + TOLERANCE && held + took + TOLERANCE >= *left;
        (!fits).then(|| format!("{element:?} has {left} ms left, in the kernel {held}"))
    });
    missing
        .map(|element| format!("only the simulator holds {element:?}"))
        .or_else(|| extra.map(|element| format!("only the kernel holds {element:?}")))
        .or(late)
}

fn flow(payload: Payload) -> Payload {
    match payload {
        Payload::Tcp { from, to, .. } => Payload::Tcp { from, to, flags: TcpFlags::NONE },
        other => other,
    }
}

fn agrees(packet: &Packet, foretold: Foretold, seen: &Seen) -> bool {
    match (foretold, seen) {
        (Foretold::PassedOn(..), Seen::PassedOn(heard)) => foretold == passed_on(packet, heard),
        (Foretold::LetIn, Seen::LetIn(_))
        | (Foretold::Refused, Seen::Refused)
        | (Foretold::Vanished, Seen::Vanished) => true,
        (Foretold::Refused, Seen::Vanished) => !wire::tells(packet),
        _ => false,
    }
}

fn passed_on(packet: &Packet, heard: &Heard) -> Foretold {
    let port = heard.ports.filter(|_| packet.endpoint().is_some());
    Foretold::PassedOn(port.map(|(_, port)| SocketAddr::new(heard.to, port)), heard.to)
}

fn describe(program: &Program, packet: &Packet, decision: &Decision<'_>) -> String {
    let decider = match decision.decider {
        Decider::Rule { chain, index, .. } => format!("rule {} of chain {}", index + 1, program[chain].name),
        other => format!("{other:?}"),
    };
    let Decision { fate, state, changes, .. } = decision;
    format!("{packet:?}\n  simulator: {} by {decider}, {state:?}, {changes:?}", fate.as_str())
}
