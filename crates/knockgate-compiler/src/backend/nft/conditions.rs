//! What must hold for a rule to be met, in the words of nft.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::slice;

use super::words::{
    End, has, header, icmp, interface_set, joined, masked, nfproto, prefix_set, range, range_set, rest,
    single_bits, single_name, state_set, static_name, to,
};
use super::{CUT, Printer, decides_at_once};
use crate::net::{Endpoint, Family, Transport, echo_packet_size, echo_request_type};
use crate::program::{Condition, List, ListId, PortEnd, Rule, States};

impl Printer<'_> {
    /// The rule's conditions in nft's words: once when they say the same to both families, else
    /// for each family that they can hold in. Where a condition is one thing or another, there are
    /// several, of which at most one holds whatever the rule's effects are, unless nothing comes after.
    pub(super) fn conditions(&self, rule: &Rule) -> Vec<(Option<Family>, Way)> {
        let of = |family| self.ways_of_all(&rule.when, family, decides_at_once(rule));
        let (v4, v6) = (of(Family::V4), of(Family::V6));
        if v4 == v6 {
            return v4.into_iter().map(|way| (None, way)).collect();
        }
        let named = |family| {
            move |way: Way| {
                let space = if way.text.is_empty() { "" } else { " " };
                let text = format!("meta nfproto {}{space}{}", nfproto(family), way.text);
                (Some(family), Way { text, ..way })
            }
        };
        let v4 = v4.into_iter().map(named(Family::V4));
        v4.chain(v6.into_iter().map(named(Family::V6))).collect()
    }

    /// The ways in which all conditions can hold for a packet of the family; see [`ways`](Self::ways).
    pub(super) fn ways_of_all<'c>(
        &self,
        conditions: impl IntoIterator<Item = &'c Condition>,
        family: Family,
        at_once: bool,
    ) -> Vec<Way> {
        let any = vec![Way { text: String::new(), protocols: Protocols::ALL }];
        conditions.into_iter().fold(any, |so_far, condition| {
            let ways = self.ways(condition, family, at_once);
            so_far.iter().flat_map(|before| ways.iter().filter_map(|way| before.and(way))).collect()
        })
    }

    /// The ways in which a condition can hold for a packet of the family: none if it never does. Where the rule
    /// decides over the packet `at_once`, several may hold.
    pub(super) fn ways(&self, condition: &Condition, family: Family, at_once: bool) -> Vec<Way> {
        let protocols = protocols(condition, family);
        match condition {
            Condition::Not(inner) => self.ways_not(inner, family),
            condition => {
                let texts = self.condition(condition, family, at_once).into_iter();
                texts.map(|text| Way { text, protocols }).collect()
            }
        }
    }

    /// The ways in which it does not. Words that are about a protocol hold for no packet of another,
    /// so those are told apart first.
    pub(super) fn ways_not(&self, condition: &Condition, family: Family) -> Vec<Way> {
        let protocols = protocols(condition, family);
        let others = match condition {
            Condition::Transport(_) | Condition::Protocol(_) => None,
            Condition::To(endpoints) => return elsewhere(endpoints),
            Condition::Ports(transport, ..) => Some(transport.to_string()),
            Condition::Flags { .. } => Some(Transport::Tcp.to_string()),
            Condition::Echo(_) | Condition::Icmp(..) => Some(icmp(family).to_owned()),
            _ => None,
        };
        let texts = self.negated(condition, family);
        match others {
            None if matches!(condition, Condition::Transport(_) | Condition::Protocol(_)) => {
                // Of what is neither TCP, UDP nor ICMP, one protocol leaves the others.
                let other = if protocols == Protocols::OTHER { Protocols::ALL } else { protocols.others() };
                texts.into_iter().map(|text| Way { text, protocols: other }).collect()
            }
            None => texts.into_iter().map(|text| Way { text, protocols }).collect(),
            // It never holds, whatever the protocol is.
            Some(_) if texts == [String::new()] => {
                vec![Way { text: String::new(), protocols: Protocols::ALL }]
            }
            Some(others) => {
                let text = format!("meta l4proto != {{ {others} }}");
                let other = Way { text, protocols: protocols.others() };
                let these = texts.into_iter().map(|text| Way { text, protocols });
                std::iter::once(other).chain(these).collect()
            }
        }
    }

    /// What says that a condition holds, in one way or several; nothing if it never does.
    pub(super) fn condition(&self, condition: &Condition, family: Family, at_once: bool) -> Vec<String> {
        let ip = header(family);
        vec![match condition {
            Condition::Not(inner) => return self.negated(inner, family),
            Condition::From(interfaces) if interfaces.is_empty() => return vec![],
            Condition::From(interfaces) => format!("iifname {}", interface_set(interfaces)),
            Condition::State(states) if *states == States::of(&[]) => return vec![],
            Condition::State(states) => format!("ct state {}", state_set(*states)),
            Condition::Redirected => "ct status dnat".to_owned(),
            Condition::Cut => format!("ct mark 0x{CUT:08x}"),
            Condition::Family(wanted) => return if *wanted == family { vec![String::new()] } else { vec![] },
            Condition::Transport(transport) => format!("meta l4proto {transport}"),
            Condition::Protocol(number) => format!("meta l4proto {number}"),
            Condition::To(endpoints) => to(endpoints),
            Condition::Ports(_, _, ranges) if ranges.iter().all(RangeInclusive::is_empty) => return vec![],
            Condition::Ports(transport, end, ranges) => {
                let set = range_set(ranges);
                match end {
                    PortEnd::Source => format!("{transport} sport {set}"),
                    PortEnd::Destination => format!("{transport} dport {set}"),
                    PortEnd::Either => {
                        let other = format!("{transport} dport != {set} {transport} sport {set}");
                        return vec![format!("{transport} dport {set}"), other];
                    }
                }
            }
            Condition::Flags { mask, set } => {
                format!("tcp flags & 0x{:02x} == 0x{:02x}", mask.bits(), set.bits())
            }
            Condition::Echo(data) => {
                let size = data.map(|data| format!(" meta length {}", echo_packet_size(family, data)));
                format!("{} type echo-request{}", icmp(family), size.unwrap_or_default())
            }
            Condition::Icmp(wanted, kinds, codes)
                if *wanted != family || kinds.is_empty() || codes.is_empty() =>
            {
                return vec![];
            }
            Condition::Icmp(_, kinds, codes) => {
                let kinds = format!("{} type {}", icmp(family), range(kinds));
                if *codes == (0..=u8::MAX) {
                    kinds
                } else {
                    format!("{kinds} {} code {}", icmp(family), range(codes))
                }
            }
            Condition::HopLimit(limit) => match family {
                Family::V4 => format!("ip ttl {limit}"),
                Family::V6 => format!("ip6 hoplimit {limit}"),
            },
            Condition::Size(sizes) if sizes.is_empty() => return vec![],
            Condition::Size(sizes) => format!("meta length {}", range(sizes)),
            Condition::Source(prefixes) if !has(prefixes, family) => return vec![],
            Condition::Source(prefixes) => format!("{ip} saddr {}", prefix_set(prefixes, family)),
            Condition::Destination(prefixes) if !has(prefixes, family) => return vec![],
            Condition::Destination(prefixes) => format!("{ip} daddr {}", prefix_set(prefixes, family)),
            Condition::ToGateway => "fib daddr type local".to_owned(),
            // The header that follows at once is the payload's: nothing stands between. Said as
            // `ip6 nexthdr { tcp, udp, ipv6-icmp }`, nft would take the first for the packet's
            // protocol, and refuse `icmpv6 type` after it.
            Condition::NoExtensionHeaders => match family {
                Family::V4 => return vec![String::new()],
                Family::V6 => "@nh,48,8 { 6, 17, 58 }".to_owned(),
            },
            Condition::Listed(list) => return self.listed(*list, family, End::Source, at_once),
            Condition::DestinationListed(list) => {
                return self.listed(*list, family, End::Destination, at_once);
            }
            Condition::OnTrack(track) => format!("{ip} saddr @{}", self.track(*track, family)),
            // A program that has it is refused before.
            Condition::Opaque(_) => return vec![],
        }]
    }

    /// What says that a condition does not hold, of a packet whose protocol it is about.
    pub(super) fn negated(&self, condition: &Condition, family: Family) -> Vec<String> {
        let not_listed = |list: ListId, end| {
            let ways = self.memberships(list, family, end);
            vec![joined(ways.iter().map(|(key, set)| format!("{key} != @{set}")), " ")]
        };
        let always = || vec![String::new()];
        let ip = header(family);
        vec![match condition {
            Condition::From(interfaces) if interfaces.is_empty() => return always(),
            Condition::From(interfaces) => format!("iifname != {}", interface_set(interfaces)),
            Condition::State(states) if *states == States::of(&[]) => return always(),
            Condition::State(states) => format!("ct state != {{ {} }}", state_set(*states)),
            // A packet of no connection has no status, and every match on one fails.
            Condition::Redirected => {
                let none = "{ invalid, untracked }";
                let not = format!("ct state != {none} ct status & dnat == 0");
                return vec![format!("ct state {none}"), not];
            }
            // A packet of no connection has no mark, and every match on one fails.
            Condition::Cut => {
                let none = "{ invalid, untracked }";
                let not = format!("ct state != {none} ct mark != 0x{CUT:08x}");
                return vec![format!("ct state {none}"), not];
            }
            Condition::Family(wanted) => return if *wanted == family { vec![] } else { always() },
            Condition::Transport(transport) => format!("meta l4proto != {transport}"),
            Condition::Protocol(number) => format!("meta l4proto != {number}"),
            Condition::Ports(_, _, ranges) if ranges.iter().all(RangeInclusive::is_empty) => return always(),
            Condition::Ports(transport, end, ranges) => {
                let rest = rest(ranges);
                if rest.is_empty() {
                    return vec![];
                }
                let set = range_set(&rest);
                match end {
                    PortEnd::Source => format!("{transport} sport {set}"),
                    PortEnd::Destination => format!("{transport} dport {set}"),
                    PortEnd::Either => format!("{transport} dport {set} {transport} sport {set}"),
                }
            }
            Condition::Flags { mask, set } => {
                format!("tcp flags & 0x{:02x} != 0x{:02x}", mask.bits(), set.bits())
            }
            Condition::Echo(data) => {
                let kind = echo_request_type(family);
                let other = format!("{} type {}", icmp(family), range_set(&rest(&[kind..=kind])));
                let size = data.map(|data| echo_packet_size(family, data));
                let size = size.map(|size| format!("{} type {kind} meta length != {size}", icmp(family)));
                return std::iter::once(other).chain(size).collect();
            }
            Condition::Icmp(wanted, kinds, codes)
                if *wanted != family || kinds.is_empty() || codes.is_empty() =>
            {
                return always();
            }
            Condition::Icmp(_, kinds, codes) => {
                let icmp = icmp(family);
                let (other_kinds, other_codes) = (rest(slice::from_ref(kinds)), rest(slice::from_ref(codes)));
                let mut ways = vec![];
                if !other_kinds.is_empty() {
                    ways.push(format!("{icmp} type {}", range_set(&other_kinds)));
                }
                if !other_codes.is_empty() {
                    ways.push(format!(
                        "{icmp} type {} {icmp} code {}",
                        range(kinds),
                        range_set(&other_codes)
                    ));
                }
                return ways;
            }
            Condition::HopLimit(limit) => match family {
                Family::V4 => format!("ip ttl {}", range_set(&rest(&[*limit..=*limit]))),
                Family::V6 => format!("ip6 hoplimit {}", range_set(&rest(&[*limit..=*limit]))),
            },
            Condition::Size(sizes) if sizes.is_empty() => return always(),
            Condition::Size(sizes) => format!("meta length != {}", range(sizes)),
            Condition::Source(prefixes) if !has(prefixes, family) => return always(),
            Condition::Source(prefixes) => format!("{ip} saddr != {}", prefix_set(prefixes, family)),
            Condition::Destination(prefixes) if !has(prefixes, family) => return always(),
            Condition::Destination(prefixes) => format!("{ip} daddr != {}", prefix_set(prefixes, family)),
            Condition::ToGateway => "fib daddr type != local".to_owned(),
            Condition::NoExtensionHeaders => match family {
                Family::V4 => return vec![],
                Family::V6 => "@nh,48,8 != { 6, 17, 58 }".to_owned(),
            },
            Condition::Listed(list) => return not_listed(*list, End::Source),
            Condition::DestinationListed(list) => return not_listed(*list, End::Destination),
            Condition::OnTrack(track) => format!("{ip} saddr != @{}", self.track(*track, family)),
            // `Condition::negated` never makes the first; a program with the second is refused before.
            Condition::Not(_) | Condition::Opaque(_) => return vec![],
            // Told apart by protocol before.
            Condition::To(_) => return vec![],
        }]
    }

    /// Whether the source or destination is on a list: among its fixed members or those that people
    /// added, or among those that rules added.
    pub(super) fn listed(&self, list: ListId, family: Family, end: End, at_once: bool) -> Vec<String> {
        match self.memberships(list, family, end).as_slice() {
            [(fixed, members), (key, set)] if !at_once => {
                vec![format!("{fixed} @{members}"), format!("{fixed} != @{members} {key} @{set}")]
            }
            ways => ways.iter().map(|(key, set)| format!("{key} @{set}")).collect(),
        }
    }

    /// The keys and sets that tell whether an address is on a list, the fixed one first.
    pub(super) fn memberships(&self, list: ListId, family: Family, end: End) -> Vec<(String, String)> {
        let List { name, fixed, timed, managed } = &self.program[list];
        let written = has(fixed, family) || managed.is_some();
        let fixed = written.then(|| (end.of(family), static_name(name, family)));
        let single = managed.map(|_| (masked(end, family, single_bits(family)), single_name(name, family)));
        let timed = timed.map(|timed| (self.key(timed, family, end), self.pool(timed.pool, family)));
        fixed.into_iter().chain(single).chain(timed).collect()
    }
}

