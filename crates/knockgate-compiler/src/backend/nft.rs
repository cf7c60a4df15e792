//! nftables (`man nft`, 1.0.6 and later): one table, `inet knockgate`.
//!
//! - A timed list is a `dynamic,timeout` set per family. Lists that share a pool share its set,
//!   whose second key is the list's tag; the tag is written `meta priority & 0x0 | TAG`, for nft 1.0.6
//!   takes no constant in a concatenation.
//! - A list that people manage is two sets per family, which are empty here: a hash of single sources,
//!   as [`single_bits`] counts them, and an `interval,timeout` set of networks, for adding to a large
//!   set of intervals takes long.
//! - A track is a map per family from source to position. To look up a position together with a
//!   port, it is put into the packet's mark, the only register that a rule can name; so a packet
//!   that comes to a track's switch, or is moved on a track, may lose its own mark, and its priority where
//!   that puts it on a list. In a program made from a policy such a packet is always dropped.
//! - Chains that differ in one number alone are written once, with the number in a map, and in the packet's
//!   mark or priority (`alike.rs`).
//! - A rule whose effects could break off (adding to a full set does) before its verdict has them
//!   in a chain of its own, so that nothing that follows is ever skipped.
//! - What has expired or was removed takes up room until the kernel collects it, within a second
//!   (nft_set_hash.c, `nft_rhash_gc`). So a full list stays full for as long, and moving a source on
//!   a full track, which is a removal and an addition, takes it off the track. So does moving one
//!   source some thirty times within a second (6.18), for its bucket is full.

mod actions;
mod alike;
mod conditions;
mod told;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::Unsayable;
use crate::hash::fnv1a_64;
use crate::net::Family;
use crate::program::{
    Chain, ChainId, Condition, Effect, Hook, List, ListId, PoolId, Program, Refusal, Rule, Switch, Timed,
    TrackId, Verdict,
};
use crate::time::Lifetime;
use actions::COUNTER;
use alike::Alike;
pub use told::{Counted, Told, is_on_trial};
use told::{FIRST, ON_TRIAL, OTHER};
use words::{End, comment, digit, has, identifier, joined, masked, pair, quoted, static_name};
pub use words::{set_name, single_bits, single_name};

/// The table that is ours, and the only one ever touched.
pub const TABLE: &str = "inet knockgate";
/// A chain that no packet enters; the comment of its only rule tells which ruleset is loaded.
pub const ABOUT: &str = "about";
/// The sets, one for each family, of who tries a ruleset out: the source of their session, and the port
/// that it came in by. Rules never add to it.
pub const RESCUE: &str = "rescue";
/// The sets of the connections that [`RESCUE`] alone let in: their sources with their ports.
pub const RESCUED: &str = "rescued";

/// The mark of a connection that a person cut; no other connection is marked. It stands for
/// [`Condition::Cut`].
pub const CUT: u32 = 0x6b67_6375;

/// The group of the kernel's packet log that effects are told to (`man 8 nft`, LOG STATEMENT). Programs that
/// listen to such groups begin at 0, so a number of two letters is taken by nobody.
pub const EVENTS: u16 = u16::from_be_bytes(*b"kg");

/// A ruleset, in text and in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// What `nft -f` loads into an empty table, or into one whose rules were flushed.
    pub text: String,
    /// Tells it from every other ruleset: the comment of the rule in [`ABOUT`].
    pub fingerprint: String,
    /// The sets and maps that it declares.
    pub sets: Vec<Set>,
    /// The chains that it declares.
    pub chains: Vec<String>,
    /// What is there for as long as somebody tries it out: most packets come by there.
    pub on_trial: Vec<OnTrial>,
}

/// A rule that lets in who is in the sets of [`RESCUE`], or leads to such rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnTrial {
    /// Its chain.
    pub chain: String,
    /// What it says.
    pub rule: String,
    /// What the chain's other rules say, which come before and are always there. None of them counts.
    pub behind: Vec<String>,
}

