//! Random programs: every condition, effect and verdict there is, in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use knockgate_compiler::net::{Family, Interface, Packet, Prefix, TcpFlags, Transport};
use knockgate_compiler::program::{
    Builder, ChainId, Condition, Effect, Expiry, Hook, ListId, MAX_DEPTH, Origin, PortEnd, Position, Program,
    Refusal, Rule, State, States, Switch, TrackId, Verdict,
};
use knockgate_compiler::time::Lifetime;

use crate::trial::{Shot, Wait};
use crate::world::{self, INSIDE, OUTSIDE};
use knockgate_compiler::random::Rng;

/// What a random program is to show. The kernel counts expired and removed elements until it has
/// collected them, within a second, so what is about time has room, and what is about room has
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theme {
    Time,
    Room,
}

/// The program and the trace of `seed`.
pub fn case(seed: u64) -> (Program, Vec<Shot>) {
    let mut rng = Rng::new(seed);
    let theme = if rng.chance(20) { Theme::Room } else { Theme::Time };
    let program = Drafter::program(&mut rng, theme);
    let mut packets: Vec<Packet> = vec![];
    for _ in 0..15 + rng.below(35) {
        let packet = world::packet(&mut rng, &packets);
        packets.push(packet);
    }
    let wait = |rng: &mut Rng| match rng.below(100) {
        _ if theme == Theme::Room => Wait::None,
        0..12 => Wait::Before(rng.below(3)),
        12..30 => Wait::After(rng.below(4)),
        _ => Wait::None,
    };
    let trace = packets.into_iter().map(|packet| Shot { wait: wait(&mut rng), packet }).collect();
    (program, trace)
}

struct Drafter<'r> {
    rng: &'r mut Rng,
    theme: Theme,
    builder: Builder,
    lists: Vec<ListId>,
    timed: Vec<ListId>,
    /// Those of each pool.
    pools: Vec<Vec<ListId>>,
    tracks: Vec<(TrackId, Vec<Position>)>,
    /// Each chain with how many jumps lead to it at most, and from where.
    chains: Vec<(ChainId, usize, Place)>,
    /// How many chains were made for a switch of their own.
    made: usize,
}

/// From which hooks a chain is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Raw,
    Prerouting,
    Forward,
    /// From any but the first.
    Any,
}

impl Place {
    fn leads_to(self, other: Self) -> bool {
        self == other || (other == Self::Any && self != Self::Raw)
    }
}

impl<'r> Drafter<'r> {
    fn program(rng: &'r mut Rng, theme: Theme) -> Program {
        let builder = Builder::new(vec![interface("out*")]);
        let (lists, timed, pools, tracks, chains) = (vec![], vec![], vec![], vec![], vec![]);
        let mut drafter = Self { rng, theme, builder, lists, timed, pools, tracks, chains, made: 0 };
        drafter.memory();
        drafter.chains();
        drafter.builder.seal().expect("it was drafted by the rules")
    }

    fn capacity(&mut self) -> NonZeroU32 {
        let number = match self.theme {
            Theme::Time => 1000,
            Theme::Room => 1 + self.rng.below(3),
        };
        u32::try_from(number).ok().and_then(NonZeroU32::new).expect("1 to 1000")
    }

    fn memory(&mut self) {
        for index in 0..1 + self.rng.below(2) {
            let members = (0..self.rng.below(5)).map(|_| prefix(self.rng)).collect();
            let list = self.builder.static_list(&format!("fixed {index}"), members);
            self.lists.push(list);
        }
        // Nobody manages it here, so it stays empty.
        if self.rng.chance(50) {
            let capacity = self.capacity();
            self.lists.push(self.builder.managed_list("managed", capacity));
        }
        for index in 0..1 + self.rng.below(3) {
            let shared = self.rng.chance(60);
            let capacity = self.capacity();
            let pool = self.builder.pool(&format!("pool{index}"), capacity, shared);
            let members = if shared { 1 + self.rng.below(4) } else { 1 };
            for member in 0..members {
                let v6_bits = self.rng.pick(&[128, 128, 64, 48, 1, 0, 127]);
                let fixed =
                    if self.rng.chance(30) { vec![prefix(self.rng), prefix(self.rng)] } else { vec![] };
                let list = self.builder.mixed_list(&format!("list {index} {member}"), fixed, pool, v6_bits);
                self.lists.push(list);
                self.timed.push(list);
            }
            let begin = self.timed.len() - members;
            self.pools.push(self.timed[begin..].to_vec());
        }
        for index in 0..1 + self.rng.below(2) {
            let capacity = self.capacity();
            let track = self.builder.track(&format!("track{index}"), capacity);
            let position = |nth| {
                let identity = format!("{index} {nth}");
                (nth, identity)
            };
            let positions = (0..3)
                .map(position)
                .map(|(nth, identity)| self.builder.position(track, &identity, &format!("place {nth}")))
                .collect();
            self.tracks.push((track, positions));
        }
    }

