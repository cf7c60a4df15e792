//! Walking a program with a class of packets and a source of which it is known where it stands.
//!
//! There is no time here: what is put on a list stays on it. So this says what rules do in which
//! order, and their lifetimes are read off afterwards.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::class::{Class, Kind, ping_header};
use crate::net::{Endpoint, Family, TcpFlags};
use crate::program::{
    ChainId, Condition, Effect, Expiry, Hook, ListId, PortEnd, Position, Program, Refusal, Rule, State,
    Switch, TrackId, Verdict,
};
use crate::time::Lifetime;

/// A rule by its chain and its place in it.
pub(super) type At = (ChainId, usize);

/// Rules that may be looked at before a program counts as too tangled: a few seconds' worth.
const FUEL: u64 = 20_000_000;

/// Where a source stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub on: BTreeSet<ListId>,
    pub at: BTreeMap<TrackId, Position>,
    /// Its address; without one, it is a stranger's, on no list and in no prefix that is written down.
    pub address: Option<IpAddr>,
}

impl Standing {
    pub fn on(list: ListId) -> Self {
        Self { on: [list].into(), ..Self::default() }
    }
}

/// How a packet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A rule let it through.
    Accepted(At),
    /// A rule did not.
    Dropped(At),
    /// No rule said anything, so it was let through.
    Undecided,
}

/// What became of a packet.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    pub end: End,
    /// Where it was sent instead.
    pub redirected: Option<SocketAddr>,
    /// Every rule whose conditions held.
    pub fired: Vec<At>,
    /// What it put its source on, and for how long: each list once.
    pub added: Vec<(ListId, Lifetime)>,
}

impl Passed {
    pub fn is_in(&self) -> bool {
        !matches!(self.end, End::Dropped(_))
    }
}

/// Chains of a switch by track, for each port: only there does it matter where they lead from.
pub(super) type Arms = HashMap<(At, Endpoint), Vec<(Position, ChainId)>>;

pub(super) struct Walker<'p> {
    pub program: &'p Program,
    pub(super) arms: Arms,
    fuel: Cell<u64>,
}

pub(super) struct Packet<'c> {
    pub class: &'c Class,
    pub hook: Hook,
    /// The host behind that it is for.
    pub to: Option<IpAddr>,
    pub port: u16,
    pub redirected: Option<SocketAddr>,
}

enum Exit {
    Left(End),
    Redirected(SocketAddr),
    Returned,
}

impl<'p> Walker<'p> {
    pub fn new(program: &'p Program) -> Self {
        let mut arms = Arms::new();
        for (id, chain) in program.chains_with_ids() {
            for (index, rule) in chain.rules.iter().enumerate() {
                if let Some(Verdict::Switch(Switch::TrackPort(_, by_port))) = &rule.verdict {
                    for ((position, endpoint), target) in by_port {
                        arms.entry(((id, index), *endpoint)).or_default().push((*position, *target));
                    }
                }
            }
        }
        Self { program, arms, fuel: Cell::new(FUEL) }
    }

    /// Whether there was too much to look at; then what was found is not all there is.
    pub fn is_tangled(&self) -> bool {
        self.fuel.get() == 0
    }

    pub(super) fn burn(&self) -> bool {
        let left = self.fuel.get().saturating_sub(1);
        self.fuel.set(left);
        left > 0
    }

