//! Every sequence of packets, with every wait.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use knockgate_compiler::net::{Destination, Packet, Payload, TcpFlags};
use knockgate_compiler::program::{ListId, Position, Program, TrackId};
use knockgate_compiler::sim::{Entry, Fate, Simulator};
use knockgate_compiler::time::Moment;

use crate::programs::{LONGEST, PORTS};

/// The fewest packets, and the least time among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Least {
    pub packets: usize,
    pub millis: u64,
}

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

pub fn packet(port: u16) -> Packet {
    Packet {
        source: SOURCE,
        destination: Destination::Gateway,
        interface: "eth0".into(),
        payload: Payload::Tcp { from: 40_000, to: port, flags: TcpFlags::SYN },
        size: 40,
        hop_limit: 64,
        fragment: false,
        extension_headers: false,
    }
}

/// What is remembered of the source, each with the milliseconds that it has left.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Memory {
    listed: Vec<(ListId, u64)>,
    placed: Vec<(TrackId, Position, u64)>,
}

impl Memory {
    fn of(program: &Program, simulator: &Simulator<'_>, now: Moment) -> Self {
        let left = |entry: Entry| entry.until.as_millis() - now.as_millis();
        let lists = program.lists_with_ids().map(|(list, _)| list);
        let listed = |list| simulator.members(list, now).into_iter().map(move |entry| (list, left(entry)));
        let tracks = program.tracks_with_ids().map(|(track, _)| track);
        let placed = |track| {
            let positions = simulator.positions(track, now).into_iter();
            positions.map(move |(entry, position)| (track, position, left(entry)))
        };
        Self { listed: lists.flat_map(listed).collect(), placed: tracks.flat_map(placed).collect() }
    }

    fn restore(&self, simulator: &mut Simulator<'_>) {
        let entry = |left| Entry { source: SOURCE, until: Moment::from_millis(left) };
        let listed: Vec<_> = self.listed.iter().map(|(list, left)| (*list, entry(*left))).collect();
        let placed: Vec<_> =
            self.placed.iter().map(|(track, position, left)| (*track, *position, entry(*left))).collect();
        simulator.restart(&listed, &placed, Moment::default());
    }
}

/// The least that it takes to be let in at `port`. Entries live for whole milliseconds, of which they
/// have [`LONGEST`] at most: no other moments, and no longer waits, can make a difference.
pub fn least(program: &Program, port: u16) -> Option<Least> {
    let mut simulator = Simulator::new(program);
    let mut seen = BTreeSet::new();
    let mut level: BTreeMap<Memory, u64> = [(Memory::default(), 0)].into();
    let mut packets = 1;
    while !level.is_empty() {
        let (mut best, mut next) = (None, BTreeMap::<Memory, u64>::new());
        for (memory, elapsed) in &level {
            let longest = if *memory == Memory::default() { 0 } else { LONGEST };
            for wait in 0..=longest {
                let (now, millis) = (Moment::from_millis(wait), elapsed + wait);
                for to in PORTS {
                    memory.restore(&mut simulator);
                    let decision = simulator.play(now, &packet(to));
                    if to == port && decision.fate == Fate::Accept {
                        best = Some(best.map_or(millis, |best: u64| best.min(millis)));
                    }
                    let after = Memory::of(program, &simulator, now);
                    let known = next.entry(after).or_insert(millis);
                    *known = millis.min(*known);
                }
            }
        }
        if let Some(millis) = best {
            return Some(Least { packets, millis });
        }
        seen.extend(level.into_keys());
        next.retain(|memory, _| !seen.contains(memory));
        level = next;
        packets += 1;
    }
    None
}
