//! Chains that differ in one number alone are written once.
//!
//! Doors that are knocked at alike have chains that only move a source to another position, or only put it on
//! another list of a pool; services have chains that only let in who is on another list. A thousand doors have
//! thousands of them, and the kernel takes its time for each rule. Where arms of one switch lead to several such
//! chains, they all lead to the first. The number is found in a map, by what the switch goes by, and written into
//! the packet's mark if it is a position, and into its priority if it is the tag of a list. What each of the chains
//! would count, elements count: those of that map, or those of a set where not all that is looked up is let in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::actions::Action;
use super::conditions::{Protocols, Way};
use super::told::{Counted, Told, telling};
use super::words::{End, masked, nfproto};
use super::{BY_PORT, BY_POSITION, Printer, Set, leads_on, line, numbered, removed};
use crate::hash::fnv1a_32;
use crate::net::Family;
use crate::program::{
    Chain, ChainId, Condition, Effect, Expiry, Hook, ListId, PoolId, Program, Switch, Timed, TrackId, Verdict,
};
use crate::time::Lifetime;

/// The chains of a program that are written as one with others.
pub(super) struct Alike<'p> {
    /// The one that each of them is written as, itself perhaps.
    written_as: HashMap<ChainId, ChainId>,
    /// Those that are written.
    written: BTreeMap<ChainId, Written<'p>>,
}

/// What stands for several chains.
struct Written<'p> {
    switch: &'p Switch,
    /// What its arms are found by.
    gone_by: &'static str,
    deed: Deed<'p>,
    /// The first of them is the one that is written.
    members: BTreeMap<ChainId, Member>,
    /// The marks of packets that come by any of them, which tell them apart.
    marks: BTreeSet<u32>,
    /// The map of the numbers. Its name is that of the switch and of what the numbers stand for, so that a
    /// packet that is still at the rules of another program finds its number there, or none.
    map: String,
    /// Of what the chains are for and their numbers.
    origin: u32,
}

struct Member {
    number: u32,
    /// The marks of packets that come by it, where they tell it from the others.
    marks: Vec<u32>,
}

/// What a chain does, but for the number.
#[derive(Clone, PartialEq)]
enum Deed<'p> {
    Move {
        track: TrackId,
        lifetime: Lifetime,
    },
    Add {
        pool: PoolId,
        v6_bits: u8,
        lifetime: Lifetime,
        expiry: Expiry,
    },
    /// To let in who is on a list, if all else holds too.
    Admit {
        pool: PoolId,
        v6_bits: u8,
        when: Vec<&'p Condition>,
    },
}

impl<'p> Alike<'p> {
    pub(super) fn of(program: &'p Program) -> Self {
        let removed = removed(program);
        let hooks = program.hooks();
        let mut positions = positions(program);
        let mut found: HashMap<_, Vec<Written<'p>>> = HashMap::new();
        for (id, (place, switch)) in led_to_by_one_switch(program) {
            let Some((deed, then, number)) = reading(program, &program[id], &removed) else { continue };
            let (gone_by, marks) = match (switch, &deed) {
                (Switch::TrackPort(..), Deed::Move { .. }) => (BY_POSITION, vec![number]),
                // It has the number of the position that the source was at.
                (Switch::TrackPort(..), Deed::Add { .. }) => {
                    (BY_POSITION, positions.remove(&id).unwrap_or_default())
                }
                (Switch::Port(_), Deed::Move { .. }) => (BY_PORT, vec![number]),
                // Who is let in keeps the mark. The priority says in which order packets leave, so it is nothing to
                // one for the gateway itself, unless a socket asks for it (SO_RCVPRIORITY, Linux 6.14) or it is
                // taken out of a tunnel and sent on.
                (Switch::Port(_), Deed::Admit { .. })
                    if hooks[id.index()].iter().all(|hook| *hook == Hook::Input) =>
                {
                    (BY_PORT, vec![])
                }
                // A packet has its own mark where it comes to no track.
                _ => continue,
            };
            let group = found.entry((place, then)).or_default();
            let fits = |written: &Written<'p>| {
                written.deed == deed && marks.iter().all(|mark| !written.marks.contains(mark))
            };
            let found_at = match group.iter().position(fits) {
                Some(place) => place,
                None => {
                    let from = numbered(&program.chains()[place.chain], place.rule);
                    let map = format!("{from}.{}", deed.name(program));
                    let (members, marks) = (BTreeMap::new(), BTreeSet::new());
                    group.push(Written { switch, gone_by, deed, members, marks, map, origin: 0 });
                    group.len() - 1
                }
            };
            let written = &mut group[found_at];
            written.marks.extend(&marks);
            written.members.insert(id, Member { number, marks });
        }
        let worth_it = |group: &Written<'_>| group.members.len() >= group.deed.fewest();
        let mut found: Vec<_> = found.into_values().flatten().filter(worth_it).collect();
        found.sort_by_key(|group| group.first());
        let mut alike = Self { written_as: HashMap::new(), written: BTreeMap::new() };
        let mut maps = BTreeMap::<String, u32>::new();
        for mut written in found {
            let times = maps.entry(written.map.clone()).or_default();
            *times += 1;
            if *times > 1 {
                written.map += &format!(".{times}");
            }
            let what = |id: ChainId| &program[id].rules[0].origin.what;
            let members = written.members.iter();
            let said = members.map(|(id, member)| format!("{} {}\n", member.number, what(*id)));
            written.origin = fnv1a_32(said.collect::<String>().as_bytes());
            let first = written.first();
            alike.written_as.extend(written.members.keys().map(|id| (*id, first)));
            alike.written.insert(first, written);
        }
        alike
    }

    /// The chain that is written for this one: itself, mostly.
    pub(super) fn written(&self, chain: ChainId) -> ChainId {
        self.written_as.get(&chain).copied().unwrap_or(chain)
    }

    /// What is told of a chain that another one stands for, or itself: one thing for each mark of packets.
    pub(super) fn told(&self, chain: ChainId) -> Option<Vec<Told>> {
        let first = *self.written_as.get(&chain)?;
        let written = self.written.get(&first)?;
        let place = Counted { chain: first.index(), rule: 0 };
        let marks = written.members.get(&chain)?.marks.iter();
        Some(marks.map(|mark| Told::by_mark(place, written.origin, *mark)).collect())
    }

    /// The chain that stands for all arms of a switch.
    fn all_of(&self, switch: &Switch) -> Option<&Written<'p>> {
        let mut arms = switch.targets().into_iter();
        let first = *self.written_as.get(&arms.next()?)?;
        arms.all(|arm| self.written(arm) == first).then(|| self.written.get(&first)).flatten()
    }
}