    pub fn rule(&self, at: At) -> &'p Rule {
        &self.program[at.0].rules[at.1]
    }

    /// What becomes of a packet of `class`, to the gateway or to the host behind, and of its source.
    pub fn play(&self, class: &Class, to: Option<IpAddr>, standing: &mut Standing) -> Passed {
        let mut packet = Packet { class, hook: Hook::Raw, to, port: class.low, redirected: None };
        let mut passed = Passed { end: End::Undecided, redirected: None, fired: vec![], added: vec![] };
        for hook in [Hook::Raw, Hook::Prerouting] {
            packet.hook = hook;
            let chain = self.program.hooked(hook);
            match chain.map(|chain| self.run(chain, &packet, standing, &mut passed)) {
                Some(Exit::Left(end @ End::Dropped(_))) => return Passed { end, ..passed },
                Some(Exit::Redirected(target)) => {
                    packet.redirected = Some(target);
                    packet.to = Some(target.ip());
                    packet.port = target.port();
                }
                _ => {}
            }
        }
        passed.redirected = packet.redirected;
        packet.hook = if packet.to.is_some() { Hook::Forward } else { Hook::Input };
        let chain = self.program.hooked(packet.hook);
        if let Some(Exit::Left(end)) = chain.map(|chain| self.run(chain, &packet, standing, &mut passed)) {
            passed.end = end;
        }
        passed
    }

    fn run(&self, chain: ChainId, packet: &Packet<'_>, standing: &mut Standing, passed: &mut Passed) -> Exit {
        for (index, rule) in self.program[chain].rules.iter().enumerate() {
            if !self.burn() {
                return Exit::Returned;
            }
            if !rule.when.iter().all(|condition| self.condition(condition, packet, standing) == Some(true)) {
                continue;
            }
            let at = (chain, index);
            passed.fired.push(at);
            carry_out(&rule.then, standing, passed);
            let exit = match &rule.verdict {
                None | Some(Verdict::Rescue) => continue,
                Some(Verdict::Accept) => return Exit::Left(End::Accepted(at)),
                Some(Verdict::Drop) => return Exit::Left(End::Dropped(at)),
                Some(Verdict::Reject(refusal)) if !can_be_told(*refusal, packet.class) => continue,
                Some(Verdict::Reject(_)) => return Exit::Left(End::Dropped(at)),
                Some(Verdict::Return) => return Exit::Returned,
                Some(Verdict::Redirect(target)) => {
                    if !leads(*target, packet.class) {
                        continue;
                    }
                    return Exit::Redirected(*target);
                }
                Some(Verdict::Jump(target)) => self.run(*target, packet, standing, passed),
                Some(Verdict::Switch(switch)) => match self.arm(switch, packet, standing) {
                    Some(target) => return self.run(target, packet, standing, passed),
                    None => continue,
                },
            };
            if !matches!(exit, Exit::Returned) {
                return exit;
            }
        }
        Exit::Returned
    }

    pub(super) fn arm(&self, switch: &Switch, packet: &Packet<'_>, standing: &Standing) -> Option<ChainId> {
        let ping = || (packet.class.kind == Kind::Ping).then_some(packet.class.low);
        match switch {
            Switch::Port(arms) => arms.get(&packet.class.endpoint()?).copied(),
            Switch::Echo(arms) => arms.get(&ping()?).copied(),
            Switch::TrackPort(track, arms) => {
                arms.get(&(*standing.at.get(track)?, packet.class.endpoint()?)).copied()
            }
            Switch::TrackEcho(track, arms) => arms.get(&(*standing.at.get(track)?, ping()?)).copied(),
        }
    }

    /// Whether it holds; `None` for what is not a matter of classes, which counts as not holding
    /// whether it is negated or not.
    pub(super) fn condition(
        &self,
        condition: &Condition,
        packet: &Packet<'_>,
        standing: &Standing,
    ) -> Option<bool> {
        let Class { family, kind, low, .. } = *packet.class;
        let holds = match condition {
            Condition::Not(inner) => !self.condition(inner, packet, standing)?,
            Condition::From(interfaces) => {
                let outside = self.program.outside();
                interfaces.iter().any(|i| outside.iter().any(|o| i == o || i.matches(o.as_str())))
            }
            Condition::State(states) => states.has(State::New),
            Condition::Redirected => packet.redirected.is_some(),
            Condition::Cut => false,
            Condition::Family(wanted) => family == *wanted,
            Condition::Transport(transport) => kind.transport() == Some(*transport),
            Condition::Protocol(number) => protocol(kind, family) == *number,
            Condition::To(endpoints) => endpoints.iter().any(|endpoint| {
                kind.transport() == Some(endpoint.transport) && packet.port == endpoint.port.number()
            }),
            Condition::Ports(_, PortEnd::Source, ranges) if !is_everything(ranges) => return None,
            Condition::Ports(transport, PortEnd::Source, _) => kind.transport() == Some(*transport),
            Condition::Ports(transport, _, ranges) => {
                kind.transport() == Some(*transport) && ranges.iter().any(|r| r.contains(&packet.port))
            }
            Condition::Flags { mask, set } => kind == Kind::Tcp && TcpFlags::SYN.masked(*mask) == *set,
            Condition::Echo(data) => kind == Kind::Ping && data.is_none_or(|data| data == low),
            Condition::Icmp(wanted, kinds, codes) => {
                let number = crate::net::echo_request_type(family);
                kind == Kind::Ping && family == *wanted && kinds.contains(&number) && codes.contains(&0)
            }
            Condition::Size(sizes) if kind == Kind::Ping => sizes.contains(&(ping_header(family) + low)),
            Condition::HopLimit(_) | Condition::Size(_) | Condition::Opaque(_) => return None,
            Condition::Source(prefixes) => match standing.address {
                Some(address) => prefixes.iter().any(|prefix| prefix.contains(address)),
                None => prefixes.iter().any(|prefix| prefix.len() == 0 && prefix.family() == family),
            },
            Condition::Destination(prefixes) => {
                packet.to.is_some_and(|to| prefixes.iter().any(|prefix| prefix.contains(to)))
            }
            Condition::ToGateway => packet.to.is_none(),
            Condition::NoExtensionHeaders => true,
            Condition::Listed(list) => {
                let fixed = &self.program[*list].fixed;
                standing.on.contains(list)
                    || standing.address.is_some_and(|a| fixed.iter().any(|prefix| prefix.contains(a)))
            }
            Condition::OnTrack(track) => standing.at.contains_key(track),
            Condition::DestinationListed(_) if packet.to.is_none() => false,
            Condition::DestinationListed(_) => return None,
        };
        Some(holds)
    }
}

