//! Classes of a stranger's packets: those that no rule tells apart.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::aspects::{
    CLIENT, Choice, Root, Values, interfaces, is_elsewhere, least_size, like, port_within, stranger,
};
use crate::net::{Destination, Family, Packet, Payload, TcpFlags, echo_packet_size};
use crate::program::Program;
use crate::program::cuts::Kind;
use crate::sim::reach::{Aspect, Reach, Walker};

/// A class, by its place in [`super::Search::classes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub(super) u32);

impl ClassId {
    /// The place as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) fn of(index: usize) -> Self {
        Self(u32::try_from(index).expect("there are fewer classes than ports of all kinds"))
    }
}

/// Packets of a stranger that no condition tells apart, but for those about lists and tracks.
#[derive(Clone, Debug)]
pub struct Class {
    pub(super) root: Root,
    packet: Packet,
    /// Its ports, or data of pings, in order.
    spans: Vec<RangeInclusive<u16>>,
    /// Source ports, where rules tell them apart.
    from: Option<RangeInclusive<u16>>,
    /// What a trace says of it after the knock.
    rest: String,
    /// Values that are not the plainest.
    oddness: usize,
    pub(super) reach: Reach,
}

impl Class {
    /// One of its packets, the plainest.
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    /// Where its packets go.
    pub fn destination(&self) -> Destination {
        self.packet.destination
    }

    /// IPv4 or IPv6.
    pub fn family(&self) -> Family {
        self.root.family
    }

    /// Whether its packets come in by an interface that nobody names, past rules for those that face
    /// strangers.
    pub fn comes_from_elsewhere(&self) -> bool {
        self.root.elsewhere
    }

    /// Whether its packets are what connections begin with: a SYN alone, UDP, or a ping.
    pub fn begins(&self) -> bool {
        !matches!(self.packet.payload, Payload::Tcp { flags, .. } if flags != TcpFlags::SYN)
    }

    /// How many ports, or sizes of pings.
    pub fn width(&self) -> u32 {
        self.spans.iter().map(|span| u32::from(span.end() - span.start()) + 1).sum()
    }

    /// Its ports, or data of pings, in order.
    pub fn spans(&self) -> &[RangeInclusive<u16>] {
        &self.spans
    }

    /// Its packet as in a trace: `22/tcp ack in eth1 to 10.0.0.5`.
    pub fn words(&self) -> String {
        match &self.from {
            Some(range) if !range.contains(&CLIENT) => self.words_from(port_within(range, 0)),
            _ => format!("{}{}", self.knock(&self.spans[0].start().to_string()), self.rest),
        }
    }

    fn words_from(&self, port: u16) -> String {
        format!("{}{} from {port}", self.knock(&self.spans[0].start().to_string()), self.rest)
    }

    /// All of its packets, `1-332/tcp`, with what else is true of them.
    pub fn range(&self) -> String {
        const SHOWN: usize = 3;
        let span = |span: &RangeInclusive<u16>| match span.end() - span.start() {
            0 => span.start().to_string(),
            _ => format!("{}-{}", span.start(), span.end()),
        };
        let mut shown: Vec<String> = self.spans.iter().take(SHOWN).map(span).collect();
        if self.spans.len() > SHOWN {
            shown.push("..".to_owned());
        }
        format!("{}{}", self.knock(&shown.join(",")), self.rest)
    }

    fn knock(&self, number: &str) -> String {
        match self.root.kind {
            Kind::Tcp => format!("{number}/tcp"),
            Kind::Udp => format!("{number}/udp"),
            Kind::Ping => format!("ping/{number}"),
        }
    }

    /// The words of its packet when a source has sent `before` others: of a connection of its own.
    pub(super) fn fresh_words(&self, before: u16) -> String {
        match (&self.from, self.packet.payload) {
            (Some(range), _) => self.words_from(port_within(range, before)),
            (None, Payload::Tcp { flags: TcpFlags::SYN, .. } | Payload::Icmp { .. }) => self.words(),
            (None, _) if before == 0 => self.words(),
            (None, _) => self.words_from(CLIENT.saturating_sub(before)),
        }
    }

    /// Packets of both, which have the same outcome.
    fn join(&mut self, other: Self) {
        let spans = merged(self.spans.iter().chain(&other.spans).cloned().collect());
        if other.oddness < self.oddness {
            *self = other;
        }
        self.spans = spans;
    }
}