impl Written<'_> {
    fn first(&self) -> ChainId {
        *self.members.keys().next().expect("none has no members")
    }

    /// Finds the number.
    fn finding(&self) -> String {
        let (word, _) = self.deed.held();
        format!("meta {word} set {} map @{}", self.gone_by, self.map)
    }

    /// The set whose elements count who is let in.
    fn counting(&self) -> String {
        format!("{}-let-in", self.map)
    }
}

impl Deed<'_> {
    /// Where the numbers belong, and for how long.
    fn name(&self, program: &Program) -> String {
        match self {
            Self::Move { track, lifetime } => format!("{}-{lifetime}", program[*track].name),
            Self::Add { pool, lifetime, .. } => format!("{}-{lifetime}", program[*pool].name),
            Self::Admit { pool, .. } => program[*pool].name.to_string(),
        }
    }

    /// So many chains at least are written as one. To let in takes two look-ups more then, and a few rules load
    /// fast.
    fn fewest(&self) -> usize {
        match self {
            Self::Move { .. } | Self::Add { .. } => 2,
            Self::Admit { .. } => 4,
        }
    }

    /// What of a packet has the number, and the type of that.
    fn held(&self) -> (&'static str, &'static str) {
        match self {
            Self::Move { .. } => ("mark", "mark"),
            Self::Add { .. } | Self::Admit { .. } => ("priority", "classid"),
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

/// The numbers of the positions at which switches lead to a chain, each once.
fn positions(program: &Program) -> HashMap<ChainId, Vec<u32>> {
    let mut found: HashMap<ChainId, Vec<u32>> = HashMap::new();
    let rules = program.chains().iter().flat_map(|chain| &chain.rules);
    for rule in rules {
        let Some(Verdict::Switch(Switch::TrackPort(_, arms))) = &rule.verdict else { continue };
        for ((position, _), chain) in arms {
            let of = found.entry(*chain).or_default();
            // Arms are sorted by position.
            if of.last() != Some(&position.number()) {
                of.push(position.number());
            }
        }
    }
    found
}

/// What a chain does, where it goes on to after that, and the number; nothing for one that does more.
fn reading<'p>(
    program: &'p Program,
    chain: &'p Chain,
    removed: &BTreeSet<ListId>,
) -> Option<(Deed<'p>, Vec<ChainId>, u32)> {
    let (does, more) = chain.rules.split_first()?;
    if chain.hook.is_some() {
        return None;
    }
    let then = more.iter().map(|rule| match &rule.verdict {
        Some(Verdict::Jump(target)) if rule.when.is_empty() && leads_on(rule) => Some(*target),
        _ => None,
    });
    let plain = |list: ListId| {
        let timed = program[list].timed?;
        let plain = program[timed.pool].shared && program[list].fixed.is_empty() && !removed.contains(&list);
        plain.then_some(timed)
    };
    let (deed, number) = match (&does.when[..], &does.then[..], &does.verdict) {
        ([], [Effect::Move { track, position, lifetime }], None) => {
            (Deed::Move { track: *track, lifetime: *lifetime }, position.number())
        }
        ([], [Effect::Add { list, lifetime, expiry }], None) => {
            let Timed { pool, tag, v6_bits } = plain(*list)?;
            (Deed::Add { pool, v6_bits, lifetime: *lifetime, expiry: *expiry }, tag.get())
        }
        ([Condition::Listed(list), when @ ..], [], Some(Verdict::Accept)) => {
            let Timed { pool, tag, v6_bits } = plain(*list)?;
            (Deed::Admit { pool, v6_bits, when: when.iter().collect() }, tag.get())
        }
        _ => return None,
    };
    Some((deed, then.collect::<Option<_>>()?, number))
}

impl Printer<'_> {
    /// Finds the arm of a switch in the map of this name, or in that of its only chain.
    pub(super) fn arm(&self, switch: &Switch, gone_by: &str, name: &str) -> String {
        match self.alike.all_of(switch) {
            Some(only) => format!("{} goto {}", only.finding(), self.name(only.first())),
            None => format!("{gone_by} vmap @{name}"),
        }
    }

    /// Whether a switch needs a map of its own.
    pub(super) fn has_map(&self, switch: &Switch) -> bool {
        self.alike.all_of(switch).is_none()
    }

    /// The map of each chain that stands for others, and the set that counts for it, with their elements.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (Set, Vec<String>)> {
        self.alike.written.values().flat_map(|written| {
            let let_in = matches!(written.deed, Deed::Admit { .. }) && self.live.is_some();
            let counts = self.live.is_some() && !let_in;
            let set =
                |name, data, counts| Set { name, key: String::new(), data, fixed: true, size: None, counts };
            let (_, data) = written.deed.held();
            let map = set(written.map.clone(), Some(data), counts);
            let counting = let_in.then(|| set(written.counting(), None, true));
            std::iter::once(map).chain(counting).filter_map(|set| self.filled(set, written))
        })
    }

    /// A map or set with an element for each arm of a switch that leads to what stands for others.
    fn filled(&self, set: Set, written: &Written<'_>) -> Option<(Set, Vec<String>)> {
        let (key, arms) = self.arms(written.switch)?;
        let says = set.counts || self.live.is_none();
        let elements = arms.into_iter().filter_map(|(key, chain)| {
            let number = written.members.get(&chain)?.number;
            let rule = Counted { chain: chain.index(), rule: 0 };
            let about = || self.comments(rule, &self.program[chain].rules[0].origin.what).0;
            let about = if says { about() } else { String::new() };
            let counter = if set.counts { " counter" } else { "" };
            let number = set.data.map(|_| format!(" : 0x{number:08x}")).unwrap_or_default();
            Some(format!("{key}{counter}{about}{number}"))
        });
        let elements = elements.collect();
        Some((Set { key: key.to_owned(), ..set }, elements))
    }

    /// The lines of the first rule of a chain that stands for others, if it is one.
    pub(super) fn written_once(&self, id: ChainId) -> Option<String> {
        let written = self.alike.written.get(&id)?;
        let rule = self.program[id].rules.first()?;
        let place = Counted { chain: id.index(), rule: 0 };
        let like_it = written.members.len() - 1;
        let (_, about) = self.comments(place, &format!("{}, and {like_it} like it", rule.origin.what));
        let mut effects = written.members.keys().flat_map(|id| &self.program[*id].rules[0].then);
        let told = self.alike.told(id).filter(|_| self.live.is_some_and(|tells| effects.any(tells)));
        let told = told.and_then(|told| told.first().copied());
        let find = if self.has_map(written.switch) { written.finding() + " " } else { String::new() };
        let mut lines = String::new();
        for family in Family::BOTH {
            let source = |v6_bits| format!("{} . meta priority", masked(End::Source, family, v6_bits));
            let actions = match &written.deed {
                Deed::Move { track, lifetime } => {
                    vec![self.moving(*track, "meta mark", *lifetime, family)]
                }
                Deed::Add { pool, v6_bits, lifetime, expiry } => {
                    vec![self.adding(*pool, &source(*v6_bits), *lifetime, *expiry, family)]
                }
                Deed::Admit { pool, v6_bits, when } => {
                    let listed = format!("{} @{}", source(*v6_bits), self.pool(*pool, family));
                    let counted = format!("{} @{} accept", written.gone_by, written.counting());
                    let accept = if self.live.is_some() { counted } else { "accept".to_owned() };
                    let listed = Way { text: listed, protocols: Protocols::PORTS };
                    let ways = self.ways_of_all(when.iter().copied(), family, true);
                    let ways = ways.iter().filter_map(|way| listed.and(way));
                    ways.map(|way| format!("{} {accept}", way.text)).collect()
                }
            };
            for action in actions {
                let telling = told.map(|told| telling(told, family, written.members.len()));
                let action = Action::any(format!("{find}{action}")).and_then(telling);
                line(&mut lines, &format!("meta nfproto {}", nfproto(family)), &action.text, &about);
            }
        }
        Some(lines)
    }
}
