//! The values of packets that a program tells apart, aspect by aspect.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::net::{Destination, Family, Interface, Packet, Payload, Prefix, TcpFlags, echo_packet_size};
use crate::program::cuts::{Cuts, Kind, Starts, ping_header};
use crate::program::{ChainId, Condition, Hook, PortEnd, Program, Rule, Verdict};
use crate::sim::reach::{Aspect, state_alone};

/// Packets that are looked at together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Root {
    pub family: Family,
    /// They come in by an interface that nobody names.
    pub elsewhere: bool,
    /// They are for a host behind.
    pub behind: bool,
    pub kind: Kind,
}

/// A place in each of the lists of values; `None` where it does not matter.
pub(super) type Choice = [Option<usize>; Aspect::COUNT];

/// What is told apart in each aspect, the plainest first.
pub(super) struct Values {
    pub root: Root,
    pub source: IpAddr,
    pub interfaces: Vec<Box<str>>,
    pub destinations: Vec<Destination>,
    /// Destination ports, or data of pings.
    pub ports: Vec<RangeInclusive<u16>>,
    pub from: Vec<RangeInclusive<u16>>,
    flags: Vec<TcpFlags>,
    hop_limits: Vec<u8>,
    sizes: Vec<u16>,
}

/// A source port of clients, as [`crate::sim::trace`] gives it.
pub(super) const CLIENT: u16 = 40_000;
const HOP_LIMIT: u8 = 64;

impl Values {
    pub fn of(program: &Program, root: Root, source: IpAddr, interfaces: Vec<Box<str>>) -> Self {
        let rules = rules(program, &hooks(program, root));
        let all = || rules.iter().flat_map(|rule| &rule.when).map(inner);
        let destinations = match root.behind {
            true => {
                let named = named_destinations(program, root.family, &rules);
                hosts(&named, root.family).into_iter().map(Destination::Other).collect()
            }
            false => vec![Destination::Gateway],
        };
        Self {
            root,
            source,
            interfaces,
            destinations,
            ports: Cuts::of(root.family, rules.iter().copied()).ranges(root.kind),
            from: source_ports(all(), root.kind),
            flags: flags(all(), root.kind),
            hop_limits: hop_limits(all()),
            sizes: sizes(all(), root),
        }
    }

    pub fn count(&self, aspect: Aspect) -> usize {
        match aspect {
            Aspect::Interface => self.interfaces.len(),
            Aspect::Destination => self.destinations.len(),
            Aspect::Port => self.ports.len(),
            Aspect::From => self.from.len(),
            Aspect::Flags => self.flags.len(),
            Aspect::HopLimit => self.hop_limits.len(),
            Aspect::Size => self.sizes.len(),
            Aspect::ExtensionHeaders => {
                if self.root.family == Family::V6 {
                    2
                } else {
                    1
                }
            }
        }
    }

    /// What is known before anything is chosen: where there is no choice.
    pub fn start(&self) -> Choice {
        Aspect::ALL.map(|aspect| (self.count(aspect) == 1).then_some(0))
    }

    pub fn packet(&self, choice: &Choice) -> Packet {
        let at = |aspect: Aspect| choice[aspect as usize].unwrap_or(0);
        let Root { family, kind, .. } = self.root;
        let to = *self.ports[at(Aspect::Port)].start();
        let from = port_within(&self.from[at(Aspect::From)], 0);
        let payload = match kind {
            Kind::Tcp => Payload::Tcp { from, to, flags: self.flags[at(Aspect::Flags)] },
            Kind::Udp => Payload::Udp { from, to },
            Kind::Ping => Payload::Icmp { kind: crate::net::echo_request_type(family) },
        };
        let size = match kind {
            Kind::Ping => echo_packet_size(family, to),
            Kind::Tcp | Kind::Udp => self.sizes[at(Aspect::Size)],
        };
        Packet {
            source: self.source,
            destination: self.destinations[at(Aspect::Destination)],
            interface: self.interfaces[at(Aspect::Interface)].clone(),
            payload,
            size,
            hop_limit: self.hop_limits[at(Aspect::HopLimit)],
            fragment: false,
            extension_headers: at(Aspect::ExtensionHeaders) == 1,
        }
    }
}

/// The `nth` port of a client that is in the range; fewer than that, and they are used again.
pub(super) fn port_within(range: &RangeInclusive<u16>, nth: u16) -> u16 {
    let first = if range.contains(&CLIENT) { CLIENT } else { *range.start() };
    first.checked_add(nth).filter(|port| range.contains(port)).unwrap_or(first)
}

/// Bytes of a packet of TCP or UDP without data.
pub(super) fn least_size(family: Family, kind: Kind) -> u16 {
    let header = ping_header(family) - 8;
    header + if kind == Kind::Tcp { 20 } else { 8 }
}

fn inner(condition: &Condition) -> &Condition {
    match condition {
        Condition::Not(condition) => inner(condition),
        condition => condition,
    }
}

