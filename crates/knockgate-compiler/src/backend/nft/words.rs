//! Names, addresses, ranges and other small parts of a ruleset.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use super::super::{Number, merged};
use super::ABOUT;
use crate::hash::fnv1a_64;
use crate::net::{Endpoint, Family, Interface, Prefix};
use crate::program::{State, States};
use crate::time::Lifetime;

/// One of a packet's two addresses.
#[derive(Clone, Copy)]
pub(super) enum End {
    Source,
    Destination,
}

impl End {
    pub(super) fn of(self, family: Family) -> String {
        match self {
            Self::Source => format!("{} saddr", header(family)),
            Self::Destination => format!("{} daddr", header(family)),
        }
    }
}

/// `text` as a quoted string. nft knows no escapes, so what would end the string is left out.
pub(super) fn quoted(text: &str) -> String {
    let kept: String = text.chars().filter(|c| *c != '"' && !c.is_control()).collect();
    format!("\"{kept}\"")
}

/// nft takes comments of at most 128 bytes with the final zero (`NFTNL_UDATA_COMMENT_MAXLEN`).
pub(super) fn comment(text: &str) -> String {
    let end = text.floor_char_boundary(120);
    format!(" comment {}", quoted(&text[..end]))
}

pub(super) fn digit(family: Family) -> char {
    match family {
        Family::V4 => '4',
        Family::V6 => '6',
    }
}

pub(super) fn header(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

pub(super) fn pair(endpoint: &Endpoint) -> String {
    format!("{} . {}", endpoint.transport, endpoint.port)
}

pub(super) fn joined<T: ToString>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}

pub(super) fn has(members: &[Prefix], family: Family) -> bool {
    members.iter().any(|prefix| prefix.family() == family)
}

/// The set of a list's fixed members.
pub(super) fn static_name(list: &str, family: Family) -> String {
    format!("{}{}", identifier(list), digit(family))
}

/// The set of the single sources of a list that people manage.
pub fn single_name(list: &str, family: Family) -> String {
    format!("{}.single{}", identifier(list), digit(family))
}

/// The bits of a prefix that is a single source to a list that people manage: an IPv4 address, or the
/// network that stands for an IPv6 address.
pub fn single_bits(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 64,
    }
}

/// The set or map that has a family's share of a pool or track, or the networks of a list that people
/// manage, by its name.
pub fn set_name(name: &str, family: Family) -> String {
    format!("{name}{}", digit(family))
}

/// `name` where nft takes it as a name, with an underscore for its space if it has one, else something
/// like it. No two names become one, and none has two underscores.
pub(super) fn identifier(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let unchanged = name.chars().all(|c| plain(c) || c == ' ') && name.matches(' ').count() <= 1;
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    // `ip6` and `icmpv6` would be words of nft's own.
    let taken = [ABOUT, "ip", "icmpv"].contains(&name);
    // What is made of other names begins so.
    let made = name.starts_with("x-");
    if unchanged && begins && !taken && !made && name.len() <= MAX_IDENTIFIER {
        return name.replace(' ', "_");
    }
    let kept: String =
        name.chars().map(|c| if plain(c) { c } else { '-' }).take(MAX_IDENTIFIER / 2).collect();
    format!("x-{kept}-{:016x}", fnv1a_64(name.as_bytes()))
}

/// Names of sets have at most 31 bytes before Linux 4.17 and 255 since (`NFT_SET_MAXNAMELEN`); this
/// is short enough to be read.
pub(super) const MAX_IDENTIFIER: usize = 80;

/// At most 127 bytes (`NF_LOG_PREFIXLEN`), and a colon to part it from the rest.
/// A dollar sign would begin a variable of nft's.
pub(super) fn log_prefix(text: &str) -> String {
    let end = text.floor_char_boundary(100);
    format!("{}: ", text[..end].replace('$', ""))
}

/// Set elements: `80`, `100-200`.
pub(super) fn range_set<T: Number>(ranges: &[RangeInclusive<T>]) -> String {
    match merged(ranges).as_slice() {
        [one] => range(one),
        many => format!("{{ {} }}", joined(many.iter().map(range), ", ")),
    }
}

/// All other numbers. What is not in a range is said so, for of two `!=` on neighbouring fields nft
/// 1.0.6 makes one, which holds if either does: `tcp dport != 1 tcp sport != 1`.
pub(super) fn rest<T: Number>(ranges: &[RangeInclusive<T>]) -> Vec<RangeInclusive<T>> {
    let number = |number: u32| T::try_from(number).ok();
    let mut found = vec![];
    let mut next = 0;
    for taken in merged(ranges) {
        let (start, end): (u32, u32) = ((*taken.start()).into(), (*taken.end()).into());
        found.extend(
            start
                .checked_sub(1)
                .filter(|last| *last >= next)
                .and_then(|last| Some(number(next)?..=number(last)?)),
        );
        next = end + 1;
    }
    found.extend(number(next).zip(number(T::MAX)).map(|(first, last)| first..=last));
    found
}

pub(super) fn range<T: Copy + PartialEq + fmt::Display>(range: &RangeInclusive<T>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

pub(super) fn prefix_set(prefixes: &[Prefix], family: Family) -> String {
    let of: Vec<_> = prefixes.iter().filter(|prefix| prefix.family() == family).collect();
    let outer = of.iter().enumerate().filter(|(place, inner)| {
        let within = |(other, outer): (usize, &&Prefix)| {
            outer.covers(***inner) && (other < *place || outer.len() < inner.len())
        };
        !of.iter().copied().enumerate().any(|(other, outer)| within((other, &outer)))
    });
    match outer.map(|(_, prefix)| prefix.to_string()).collect::<Vec<_>>().as_slice() {
        [one] => one.clone(),
        many => format!("{{ {} }}", many.join(", ")),
    }
}

pub(super) fn nfproto(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

pub(super) fn icmp(family: Family) -> &'static str {
    match family {
        Family::V4 => "icmp",
        Family::V6 => "icmpv6",
    }
}

/// nft takes any combination of units, so milliseconds alone are exact and short enough.
pub(super) fn timeout(lifetime: Lifetime) -> String {
    let millis = lifetime.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

/// Deleting from a map looks at the key alone, but nft 1.0.6 wants data written.
pub(super) fn forget(map: &str, source: &str) -> String {
    format!("delete @{map} {{ {source} : 0x0 }}")
}

/// An address as a key, of which IPv6 has so many bits.
pub(super) fn masked(end: End, family: Family, v6_bits: u8) -> String {
    match family {
        Family::V6 if v6_bits < 128 => format!("{} & {}", end.of(family), v6_mask(v6_bits)),
        _ => end.of(family),
    }
}

pub(super) fn v6_mask(bits: u8) -> std::net::IpAddr {
    crate::net::truncate(std::net::Ipv6Addr::from_bits(u128::MAX).into(), bits)
}

pub(super) fn interface_set(interfaces: &[Interface]) -> String {
    match interfaces {
        [one] => quoted(one.as_str()),
        many => format!("{{ {} }}", joined(many.iter().map(|name| quoted(name.as_str())), ", ")),
    }
}

pub(super) fn state_set(states: States) -> String {
    let named = State::NAMED.into_iter().filter(|(_, state)| states.has(*state));
    joined(named.map(|(name, _)| name), ",")
}

pub(super) fn to(endpoints: &BTreeSet<Endpoint>) -> String {
    format!("meta l4proto . th dport {{ {} }}", joined(endpoints.iter().map(pair), ", "))
}
