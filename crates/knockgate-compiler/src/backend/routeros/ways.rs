//! In how many rules a condition, or that it does not hold, can be said.

use std::ops::RangeInclusive;

use super::line::{Both, Line, icmp};
use crate::backend::merged;
use crate::net::{
    Endpoint, Family, Interface, Prefix, TcpFlags, Transport, echo_packet_size, echo_request_type,
};
use crate::program::{Condition, PortEnd, State, States};

/// Lines of which exactly one fits a packet of the family for which the condition holds, and none
/// any other. `None` if there are no such lines.
pub(super) fn holds(condition: &Condition, family: Family) -> Option<Vec<Line>> {
    let line = |condition| vec![Line::saying(family, [condition])];
    let always = || vec![Line::of(family)];
    Some(match condition {
        Condition::Not(inner) => return fails(inner, family),
        Condition::From(interfaces) if interfaces.is_empty() => vec![],
        Condition::From(interfaces) => line(from(interfaces)),
        Condition::State(states) => state(*states, family),
        Condition::Family(wanted) if *wanted == family => always(),
        Condition::Family(_) => vec![],
        Condition::Transport(_) => line(condition.clone()),
        Condition::Protocol(number) => line(protocol(*number)),
        Condition::To(endpoints) => to(endpoints, family),
        Condition::Ports(transport, end, ranges) => return ports(*transport, *end, ranges, family),
        Condition::Flags { mask, set } if set.masked(*mask) != *set => vec![],
        Condition::Flags { mask, .. } if *mask == TcpFlags::NONE => {
            line(Condition::Transport(Transport::Tcp))
        }
        Condition::Echo(data) => echo(*data, family),
        Condition::Icmp(wanted, kinds, codes) => messages(*wanted, kinds, codes, family),
        Condition::Size(sizes) if sizes.is_empty() => vec![],
        Condition::Size(sizes) if *sizes == (0..=u16::MAX) => always(),
        Condition::Source(prefixes) => match outermost(prefixes, family) {
            all if all.iter().any(|prefix| prefix.len() == 0) => always(),
            some => some.into_iter().flat_map(|prefix| line(Condition::Source(vec![prefix]))).collect(),
        },
        Condition::Destination(prefixes) => {
            let some = outermost(prefixes, family).into_iter();
            some.flat_map(|prefix| line(Condition::Destination(vec![prefix]))).collect()
        }
        // Of IPv6 it cannot be said; the program carries a note.
        Condition::NoExtensionHeaders => always(),
        // A program with the second is refused before.
        Condition::Cut | Condition::OnTrack(_) => vec![],
        Condition::Redirected
        | Condition::Flags { .. }
        | Condition::HopLimit(_)
        | Condition::Size(_)
        | Condition::ToGateway
        | Condition::Listed(_)
        | Condition::DestinationListed(_)
        | Condition::Opaque(_) => line(condition.clone()),
    })
}

/// The same for those for which it does not hold.
pub(super) fn fails(condition: &Condition, family: Family) -> Option<Vec<Line>> {
    let line = |condition: Condition| vec![Line::saying(family, [condition])];
    let always = || vec![Line::of(family)];
    let other_than = |number| line(protocol(number).negated());
    Some(match condition {
        Condition::Not(inner) => return holds(inner, family),
        Condition::State(states) => {
            let others = State::NAMED.map(|(_, state)| state).into_iter().filter(|s| !states.has(*s));
            state(States::of(&others.collect::<Vec<_>>()), family)
        }
        Condition::To(endpoints) => {
            let number = |endpoint: &Endpoint| endpoint.port.number()..=endpoint.port.number();
            let ranges: Vec<_> = endpoints.iter().map(number).collect();
            match endpoints.first().zip(endpoints.last()) {
                None => always(),
                Some((first, last)) if first.transport == last.transport => {
                    elsewhere(first.transport, PortEnd::Destination, &ranges, family)
                }
                Some(_) => return None,
            }
        }
        Condition::Ports(_, PortEnd::Either, _) => return None,
        Condition::Ports(transport, end, ranges) => elsewhere(*transport, *end, ranges, family),
        Condition::Flags { mask, set } if set.masked(*mask) == *set && *mask != TcpFlags::NONE => {
            if mask.bits().count_ones() > 1 {
                return None;
            }
            let turned = TcpFlags::from_bits(mask.bits() & !set.bits());
            let others = other_than(super::line::number(Transport::Tcp));
            others.into_iter().chain(line(Condition::Flags { mask: *mask, set: turned })).collect()
        }
        Condition::Echo(data) => {
            let request = echo_request_type(family);
            let mut lines = fails(&Condition::Icmp(family, request..=request, ANY_CODE), family)?;
            if let Some(data) = data {
                let size = echo_packet_size(family, *data);
                let kind = Condition::Icmp(family, request..=request, ANY_CODE);
                lines.push(Line::saying(family, [kind, Condition::Size(size..=size).negated()]));
            }
            lines
        }
        Condition::Icmp(..) => match holds(condition, family)?.as_slice() {
            [] => always(),
            [one] => {
                let mut lines = other_than(icmp(family));
                if let [said @ Condition::Icmp(..)] = one.conditions() {
                    lines.push(Line::saying(family, [protocol(icmp(family)), said.clone().negated()]));
                }
                lines
            }
            _ => return None,
        },
        _ => match holds(condition, family)?.as_slice() {
            [] => always(),
            [one] => one.conditions().iter().flat_map(|said| line(said.clone().negated())).collect(),
            _ => return None,
        },
    })
}

