//! Chains that differ in one number alone are written once.
//!
//! Doors that are knocked at alike have chains that only move a source to another position, or only put it on
//! another list of a pool. A thousand doors have thousands of them, and the kernel takes its time for each
//! rule. Where arms of one switch lead to several such chains, they all lead to the first. The number is found in
//! a map, by what the switch goes by, and written into the packet's mark. What each of the chains would count,
//! the elements of that map count.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::told::{Counted, Told, telling};
use super::words::{End, masked, nfproto};
use super::{BY_PORT, BY_POSITION, Printer, Set, leads_on, line, numbered, removed};
use crate::hash::fnv1a_32;
use crate::net::Family;
use crate::program::{
    Chain, ChainId, Effect, Expiry, ListId, PoolId, Program, Switch, Timed, TrackId, Verdict,
};
use crate::time::Lifetime;

/// The chains of a program that are written as one with others.
pub(super) struct Alike<'p> {
    /// The one that each of them is written as, itself perhaps, and its own number.
    members: HashMap<ChainId, (ChainId, u32)>,
    /// Those that are written.
    written: BTreeMap<ChainId, Written<'p>>,
}

/// What stands for several chains.
struct Written<'p> {
    switch: &'p Switch,
    /// What its arms are found by.
    gone_by: &'static str,
    deed: Deed,
    /// The chains with their numbers, the first of them first.
    members: Vec<(ChainId, u32)>,
    /// The map of the numbers. Its name is that of the switch and of what the numbers stand for, so that a
    /// packet that is still at the rules of another program finds its number there, or none.
    map: String,
    /// Of what the chains are for and their numbers.
    origin: u32,
}

/// What a chain does, but for the number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Deed {
    Move { track: TrackId, lifetime: Lifetime },
    Add { pool: PoolId, v6_bits: u8, lifetime: Lifetime, expiry: Expiry },
}

impl<'p> Alike<'p> {
    pub(super) fn of(program: &'p Program) -> Self {
        let removed = removed(program);
        let mut groups: HashMap<_, Written<'p>> = HashMap::new();
        for (id, (place, switch)) in led_to_by_one_switch(program) {
            let Some((deed, then, number)) = reading(program, &program[id], &removed) else { continue };
            let gone_by = match (switch, deed) {
                (Switch::TrackPort(..), _) => BY_POSITION,
                (Switch::Port(_), Deed::Move { .. }) => BY_PORT,
                // A packet has its own mark where it comes to no track.
                (Switch::Port(_), Deed::Add { .. }) | (Switch::Echo(_) | Switch::TrackEcho(..), _) => {
                    continue;
                }
            };
            let group = groups.entry((place, deed, then)).or_insert_with(|| {
                let from = numbered(&program.chains()[place.chain], place.rule);
                let map = format!("{from}.{}", deed.name(program));
                Written { switch, gone_by, deed, members: vec![], map, origin: 0 }
            });
            group.members.push((id, number));
        }
        let mut groups: Vec<_> = groups.into_values().filter(|group| group.members.len() > 1).collect();
        groups.sort_by_key(|group| group.members[0]);
        let mut alike = Self { members: HashMap::new(), written: BTreeMap::new() };
        let mut maps = BTreeMap::<String, u32>::new();
        for mut written in groups {
            let times = maps.entry(written.map.clone()).or_default();
            *times += 1;
            if *times > 1 {
                written.map += &format!(".{times}");
            }
            let what = |id: ChainId| &program[id].rules[0].origin.what;
            let said = written.members.iter().map(|(id, number)| format!("{number} {}\n", what(*id)));
            written.origin = fnv1a_32(said.collect::<String>().as_bytes());
            let (first, _) = written.members[0];
            alike.members.extend(written.members.iter().map(|(id, number)| (*id, (first, *number))));
            alike.written.insert(first, written);
        }
        alike
    }

    /// The chain that is written for this one: itself, mostly.
    pub(super) fn written(&self, chain: ChainId) -> ChainId {
        self.member(chain).map_or(chain, |(written, _)| written)
    }

    /// The chain that stands for this one, and the number of this one.
    pub(super) fn member(&self, chain: ChainId) -> Option<(ChainId, u32)> {
        self.members.get(&chain).copied()
    }

    /// What is told of a chain that another one stands for, or itself.
    pub(super) fn told(&self, chain: ChainId) -> Option<Told> {
        let (written, mark) = self.member(chain)?;
        let place = Counted { chain: written.index(), rule: 0 };
        Some(Told::by_mark(place, self.written.get(&written)?.origin, mark))
    }

    /// The chain that stands for all arms of a switch.
    fn all_of(&self, switch: &Switch) -> Option<&Written<'p>> {
        let mut arms = switch.targets().into_iter();
        let (first, _) = self.member(arms.next()?)?;
        arms.all(|arm| self.written(arm) == first).then(|| self.written.get(&first)).flatten()
    }
}

impl Deed {
    /// Where the numbers belong, and for how long.
    fn name(self, program: &Program) -> String {
        match self {
            Self::Move { track, lifetime } => format!("{}-{lifetime}", program[track].name),
            Self::Add { pool, lifetime, .. } => format!("{}-{lifetime}", program[pool].name),
        }
    }
}