/// A named set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// Its key type, as in `ipv4_addr . classid`.
    pub key: String,
    /// For a map, the type of its data.
    pub data: Option<&'static str>,
    /// Whether it is filled by the ruleset itself, not by packets.
    pub fixed: bool,
    /// Entries it may have, unless it is fixed.
    pub size: Option<u32>,
    /// Whether its elements count the packets that are looked up.
    pub counts: bool,
}

impl Ruleset {
    /// Whether somebody who tries it out can be let in.
    pub fn rescues(&self) -> bool {
        self.sets.iter().any(|set| set.name == format!("{RESCUE}4") && set.key.ends_with(" . inet_service"))
    }

    /// The text with rules that have counted already: the first line of each rule that counts begins with
    /// the packets and bytes that `of` tells.
    pub fn counting_from(&self, of: impl Fn(Counted) -> (u64, u64)) -> String {
        let mut told = BTreeSet::new();
        let mut begin = |rule| if told.insert(rule) { of(rule) } else { (0, 0) };
        let lines = self
            .text
            .lines()
            .map(|line| counting(line, &mut begin).unwrap_or_else(|| line.to_owned()) + "\n");
        lines.collect()
    }
}

/// A line of a rule with a counter that begins with packets and bytes; `None` for every other line.
fn counting(line: &str, begin: &mut impl FnMut(Counted) -> (u64, u64)) -> Option<String> {
    let (rule, about) = line.rsplit_once(" comment \"")?;
    let words = format!("{rule} ");
    let counter = words.find("\tcounter ").or_else(|| words.find(" counter "))? + 1;
    let (before, after) = words.split_at(counter);
    // What stands between quotes is a name.
    if before.matches('"').count() % 2 == 1 {
        return None;
    }
    let (packets, bytes) = begin(Counted::of_comment(about)?);
    let after = after.strip_prefix("counter ")?;
    Some(format!("{before}counter packets {packets} bytes {bytes} {after}comment \"{about}"))
}

impl Set {
    /// `set` or `map`.
    pub fn kind(&self) -> &'static str {
        if self.data.is_some() { "map" } else { "set" }
    }
}

/// The ruleset of `program`, or everything in it that a ruleset cannot say. A program made from a
/// policy has nothing of that kind.
pub fn print(program: &Program) -> Result<Ruleset, Vec<Unsayable>> {
    checked(&Printer::new(program, None))
}

/// The same for a ruleset that is watched. What meets the conditions of a rule is counted, under the rule's
/// [`Counted`]; of [`Verdict::Rescue`], what it lets in; what only leads to other rules is counted there. Each
/// addition to a set or map stands between two counters, and a full one lets nobody get to the second. What a
/// rule adds or moves is told to who listens to the packet log of [`EVENTS`], as [`Told`], if it is worth that:
/// `tells` says so.
pub fn print_live(program: &Program, tells: &dyn Fn(&Effect) -> bool) -> Result<Ruleset, Vec<Unsayable>> {
    checked(&Printer::new(program, Some(tells)))
}

fn checked(printer: &Printer<'_>) -> Result<Ruleset, Vec<Unsayable>> {
    let rules = printer.program.chains().iter().flat_map(|chain| &chain.rules);
    let refused: Vec<Unsayable> = rules.flat_map(unsayable).collect();
    if refused.is_empty() { Ok(ruleset(printer)) } else { Err(refused) }
}

fn unsayable(rule: &Rule) -> Vec<Unsayable> {
    let refused =
        |what: String| Unsayable { target: "nftables", what, origin: rule.origin.clone(), hint: None };
    let tarpit = rule.verdict == Some(Verdict::Reject(Refusal::Tarpit));
    let opaque = rule.when.iter().filter_map(|condition| match condition {
        Condition::Opaque(words) => Some(words),
        Condition::Not(inner) => match &**inner {
            Condition::Opaque(words) => Some(words),
            _ => None,
        },
        _ => None,
    });
    let opaque = opaque.map(|words| refused(words.to_string()));
    opaque.chain(tarpit.then(|| refused("action=tarpit".to_owned()))).collect()
}

