//! Values of matchers.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use super::super::{items, range};
use crate::net::{Family, Prefix, TcpFlags, Transport};
use crate::program::{Condition, Refusal, State, States};

/// What a value was.
pub(super) enum Read {
    Condition(Condition),
    /// A router knows it; we do not.
    NotModelled,
    /// Nothing that a router takes, and what it would.
    Wrong(&'static str),
}

/// A matcher that is about the packet alone, without its negation.
pub(super) fn condition(name: &str, text: &str, family: Family) -> Read {
    let addresses = "an address, a prefix `192.0.2.0/24` or a range `192.0.2.1-192.0.2.9`";
    let or_wrong = |condition: Option<Condition>, help| condition.map_or(Read::Wrong(help), Read::Condition);
    match name {
        "src-address" => or_wrong(prefixes(text, family).map(Condition::Source), addresses),
        "dst-address" => or_wrong(prefixes(text, family).map(Condition::Destination), addresses),
        "protocol" => match protocol(text) {
            Some(6) => Read::Condition(Condition::Transport(Transport::Tcp)),
            Some(17) => Read::Condition(Condition::Transport(Transport::Udp)),
            Some(number) => Read::Condition(Condition::Protocol(number)),
            None => Read::NotModelled,
        },
        "icmp-options" => icmp(text, family),
        "tcp-flags" => or_wrong(flags(text), "flags such as `syn,!ack`"),
        "packet-size" => {
            let sizes =
                range(text).and_then(|(low, high)| Some(low.try_into().ok()?..=high.try_into().ok()?));
            or_wrong(sizes.map(Condition::Size), "a number of bytes, or a range `100-200`")
        }
        "connection-state" => {
            let states: Option<Vec<State>> = items(text).map(state).collect();
            let states = states.map(|states| Condition::State(States::of(&states)));
            or_wrong(states, "states such as `established,related`")
        }
        "connection-nat-state" if text == "dstnat" => Read::Condition(Condition::Redirected),
        "dst-address-type" if text == "local" => Read::Condition(Condition::ToGateway),
        "ttl" | "hop-limit" => match text.split_once(':').map(|(how, limit)| (how, limit.parse())) {
            Some(("equal", Ok(limit))) => Read::Condition(Condition::HopLimit(limit)),
            Some(("not-equal", Ok(limit))) => Read::Condition(Condition::HopLimit(limit).negated()),
            Some(("less-than" | "greater-than", Ok(_))) => Read::NotModelled,
            _ => Read::Wrong("for example `equal:64`"),
        },
        _ => Read::NotModelled,
    }
}

/// `80`, `80,443`, `1000-2000`. A list may have an end that is left out.
pub(super) fn ports(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let found: Option<Vec<_>> = items(text)
        .map(|item| range(item).and_then(|(low, high)| Some(low.try_into().ok()?..=high.try_into().ok()?)))
        .collect();
    found.filter(|found| !found.is_empty())
}

fn state(name: &str) -> Option<State> {
    State::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, state)| state)
}

/// The listed ones set, those with a `!` clear; a `!` and a comma in front turn all of it around.
fn flags(text: &str) -> Option<Condition> {
    let (negated, text) = text.strip_prefix("!,").map_or((false, text), |rest| (true, rest));
    let (mut mask, mut set) = (TcpFlags::NONE, TcpFlags::NONE);
    for item in items(text) {
        let (clear, name) = item.strip_prefix('!').map_or((false, item), |name| (true, name));
        let (_, flag) = TcpFlags::NAMED.into_iter().find(|(known, _)| *known == name)?;
        mask = mask.with(flag);
        if !clear {
            set = set.with(flag);
        }
    }
    let condition = Condition::Flags { mask, set };
    Some(if negated { condition.negated() } else { condition })
}

/// `8`, `8:0`, `8:0-255`.
fn icmp(text: &str, family: Family) -> Read {
    let (kind, codes) = text.split_once(':').unwrap_or((text, "0-255"));
    let codes = range(codes).and_then(|(low, high)| Some(low.try_into().ok()?..=high.try_into().ok()?));
    match (kind.parse::<u8>(), codes) {
        (Ok(kind), Some(codes)) => Read::Condition(Condition::Icmp(family, kind..=kind, codes)),
        _ if text.contains(',') || text.contains(|c: char| c.is_ascii_alphabetic()) => Read::NotModelled,
        _ => Read::Wrong("a type and perhaps codes: `8`, `8:0` or `8:0-255`"),
    }
}

/// IANA, Protocol Numbers, by the names that RouterOS has for them.
fn protocol(text: &str) -> Option<u8> {
    const NAMED: [(&str, u8); 35] = [
        ("icmp", 1),
        ("igmp", 2),
        ("ggp", 3),
        ("ipencap", 4),
        ("ip-encap", 4),
        ("st", 5),
        ("tcp", 6),
        ("egp", 8),
        ("pup", 12),
        ("udp", 17),
        ("hmp", 20),
        ("xns-idp", 22),
        ("rdp", 27),
        ("iso-tp4", 29),
        ("dccp", 33),
        ("xtp", 36),
        ("ddp", 37),
        ("idpr-cmtp", 38),
        ("ipv6-encap", 41),
        ("rsvp", 46),
        ("gre", 47),
        ("ipsec-esp", 50),
        ("ipsec-ah", 51),
        ("icmpv6", 58),
        ("rspf", 73),
        ("vmtp", 81),
        ("ospf", 89),
        ("ipip", 94),
        ("etherip", 97),
        ("encap", 98),
        ("pim", 103),
        ("vrrp", 112),
        ("l2tp", 115),
        ("sctp", 132),
        ("udp-lite", 136),
    ];
    let named = NAMED.into_iter().find(|(name, _)| *name == text).map(|(_, number)| number);
    named.or_else(|| text.parse().ok())
}

