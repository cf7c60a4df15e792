//! Which packets two rules have in common.

use std::ops::RangeInclusive;

use super::super::interfaces::{Interfaces, Meant};
use super::super::rules::{Matcher, Rule};
use super::View;
use crate::net::{Prefix, Transport};
use crate::program::{Condition, PortEnd, State};

/// Rules that may fill a list before it is taken for one that anything may fill.
const MAX_ADDERS: usize = 16;

/// Whether each packet that `later` matches is matched by `earlier`, which stands before it in the
/// same chain. A `false` means nothing.
pub(super) fn covers(view: &View<'_>, earlier: &Rule<'_>, later: &Rule<'_>) -> bool {
    matches_all_of(view, earlier, later) && !grows_between(view, earlier, later)
}

/// The same, as if nothing came onto a list between the two.
pub(super) fn matches_all_of(view: &View<'_>, wide: &Rule<'_>, narrow: &Rule<'_>) -> bool {
    let follows = |asked: &Matcher| {
        narrow.matchers.iter().any(|known| follows_from(&view.interfaces, asked, &known.value))
    };
    wide.matchers.iter().all(|asked| is_always(&view.interfaces, &asked.value) || follows(&asked.value))
}

/// Whether a source could come onto the list that `earlier` asks for after `earlier` has looked, and
/// before `later` does.
fn grows_between(view: &View<'_>, earlier: &Rule<'_>, later: &Rule<'_>) -> bool {
    let asked = earlier.matchers.iter().filter_map(|matcher| match &matcher.value {
        Matcher::SourceList { name, negated: false } | Matcher::DestinationList { name, negated: false } => {
            view.list(earlier.family, &name.value)
        }
        _ => None,
    });
    asked.into_iter().any(|list| {
        let between = |adder: &&Rule<'_>| {
            let elsewhere = adder.chain != earlier.chain;
            adder.table == earlier.table
                && (elsewhere || (earlier.place < adder.place && adder.place < later.place))
        };
        list.adders.len() > MAX_ADDERS || list.adders.iter().any(between)
    })
}

/// Whether no packet is matched by both, whatever is on the lists.
pub(super) fn exclude(one: &Rule<'_>, other: &Rule<'_>) -> bool {
    one.matchers
        .iter()
        .any(|this| other.matchers.iter().any(|that| matchers_exclude(&this.value, &that.value)))
}

fn is_always(interfaces: &Interfaces<'_>, matcher: &Matcher) -> bool {
    match matcher {
        Matcher::InterfaceList { name, negated: false } => {
            name == "all" && interfaces.list(name) == Meant::All
        }
        _ => false,
    }
}

fn follows_from(interfaces: &Interfaces<'_>, asked: &Matcher, known: &Matcher) -> bool {
    match (asked, known) {
        (Matcher::Packet(asked), Matcher::Packet(known)) => implies(known, asked),
        (
            Matcher::SourceList { name: asked, negated },
            Matcher::SourceList { name: known, negated: turned },
        )
        | (
            Matcher::DestinationList { name: asked, negated },
            Matcher::DestinationList { name: known, negated: turned },
        ) => asked.value == known.value && negated == turned,
        (
            Matcher::Interface { name: asked, negated: true },
            Matcher::Interface { name: known, negated: false },
        ) => asked != known,
        (
            Matcher::InterfaceList { name: list, negated: false },
            Matcher::Interface { name, negated: false },
        ) => {
            let here = interfaces.interface(name);
            matches!(interfaces.list(list), Meant::These(all) if here.iter().all(|one| all.contains(one)))
        }
        (Matcher::Interface { .. }, _) | (Matcher::InterfaceList { .. }, _) => asked == known,
        _ => false,
    }
}

fn matchers_exclude(one: &Matcher, other: &Matcher) -> bool {
    match (one, other) {
        (Matcher::Packet(one), Matcher::Packet(other)) => conditions_exclude(one, other),
        (Matcher::Interface { name, negated }, Matcher::Interface { name: other, negated: turned }) => {
            if name == other { negated != turned } else { !negated && !turned }
        }
        (
            Matcher::InterfaceList { name, negated },
            Matcher::InterfaceList { name: other, negated: turned },
        ) => name == other && negated != turned,
        _ => false,
    }
}