fn ruleset(printer: &Printer<'_>) -> Ruleset {
    let mut sets = printer.sets();
    let mut body = String::new();
    for set in &sets {
        printer.declare(&mut body, set);
    }
    for (set, elements) in printer.switches().chain(printer.numbers()) {
        declare_filled(&mut body, &set, &elements);
        sets.push(set);
    }
    let mut chains = vec![];
    for (id, _) in printer.program.chains_with_ids() {
        printer.chain(&mut body, id, &mut chains);
    }
    let ids = printer.program.chains_with_ids();
    let on_trial: Vec<OnTrial> = ids.flat_map(|(id, _)| printer.on_trial(id)).collect();
    let fingerprint = format!("knockgate {:016x}", fnv1a_64(body.as_bytes()));
    // A rule on connection tracking anywhere, even one that no packet meets, is what makes the
    // kernel track connections, run chains of type nat, and put fragments together.
    let about =
        format!("\tchain {ABOUT} {{\n\t\tct state new return comment {}\n\t}}\n", quoted(&fingerprint));
    chains.push(ABOUT.to_owned());
    let text = format!("table {TABLE} {{\n{body}{about}}}\n");
    Ruleset { text, fingerprint, sets, chains, on_trial }
}

struct Printer<'p> {
    program: &'p Program,
    /// Whether rules count, and which of the effects that can be told are.
    live: Option<&'p dyn Fn(&Effect) -> bool>,
    /// Lists that rules take sources off.
    removed: BTreeSet<ListId>,
    alike: Alike<'p>,
    /// The lists and families of the sets that no packet fills, by their names.
    fixed: BTreeMap<String, (&'p List, Family)>,
}

impl<'p> Printer<'p> {
    fn new(program: &'p Program, live: Option<&'p dyn Fn(&Effect) -> bool>) -> Self {
        let each =
            |list: &'p List| Family::BOTH.map(|family| (static_name(&list.name, family), (list, family)));
        let fixed = program.lists().iter().flat_map(each).collect();
        Self { program, live, removed: removed(program), alike: Alike::of(program), fixed }
    }
}

