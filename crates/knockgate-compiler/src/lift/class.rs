//! Kinds of packets that a program does not tell apart.

use crate::net::{Endpoint, Family, Port};
use crate::policy::Knock;
use crate::program::Program;
use crate::program::cuts::Cuts;

pub(super) use crate::program::cuts::{Kind, ping_header};

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

/// Every class of `family`.
pub(super) fn classes(program: &Program, family: Family) -> Vec<Class> {
    let cuts = Cuts::of(family, program.chains().iter().flat_map(|chain| &chain.rules));
    let of_kind = |kind: Kind| {
        let ranges = cuts.ranges(kind).into_iter();
        ranges.map(move |range| Class { family, kind, low: *range.start(), high: *range.end() })
    };
    Kind::ALL.into_iter().flat_map(of_kind).collect()
}
