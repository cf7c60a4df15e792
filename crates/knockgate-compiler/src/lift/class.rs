//! Kinds of packets that a program does not tell apart.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::net::{Endpoint, Family, Port, Transport, echo_packet_size};
use crate::policy::Knock;
use crate::program::{Condition, PortEnd, Program, Switch, Verdict};

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The SYN of a new TCP connection.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// An echo request.
    Ping,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Ping];

    pub fn transport(self) -> Option<Transport> {
        match self {
            Self::Tcp => Some(Transport::Tcp),
            Self::Udp => Some(Transport::Udp),
            Self::Ping => None,
        }
    }

    fn of(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::Tcp,
            Transport::Udp => Self::Udp,
        }
    }
}

/// The first packets of connections from outside to these ports, or pings of these sizes: every
/// condition of the program holds for all of them or for none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class {
    pub family: Family,
    pub kind: Kind,
    pub low: u16,
    pub high: u16,
}

impl Class {
    pub fn width(&self) -> usize {
        usize::from(self.high - self.low) + 1
    }

    fn exact(&self) -> Option<u16> {
        (self.low == self.high).then_some(self.low)
    }

    pub fn endpoint(&self) -> Option<Endpoint> {
        Some(Endpoint { transport: self.kind.transport()?, port: Port::new(self.exact()?)? })
    }

    /// The knock that all of its packets are.
    pub fn knock(&self) -> Option<Knock> {
        match self.kind {
            Kind::Ping => self.exact().map(Knock::Ping),
            Kind::Tcp | Kind::Udp => self.endpoint().map(Knock::Port),
        }
    }

    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        let transport = self.kind.transport();
        (self.low..=self.high)
            .filter_map(move |port| Some(Endpoint { transport: transport?, port: Port::new(port)? }))
    }
}

/// Bytes of a ping's packet that are not data.
pub(super) fn ping_header(family: Family) -> u16 {
    echo_packet_size(family, 0)
}

/// Every class of `family`.
pub(super) fn classes(program: &Program, family: Family) -> Vec<Class> {
    let mut cuts = Cuts { family, at: [[1].into(), [1].into(), [0].into()] };
    for rule in program.chains().iter().flat_map(|chain| &chain.rules) {
        rule.when.iter().for_each(|condition| cuts.condition(condition));
        if let Some(Verdict::Switch(switch)) = &rule.verdict {
            cuts.switch(switch);
        }
    }
    let mut found = vec![];
    for (kind, starts) in Kind::ALL.into_iter().zip(&cuts.at) {
        let last = if kind == Kind::Ping { u16::MAX - ping_header(family) } else { u16::MAX };
        let starts: Vec<u16> = starts.iter().copied().filter(|start| *start <= last).collect();
        for (nth, low) in starts.iter().enumerate() {
            let high = starts.get(nth + 1).map_or(last, |next| next - 1);
            found.push(Class { family, kind, low: *low, high });
        }
    }
    found
}

struct Cuts {
    family: Family,
    /// Where a class begins, for each kind.
    at: [BTreeSet<u16>; 3],
}

impl Cuts {
    fn cut(&mut self, kind: Kind, range: &RangeInclusive<u16>) {
        let starts = &mut self.at[kind as usize];
        let least = starts.first().copied().unwrap_or_default();
        starts.insert((*range.start()).max(least));
        if let Some(next) = range.end().checked_add(1) {
            starts.insert(next.max(least));
        }
    }

    fn endpoint(&mut self, endpoint: &Endpoint) {
        let port = endpoint.port.number();
        self.cut(Kind::of(endpoint.transport), &(port..=port));
    }

    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::Not(inner) => self.condition(inner),
            Condition::To(endpoints) => endpoints.iter().for_each(|endpoint| self.endpoint(endpoint)),
            Condition::Ports(transport, PortEnd::Destination | PortEnd::Either, ranges) => {
                ranges.iter().for_each(|range| self.cut(Kind::of(*transport), range));
            }
            Condition::Echo(Some(data)) => self.cut(Kind::Ping, &(*data..=*data)),
            Condition::Size(sizes) => {
                let header = ping_header(self.family);
                let Some(high) = sizes.end().checked_sub(header) else { return };
                self.cut(Kind::Ping, &(sizes.start().saturating_sub(header)..=high));
            }
            _ => {}
        }
    }

    fn switch(&mut self, switch: &Switch) {
        match switch {
            Switch::Port(arms) => arms.keys().for_each(|endpoint| self.endpoint(endpoint)),
            Switch::TrackPort(_, arms) => arms.keys().for_each(|(_, endpoint)| self.endpoint(endpoint)),
            Switch::Echo(arms) => arms.keys().for_each(|data| self.cut(Kind::Ping, &(*data..=*data))),
            Switch::TrackEcho(_, arms) => {
                arms.keys().for_each(|(_, data)| self.cut(Kind::Ping, &(*data..=*data)));
            }
        }
    }
}