impl Printer<'_> {
    fn sets(&self) -> Vec<Set> {
        let mut sets = vec![];
        for family in Family::BOTH {
            let address = match family {
                Family::V4 => "ipv4_addr",
                Family::V6 => "ipv6_addr",
            };
            let set = |name: &str, key: String, data, size: Option<u32>| Set {
                name: format!("{name}{}", digit(family)),
                key,
                data,
                fixed: false,
                size,
                counts: false,
            };
            for list in self.program.lists() {
                if has(&list.fixed, family) {
                    let name = static_name(&list.name, family);
                    let key = address.to_owned();
                    sets.push(Set { name, key, data: None, fixed: true, size: None, counts: false });
                }
                if let Some(capacity) = list.managed {
                    for name in [static_name(&list.name, family), single_name(&list.name, family)] {
                        let (key, size) = (address.to_owned(), Some(capacity.get()));
                        sets.push(Set { name, key, data: None, fixed: false, size, counts: false });
                    }
                }
            }
            for pool in self.program.pools() {
                let key = if pool.shared { format!("{address} . classid") } else { address.to_owned() };
                sets.push(set(&pool.name, key, None, Some(pool.capacity.get())));
            }
            if self.rescues() {
                let key = format!("{address} . inet_service");
                sets.push(set(RESCUE, key.clone(), None, Some(MOST_RESCUE)));
                sets.push(set(RESCUED, key, None, Some(MOST_RESCUED)));
            }
            for track in self.program.tracks() {
                sets.push(set(&track.name, address.to_owned(), Some("mark"), Some(track.capacity.get())));
            }
        }
        sets
    }

    fn rescues(&self) -> bool {
        let mut rules = self.program.chains().iter().flat_map(|chain| &chain.rules);
        rules.any(|rule| rule.verdict == Some(Verdict::Rescue))
    }

    fn declare(&self, out: &mut String, set: &Set) {
        let data = set.data.map(|data| format!(" : {data}")).unwrap_or_default();
        put(out, format_args!("\t{} {} {{\n\t\ttype {}{data}\n", set.kind(), set.name, set.key));
        let managed = self.fixed.get(&set.name).is_some_and(|(list, _)| list.managed.is_some());
        match set.size {
            Some(size) if managed => put(out, format_args!("\t\tsize {size}\n\t\tflags interval,timeout\n")),
            Some(size) => put(out, format_args!("\t\tsize {size}\n\t\tflags dynamic,timeout\n")),
            None => {
                put(out, format_args!("\t\tflags interval\n\t\tauto-merge\n"));
                let members =
                    self.fixed.get(&set.name).into_iter().flat_map(|(list, family)| {
                        list.fixed.iter().filter(|prefix| prefix.family() == *family)
                    });
                put(out, format_args!("\t\telements = {{ {} }}\n", joined(members, ", ")));
            }
        }
        out.push_str("\t}\n");
    }

    /// The maps of the switches on ports, each with its elements. They have names, because an
    /// anonymous one goes with its rule: a packet that is on its way while a transaction is
    /// committed still meets the old rule, but finds its map empty (nf_tables_api.c,
    /// `nft_map_deactivate`; on 6.18, 14 of 310,193 packets in 2000 reloads). In a named one it
    /// finds the old arm or the new.
    fn switches(&self) -> impl Iterator<Item = (Set, Vec<String>)> {
        self.program.chains_with_ids().flat_map(|(_, chain)| {
            chain.rules.iter().enumerate().filter_map(|(index, rule)| {
                let Some(Verdict::Switch(switch)) = &rule.verdict else { return None };
                let (key, arms) = self.arms(switch).filter(|_| self.has_map(switch))?;
                let (name, data) = (numbered(chain, index), Some("verdict"));
                let set = Set { name, key: key.to_owned(), data, fixed: true, size: None, counts: false };
                let written = |chain| self.name(self.alike.written(chain));
                let arms = arms.into_iter().map(|(key, chain)| format!("{key} : goto {}", written(chain)));
                Some((set, arms.collect()))
            })
        })
    }

    /// The key type and the arms of a switch, where it is a map and has any.
    fn arms(&self, switch: &Switch) -> Option<(&'static str, Vec<(String, ChainId)>)> {
        let (key, arms): (_, Vec<(String, ChainId)>) = match switch {
            Switch::Port(arms) => (
                "inet_proto . inet_service",
                arms.iter().map(|(endpoint, chain)| (pair(endpoint), *chain)).collect(),
            ),
            Switch::TrackPort(_, arms) => (
                "mark . inet_proto . inet_service",
                arms.iter()
                    .map(|((position, endpoint), chain)| {
                        (format!("0x{:08x} . {}", position.number(), pair(endpoint)), *chain)
                    })
                    .collect(),
            ),
            Switch::Echo(_) | Switch::TrackEcho(..) => return None,
        };
        (!arms.is_empty()).then_some((key, arms))
    }

    fn chain(&self, out: &mut String, id: ChainId, names: &mut Vec<String>) {
        if self.alike.written(id) != id {
            return;
        }
        let chain = &self.program[id];
        let rules = self.rules(id, out, names);
        let name = identifier(&chain.name);
        put(out, format_args!("\tchain {name} {{\n"));
        names.push(name);
        if let Some(hook) = chain.hook {
            let (kind, name, priority) = match hook {
                Hook::Raw => ("filter", "prerouting", "raw"),
                Hook::Prerouting => ("nat", "prerouting", "dstnat"),
                Hook::Input => ("filter", "input", "filter"),
                Hook::Forward => ("filter", "forward", "filter"),
            };
            put(out, format_args!("\t\ttype {kind} hook {name} priority {priority}; policy accept;\n"));
        }
        out.push_str(&rules);
        out.push_str("\t}\n");
    }

    /// The rules of a chain, a line each, for as long as nobody tries the ruleset out. Chains that they need are
    /// put into `bodies`.
    fn rules(&self, id: ChainId, bodies: &mut String, names: &mut Vec<String>) -> String {
        let chain = &self.program[id];
        let mut rules = String::new();
        for (index, rule) in chain.rules.iter().enumerate() {
            let counted = Counted { chain: id.index(), rule: index };
            if index == 0
                && let Some(lines) = self.written_once(id)
            {
                rules.push_str(&lines);
                continue;
            }
            let (about, aside) = self.comments(counted, &rule.origin.what);
            let body = numbered(chain, index);
            if rule.verdict == Some(Verdict::Rescue) || self.is_tail(chain, index) {
                continue;
            }
            let conditions = self.conditions(rule);
            let mut actions = self.actions(rule, counted, &body);
            actions.retain(|action| conditions.iter().any(|condition| action.fits(condition)));
            // A single action is the last thing its rule does, so it may break off. The arms of a
            // switch lead out of this very chain, so they stand in it.
            let switch = matches!(rule.verdict, Some(Verdict::Switch(_)));
            let inline = actions.len() <= 1 || rule.when.is_empty() || switch;
            if inline {
                for condition in &conditions {
                    let fitting = actions.iter().filter(|action| action.fits(condition));
                    let mut texts: Vec<String> = fitting.map(|action| action.beside(condition.0)).collect();
                    self.count(rule, &mut texts);
                    for (place, text) in texts.iter().enumerate() {
                        let about = if place == 0 { &about } else { &aside };
                        line(&mut rules, &condition.1.text, text, about);
                    }
                }
                continue;
            }
            let enter = if rule.verdict == Some(Verdict::Return) { "goto" } else { "jump" };
            for (_, condition) in &conditions {
                let mut texts = vec![format!("{enter} {body}")];
                self.count(rule, &mut texts);
                texts.iter().for_each(|text| line(&mut rules, &condition.text, text, &about));
            }
            put(bodies, format_args!("\tchain {body} {{\n"));
            for action in actions.iter().filter(|action| action.text != "return") {
                line(bodies, "", &action.beside(None), &aside);
            }
            bodies.push_str("\t}\n");
            names.push(body);
        }
        rules
    }

    /// Whether a rule is the last of its chain, leads only to who tries the ruleset out, and stands behind rules that
    /// count nothing: then it can be taken away with the chain's other rules, which are written again.
    fn is_tail(&self, chain: &Chain, index: usize) -> bool {
        let rescues = |target: ChainId| {
            let rules = &self.program[target].rules;
            !rules.is_empty() && rules.iter().all(|rule| rule.verdict == Some(Verdict::Rescue))
        };
        let rule = &chain.rules[index];
        let leads = matches!(rule.verdict, Some(Verdict::Jump(target)) if rescues(target));
        leads && rule.when.is_empty() && index + 1 == chain.rules.len() && chain.rules.iter().all(leads_on)
    }

    /// What a chain has for as long as somebody tries the ruleset out.
    fn on_trial(&self, id: ChainId) -> Vec<OnTrial> {
        let chain = &self.program[id];
        let of_rule = |(index, rule): (usize, &Rule)| {
            let (lines, behind) = if rule.verdict == Some(Verdict::Rescue) {
                (self.rescue(&self.conditions(rule)), String::new())
            } else if self.is_tail(chain, index) {
                let jump = self.actions(rule, Counted { chain: id.index(), rule: index }, "");
                let jump = jump.into_iter().map(|jump| jump.text).collect();
                (jump, self.rules(id, &mut String::new(), &mut vec![]))
            } else {
                return vec![];
            };
            let place = if self.live.is_some() {
                format!("{ON_TRIAL}{}.{index} ", id.index())
            } else {
                String::new()
            };
            let about = comment(&format!("{place}{}", rule.origin.what));
            let behind: Vec<String> = behind.lines().map(|line| line.trim().to_owned()).collect();
            let on_trial = |line| OnTrial {
                chain: self.name(id),
                rule: format!("{line}{about}"),
                behind: behind.clone(),
            };
            lines.into_iter().map(on_trial).collect::<Vec<_>>()
        };
        chain.rules.iter().enumerate().flat_map(of_rule).collect()
    }

    /// The comment of the first line for what meets a rule's conditions, and that of its other lines.
    fn comments(&self, Counted { chain, rule: place }: Counted, what: &str) -> (String, String) {
        if self.live.is_none() {
            return (comment(what), comment(what));
        }
        [FIRST, OTHER].map(|mark| comment(&format!("{mark}{chain}.{place} {what}"))).into()
    }

    /// Where rules count, the first line for what meets the conditions does, or one of its own.
    fn count(&self, rule: &Rule, texts: &mut Vec<String>) {
        match texts.first_mut() {
            _ if self.live.is_none() || leads_on(rule) => {}
            Some(first) if first.starts_with(COUNTER) => {}
            Some(first) => first.insert_str(0, COUNTER),
            None => texts.push(COUNTER.trim_end().to_owned()),
        }
    }

    fn key(&self, timed: Timed, family: Family, end: End) -> String {
        let Timed { pool, tag, v6_bits } = timed;
        let address = masked(end, family, v6_bits);
        if self.program[pool].shared {
            format!("{address} . meta priority & 0x0 | 0x{tag:08x}")
        } else {
            address
        }
    }

    fn pool(&self, pool: PoolId, family: Family) -> String {
        format!("{}{}", self.program[pool].name, digit(family))
    }

    fn track(&self, track: TrackId, family: Family) -> String {
        format!("{}{}", self.program[track].name, digit(family))
    }

    fn name(&self, chain: ChainId) -> String {
        identifier(&self.program[chain].name)
    }
}