fn carry_out(effects: &[Effect], standing: &mut Standing, passed: &mut Passed) {
    for effect in effects {
        match effect {
            Effect::Add { list, expiry: Expiry::Keep, .. } if standing.on.contains(list) => {}
            Effect::Add { list, lifetime, .. } => {
                standing.on.insert(*list);
                passed.added.retain(|(known, _)| known != list);
                passed.added.push((*list, *lifetime));
            }
            Effect::Remove(list) => {
                standing.on.remove(list);
            }
            Effect::Move { track, position, .. } => {
                standing.at.insert(*track, *position);
            }
            Effect::Forget(track) => {
                standing.at.remove(track);
            }
            Effect::AddDestination { .. } | Effect::Log(_) => {}
        }
    }
}

fn is_everything(ranges: &[RangeInclusive<u16>]) -> bool {
    ranges.iter().any(|range| *range.start() <= 1 && *range.end() == u16::MAX)
}

fn protocol(kind: Kind, family: Family) -> u8 {
    match (kind, family) {
        (Kind::Tcp, _) => 6,
        (Kind::Udp, _) => 17,
        (Kind::Ping, Family::V4) => 1,
        (Kind::Ping, Family::V6) => 58,
    }
}

pub(super) fn can_be_told(refusal: Refusal, class: &Class) -> bool {
    match refusal {
        Refusal::Closed => true,
        Refusal::Reset | Refusal::Tarpit => class.kind == Kind::Tcp,
        Refusal::Unreachable(family, _) => class.family == family,
    }
}

pub(super) fn leads(target: SocketAddr, class: &Class) -> bool {
    class.kind != Kind::Ping && Family::of(target.ip()) == class.family
}