/// A way in which conditions can hold.
#[derive(PartialEq)]
pub(super) struct Way {
    /// What matches then; nothing if anything does.
    pub(super) text: String,
    /// What the packet can carry then. nft refuses to name two protocols at once.
    pub(super) protocols: Protocols,
}

impl Way {
    /// Both ways at once, if a packet can go them.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let protocols = self.protocols & other.protocols;
        let space = if self.text.is_empty() || other.text.is_empty() { "" } else { " " };
        let text = format!("{}{space}{}", self.text, other.text);
        (protocols != Protocols::NONE).then_some(Self { text, protocols })
    }
}

/// Which of TCP, UDP, ICMP and anything else a packet can carry, a bit for each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Protocols(u8);

impl Protocols {
    pub(super) const NONE: Self = Self(0);
    pub(super) const PORTS: Self = Self(3);
    pub(super) const ICMP: Self = Self(4);
    pub(super) const OTHER: Self = Self(8);
    pub(super) const ALL: Self = Self(15);

    pub(super) fn of(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self(1),
            Transport::Udp => Self(2),
        }
    }

    pub(super) fn of_number(number: u8, family: Family) -> Self {
        match (number, family) {
            (6, _) => Self::of(Transport::Tcp),
            (17, _) => Self::of(Transport::Udp),
            (1, Family::V4) | (58, Family::V6) => Self::ICMP,
            _ => Self::OTHER,
        }
    }

    /// All but these.
    pub(super) fn others(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }
}