    fn chains(&mut self) {
        let input = self.builder.chain("input", Some(Hook::Input));
        self.chains.push((input, 0, Place::Any));
        for (hook, name, place, percent) in [
            (Hook::Forward, "forward", Place::Forward, 60),
            (Hook::Prerouting, "prerouting", Place::Prerouting, 50),
            (Hook::Raw, "raw", Place::Raw, 40),
        ] {
            if self.rng.chance(percent) {
                let chain = self.builder.chain(name, Some(hook));
                self.chains.push((chain, 0, place));
                for index in 0..2 {
                    let chain = self.builder.chain(&format!("{name} {index}"), None);
                    self.chains.push((chain, index + 1, place));
                }
            }
        }
        for index in 0..4 + self.rng.below(8) {
            let depth =
                if self.rng.chance(50) { 1 + self.rng.below(MAX_DEPTH) } else { 1 + index % MAX_DEPTH };
            let chain = self.builder.chain(&format!("chain-{index}"), None);
            self.chains.push((chain, depth, Place::Any));
        }
        for (chain, depth, place) in self.chains.clone() {
            for _ in 0..if depth == 0 { 4 + self.rng.below(8) } else { self.rng.below(5) } {
                let rule = self.rule(depth, place);
                self.builder.rule(chain, rule);
            }
        }
    }

    fn rule(&mut self, depth: usize, place: Place) -> Rule {
        let count = self.rng.pick(&[0, 0, 1, 1, 1, 2, 2, 3]);
        let when = (0..count).map(|_| self.condition(place)).collect();
        let verdict = self.verdict(depth, place);
        let switches = matches!(verdict, Some(Verdict::Switch(_)));
        let effects = if switches { 0 } else { self.rng.pick(&[0, 0, 1, 1, 2, 3]) };
        let then = (0..effects).map(|_| self.effect(place)).collect();
        Rule { when, then, verdict, origin: Origin { what: "chance".into(), span: None } }
    }

    fn condition(&mut self, place: Place) -> Condition {
        let condition = self.plain_condition(place);
        if self.rng.chance(25) { condition.negated() } else { condition }
    }