/// Lines of which one at most fits a packet, and lines of which none must.
pub(super) struct Split {
    pub(super) lines: Vec<Line>,
    pub(super) unless: Vec<Line>,
}

/// Lines that one rule may become.
const MAX_LINES: usize = 64;

/// The conditions as lines. Where one is more than the line can say beside the others, what it
/// excludes is said instead. Nothing if no packet of the family meets them.
pub(super) fn split(when: &[Condition], family: Family) -> Result<Option<Split>, &'static str> {
    let mut split = Split { lines: vec![Line::of(family)], unless: vec![] };
    for (nth, condition) in when.iter().enumerate() {
        if when[..nth].contains(&condition.clone().negated()) {
            return Ok(None);
        }
        if when[..nth].contains(condition) {
            continue;
        }
        match holds(condition, family).and_then(|ways| across(&split.lines, &ways)) {
            Some(lines) => split.lines = lines,
            None => split.unless.extend(fails(condition, family).ok_or("two conditions of one kind")?),
        }
    }
    if split.lines.len() > MAX_LINES {
        return Err("a choice among too many");
    }
    Ok((!split.lines.is_empty()).then_some(split))
}

/// Each line with each way that goes with it; `None` if one rule cannot say some of them.
fn across(lines: &[Line], ways: &[Line]) -> Option<Vec<Line>> {
    let mut found = vec![];
    for line in lines {
        for way in ways {
            match line.and(way) {
                Both::Line(line) => found.push(line),
                Both::Never => {}
                Both::Clash => return None,
            }
        }
    }
    Some(found)
}

/// The lists of all lines as returns. They are the same in each: only what has one way is about a
/// list.
pub(super) fn without_lists(lines: &[Line]) -> (Vec<Line>, Vec<Line>) {
    let mut unless = vec![];
    let lines = lines
        .iter()
        .map(|line| {
            let (rest, lists) = line.without_lists();
            unless = lists.into_iter().map(|list| Line::saying(line.family(), [list.negated()])).collect();
            rest
        })
        .collect();
    (lines, unless)
}

const ANY_CODE: RangeInclusive<u8> = 0..=u8::MAX;

/// In an order of its own.
fn from(interfaces: &[Interface]) -> Condition {
    let mut interfaces = interfaces.to_vec();
    interfaces.sort_unstable();
    interfaces.dedup();
    Condition::From(interfaces)
}

fn state(states: States, family: Family) -> Vec<Line> {
    let number = State::NAMED.into_iter().filter(|(_, state)| states.has(*state)).count();
    match number {
        0 => vec![],
        5 => vec![Line::of(family)],
        _ => vec![Line::saying(family, [Condition::State(states)])],
    }
}

/// A protocol by its own name, where it has one.
fn protocol(number: u8) -> Condition {
    let transports = [Transport::Tcp, Transport::Udp].into_iter();
    let named = transports.into_iter().find(|transport| super::line::number(*transport) == number);
    named.map_or(Condition::Protocol(number), Condition::Transport)
}

/// Ports that a rule names, where a range counts as two (iptables-extensions(8), multiport; that
/// RouterOS has the same bound is not documented, and keeping to it does no harm).
const MAX_PORTS: usize = 15;

