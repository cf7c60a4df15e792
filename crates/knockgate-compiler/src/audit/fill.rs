//! Which lists strangers can fill, and with how many packets a second.
//!
//! Each packet comes from a source of its own, as forged ones can. A list is full when as many entries
//! are added in the time that one takes room as it may have.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Fill;
use super::play::{Player, Tape, until};
use crate::program::{PoolId, Program, TrackId};
use crate::sim::Change;
use crate::time::Lifetime;

/// What has a capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Memory {
    Pool(PoolId),
    Track(TrackId),
}

impl Memory {
    /// Where a change takes room, if it does.
    pub fn of(change: &Change, program: &Program) -> Option<Self> {
        match change {
            Change::Added(list, _) => Some(Self::Pool(program[*list].timed?.pool)),
            Change::Moved(track, ..) => Some(Self::Track(*track)),
            _ => None,
        }
    }

    fn capacity(self, program: &Program) -> u32 {
        match self {
            Self::Pool(pool) => program[pool].capacity.get(),
            Self::Track(track) => program[track].capacity.get(),
        }
    }

    fn name(self, program: &Program) -> &str {
        match self {
            Self::Pool(pool) => &program[pool].name,
            Self::Track(track) => &program[track].name,
        }
    }
}

/// Milliseconds for which an entry takes room after it has expired: the kernel collects once a second
/// (nft_set_hash.c, `nft_rhash_gc`; `nft_set_gc_interval`).
const COLLECTED_AFTER: u64 = 1000;

/// Milliseconds of room that a packet takes of each memory: entries times how long they stay.
type Taken = BTreeMap<Memory, Entries>;

#[derive(Clone, Copy, Debug, Default)]
struct Entries {
    count: u32,
    millis: u64,
}

/// What `packet` takes of each memory, from a source that nothing is known of.
fn taken(player: &mut Player<'_>, program: &Program, source: IpAddr, packet: &str) -> Taken {
    let tape = Tape::of(source).then(packet);
    let now = tape.now().as_millis();
    let mut taken = Taken::new();
    for change in player.play(&tape).iter().flat_map(|decision| &decision.changes) {
        if let (Some(memory), Some(until)) = (Memory::of(change, program), until(change)) {
            let entries = taken.entry(memory).or_default();
            entries.count += 1;
            entries.millis += until.as_millis() - now;
        }
    }
    taken
}

/// Every memory that single packets of these kinds fill, the easiest first. `knocking` is what the
/// owners' own knocks need.
pub(super) fn fills(
    player: &mut Player<'_>,
    program: &Program,
    packets: &[(IpAddr, Vec<String>)],
    knocking: &[Memory],
) -> Vec<Fill> {
    let mut cheapest: BTreeMap<Memory, Fill> = BTreeMap::new();
    let single = packets.iter().flat_map(|(source, words)| words.iter().map(move |words| (*source, words)));
    for (source, packet) in single {
        for (memory, entries) in taken(player, program, source, packet) {
            let Some(fill) = fill(memory, program, packet, entries, knocking) else { continue };
            match cheapest.get(&memory) {
                Some(known) if known.rate <= fill.rate => {}
                _ => drop(cheapest.insert(memory, fill)),
            }
        }
    }
    let mut found: Vec<Fill> = cheapest.into_values().collect();
    found.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    found
}

fn fill(
    memory: Memory,
    program: &Program,
    packet: &str,
    entries: Entries,
    knocking: &[Memory],
) -> Option<Fill> {
    let stays = Lifetime::from_millis(entries.millis / u64::from(entries.count))?;
    let room_taken = entries.millis + u64::from(entries.count) * COLLECTED_AFTER;
    let capacity = memory.capacity(program);
    let means = match knocking.contains(&memory) {
        true => "nobody new gets through the knocks until entries run out; grants and connections go on",
        false if knocking.is_empty() => "nobody new gets on it until entries run out",
        false => "nobody new gets on it, so what it is for, such as bans, is left undone; connections go on",
    };
    Some(Fill {
        list: memory.name(program).to_owned(),
        capacity,
        stays,
        packet: packet.to_owned(),
        entries: entries.count,
        rate: f64::from(capacity) * 1000.0 / room_taken as f64,
        means: means.to_owned(),
    })
}