/// The same numbers in as few ranges as can be, in order.
pub(in crate::audit) fn merged(mut ranges: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u16>> = vec![];
    for range in ranges {
        match merged.last_mut() {
            Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// What each class is known by: two packets for which it is equal are of one class.
type Signature = (Root, Vec<u64>);

/// Every class of a program.
pub(super) struct Classes<'p> {
    pub all: Vec<Class>,
    known: HashMap<Signature, ClassId>,
    walker: Walker<'p>,
    program: &'p Program,
    sources: [IpAddr; 2],
    /// An interface that nobody names, where that makes a difference.
    elsewhere: Option<Box<str>>,
}

impl<'p> Classes<'p> {
    pub fn of(program: &'p Program) -> Self {
        let (outside, elsewhere) = interfaces(program);
        let sources = Family::BOTH.map(|family| stranger(program, family));
        let walker = Walker::new(program);
        let mut classes = Self {
            all: vec![],
            known: HashMap::new(),
            walker,
            program,
            sources,
            elsewhere: elsewhere.clone(),
        };
        for (interfaces, is_elsewhere) in
            [(outside, false)].into_iter().chain(elsewhere.map(|name| (vec![name], true)))
        {
            for (family, source) in Family::BOTH.into_iter().zip(sources) {
                for (behind, kind) in [false, true].into_iter().flat_map(|b| Kind::ALL.map(|kind| (b, kind)))
                {
                    let root = Root { family, elsewhere: is_elsewhere, behind, kind };
                    let values = Values::of(program, root, source, interfaces.clone());
                    classes.divide(&values, values.start());
                }
            }
        }
        classes
    }

    /// Whether there were too many rules to look at.
    pub fn are_tangled(&self) -> bool {
        self.walker.is_tangled()
    }

    /// Tells packets apart until none that are together are.
    fn divide(&mut self, values: &Values, choice: Choice) {
        let packet = values.packet(&choice);
        match self.walker.reach(&packet, choice.map(|value| value.is_some())) {
            Ok(reach) => self.add(values, &choice, packet, reach),
            Err(aspect) => {
                for value in 0..values.count(aspect) {
                    let mut choice = choice;
                    choice[aspect as usize] = Some(value);
                    self.divide(values, choice);
                }
            }
        }
    }

    fn add(&mut self, values: &Values, choice: &Choice, packet: Packet, reach: Reach) {
        let spans = match choice[Aspect::Port as usize] {
            Some(value) => vec![values.ports[value].clone()],
            None => vec![*values.ports[0].start()..=values.ports.last().map_or(u16::MAX, |last| *last.end())],
        };
        let from = choice[Aspect::From as usize].map(|value| values.from[value].clone());
        let from = from.filter(|_| values.from.len() > 1 && values.root.kind != Kind::Ping);
        let oddness = Aspect::ALL
            .into_iter()
            .filter(|aspect| {
                *aspect != Aspect::Port && choice[*aspect as usize].is_some_and(|value| value > 0)
            })
            .count();
        let rest = self.rest(values.root, &packet);
        let signature = (values.root, reach.course.clone());
        let class = Class { root: values.root, packet, spans, from, rest, oddness, reach };
        match self.known.get(&signature) {
            Some(id) => self.all[id.index()].join(class),
            None => {
                self.known.insert(signature, ClassId::of(self.all.len()));
                self.all.push(class);
            }
        }
    }

    /// What a trace says of a packet besides its knock and its source port.
    fn rest(&self, root: Root, packet: &Packet) -> String {
        let mut rest = String::new();
        match packet.payload {
            Payload::Tcp { flags, .. } if flags == TcpFlags::NONE => rest += " none",
            Payload::Tcp { flags, .. } if flags != TcpFlags::SYN => {
                let named = TcpFlags::NAMED.into_iter().filter(|(_, flag)| flags.has(*flag));
                named.for_each(|(name, _)| rest += &format!(" {name}"));
            }
            _ => {}
        }
        if *packet.interface != *self.program.outside()[0].as_str().replace('*', "0") {
            rest += &format!(" in {}", packet.interface);
        }
        if let Destination::Other(address) = packet.destination {
            rest += &format!(" to {address}");
        }
        let plain = match root.kind {
            Kind::Ping => packet.size,
            kind => least_size(root.family, kind),
        };
        if packet.size != plain {
            rest += &format!(" size {}", packet.size);
        }
        if packet.hop_limit != 64 {
            rest += &format!(" ttl {}", packet.hop_limit);
        }
        if packet.extension_headers {
            rest += " ext";
        }
        rest
    }

    /// The class of a packet, whoever sends it. `None` for what no class stands for: fragments,
    /// messages other than pings, and what comes from inside.
    pub fn class_of(&self, packet: &Packet) -> Option<ClassId> {
        let family = packet.family();
        let kind = match packet.payload {
            Payload::Tcp { .. } => Kind::Tcp,
            Payload::Udp { .. } => Kind::Udp,
            Payload::Icmp { kind } if kind == crate::net::echo_request_type(family) => Kind::Ping,
            Payload::Icmp { .. } => return None,
        };
        if packet.fragment || (kind == Kind::Ping && packet.size < echo_packet_size(family, 0)) {
            return None;
        }
        let elsewhere = is_elsewhere(self.program, &packet.interface)? && self.elsewhere.is_some();
        let behind = packet.destination != Destination::Gateway;
        let root = Root { family, elsewhere, behind, kind };
        let source = self.sources[usize::from(family == Family::V6)];
        let destination = match packet.destination {
            Destination::Gateway => Destination::Gateway,
            Destination::Other(address) => Destination::Other(like(self.program, root, address)?),
        };
        let packet = Packet { source, destination, ..packet.clone() };
        let reach = self.walker.reach(&packet, [true; Aspect::COUNT]).ok()?;
        self.known.get(&(root, reach.course)).copied()
    }
}
