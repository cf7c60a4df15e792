//! The ports that a scan looks at.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::Order;
use crate::audit::{Shape, Trapping};
use crate::net::scanned;
use crate::net::{Endpoint, Port, Transport};
use crate::policy::Knock;

/// How far beyond the knocks a scan of their neighbourhood goes.
const MARGIN: u16 = 100;

/// The ports that a scan looks at, and those of them that a door tells apart.
#[derive(Debug)]
pub(super) struct Field {
    order: Order,
    transports: BTreeSet<Transport>,
    ports: RangeInclusive<u16>,
    /// The knocks, first to last.
    pub(super) knocks: Vec<Endpoint>,
    /// Traps that are looked at.
    pub(super) traps: Vec<Endpoint>,
    /// How many of the others are no wrong knocks.
    pub(super) quiet: u32,
    /// Some port whose packets are wrong knocks, if there is any.
    pub(super) wrong: Option<Endpoint>,
}

impl Field {
    /// `None` if the scan leaves a knock out. A port scan sends no pings.
    pub(super) fn of(shape: &Shape, order: Order) -> Option<Self> {
        let knocks = ports_of(shape)?;
        let mut field = Self {
            order,
            transports: scanned_transports(&knocks, order),
            ports: scanned_ports(&knocks, order),
            knocks,
            traps: vec![],
            quiet: 0,
            wrong: None,
        };
        if order != Order::UpWithoutTraps {
            field.traps = trap_ports(shape.traps.as_ref()).filter(|port| field.holds(*port)).collect();
        }
        field.knocks.iter().all(|knock| field.holds(*knock)).then_some(())?;
        field.quiet = field.count_quiet(shape);
        field.wrong = field.find_wrong(shape);
        Some(field)
    }

    /// How many ports those are.
    pub(super) fn len(&self, shape: &Shape) -> u32 {
        if self.order == Order::Thousand {
            return scanned::COUNT;
        }
        let all = self.span() * self.transports.len() as u32;
        all - self.left_out(shape).count() as u32
    }

    /// Where a port stands in an ascending or a descending scan, from 0.
    pub(super) fn place(&self, shape: &Shape, port: Endpoint) -> u32 {
        let before = self.transports.range(..port.transport).count() as u32;
        let ascending = u32::from(port.port.number() - self.ports.start()) * self.transports.len() as u32;
        let rank = |port: Endpoint| (port.port, port.transport);
        let skipped = self.left_out(shape).filter(|trap| rank(**trap) < rank(port)).count() as u32;
        let place = ascending + before - skipped;
        if self.order == Order::Down { self.len(shape) - 1 - place } else { place }
    }

    /// Ports that are looked at and whose packets are known not to count.
    pub(super) fn quiet_ports(&self, shape: &Shape) -> impl Iterator<Item = Endpoint> {
        shape.neutral.iter().filter(|port| self.holds(**port)).copied()
    }

    fn holds(&self, port: Endpoint) -> bool {
        let number = port.port.number();
        self.transports.contains(&port.transport)
            && self.ports.contains(&number)
            && (self.order != Order::Thousand || scanned::is_scanned(number))
    }

    fn span(&self) -> u32 {
        u32::from(self.ports.end() - self.ports.start()) + 1
    }

    /// Ports in the range that the scan avoids.
    fn left_out<'s>(&self, shape: &'s Shape) -> impl Iterator<Item = &'s Endpoint> {
        let avoids = self.order == Order::UpWithoutTraps;
        let traps = shape.traps.iter().filter(move |_| avoids).flat_map(|traps| &traps.ports);
        traps.filter(|trap| self.transports.contains(&trap.transport))
    }

    fn count_quiet(&self, shape: &Shape) -> u32 {
        let counted = |port: &Endpoint| shape.counted.contains(&port.transport);
        let neutral = shape.neutral.iter().filter(|port| self.holds(**port) && counted(port)).count() as u32;
        let others = self.transports.iter().filter(|transport| !shape.counted.contains(transport)).count();
        let named: BTreeSet<&Endpoint> = self.knocks.iter().chain(&self.traps).collect();
        let named = named.into_iter().filter(|port| !counted(port)).count() as u32;
        let of_each = if self.order == Order::Thousand { scanned::COUNT } else { self.span() };
        neutral + others as u32 * of_each - named
    }

    fn find_wrong(&self, shape: &Shape) -> Option<Endpoint> {
        let transport = *self.transports.iter().find(|transport| shape.counted.contains(transport))?;
        let ends = |number| Port::new(number).map(|port| Endpoint { transport, port });
        let special = |port: &Endpoint| {
            self.knocks.contains(port) || self.traps.contains(port) || shape.neutral.contains(port)
        };
        let mut plain = self.ports.clone().rev().filter_map(ends).filter(|port| self.holds(*port));
        plain.find(|port| !special(port))
    }
}

/// The ports of the knocks, unless one is a ping.
pub(super) fn ports_of(shape: &Shape) -> Option<Vec<Endpoint>> {
    let port = |knock| match knock {
        Knock::Port(endpoint) => Some(endpoint),
        Knock::Ping(_) => None,
    };
    shape.knocks.iter().map(|beat| port(beat.knock)).collect()
}

fn trap_ports(traps: Option<&Trapping>) -> impl Iterator<Item = Endpoint> {
    traps.into_iter().flat_map(|traps| &traps.ports).copied()
}

/// nmap's thousand are ports of TCP.
fn scanned_transports(knocks: &[Endpoint], order: Order) -> BTreeSet<Transport> {
    match order {
        Order::Thousand => [Transport::Tcp].into(),
        _ => knocks.iter().map(|knock| knock.transport).collect(),
    }
}

fn scanned_ports(knocks: &[Endpoint], order: Order) -> RangeInclusive<u16> {
    let numbers = || knocks.iter().map(|knock| knock.port.number());
    match (order, numbers().min(), numbers().max()) {
        (Order::Neighbourhood, Some(least), Some(most)) => {
            least.saturating_sub(MARGIN).max(1)..=most.saturating_add(MARGIN)
        }
        _ => 1..=u16::MAX,
    }
}
