//! Two conditions of one matcher as one.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::net::{Endpoint, Interface, Port, Prefix, TcpFlags};
use crate::program::{Condition, PortEnd, State, States};

use super::ways::entries;

/// What two conditions of one matcher come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// One condition says both.
    One(Condition),
    /// They exclude each other.
    Never,
    /// Both, which one matcher cannot say.
    Clash,
}

pub(super) fn meet(one: &Condition, other: &Condition) -> Meeting {
    if one == other {
        return Meeting::One(one.clone());
    }
    if *one == other.clone().negated() {
        return Meeting::Never;
    }
    match (one, other) {
        (Condition::State(one), Condition::State(other)) => states(*one, *other),
        (Condition::Flags { mask, set }, Condition::Flags { mask: mask2, set: set2 }) => {
            flags((*mask, *set), (*mask2, *set2))
        }
        (Condition::Size(one), Condition::Size(other)) => some(intersection(one, other).map(Condition::Size)),
        (Condition::HopLimit(_), Condition::HopLimit(_)) => Meeting::Never,
        (Condition::HopLimit(_), Condition::Not(_)) => Meeting::One(one.clone()),
        (Condition::Not(_), Condition::HopLimit(_)) => Meeting::One(other.clone()),
        _ => {
            let merged = interfaces(one, other)
                .or_else(|| ports(one, other))
                .or_else(|| icmp(one, other))
                .or_else(|| icmp(other, one))
                .or_else(|| addresses(one, other))
                .or_else(|| addresses(other, one));
            merged.unwrap_or(Meeting::Clash)
        }
    }
}

fn some(condition: Option<Condition>) -> Meeting {
    condition.map_or(Meeting::Never, Meeting::One)
}

fn intersection<T: Copy + Ord>(
    one: &RangeInclusive<T>,
    other: &RangeInclusive<T>,
) -> Option<RangeInclusive<T>> {
    let both = *one.start().max(other.start())..=*one.end().min(other.end());
    (both.start() <= both.end()).then_some(both)
}

fn states(one: States, other: States) -> Meeting {
    let both: Vec<State> =
        State::NAMED.map(|(_, state)| state).into_iter().filter(|s| one.has(*s) && other.has(*s)).collect();
    some((!both.is_empty()).then(|| Condition::State(States::of(&both))))
}

fn flags(one: (TcpFlags, TcpFlags), other: (TcpFlags, TcpFlags)) -> Meeting {
    let common = one.0.masked(other.0);
    let agree = one.1.masked(common) == other.1.masked(common);
    some(agree.then(|| Condition::Flags { mask: one.0.with(other.0), set: one.1.with(other.1) }))
}

/// Where a packet comes in, as a set of names or of all but them.
fn interfaces(one: &Condition, other: &Condition) -> Option<Meeting> {
    fn names(condition: &Condition) -> Option<(bool, BTreeSet<Interface>)> {
        match condition {
            Condition::From(interfaces) => Some((true, interfaces.iter().cloned().collect())),
            Condition::Not(inner) => names(inner).map(|(_, names)| (false, names)),
            _ => None,
        }
    }
    let ((in_one, one), (in_other, other)) = (names(one)?, names(other)?);
    let (within, names): (bool, Vec<Interface>) = match (in_one, in_other) {
        (true, true) => (true, one.intersection(&other).cloned().collect()),
        (true, false) => (true, one.difference(&other).cloned().collect()),
        (false, true) => (true, other.difference(&one).cloned().collect()),
        (false, false) => (false, one.union(&other).cloned().collect()),
    };
    Some(match within {
        true => some((!names.is_empty()).then_some(Condition::From(names))),
        false => Meeting::One(Condition::From(names).negated()),
    })
}

/// Ports of one end of one protocol; others have been told apart before.
fn ports(one: &Condition, other: &Condition) -> Option<Meeting> {
    if let (Condition::To(one), Condition::To(other)) = (one, other) {
        let both: BTreeSet<Endpoint> = one.intersection(other).copied().collect();
        return Some(some((!both.is_empty()).then_some(Condition::To(both))));
    }
    let (transport, end, one) = port_ranges(one)?;
    let (_, _, other) = port_ranges(other)?;
    if end == PortEnd::Either {
        return None;
    }
    let pairs = one.iter().flat_map(|one| other.iter().filter_map(|other| intersection(one, other)));
    let both: Vec<_> = pairs.collect();
    match entries(&both).as_slice() {
        [] => Some(Meeting::Never),
        [_] => Some(Meeting::One(Condition::Ports(transport, end, both))),
        _ => None,
    }
}

fn port_ranges(condition: &Condition) -> Option<(crate::net::Transport, PortEnd, Vec<RangeInclusive<u16>>)> {
    match condition {
        Condition::Ports(transport, end, ranges) => Some((*transport, *end, ranges.clone())),
        Condition::To(endpoints) => {
            let number = |endpoint: &Endpoint| Port::number(endpoint.port);
            let ranges = endpoints.iter().map(|endpoint| number(endpoint)..=number(endpoint)).collect();
            Some((endpoints.first()?.transport, PortEnd::Destination, ranges))
        }
        _ => None,
    }
}

/// Messages of one family and type; those of another family have been told apart before.
fn icmp(one: &Condition, other: &Condition) -> Option<Meeting> {
    let Condition::Icmp(family, kinds, codes) = one else { return None };
    match other {
        Condition::Icmp(_, kinds2, codes2) => {
            let kinds = intersection(kinds, kinds2);
            let both = kinds.zip(intersection(codes, codes2));
            Some(some(both.map(|(kinds, codes)| Condition::Icmp(*family, kinds, codes))))
        }
        Condition::Not(inner) => {
            let Condition::Icmp(_, kinds2, codes2) = &**inner else { return None };
            let apart = intersection(kinds, kinds2).is_none() || intersection(codes, codes2).is_none();
            apart.then(|| Meeting::One(one.clone()))
        }
        _ => None,
    }
}

/// One prefix of an end of the packet. Two of them are apart, or one covers the other.
fn addresses(one: &Condition, other: &Condition) -> Option<Meeting> {
    fn prefix(condition: &Condition) -> Option<(bool, Prefix)> {
        match condition {
            Condition::Source(prefixes) | Condition::Destination(prefixes) => {
                prefixes.first().map(|prefix| (true, *prefix))
            }
            Condition::Not(inner) => prefix(inner).map(|(_, prefix)| (false, prefix)),
            _ => None,
        }
    }
    let ((in_one, outer), (in_other, inner)) = (prefix(one)?, prefix(other)?);
    match (outer.covers(inner), in_one, in_other) {
        (true, true, true) | (true, false, false) => {
            Some(Meeting::One(if in_one { other.clone() } else { one.clone() }))
        }
        (true, false, true) => Some(Meeting::Never),
        (true, true, false) => None,
        (false, true, true) if !inner.covers(outer) => Some(Meeting::Never),
        (false, true, false) if !inner.covers(outer) => Some(Meeting::One(one.clone())),
        (false, false, true) if !inner.covers(outer) => Some(Meeting::One(other.clone())),
        _ => None,
    }
}