/// Whether `asked` holds wherever `known` does.
fn implies(known: &Condition, asked: &Condition) -> bool {
    if known == asked {
        return true;
    }
    if let (Some(known), Some(asked)) = (states(known), states(asked)) {
        return known & !asked == 0;
    }
    match (known, asked) {
        (known, Condition::Not(asked)) => conditions_exclude(known, asked),
        (known, Condition::Transport(asked)) => transport(known) == Some(*asked),
        (Condition::Ports(of, end, known), Condition::Ports(asked_of, asked_end, asked)) => {
            let ends = end == asked_end || (*asked_end == PortEnd::Either && *end != PortEnd::Either);
            of == asked_of && ends && within(known, asked)
        }
        (Condition::Source(known), Condition::Source(asked))
        | (Condition::Destination(known), Condition::Destination(asked)) => {
            known.iter().all(|one| asked.iter().any(|other| other.covers(*one)))
        }
        (Condition::Flags { mask, set }, Condition::Flags { mask: asked_mask, set: asked_set }) => {
            mask.has(*asked_mask) && set.masked(*asked_mask) == *asked_set
        }
        (Condition::Icmp(family, kinds, codes), Condition::Icmp(asked_family, asked_kinds, asked_codes)) => {
            family == asked_family && lies_in(kinds, asked_kinds) && lies_in(codes, asked_codes)
        }
        (Condition::Size(known), Condition::Size(asked)) => lies_in(known, asked),
        _ => false,
    }
}

/// Whether no packet is both.
fn conditions_exclude(one: &Condition, other: &Condition) -> bool {
    if let (Some(one), Some(other)) = (states(one), states(other)) {
        return one & other == 0;
    }
    if let (Some(one), Some(other)) = (protocol(one), protocol(other))
        && one != other
    {
        return true;
    }
    match (one, other) {
        (Condition::Not(asked), known) | (known, Condition::Not(asked)) => {
            !matches!(known, Condition::Not(_)) && implies(known, asked)
        }
        (Condition::Ports(_, end, one), Condition::Ports(_, other_end, other)) => {
            end == other_end && *end != PortEnd::Either && apart(one, other)
        }
        (Condition::Source(one), Condition::Source(other))
        | (Condition::Destination(one), Condition::Destination(other)) => {
            let meet = |one: &Prefix, other: &Prefix| one.covers(*other) || other.covers(*one);
            !one.iter().any(|one| other.iter().any(|other| meet(one, other)))
        }
        (Condition::Flags { mask, set }, Condition::Flags { mask: other_mask, set: other_set }) => {
            set.masked(*other_mask) != other_set.masked(*mask)
        }
        (Condition::Icmp(_, kinds, codes), Condition::Icmp(_, other_kinds, other_codes)) => {
            !meet(kinds, other_kinds) || !meet(codes, other_codes)
        }
        (Condition::Size(one), Condition::Size(other)) => !meet(one, other),
        (Condition::HopLimit(one), Condition::HopLimit(other)) => one != other,
        _ => false,
    }
}

/// The states that it leaves possible, a bit each, if it is about nothing else.
pub(super) fn states(condition: &Condition) -> Option<u8> {
    const ALL: u8 = (1 << State::NAMED.len()) - 1;
    match condition {
        Condition::State(states) => Some(
            State::NAMED
                .iter()
                .fold(0, |bits, (_, state)| bits | u8::from(states.has(*state)) << *state as u8),
        ),
        Condition::Not(inner) => states(inner).map(|bits| ALL & !bits),
        _ => None,
    }
}

fn transport(condition: &Condition) -> Option<Transport> {
    match condition {
        Condition::Transport(transport) | Condition::Ports(transport, ..) => Some(*transport),
        _ => None,
    }
}

/// The protocol that a packet must have, by its number.
fn protocol(condition: &Condition) -> Option<u8> {
    match condition {
        Condition::Protocol(number) => Some(*number),
        Condition::Icmp(crate::net::Family::V4, ..) => Some(1),
        Condition::Icmp(crate::net::Family::V6, ..) => Some(58),
        _ => transport(condition).map(|transport| match transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
        }),
    }
}

fn lies_in<T: Ord>(one: &RangeInclusive<T>, other: &RangeInclusive<T>) -> bool {
    other.start() <= one.start() && one.end() <= other.end()
}

fn meet<T: Ord>(one: &RangeInclusive<T>, other: &RangeInclusive<T>) -> bool {
    one.start() <= other.end() && other.start() <= one.end()
}

fn within(known: &[RangeInclusive<u16>], asked: &[RangeInclusive<u16>]) -> bool {
    known.iter().all(|one| asked.iter().any(|other| lies_in(one, other)))
}

fn apart(one: &[RangeInclusive<u16>], other: &[RangeInclusive<u16>]) -> bool {
    !one.iter().any(|one| other.iter().any(|other| meet(one, other)))
}