impl std::ops::BitAnd for Protocols {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// The ways in which a packet goes to none of these ports.
pub(super) fn elsewhere(endpoints: &BTreeSet<Endpoint>) -> Vec<Way> {
    let other = Way { text: "meta l4proto != { tcp, udp }".to_owned(), protocols: Protocols::PORTS.others() };
    let rest = [Transport::Tcp, Transport::Udp].map(|transport| {
        let of = endpoints.iter().filter(|endpoint| endpoint.transport == transport);
        let ports: Vec<_> = of.map(|endpoint| endpoint.port.number()..=endpoint.port.number()).collect();
        let text = match ports.is_empty() {
            true => format!("meta l4proto {transport}"),
            false => format!("{transport} dport {}", range_set(&rest(&ports))),
        };
        Way { text, protocols: Protocols::of(transport) }
    });
    std::iter::once(other).chain(rest).collect()
}

/// What a packet can carry that meets the condition.
pub(super) fn protocols(condition: &Condition, family: Family) -> Protocols {
    match condition {
        Condition::Not(inner) => match **inner {
            Condition::Transport(_) => protocols(inner, family).others(),
            _ => Protocols::ALL,
        },
        Condition::Transport(transport) | Condition::Ports(transport, ..) => Protocols::of(*transport),
        Condition::Protocol(number) => Protocols::of_number(*number, family),
        Condition::Flags { .. } => Protocols::of(Transport::Tcp),
        Condition::Echo(_) | Condition::Icmp(..) => Protocols::ICMP,
        Condition::To(endpoints) => {
            let each = endpoints.iter().map(|endpoint| Protocols::of(endpoint.transport));
            each.fold(Protocols::NONE, |all, one| Protocols(all.0 | one.0))
        }
        _ => Protocols::ALL,
    }
}
