//! Where the rules of a program tell one port from the next, and one size of a ping.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::{Condition, PortEnd, Rule, Switch, Verdict};
use crate::net::{Endpoint, Family, Transport, echo_packet_size};

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// TCP.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// An echo request.
    Ping,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Ping];

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

/// Bytes of a ping's packet that are not data.
pub(crate) fn ping_header(family: Family) -> u16 {
    echo_packet_size(family, 0)
}

/// Where ranges begin.
pub(crate) struct Starts(BTreeSet<u16>);

impl Starts {
    /// One range, from `least` on.
    pub fn from(least: u16) -> Self {
        Self([least].into())
    }

    /// Tells what is in `range` from what is not.
    pub fn cut(&mut self, range: &RangeInclusive<u16>) {
        let least = self.0.first().copied().unwrap_or_default();
        self.0.insert((*range.start()).max(least));
        if let Some(next) = range.end().checked_add(1) {
            self.0.insert(next.max(least));
        }
    }

    /// The ranges up to `last`, in order.
    pub fn ranges(&self, last: u16) -> Vec<RangeInclusive<u16>> {
        let starts: Vec<u16> = self.0.iter().copied().filter(|start| *start <= last).collect();
        let high = |nth: usize| starts.get(nth + 1).map_or(last, |next| next - 1);
        starts.iter().enumerate().map(|(nth, low)| *low..=high(nth)).collect()
    }
}

/// Ports that packets are sent to, and data of pings, as rules tell them apart.
pub(crate) struct Cuts {
    family: Family,
    /// For each kind.
    at: [Starts; 3],
}

impl Cuts {
    pub fn of<'a>(family: Family, rules: impl Iterator<Item = &'a Rule>) -> Self {
        let mut cuts = Self { family, at: [Starts::from(1), Starts::from(1), Starts::from(0)] };
        for rule in rules {
            rule.when.iter().for_each(|condition| cuts.condition(condition));
            if let Some(Verdict::Switch(switch)) = &rule.verdict {
                cuts.switch(switch);
            }
        }
        cuts
    }

    /// Every port or size is in one of them.
    pub fn ranges(&self, kind: Kind) -> Vec<RangeInclusive<u16>> {
        let last = if kind == Kind::Ping { u16::MAX - ping_header(self.family) } else { u16::MAX };
        self.at[kind as usize].ranges(last)
    }

    fn cut(&mut self, kind: Kind, range: &RangeInclusive<u16>) {
        self.at[kind as usize].cut(range);
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
