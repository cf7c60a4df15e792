//! Which rule counted a packet, and which effect was done for one, as the kernel tells it.

use std::fmt;

use super::EVENTS;
use super::alike::Alike;
use super::words::quoted;
use crate::hash::fnv1a_32;
use crate::net::Family;
use crate::program::{Effect, Program, Rule};

/// The rule that a counter is of. It stands before the rule's comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counted {
    /// The place of its chain in [`Program::chains`].
    pub chain: usize,
    /// Its place in the chain, from 0.
    pub rule: usize,
}

impl Counted {
    /// The rule whose comment this is, if it is one of [`print_live`](super::print_live).
    pub fn of_comment(comment: &str) -> Option<Self> {
        let (place, _) = comment.split_once(' ')?;
        Self::of_place(place.strip_prefix([FIRST, ON_TRIAL])?)
    }

    fn of_place(place: &str) -> Option<Self> {
        let (chain, rule) = place.split_once('.')?;
        Some(Self { chain: chain.parse().ok()?, rule: rule.parse().ok()? })
    }
}

/// What the comment of a rule's first line for what meets its conditions begins with.
pub(super) const FIRST: char = '#';
/// What those of its other lines begin with.
pub(super) const OTHER: char = '+';
/// What those of an [`OnTrial`](super::OnTrial) begin with.
pub(super) const ON_TRIAL: char = '?';
/// What the prefix in the packet log begins with where the packet's mark tells the rest.
const BY_MARK: char = '*';

/// Whether a rule with this comment is one of [`Ruleset::on_trial`](super::Ruleset::on_trial).
pub fn is_on_trial(comment: &str) -> bool {
    comment.starts_with(ON_TRIAL) && Counted::of_comment(comment).is_some()
}

/// An effect that was done for a packet, as its prefix in the packet log says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Told {
    /// The rule.
    pub rule: Counted,
    /// The place of the effect in [`Rule::then`].
    pub effect: usize,
    /// Of what the rule is for, so that a rule of another program is not taken for this one.
    origin: u32,
    /// Where one rule is written for several: what the packet is marked with, which tells them apart.
    mark: Option<u32>,
}

impl Told {
    /// Every effect that [`print_live`](super::print_live) can have told: what puts a source somewhere. Taking it
    /// off is not, for a wrong knock takes off whoever knocks, and most were nowhere.
    pub fn all(program: &Program) -> impl Iterator<Item = (Self, &Effect)> {
        let alike = Alike::of(program);
        program.chains_with_ids().flat_map(move |(id, chain)| {
            let by_mark = alike.told(id);
            let rules = chain.rules.iter().enumerate().flat_map(|(rule, what)| {
                let place = Counted { chain: id.index(), rule };
                let effects = what.then.iter().enumerate();
                let by_mark = &by_mark;
                effects.flat_map(move |(effect, done)| {
                    let alone = || Self::of(place, what, effect).into_iter().collect();
                    by_mark.clone().unwrap_or_else(alone).into_iter().map(move |told| (told, done))
                })
            });
            rules.collect::<Vec<_>>()
        })
    }

    pub(super) fn of(rule: Counted, what: &Rule, effect: usize) -> Option<Self> {
        let tells = matches!(what.then[effect], Effect::Add { .. } | Effect::Move { .. });
        tells.then(|| Self { rule, effect, origin: fnv1a_32(what.origin.what.as_bytes()), mark: None })
    }

    /// The only effect of a rule that stands for several, of which this number tells one.
    pub(super) fn by_mark(rule: Counted, origin: u32, mark: u32) -> Self {
        Self { rule, effect: 0, origin, mark: Some(mark) }
    }

    /// The effect whose prefix this is, of a packet with this mark, if it is one of ours.
    pub fn of_prefix(prefix: &str, mark: u32) -> Option<Self> {
        let (place, rest) = prefix.split_once(' ')?;
        let (effect, origin) = rest.split_once(' ')?;
        let (place, mark) = match place.strip_prefix(BY_MARK) {
            Some(place) => (place, Some(mark)),
            None => (place.strip_prefix(FIRST)?, None),
        };
        let (effect, origin) = (effect.parse().ok()?, u32::from_str_radix(origin, 16).ok()?);
        Some(Self { rule: Counted::of_place(place)?, effect, origin, mark })
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule: Counted { chain, rule }, effect, origin, mark } = self;
        let first = if mark.is_some() { BY_MARK } else { FIRST };
        write!(f, "{first}{chain}.{rule} {effect} {origin:08x}")
    }
}

/// Has an effect told, as far as there is room in its limit. It stands last in its line, so that neither a
/// full list nor the limit keeps anything else from being done; and each line has a limit of its own, so
/// that a flood of first knocks hides no grant. Of the packet, its source is told and no port. So many `effects`
/// are written in that line.
pub(super) fn telling(told: Told, family: Family, effects: usize) -> String {
    let bytes = match family {
        Family::V4 => 16,
        Family::V6 => 24,
    };
    let prefix = quoted(&told.to_string());
    let room = effects.clamp(1, MOST_TOLD);
    let (rate, burst) = (TOLD_A_SECOND * room, TOLD_AT_ONCE * room);
    let limit = format!("limit rate {rate}/second burst {burst} packets");
    format!("{limit} log prefix {prefix} group {EVENTS} snaplen {bytes}")
}

/// How often an effect is told. People read no faster, and a single process still reads it all.
pub(super) const TOLD_A_SECOND: usize = 20;

/// How often it is told in a row, when many come at one moment.
pub(super) const TOLD_AT_ONCE: usize = 40;

/// Of the effects that are written in one line, so many have room beside each other.
const MOST_TOLD: usize = 10;
