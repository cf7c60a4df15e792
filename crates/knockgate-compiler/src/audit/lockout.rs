//! Who can shut the owner out, with packets that bear the owner's address.
//!
//! Such packets can be forged, since a knock is one packet and nobody answers it; and whoever shares
//! the owner's address behind a NAT sends them without meaning to. What they do is found by playing
//! them: before the owner knocks, between two knocks, with a grant, and with a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::fill::Memory;
use super::play::{Owner, Player, Tape, until};
use super::{Hits, Lockout};
use crate::policy::limit;
use crate::program::Program;
use crate::sim::Fate;
use crate::time::{Lifetime, Moment};

/// When the other packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    /// After so many of the knocks.
    Between(usize),
    Granted,
    Connected,
}

/// Every way that is found to shut `owner` out with packets of these kinds, the worst first.
pub(super) fn lockouts(player: &mut Player<'_>, owner: &Owner, kinds: &[String]) -> Vec<Lockout> {
    let mut found = vec![];
    let mut known = vec![];
    let foreign = foreign(owner, kinds);
    let attacks =
        [(When::Connected, Hits::Connection), (When::Granted, Hits::Grant), (When::Before, Hits::Knocking)];
    for (when, hits) in attacks {
        let Some(packets) = least(player, owner, when, &foreign) else { continue };
        let cheaper = |known: &Lockout| known.packets as usize <= packets.len();
        if !found.iter().any(cheaper) {
            found.push(told(player, owner, when, hits, &packets));
        }
        known.extend(packets);
    }
    let others: Vec<String> = foreign.into_iter().filter(|words| !known.contains(words)).collect();
    found.extend(stray(player, owner, &others));
    found
}

/// A packet that others behind the same address may send at any time, between two knocks.
fn stray(player: &mut Player<'_>, owner: &Owner, kinds: &[String]) -> Option<Lockout> {
    let places = (1..owner.knocks.len()).rev().map(When::Between);
    let (when, words) = places
        .flat_map(|when| kinds.iter().map(move |words| (when, words)))
        .find(|(when, words)| is_shut(player, owner, *when, std::slice::from_ref(*words)))?;
    Some(told(player, owner, when, Hits::Knocking, std::slice::from_ref(words)))
}

/// The kinds that the owner does not send as well.
fn foreign(owner: &Owner, kinds: &[String]) -> Vec<String> {
    let own =
        |words: &String| *words == owner.connection || owner.knocks.iter().any(|(_, knock)| knock == words);
    kinds.iter().filter(|words| !own(words)).cloned().collect()
}

/// Kinds of packets, of those with the same effect only some: as many as a policy has traps.
const ALIKE: usize = limit::TRAPS;

/// Of `kinds`, each with whether it may change anything, those that may matter to an owner: the first
/// ones, which are the widest and so wrong knocks, and those that may. Among those that take room
/// in the same memory for as long, if their source is new, [`ALIKE`] stand for all.
pub(super) fn telling(
    player: &mut Player<'_>,
    program: &Program,
    source: IpAddr,
    kinds: &[(String, bool)],
) -> Vec<String> {
    let mut seen: BTreeMap<Vec<(Memory, Moment)>, usize> = BTreeMap::new();
    let mut found: Vec<String> = kinds.iter().take(WIDEST).map(|(words, _)| words.clone()).collect();
    for (words, _) in kinds.iter().skip(WIDEST).filter(|(_, changes)| *changes) {
        let played = player.play(&Tape::of(source).then(words));
        let changes = played.iter().flat_map(|decision| &decision.changes);
        let effect: Vec<(Memory, Moment)> =
            changes.filter_map(|change| Some((Memory::of(change, program)?, until(change)?))).collect();
        let count = seen.entry(effect).or_default();
        *count += 1;
        if *count <= ALIKE {
            found.push(words.clone());
        }
    }
    found
}

/// Kinds that are tried whatever they do by themselves.
const WIDEST: usize = 8;