/// Ranges of ports, as many at a time as a rule takes.
pub(super) fn entries(ranges: &[RangeInclusive<u16>]) -> Vec<Vec<RangeInclusive<u16>>> {
    let mut found: Vec<Vec<RangeInclusive<u16>>> = vec![];
    let mut room = 0;
    for range in merged(ranges) {
        let takes = if range.start() == range.end() { 1 } else { 2 };
        match found.last_mut() {
            Some(last) if takes <= room => last.push(range),
            _ => {
                room = MAX_PORTS;
                found.push(vec![range]);
            }
        }
        room -= takes;
    }
    found
}

fn to(endpoints: &std::collections::BTreeSet<Endpoint>, family: Family) -> Vec<Line> {
    let mut lines = vec![];
    for transport in [Transport::Tcp, Transport::Udp] {
        let of: Vec<Endpoint> = endpoints.iter().copied().filter(|e| e.transport == transport).collect();
        // Routers have words for neighbours.
        if of.windows(2).any(|pair| pair[0].port.number() + 1 == pair[1].port.number()) {
            let number = |endpoint: &Endpoint| endpoint.port.number()..=endpoint.port.number();
            let ranges: Vec<_> = of.iter().map(number).collect();
            lines.extend(ports(transport, PortEnd::Destination, &ranges, family).into_iter().flatten());
            continue;
        }
        for chunk in of.chunks(MAX_PORTS) {
            lines.push(Line::saying(family, [Condition::To(chunk.iter().copied().collect())]));
        }
    }
    lines
}

fn ports(
    transport: Transport,
    end: PortEnd,
    ranges: &[RangeInclusive<u16>],
    family: Family,
) -> Option<Vec<Line>> {
    let ranges = entries(ranges);
    match ranges.as_slice() {
        [one] if *one == [0..=u16::MAX] => {
            Some(vec![Line::saying(family, [Condition::Transport(transport)])])
        }
        // A packet may come from one chunk and go to another.
        [_, _, ..] if end == PortEnd::Either => None,
        _ => {
            let line = |ranges| Line::saying(family, [Condition::Ports(transport, end, ranges)]);
            Some(ranges.into_iter().map(line).collect())
        }
    }
}

/// Packets of other protocols, and those of this one with none of these ports at this end.
fn elsewhere(
    transport: Transport,
    end: PortEnd,
    ranges: &[RangeInclusive<u16>],
    family: Family,
) -> Vec<Line> {
    let merged = merged(ranges);
    if merged.is_empty() {
        return vec![Line::of(family)];
    }
    let mut rest = vec![];
    let mut next = Some(0);
    for range in &merged {
        if let Some(last) = range.start().checked_sub(1).filter(|last| next.is_some_and(|next| next <= *last))
        {
            rest.extend(next.map(|next| next..=last));
        }
        next = range.end().checked_add(1);
    }
    rest.extend(next.map(|next| next..=u16::MAX));
    let other = Line::saying(family, [Condition::Transport(transport).negated()]);
    let line = |ranges| Line::saying(family, [Condition::Ports(transport, end, ranges)]);
    std::iter::once(other).chain(entries(&rest).into_iter().map(line)).collect()
}

fn echo(data: Option<u16>, family: Family) -> Vec<Line> {
    let request = echo_request_type(family);
    let kind = Line::saying(family, [Condition::Icmp(family, request..=request, ANY_CODE)]);
    let Some(data) = data else { return vec![kind] };
    let size = echo_packet_size(family, data);
    match kind.and(&Line::saying(family, [Condition::Size(size..=size)])) {
        Both::Line(line) => vec![line],
        Both::Never | Both::Clash => vec![],
    }
}

/// One `icmp-options` has one type.
fn messages(
    wanted: Family,
    kinds: &RangeInclusive<u8>,
    codes: &RangeInclusive<u8>,
    family: Family,
) -> Vec<Line> {
    if wanted != family || codes.is_empty() {
        return vec![];
    }
    if (kinds, codes) == (&ANY_CODE, &ANY_CODE) {
        return vec![Line::saying(family, [protocol(icmp(family))])];
    }
    let of = |kind| Line::saying(family, [Condition::Icmp(family, kind..=kind, codes.clone())]);
    kinds.clone().map(of).collect()
}

/// Those of the family that no other one covers.
fn outermost(prefixes: &[Prefix], family: Family) -> Vec<Prefix> {
    let mut found: Vec<Prefix> =
        prefixes.iter().copied().filter(|prefix| prefix.family() == family).collect();
    found.sort_unstable();
    found.dedup();
    let all = found.clone();
    found.retain(|prefix| !all.iter().any(|other| other != prefix && other.covers(*prefix)));
    found
}
