//! Who gets in with the owner, and what a listener learns.

use std::collections::BTreeSet;

use super::fill::Memory;
use super::play::{Owner, Player, Tape};
use crate::net::Family;
use crate::program::{ListId, Program};
use crate::sim::{Change, Decision};
use crate::time::Lifetime;

/// What the knocks of a door put the owner on, and what that lets in.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    /// Lists that the last knock put the owner on, each with how long.
    pub lists: Vec<(ListId, Lifetime)>,
    /// Of the packets that were asked about, those that are let in then.
    pub opened: BTreeSet<String>,
    /// What the knocks took room in.
    pub rooms: BTreeSet<Memory>,
}

/// What `owner` has after all knocks. `packets` are asked about, each by itself.
pub(super) fn granted(
    player: &mut Player<'_>,
    program: &Program,
    owner: &Owner,
    packets: &[String],
) -> Granted {
    let knocked = owner.knocked();
    let decisions = player.play(&knocked);
    let lists = decisions.last().map(|last| added(last, &knocked)).unwrap_or_default();
    let changes = decisions.iter().flat_map(|decision| &decision.changes);
    let rooms = changes.filter_map(|change| Memory::of(change, program)).collect();
    let opened =
        packets.iter().filter(|words| player.ends_well(&knocked.clone().then(words))).cloned().collect();
    Granted { lists, opened, rooms }
}

fn added(decision: &Decision<'_>, tape: &Tape) -> Vec<(ListId, Lifetime)> {
    let of = |change: &Change| match change {
        Change::Added(list, until) => {
            Some((*list, Lifetime::from_millis(until.as_millis() - tape.now().as_millis())?))
        }
        _ => None,
    };
    decision.changes.iter().filter_map(of).collect()
}

/// Who else gets in, a sentence each.
pub(super) fn company(
    granted: &Granted,
    program: &Program,
    services: &str,
    grant: Option<Lifetime>,
) -> Vec<String> {
    let lists = granted.lists.iter().filter(|(list, _)| program[*list].timed.is_some());
    // Others than the grant's may last longer, for what comes after it.
    let most = lists.max_by_key(|(_, lifetime)| (Some(*lifetime) == grant, *lifetime));
    let Some((list, lifetime)) = most else { return vec![] };
    let v6_bits = program[*list].timed.map_or(128, |timed| timed.v6_bits);
    let v6 = match v6_bits {
        128 => "over IPv6, the owner's one address alone".to_owned(),
        bits => format!("over IPv6, the owner's whole /{bits}"),
    };
    vec![
        format!(
            "for {lifetime}, to {services}: over IPv4, everybody behind the owner's public address (the same NAT, the same hotel); {v6}"
        ),
        "connections that were made in that time go on after it, for as long as they last".to_owned(),
    ]
}

/// What someone learns who sees the owner's packets, a sentence each.
pub(super) fn listener(owner: &Owner) -> Vec<String> {
    let family = match Family::of(owner.source) {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    let packets = owner.knocks.len() + 1;
    vec![
        format!(
            "everything: the knocks are in the clear. over {family}, {packets} packets from any address open the door, until the knocks are changed"
        ),
        "nothing is signed, so neither the gateway nor its owner can tell a listener from the owner"
            .to_owned(),
    ]
}