/// The hooks that such packets may come to.
fn hooks(program: &Program, root: Root) -> Vec<Hook> {
    let mut redirects = program.chains().iter().flat_map(|chain| &chain.rules).map(|rule| &rule.verdict);
    let forward = root.behind || redirects.any(|verdict| matches!(verdict, Some(Verdict::Redirect(_))));
    let input = (!root.behind).then_some(Hook::Input);
    [Hook::Raw, Hook::Prerouting].into_iter().chain(input).chain(forward.then_some(Hook::Forward)).collect()
}

/// The rules that stand behind these hooks.
fn rules<'p>(program: &'p Program, hooks: &[Hook]) -> Vec<&'p Rule> {
    let mut open: Vec<ChainId> = hooks.iter().filter_map(|hook| program.hooked(*hook)).collect();
    let mut seen: BTreeSet<ChainId> = open.iter().copied().collect();
    let mut found = vec![];
    while let Some(chain) = open.pop() {
        for rule in &program[chain].rules {
            found.push(rule);
            let targets = match &rule.verdict {
                Some(Verdict::Jump(target)) => vec![*target],
                Some(Verdict::Switch(switch)) => switch.targets(),
                _ => vec![],
            };
            open.extend(targets.into_iter().filter(|target| seen.insert(*target)));
        }
    }
    found
}

fn source_ports<'a>(all: impl Iterator<Item = &'a Condition>, kind: Kind) -> Vec<RangeInclusive<u16>> {
    let mut starts = Starts::from(1);
    for condition in all {
        match condition {
            Condition::Ports(transport, PortEnd::Source | PortEnd::Either, ranges)
                if kind.transport() == Some(*transport) =>
            {
                ranges.iter().for_each(|range| starts.cut(range));
            }
            _ => {}
        }
    }
    let mut ranges = starts.ranges(u16::MAX);
    ranges.sort_by_key(|range| !range.contains(&CLIENT));
    ranges
}

/// One combination of flags for each way in which the conditions can come out.
fn flags<'a>(all: impl Iterator<Item = &'a Condition>, kind: Kind) -> Vec<TcpFlags> {
    if kind != Kind::Tcp {
        return vec![TcpFlags::SYN];
    }
    let mut masks = BTreeSet::new();
    for condition in all {
        if let Condition::Flags { mask, set } = condition {
            masks.insert((mask.bits(), set.bits()));
        }
    }
    let mut combinations: Vec<TcpFlags> = (0..=u8::MAX).map(TcpFlags::from_bits).collect();
    combinations
        .sort_by_key(|flags| (*flags != TcpFlags::SYN, *flags != TcpFlags::ACK, flags.bits().count_ones()));
    let mut seen = BTreeSet::new();
    combinations.retain(|flags| {
        let holds = |(mask, set): &(u8, u8)| flags.bits() & mask == *set;
        let held: Vec<bool> = masks.iter().map(holds).collect();
        seen.insert((held, state_alone(*flags) as u8))
    });
    combinations
}

/// In the forward hook, a limit is one less than at the others.
fn hop_limits<'a>(all: impl Iterator<Item = &'a Condition>) -> Vec<u8> {
    let mut named = BTreeSet::new();
    for condition in all {
        if let Condition::HopLimit(limit) = condition {
            named.extend([*limit, limit.saturating_add(1)]);
        }
    }
    let plain =
        [HOP_LIMIT, HOP_LIMIT - 1].into_iter().chain(2..=u8::MAX).find(|limit| !named.contains(limit));
    plain.into_iter().chain(named.iter().copied()).collect()
}

fn sizes<'a>(all: impl Iterator<Item = &'a Condition>, root: Root) -> Vec<u16> {
    let least = least_size(root.family, root.kind);
    let mut starts = Starts::from(least);
    for condition in all.filter(|_| root.kind != Kind::Ping) {
        if let Condition::Size(sizes) = condition
            && *sizes.end() >= least
        {
            starts.cut(sizes);
        }
    }
    starts.ranges(u16::MAX).iter().map(|range| *range.start()).collect()
}

/// Prefixes of destinations that rules tell apart.
fn named_destinations(program: &Program, family: Family, rules: &[&Rule]) -> BTreeSet<Prefix> {
    let mut prefixes = BTreeSet::new();
    for condition in rules.iter().flat_map(|rule| &rule.when).map(inner) {
        match condition {
            Condition::Destination(named) => prefixes.extend(named.iter().copied()),
            Condition::DestinationListed(list) => prefixes.extend(program[*list].fixed.iter().copied()),
            _ => {}
        }
    }
    prefixes.retain(|prefix| prefix.family() == family);
    prefixes
}

/// Whether each of the prefixes holds the address.
fn held(prefixes: &BTreeSet<Prefix>, address: IpAddr) -> Vec<bool> {
    prefixes.iter().map(|prefix| prefix.contains(address)).collect()
}