/// The lists that rules take sources off.
fn removed(program: &Program) -> BTreeSet<ListId> {
    let effects = program.chains().iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.then);
    let removed = effects.filter_map(|effect| match effect {
        Effect::Remove(list) => Some(*list),
        _ => None,
    });
    removed.collect()
}

/// A set or map that is filled by the ruleset itself.
fn declare_filled(out: &mut String, set: &Set, elements: &[String]) {
    let data = set.data.map(|data| format!(" : {data}")).unwrap_or_default();
    put(out, format_args!("\t{} {} {{\n\t\ttype {}{data}\n", set.kind(), set.name, set.key));
    if set.counts {
        out.push_str("\t\tcounter\n");
    }
    // Those that may count have a line each.
    let space = if set.data == Some("verdict") { ", " } else { ",\n\t\t\t" };
    put(out, format_args!("\t\telements = {{ {} }}\n\t}}\n", elements.join(space)));
}

/// Whether nothing is done to what meets the rule's conditions but to accept or drop it.
fn decides_at_once(rule: &Rule) -> bool {
    rule.then.is_empty() && matches!(rule.verdict, Some(Verdict::Accept | Verdict::Drop))
}

/// Whether a rule that nobody wrote does nothing but send packets to rules that count them.
fn leads_on(rule: &Rule) -> bool {
    rule.origin.span.is_none()
        && rule.then.is_empty()
        && matches!(rule.verdict, Some(Verdict::Jump(_) | Verdict::Switch(_)))
}

/// What belongs to one rule of a chain is called so.
fn numbered(chain: &Chain, index: usize) -> String {
    format!("{}.{}", identifier(&chain.name), index + 1)
}

/// Writing to a string never fails.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes all that memory holds");
}

fn line(out: &mut String, condition: &str, action: &str, about: &str) {
    let space = if condition.is_empty() || action.is_empty() { "" } else { " " };
    put(out, format_args!("\t\t{condition}{space}{action}{about}\n"));
}

/// What the arms of a switch are found by, once a packet's position is its mark.
const BY_PORT: &str = "meta l4proto . th dport";
const BY_POSITION: &str = "meta mark . meta l4proto . th dport";

/// Sources a set of [`RESCUE`] may have; it is given one.
const MOST_RESCUE: u32 = 16;
/// All ports of that one.
const MOST_RESCUED: u32 = 65_536;
/// No trial is longer.
const RESCUED_FOR: Lifetime = Lifetime::from_secs(3600);

#[cfg(test)]
mod tests;