/// An address, a prefix of which the host bits do not count, one with a mask, or a range.
pub(super) fn prefixes(text: &str, family: Family) -> Option<Vec<Prefix>> {
    let found = if let Some((low, high)) = text.split_once('-') {
        between(low.parse().ok()?, high.parse().ok()?)?
    } else if let Some((address, len)) = text.split_once('/') {
        let len = match len.parse::<u8>() {
            Ok(len) => len,
            Err(_) => of_mask(len.parse().ok()?)?,
        };
        vec![Prefix::holding(address.parse().ok()?, len)?]
    } else {
        vec![Prefix::host(text.parse().ok()?)]
    };
    found.iter().all(|prefix| prefix.family() == family).then_some(found)
}

fn of_mask(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let len = bits.leading_ones();
    (bits.checked_shl(len).unwrap_or(0) == 0).then_some(len as u8)
}

/// The prefixes that make up a range.
fn between(low: IpAddr, high: IpAddr) -> Option<Vec<Prefix>> {
    let (mut low, high, width) = match (low, high) {
        (IpAddr::V4(low), IpAddr::V4(high)) => (low.to_bits().into(), u128::from(high.to_bits()), 32),
        (IpAddr::V6(low), IpAddr::V6(high)) => (low.to_bits(), high.to_bits(), 128),
        _ => return None,
    };
    if low > high {
        return None;
    }
    let mut found = vec![];
    loop {
        // The largest block that begins here and does not go beyond the end.
        let aligned = low.trailing_zeros().min(width);
        let fits = (0..=aligned).rev().find(|bits| {
            let last = if *bits == 128 { u128::MAX } else { low | ((1 << *bits) - 1) };
            last <= high
        })?;
        let address = match width {
            32 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(low).ok()?)),
            _ => IpAddr::V6(low.into()),
        };
        found.push(Prefix::holding(address, u8::try_from(width - fits).ok()?)?);
        let last = if fits == 128 { u128::MAX } else { low | ((1 << fits) - 1) };
        if last == high {
            return Some(found);
        }
        low = last + 1;
    }
}

/// `reject-with`. Codes are those of RFC 792 and RFC 1812, section 5.2.7.1, and of RFC 4443,
/// section 3.1.
pub(super) fn refusal(text: &str, family: Family) -> Option<Refusal> {
    const V4: [(&str, u8); 7] = [
        ("icmp-network-unreachable", 0),
        ("icmp-host-unreachable", 1),
        ("icmp-protocol-unreachable", 2),
        ("icmp-port-unreachable", 3),
        ("icmp-net-prohibited", 9),
        ("icmp-host-prohibited", 10),
        ("icmp-admin-prohibited", 13),
    ];
    const V6: [(&str, u8); 4] = [
        ("icmp-no-route", 0),
        ("icmp-admin-prohibited", 1),
        ("icmp-address-unreachable", 3),
        ("icmp-port-unreachable", 4),
    ];
    if text == "tcp-reset" {
        return Some(Refusal::Reset);
    }
    let named: &[(&str, u8)] = if family == Family::V4 { &V4 } else { &V6 };
    named.iter().find(|(name, _)| *name == text).map(|(_, code)| Refusal::Unreachable(family, *code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_its_prefixes() {
        let of = |text, family| {
            let found = prefixes(text, family)?;
            Some(found.iter().map(Prefix::to_string).collect::<Vec<_>>().join(" "))
        };
        let v4 = |text| of(text, Family::V4);
        assert_eq!(v4("192.0.2.1-192.0.2.6").unwrap(), "192.0.2.1 192.0.2.2/31 192.0.2.4/31 192.0.2.6");
        assert_eq!(v4("0.0.0.0-255.255.255.255").unwrap(), "0.0.0.0/0");
        assert_eq!(v4("10.1.2.3/255.255.0.0").unwrap(), "10.1.0.0/16");
        assert_eq!(v4("10.1.2.3/8").unwrap(), "10.0.0.0/8");
        assert_eq!(of("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Family::V6).unwrap(), "::/0");
        for text in ["192.0.2.9-192.0.2.1", "203.0.113.1-254", "10.0.0.0/255.0.255.0", "::1", "router"] {
            assert_eq!(v4(text), None, "{text}");
        }
    }

    #[test]
    fn flags_are_set_or_clear() {
        let (syn, ack) = (TcpFlags::SYN, TcpFlags::ACK);
        assert_eq!(flags("syn,!ack"), Some(Condition::Flags { mask: syn.with(ack), set: syn }));
        assert_eq!(flags("!,syn"), Some(Condition::Flags { mask: syn, set: syn }.negated()));
        assert_eq!(flags("syn,red"), None);
    }
}