/// An address for each way in which the prefixes can hold it.
fn hosts(prefixes: &BTreeSet<Prefix>, family: Family) -> Vec<IpAddr> {
    let plain: [IpAddr; 2] = match family {
        Family::V4 => [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(203, 0, 113, 1).into()],
        Family::V6 => {
            let host = |net| Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, 1).into();
            [host(0xbe), host(0xbf)]
        }
    };
    let ends = prefixes.iter().flat_map(|prefix| [Some(within(*prefix)), after(*prefix)]).flatten();
    let mut seen = BTreeSet::new();
    let usable = plain.into_iter().chain(ends).filter(|address| is_host(*address));
    usable.filter(|address| seen.insert(held(prefixes, *address))).collect()
}

/// The host that stands for `address`, if it is one behind the gateway.
pub(super) fn like(program: &Program, root: Root, address: IpAddr) -> Option<IpAddr> {
    let prefixes = named_destinations(program, root.family, &rules(program, &hooks(program, root)));
    let told = held(&prefixes, address);
    let mut hosts = hosts(&prefixes, root.family).into_iter();
    hosts.find(|host| held(&prefixes, *host) == told).filter(|_| is_host(address))
}

/// Its first host.
fn within(prefix: Prefix) -> IpAddr {
    let next = match prefix.network() {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    };
    next.filter(|next| prefix.contains(*next)).unwrap_or(prefix.network())
}

/// The address after its last one.
fn after(prefix: Prefix) -> Option<IpAddr> {
    match prefix.network() {
        IpAddr::V4(v4) => {
            let size = 1u32.checked_shl(u32::from(32 - prefix.len()))?;
            v4.to_bits().checked_add(size).map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(v6) => {
            let size = 1u128.checked_shl(u32::from(128 - prefix.len()))?;
            v6.to_bits().checked_add(size).map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_multicast() || v4.is_broadcast() || v4.is_loopback() || v4.is_unspecified())
        }
        IpAddr::V6(v6) => {
            !(v6.is_multicast() || v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local())
        }
    }
}

/// An address of a stranger: in as few of the prefixes that the program names as can be, which is in
/// none unless they hold every address.
pub(super) fn stranger(program: &Program, family: Family) -> IpAddr {
    let mut prefixes: BTreeSet<Prefix> =
        program.lists().iter().flat_map(|list| &list.fixed).copied().collect();
    for rule in program.chains().iter().flat_map(|chain| &chain.rules) {
        for condition in rule.when.iter().map(inner) {
            if let Condition::Source(named) = condition {
                prefixes.extend(named.iter().copied());
            }
        }
    }
    let documented: [IpAddr; 3] = match family {
        Family::V4 => [[198, 51, 100, 7], [203, 0, 113, 7], [192, 0, 2, 7]].map(Into::into),
        Family::V6 => {
            [0xd00d, 0xd00e, 0xd00f].map(|net| Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, 7).into())
        }
    };
    let after = prefixes.iter().filter(|prefix| prefix.family() == family).filter_map(|p| after(*p));
    let usable = after.filter(|address| is_host(*address));
    let held = |address: &IpAddr| prefixes.iter().filter(|prefix| prefix.contains(*address)).count();
    documented.into_iter().chain(usable).min_by_key(held).unwrap_or(documented[0])
}

/// The interfaces that conditions name, condition by condition.
fn named_interfaces(program: &Program) -> impl Iterator<Item = &Vec<Interface>> {
    let rules = program.chains().iter().flat_map(|chain| &chain.rules);
    rules.flat_map(|rule| &rule.when).map(inner).filter_map(|condition| match condition {
        Condition::From(named) => Some(named),
        _ => None,
    })
}

fn faces_strangers(program: &Program, name: &str) -> bool {
    program.outside().iter().any(|interface| interface.matches(name))
}

fn is_named(program: &Program, name: &str) -> bool {
    named_interfaces(program).flatten().any(|interface| interface.matches(name))
}

/// Whether an interface is one that nobody names; `None` if it is an inside one.
pub(super) fn is_elsewhere(program: &Program, name: &str) -> Option<bool> {
    match (faces_strangers(program, name), is_named(program, name)) {
        (true, _) => Some(false),
        (false, named) => (!named).then_some(true),
    }
}

/// Names of interfaces that face strangers, one for each way in which rules tell them apart, and one
/// that nobody names, unless it is like one of the others.
pub(super) fn interfaces(program: &Program) -> (Vec<Box<str>>, Option<Box<str>>) {
    let told = |name: &str| -> Vec<bool> {
        named_interfaces(program).map(|named| named.iter().any(|i| i.matches(name))).collect()
    };
    let named: BTreeSet<&Interface> = named_interfaces(program).flatten().collect();
    let names = program.outside().iter().chain(named).map(|i| i.as_str().replace('*', "0"));
    let mut seen = BTreeSet::new();
    let outside = names.filter(|name| faces_strangers(program, name) && seen.insert(told(name)));
    let outside = outside.map(Into::into).collect();
    let mut candidates =
        (0..100).map(|nth| if nth == 0 { "elsewhere".to_owned() } else { format!("if{nth}") });
    let unnamed = candidates.find(|name| is_elsewhere(program, name) == Some(true));
    (outside, unnamed.filter(|name| !seen.contains(&told(name))).map(Into::into))
}