    fn plain_condition(&mut self, place: Place) -> Condition {
        let rng = &mut *self.rng;
        match rng.below(20) {
            2 | 3 if place == Place::Raw => Condition::ToGateway,
            3 if rng.chance(20) => Condition::Redirected,
            3 if rng.chance(20) => Condition::Cut,
            18 if place == Place::Forward => Condition::DestinationListed(rng.pick(&self.lists)),
            19 if rng.chance(40) => Condition::OnTrack(self.tracks[rng.below(self.tracks.len())].0),
            0 => Condition::From(interfaces(rng)),
            1 => Condition::Size(if rng.chance(50) { 0..=60 } else { 61..=84 }),
            2 | 3 => {
                let all = State::NAMED.map(|(_, state)| state);
                Condition::State(States::of(&rng.some(&all, 3)))
            }
            4 => Condition::Family(rng.pick(&Family::BOTH)),
            5 => Condition::Transport(rng.pick(&[Transport::Tcp, Transport::Udp])),
            6 => Condition::To((0..rng.below(6)).map(|_| world::endpoint(rng)).collect()),
            7 => {
                let transport = rng.pick(&[Transport::Tcp, Transport::Udp]);
                let end = rng.pick(&[PortEnd::Source, PortEnd::Destination, PortEnd::Either]);
                let known: Vec<u16> = world::SOURCE_PORTS.into_iter().chain(world::PORTS).collect();
                let range = |rng: &mut Rng| {
                    let (one, other) = (rng.pick(&known), rng.pick(&known));
                    if rng.chance(50) { one..=one } else { one.min(other)..=one.max(other) }
                };
                Condition::Ports(transport, end, (0..rng.below(4)).map(|_| range(rng)).collect())
            }
            8 => {
                let handshake =
                    TcpFlags::FIN.with(TcpFlags::SYN).with(TcpFlags::RST).with(TcpFlags::ACK).bits();
                let mask = if rng.chance(50) { handshake } else { rng.below(256) as u8 };
                let set = if rng.chance(50) { TcpFlags::SYN.bits() } else { rng.below(256) as u8 & mask };
                Condition::Flags { mask: TcpFlags::from_bits(mask), set: TcpFlags::from_bits(set) }
            }
            9 => Condition::Echo(if rng.chance(40) { None } else { Some(rng.pick(&world::ECHOES)) }),
            10 => {
                let family = rng.pick(&Family::BOTH);
                let types =
                    if family == Family::V4 { &world::ICMP_TYPES[..] } else { &world::ICMPV6_TYPES[..] };
                let (one, other) = (rng.pick(types), rng.pick(types));
                Condition::Icmp(family, one.min(other)..=one.max(other), rng.pick(&[0, 0, 1])..=u8::MAX)
            }
            11 => Condition::HopLimit(rng.pick(&[1, 2, 64, 64, 255])),
            12 => Condition::Source((0..rng.below(4)).map(|_| prefix(rng)).collect()),
            13 => Condition::Destination(
                (0..rng.below(3)).map(|_| Prefix::host(world::address(rng, &world::BEHIND))).collect(),
            ),
            14 | 15 => Condition::ToGateway,
            16 => Condition::NoExtensionHeaders,
            17 => Condition::Protocol(rng.pick(&[1, 6, 17, 47, 58])),
            _ => Condition::Listed(rng.pick(&self.lists)),
        }
    }

    fn lifetime(&mut self) -> Lifetime {
        let millis = match self.theme {
            Theme::Time => 150 + self.rng.below(450) as u64,
            Theme::Room => 600_000,
        };
        Lifetime::from_millis(millis).expect("it is neither zero nor years")
    }

    fn effect(&mut self, place: Place) -> Effect {
        let lifetime = self.lifetime();
        let list = self.rng.pick(&self.timed);
        let nth = self.rng.below(self.tracks.len());
        let (track, positions) = &self.tracks[nth];
        // What is removed, or moved, takes up room until it is collected.
        let choices = if self.theme == Theme::Time { 12 } else { 7 };
        match self.rng.below(choices) {
            0 if self.rng.chance(20) => Effect::Log("chance".into()),
            0..2 if place == Place::Forward => Effect::AddDestination {
                list,
                lifetime,
                expiry: self.rng.pick(&[Expiry::Refresh, Expiry::Keep]),
            },
            0..4 => Effect::Add { list, lifetime, expiry: Expiry::Refresh },
            4..7 => Effect::Add { list, lifetime, expiry: Expiry::Keep },
            7 => Effect::Remove(list),
            8..11 => Effect::Move { track: *track, position: self.rng.pick(positions), lifetime },
            _ => Effect::Forget(*track),
        }
    }

    fn verdict(&mut self, depth: usize, place: Place) -> Option<Verdict> {
        let deeper: Vec<ChainId> = self
            .chains
            .iter()
            .filter(|(_, at, other)| *at > depth && place.leads_to(*other))
            .map(|(chain, ..)| *chain)
            .collect();
        match self.rng.below(100) {
            0..30 => None,
            30..36 => Some(Verdict::Accept),
            36..40 => Some(Verdict::Drop),
            40..44 => Some(Verdict::Reject(self.rng.pick(&[
                Refusal::Closed,
                Refusal::Closed,
                Refusal::Unreachable(Family::V4, 13),
                Refusal::Unreachable(Family::V6, 1),
            ]))),
            44..55 if place == Place::Prerouting && self.rng.chance(60) => {
                let host = world::address(self.rng, &world::BEHIND);
                Some(Verdict::Redirect((host, self.rng.pick(&world::PORTS)).into()))
            }
            44..52 if depth > 0 => Some(Verdict::Return),
            52..70 if depth > 0 && !deeper.is_empty() => Some(Verdict::Switch(self.switch(&deeper))),
            70..100 if !deeper.is_empty() => Some(Verdict::Jump(self.rng.pick(&deeper))),
            _ => None,
        }
    }

