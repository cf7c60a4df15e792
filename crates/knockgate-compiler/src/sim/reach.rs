//! What a packet may read and change, whatever lists and tracks hold.
//!
//! The same walk through the hooks as [`super::Simulator::play`], with the conditions about the packet
//! decided and those about lists and tracks taken both ways.

mod walk;

use std::cell::Cell as Fuel;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

pub(crate) use super::conntrack::state_alone;
use crate::net::{Packet, Transport};
use crate::program::{ChainId, ListId, Position, Program, Switch, TrackId, Verdict};
use walk::Walk;

/// Something that is remembered of an address: that it is on a list, or where it is on a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cell {
    /// The address, as far as the list keeps it, is on the list.
    List(ListId, IpAddr),
    /// Where the packet's source is.
    Track(TrackId),
}

/// That the address is on the list, or that the source is there on the track.
pub(crate) type Fact = (Cell, Option<Position>);

/// What is known of a packet, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Aspect {
    Interface,
    Destination,
    /// Its destination port, or the size of a ping.
    Port,
    /// Its source port.
    From,
    Flags,
    HopLimit,
    Size,
    ExtensionHeaders,
}

impl Aspect {
    pub const ALL: [Self; 8] = [
        Self::Interface,
        Self::Destination,
        Self::Port,
        Self::From,
        Self::Flags,
        Self::HopLimit,
        Self::Size,
        Self::ExtensionHeaders,
    ];
    pub const COUNT: usize = Self::ALL.len();
}

/// What packets may come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    /// The rules they may meet, with what is left open there. Packets for which it is the same have the
    /// same outcome wherever their source stands.
    pub course: Vec<u64>,
    /// What is asked about.
    pub reads: BTreeSet<Cell>,
    /// What may be changed.
    pub writes: BTreeSet<Cell>,
    /// What may be brought about, each with what must be so before.
    pub gains: Vec<(Fact, Vec<Fact>)>,
    /// For each place where it may be let in, what must be so there.
    pub entrances: Vec<Vec<Fact>>,
}

/// Where a switch leads to, and from which position, if that matters.
struct Arm {
    position: Option<Position>,
    target: ChainId,
}

/// What a switch looks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Port(Transport, u16),
    Echo(u16),
}

/// A program with its switches by what they look for.
pub(crate) struct Walker<'p> {
    program: &'p Program,
    arms: HashMap<(ChainId, usize, Key), Vec<Arm>>,
    fuel: Fuel<u64>,
}

/// Rules that may be looked at before a program counts as too tangled: a second's worth.
const FUEL: u64 = 20_000_000;

impl<'p> Walker<'p> {
    pub fn new(program: &'p Program) -> Self {
        let mut walker = Self { program, arms: HashMap::new(), fuel: Fuel::new(FUEL) };
        for (id, chain) in program.chains_with_ids() {
            for (index, rule) in chain.rules.iter().enumerate() {
                if let Some(Verdict::Switch(switch)) = &rule.verdict {
                    walker.index(id, index, switch);
                }
            }
        }
        walker
    }

    fn index(&mut self, chain: ChainId, index: usize, switch: &Switch) {
        let port = |endpoint: &crate::net::Endpoint| Key::Port(endpoint.transport, endpoint.port.number());
        let mut arm = |key: Key, position: Option<Position>, target: ChainId| {
            self.arms.entry((chain, index, key)).or_default().push(Arm { position, target });
        };
        match switch {
            Switch::Port(arms) => arms.iter().for_each(|(endpoint, to)| arm(port(endpoint), None, *to)),
            Switch::Echo(arms) => arms.iter().for_each(|(data, to)| arm(Key::Echo(*data), None, *to)),
            Switch::TrackPort(_, arms) => {
                arms.iter().for_each(|((at, endpoint), to)| arm(port(endpoint), Some(*at), *to));
            }
            Switch::TrackEcho(_, arms) => {
                arms.iter().for_each(|((at, data), to)| arm(Key::Echo(*data), Some(*at), *to));
            }
        }
    }

    /// Whether there was too much to look at; then what was found is not all there is.
    pub fn is_tangled(&self) -> bool {
        self.fuel.get() == 0
    }

    fn burn(&self) -> bool {
        self.fuel.set(self.fuel.get().saturating_sub(1));
        !self.is_tangled()
    }

    /// What packets may come to that are like `packet` in all that is known of them; else the first
    /// thing that must be known too.
    pub fn reach(&self, packet: &Packet, known: [bool; Aspect::COUNT]) -> Result<Reach, Aspect> {
        let mut walk = Walk::new(self, packet, known);
        walk.go()?;
        Ok(walk.found)
    }
}