/// The chains that only one rule leads to, a switch, with its place.
fn led_to_by_one_switch(program: &Program) -> impl Iterator<Item = (ChainId, (Counted, &Switch))> {
    let mut ways: BTreeMap<ChainId, Option<(Counted, &Switch)>> = BTreeMap::new();
    for (id, chain) in program.chains_with_ids() {
        for (rule, what) in chain.rules.iter().enumerate() {
            let place = Counted { chain: id.index(), rule };
            match &what.verdict {
                Some(Verdict::Jump(target)) => {
                    ways.insert(*target, None);
                }
                Some(Verdict::Switch(switch)) => {
                    for target in switch.targets() {
                        let way = ways.entry(target).or_insert(Some((place, switch)));
                        *way = way.filter(|(other, _)| *other == place);
                    }
                }
                _ => {}
            }
        }
    }
    ways.into_iter().filter_map(|(id, way)| Some((id, way?)))
}

/// What a chain does, where it goes on to after that, and the number; nothing for one that does more.
fn reading(
    program: &Program,
    chain: &Chain,
    removed: &BTreeSet<ListId>,
) -> Option<(Deed, Vec<ChainId>, u32)> {
    let (does, more) = chain.rules.split_first()?;
    let [effect] = &does.then[..] else { return None };
    if !does.when.is_empty() || does.verdict.is_some() || chain.hook.is_some() {
        return None;
    }
    let then = more.iter().map(|rule| match &rule.verdict {
        Some(Verdict::Jump(target)) if rule.when.is_empty() && leads_on(rule) => Some(*target),
        _ => None,
    });
    let (deed, number) = match effect {
        Effect::Move { track, position, lifetime } => {
            (Deed::Move { track: *track, lifetime: *lifetime }, position.number())
        }
        Effect::Add { list, lifetime, expiry } => {
            let Timed { pool, tag, v6_bits } = program[*list].timed?;
            let plain = program[pool].shared && program[*list].fixed.is_empty() && !removed.contains(list);
            if !plain {
                return None;
            }
            let deed = Deed::Add { pool, v6_bits, lifetime: *lifetime, expiry: *expiry };
            (deed, tag.get())
        }
        _ => return None,
    };
    Some((deed, then.collect::<Option<_>>()?, number))
}

impl Printer<'_> {
    /// Finds the arm of a switch in the map of this name, or in that of its only chain.
    pub(super) fn arm(&self, switch: &Switch, gone_by: &str, name: &str) -> String {
        match self.alike.all_of(switch) {
            Some(only) => {
                format!("meta mark set {gone_by} map @{} goto {}", only.map, self.name(only.members[0].0))
            }
            None => format!("{gone_by} vmap @{name}"),
        }
    }

    /// Whether a switch needs a map of its own.
    pub(super) fn has_map(&self, switch: &Switch) -> bool {
        self.alike.all_of(switch).is_none()
    }

    /// The map of each chain that stands for others, with its elements.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (Set, Vec<String>)> {
        self.alike.written.iter().filter_map(|(first, Written { switch, map, .. })| {
            let (key, arms) = self.arms(switch)?;
            let counts = self.live.is_some();
            let counter = if counts { " counter" } else { "" };
            let elements = arms.into_iter().filter_map(|(key, chain)| {
                let (_, number) = self.alike.member(chain).filter(|(written, _)| written == first)?;
                let rule = Counted { chain: chain.index(), rule: 0 };
                let (about, _) = self.comments(rule, &self.program[chain].rules[0].origin.what);
                Some(format!("{key}{counter}{about} : 0x{number:08x}"))
            });
            let name = map.clone();
            let set = Set { name, key: key.to_owned(), data: Some("mark"), fixed: true, size: None, counts };
            Some((set, elements.collect()))
        })
    }

    /// The lines of the first rule of a chain that stands for others, if it is one.
    pub(super) fn written_once(&self, id: ChainId) -> Option<String> {
        let Written { switch, gone_by, deed, members, map, .. } = self.alike.written.get(&id)?;
        let rule = self.program[id].rules.first()?;
        let place = Counted { chain: id.index(), rule: 0 };
        let (_, about) =
            self.comments(place, &format!("{}, and {} like it", rule.origin.what, members.len() - 1));
        let mut effects = members.iter().flat_map(|(id, _)| &self.program[*id].rules[0].then);
        let told = self.alike.told(id).filter(|_| self.live.is_some_and(|tells| effects.any(tells)));
        let find = match self.has_map(switch) {
            true => format!("meta mark set {gone_by} map @{map} "),
            false => String::new(),
        };
        let mut lines = String::new();
        for family in Family::BOTH {
            let done = match *deed {
                Deed::Move { track, lifetime } => self.moving(track, "meta mark", lifetime, family),
                Deed::Add { pool, v6_bits, lifetime, expiry } => {
                    let key = format!("{} . meta mark", masked(End::Source, family, v6_bits));
                    self.adding(pool, &key, lifetime, expiry, family)
                }
            };
            let telling = told.map(|told| format!(" {}", telling(told, family, members.len())));
            let action = format!("{find}{done}{}", telling.unwrap_or_default());
            line(&mut lines, &format!("meta nfproto {}", nfproto(family)), &action, &about);
        }
        Some(lines)
    }
}