    fn switch(&mut self, deeper: &[ChainId]) -> Switch {
        let alike = if self.rng.chance(50) { self.alike(deeper) } else { vec![] };
        let rng = &mut *self.rng;
        let targets: Vec<ChainId> = match alike.is_empty() {
            false if rng.chance(50) => alike,
            _ => alike.into_iter().chain(rng.some(deeper, 3)).collect(),
        };
        let targets = if targets.is_empty() { deeper } else { &targets };
        let place = rng.below(self.tracks.len());
        let (track, positions) = &self.tracks[place];
        let arms = rng.below(8);
        match rng.below(6) {
            0 | 1 => Switch::Port((0..arms).map(|_| (world::endpoint(rng), rng.pick(targets))).collect()),
            2 | 3 => {
                let arm = |_| ((rng.pick(positions), world::endpoint(rng)), rng.pick(targets));
                Switch::TrackPort(*track, (0..3 * arms).map(arm).collect())
            }
            4 => Switch::Echo((0..arms).map(|_| (rng.pick(&world::ECHOES), rng.pick(targets))).collect()),
            _ => {
                let arm = |_| ((rng.pick(positions), rng.pick(&world::ECHOES)), rng.pick(targets));
                Switch::TrackEcho(*track, (0..2 * arms).map(arm).collect::<BTreeMap<_, _>>())
            }
        }
    }

    /// Chains for the arms of one switch, which do the same but for a position or a list.
    fn alike(&mut self, deeper: &[ChainId]) -> Vec<ChainId> {
        let lifetime = self.lifetime();
        let then: Vec<Effect> = if self.theme == Theme::Time && self.rng.chance(60) {
            let (track, positions) = self.tracks[self.rng.below(self.tracks.len())].clone();
            positions.into_iter().map(|position| Effect::Move { track, position, lifetime }).collect()
        } else {
            let expiry = self.rng.pick(&[Expiry::Refresh, Expiry::Keep]);
            let lists = self.pools[self.rng.below(self.pools.len())].clone();
            lists.into_iter().map(|list| Effect::Add { list, lifetime, expiry }).collect()
        };
        let origin = || Origin { what: "chance".into(), span: None };
        let more = self.rng.chance(40).then(|| self.rng.pick(deeper));
        let write = |effect| {
            self.made += 1;
            let chain = self.builder.chain(&format!("alike-{}", self.made), None);
            self.builder
                .rule(chain, Rule { when: vec![], then: vec![effect], verdict: None, origin: origin() });
            if let Some(more) = more {
                let verdict = Some(Verdict::Jump(more));
                self.builder.rule(chain, Rule { when: vec![], then: vec![], verdict, origin: origin() });
            }
            chain
        };
        then.into_iter().map(write).collect()
    }
}

fn interface(name: &str) -> Interface {
    name.parse().expect("an interface written here")
}

fn interfaces(rng: &mut Rng) -> Vec<Interface> {
    let names = rng.some(&[OUTSIDE[0], OUTSIDE[1], INSIDE, "out*", "eth0"], 3);
    names.into_iter().collect::<BTreeSet<_>>().into_iter().map(interface).collect()
}

fn prefix(rng: &mut Rng) -> Prefix {
    let address = if rng.chance(80) {
        world::address(rng, &world::STRANGERS)
    } else {
        world::address(rng, &world::INSIDERS)
    };
    let len = match Family::of(address) {
        Family::V4 => rng.pick(&[32, 32, 30, 25, 24, 8, 0]),
        Family::V6 => rng.pick(&[128, 128, 64, 48, 32, 1, 0]),
    };
    Prefix::holding(address, len).expect("a length of the family")
}