/// Few of `packets` that shut the owner out when they come then; `None` if none were found to.
fn least(player: &mut Player<'_>, owner: &Owner, when: When, packets: &[String]) -> Option<Vec<String>> {
    let mut left = shutting(player, owner, when, packets)?;
    let mut size = left.len().div_ceil(2);
    loop {
        let mut start = 0;
        while start < left.len() && left.len() > 1 {
            let end = (start + size).min(left.len());
            let without: Vec<String> = [&left[..start], &left[end..]].concat();
            match !without.is_empty() && is_shut(player, owner, when, &without) {
                true => left = without,
                false => start = end,
            }
        }
        if size == 1 {
            return Some(left);
        }
        size = size.div_ceil(2);
    }
}

/// All of `packets`, the other way round, or one of them: whichever shuts the owner out. All together may
/// not where one does, for some spare their source what others would bring it.
fn shutting(player: &mut Player<'_>, owner: &Owner, when: When, packets: &[String]) -> Option<Vec<String>> {
    if packets.is_empty() {
        return None;
    }
    let reversed: Vec<String> = packets.iter().rev().cloned().collect();
    let sets = [packets.to_vec(), reversed].into_iter().chain(packets.iter().map(|one| vec![one.clone()]));
    sets.into_iter().find(|set| is_shut(player, owner, when, set))
}

fn is_shut(player: &mut Player<'_>, owner: &Owner, when: When, packets: &[String]) -> bool {
    !player.ends_well(&tape(owner, when, packets))
}

/// What the owner does to get in, with the other packets at that time.
fn tape(owner: &Owner, when: When, packets: &[String]) -> Tape {
    let begun = before(owner, when).all(packets);
    match when {
        When::Before => owner.enter(begun),
        When::Between(count) => owner.knock(begun, count..owner.knocks.len()).then(&owner.connection),
        When::Granted => begun.then(&owner.connection),
        When::Connected => begun.then(&owner.connected()),
    }
}

/// What the owner has done by then.
fn before(owner: &Owner, when: When) -> Tape {
    let start = Tape::of(owner.source);
    match when {
        When::Before => start,
        When::Between(count) => owner.knock(start, 0..count),
        When::Granted => owner.knocked(),
        When::Connected => owner.enter(start),
    }
}

fn told(player: &mut Player<'_>, owner: &Owner, when: When, hits: Hits, packets: &[String]) -> Lockout {
    let tape = tape(owner, when, packets);
    let (shut, fate) = (how(when, packets), player.play(&tape).last().map_or(Fate::Drop, |last| last.fate));
    Lockout {
        packets: u32::try_from(packets.len()).unwrap_or(u32::MAX),
        lasts: lasts(player, owner, when, packets),
        hits,
        between: matches!(when, When::Between(_)),
        claim: tape.claim(format!("{shut}: {}", what(hits)), fate),
        how: shut,
    }
}

fn how(when: When, packets: &[String]) -> String {
    const SHOWN: usize = 3;
    let names = packets.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if packets.len() > SHOWN { ", ..." } else { "" };
    let moment = match when {
        When::Before => "before the owner knocks",
        When::Between(_) => "between two knocks",
        When::Granted => "while the owner has a grant",
        When::Connected => "while the owner is connected",
    };
    format!("{names}{more} in the owner's name, {moment}")
}

fn what(hits: Hits) -> &'static str {
    match hits {
        Hits::Knocking => "the knocks do not open",
        Hits::Grant => "a new connection is refused in spite of the grant",
        Hits::Connection => "the connection is cut",
    }
}

/// How long after the packets the owner's knocks do not open; `None` if they do at once.
fn lasts(player: &mut Player<'_>, owner: &Owner, when: When, packets: &[String]) -> Option<Lifetime> {
    let over = before(owner, when).all(packets);
    if player.ends_well(&owner.enter(over.clone())) {
        return None;
    }
    let began = over.now();
    let mut moments = player.expiries(&over).into_iter();
    let end = moments.find(|moment| player.ends_well(&owner.enter(over.clone().until(*moment))))?;
    Lifetime::from_millis(end.as_millis().saturating_sub(began.as_millis()))
}
