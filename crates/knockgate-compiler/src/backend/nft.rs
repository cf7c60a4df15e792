//! nftables (`man nft`, 1.0.6 and later): one table, `inet knockgate`.
//!
//! - A timed list is a `dynamic,timeout` set per family. Lists that share a pool share its set,
//!   whose second key is the list's tag; the tag is written `meta mark & 0x0 | TAG`, for nft 1.0.6
//!   takes no constant in a concatenation. The mark itself is only read.
//! - A list that people manage is two sets per family, which are empty here: a hash of single sources,
//!   as [`single_bits`] counts them, and an `interval,timeout` set of networks, for adding to a large
//!   set of intervals takes long.
//! - A track is a map per family from source to position. To look up a position together with a
//!   port, it is put into the packet's mark, the only register that a rule can name; so a packet
//!   that comes to a track's switch loses its own mark. In a program made from a policy such a
//!   packet is always dropped.
//! - A rule whose effects could break off (adding to a full set does) before its verdict has them
//!   in a chain of its own, so that nothing that follows is ever skipped.
//! - What has expired or was removed takes up room until the kernel collects it, within a second
//!   (nft_set_hash.c, `nft_rhash_gc`). So a full list stays full for as long, and moving a source on
//!   a full track, which is a removal and an addition, takes it off the track. So does moving one
//!   source some thirty times within a second (6.18), for its bucket is full.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::ops::RangeInclusive;
use std::slice;

use super::{Number, Unsayable, merged};
use crate::hash::{fnv1a_32, fnv1a_64};
use crate::net::{Endpoint, Family, Interface, Prefix, Transport, echo_packet_size, echo_request_type};
use crate::program::{
    Chain, ChainId, Condition, Effect, Expiry, Hook, List, ListId, PoolId, PortEnd, Program, Refusal, Rule,
    State, States, Switch, Timed, TrackId, Verdict,
};
use crate::time::Lifetime;

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
}

/// A named set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// Its key type, as in `ipv4_addr . mark`.
    pub key: String,
    /// For a map, the type of its data.
    pub data: Option<&'static str>,
    /// Whether it is filled by the ruleset itself, not by packets.
    pub fixed: bool,
    /// Entries it may have, unless it is fixed.
    pub size: Option<u32>,
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
    checked(&Printer::new(program, false))
}

/// The same for a ruleset that is watched. What meets the conditions of a rule is counted, under the rule's
/// [`Counted`]; of [`Verdict::Rescue`], what it lets in; what only leads to other rules is counted there. Each addition to a set or map stands between two
/// counters, and a full one lets nobody get to the second. What a rule adds or moves is told to who listens to
/// the packet log of [`EVENTS`], as [`Told`].
pub fn print_live(program: &Program) -> Result<Ruleset, Vec<Unsayable>> {
    checked(&Printer::new(program, true))
}

/// The rule that a counter is of. It stands before the rule's comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counted {
    /// The place of its chain in [`Program::chains`].
    pub chain: usize,
    /// Its place in the chain, from 0.
    pub rule: usize,
}

impl Counted {
    /// The rule whose comment this is, if it is one of [`print_live`].
    pub fn of_comment(comment: &str) -> Option<Self> {
        let (place, _) = comment.split_once(' ')?;
        let (chain, rule) = place.strip_prefix('#')?.split_once('.')?;
        Some(Self { chain: chain.parse().ok()?, rule: rule.parse().ok()? })
    }
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
}

impl Told {
    /// Every effect that [`print_live`] has told: what puts a source somewhere. Taking it off is not, for a
    /// wrong knock takes off whoever knocks, and most were nowhere.
    pub fn all(program: &Program) -> impl Iterator<Item = (Self, &Effect)> {
        let chains = program.chains_with_ids();
        let rules = chains.flat_map(|(id, chain)| {
            chain
                .rules
                .iter()
                .enumerate()
                .map(move |(rule, what)| (Counted { chain: id.index(), rule }, what))
        });
        rules.flat_map(|(place, rule)| {
            let effects = rule.then.iter().enumerate();
            effects.filter_map(move |(effect, what)| Some((Self::of(place, rule, effect)?, what)))
        })
    }

    fn of(rule: Counted, what: &Rule, effect: usize) -> Option<Self> {
        let tells = matches!(what.then[effect], Effect::Add { .. } | Effect::Move { .. });
        tells.then(|| Self { rule, effect, origin: fnv1a_32(what.origin.what.as_bytes()) })
    }

    /// The effect whose prefix this is, if it is one of ours.
    pub fn of_prefix(prefix: &str) -> Option<Self> {
        let (place, rest) = prefix.split_once(' ')?;
        let (effect, origin) = rest.split_once(' ')?;
        let rule = Counted::of_comment(&format!("{place} "))?;
        Some(Self { rule, effect: effect.parse().ok()?, origin: u32::from_str_radix(origin, 16).ok()? })
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule: Counted { chain, rule }, effect, origin } = self;
        write!(f, "#{chain}.{rule} {effect} {origin:08x}")
    }
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
    for (set, arms) in printer.switches() {
        printer.declare_switch(&mut body, &set, &arms);
        sets.push(set);
    }
    let mut chains = vec![];
    for (id, _) in printer.program.chains_with_ids() {
        printer.chain(&mut body, id, &mut chains);
    }
    let fingerprint = format!("knockgate {:016x}", fnv1a_64(body.as_bytes()));
    // A rule on connection tracking anywhere, even one that no packet meets, is what makes the
    // kernel track connections, run chains of type nat, and put fragments together.
    let about =
        format!("\tchain {ABOUT} {{\n\t\tct state new return comment {}\n\t}}\n", quoted(&fingerprint));
    chains.push(ABOUT.to_owned());
    let text = format!("table {TABLE} {{\n{body}{about}}}\n");
    Ruleset { text, fingerprint, sets, chains }
}

/// `text` as a quoted string. nft knows no escapes, so what would end the string is left out.
fn quoted(text: &str) -> String {
    let kept: String = text.chars().filter(|c| *c != '"' && !c.is_control()).collect();
    format!("\"{kept}\"")
}

/// nft takes comments of at most 128 bytes with the final zero (`NFTNL_UDATA_COMMENT_MAXLEN`).
fn comment(text: &str) -> String {
    let end = text.floor_char_boundary(120);
    format!(" comment {}", quoted(&text[..end]))
}

fn digit(family: Family) -> char {
    match family {
        Family::V4 => '4',
        Family::V6 => '6',
    }
}

fn header(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

struct Printer<'p> {
    program: &'p Program,
    /// Whether rules count, and tell what they do.
    live: bool,
    /// Lists that rules take sources off.
    removed: BTreeSet<ListId>,
    /// The lists and families of the sets that no packet fills, by their names.
    fixed: BTreeMap<String, (&'p List, Family)>,
}

/// A way in which conditions can hold.
#[derive(PartialEq)]
struct Way {
    /// What matches then; nothing if anything does.
    text: String,
    /// What the packet can carry then. nft refuses to name two protocols at once.
    protocols: Protocols,
}

impl Way {
    /// Both ways at once, if a packet can go them.
    fn and(&self, other: &Self) -> Option<Self> {
        let protocols = self.protocols & other.protocols;
        let space = if self.text.is_empty() || other.text.is_empty() { "" } else { " " };
        let text = format!("{}{space}{}", self.text, other.text);
        (protocols != Protocols::NONE).then_some(Self { text, protocols })
    }
}

/// One of a packet's two addresses.
#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

impl End {
    fn of(self, family: Family) -> String {
        match self {
            Self::Source => format!("{} saddr", header(family)),
            Self::Destination => format!("{} daddr", header(family)),
        }
    }
}

impl<'p> Printer<'p> {
    fn new(program: &'p Program, live: bool) -> Self {
        let effects = program.chains().iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.then);
        let removed = effects.filter_map(|effect| match effect {
            Effect::Remove(list) => Some(*list),
            _ => None,
        });
        let each =
            |list: &'p List| Family::BOTH.map(|family| (static_name(&list.name, family), (list, family)));
        let fixed = program.lists().iter().flat_map(each).collect();
        Self { program, live, removed: removed.collect(), fixed }
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
            };
            for list in self.program.lists() {
                if has(&list.fixed, family) {
                    let name = static_name(&list.name, family);
                    let key = address.to_owned();
                    sets.push(Set { name, key, data: None, fixed: true, size: None });
                }
                if let Some(capacity) = list.managed {
                    for name in [static_name(&list.name, family), single_name(&list.name, family)] {
                        let (key, size) = (address.to_owned(), Some(capacity.get()));
                        sets.push(Set { name, key, data: None, fixed: false, size });
                    }
                }
            }
            for pool in self.program.pools() {
                let key = if pool.shared { format!("{address} . mark") } else { address.to_owned() };
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
    fn switches(&self) -> impl Iterator<Item = (Set, String)> {
        self.program.chains_with_ids().flat_map(|(_, chain)| {
            chain.rules.iter().enumerate().filter_map(|(index, rule)| {
                let Some(Verdict::Switch(switch)) = &rule.verdict else { return None };
                let (key, arms) = self.arms(switch)?;
                let name = numbered(chain, index);
                Some((
                    Set { name, key: key.to_owned(), data: Some("verdict"), fixed: true, size: None },
                    arms,
                ))
            })
        })
    }

    /// The key type and the elements of a switch, where it is a map and has any.
    fn arms(&self, switch: &Switch) -> Option<(&'static str, String)> {
        let arm = |key: String, chain: &ChainId| format!("{key} : goto {}", self.name(*chain));
        let (key, arms): (_, Vec<String>) = match switch {
            Switch::Port(arms) => (
                "inet_proto . inet_service",
                arms.iter().map(|(endpoint, chain)| arm(pair(endpoint), chain)).collect(),
            ),
            Switch::TrackPort(_, arms) => (
                "mark . inet_proto . inet_service",
                arms.iter()
                    .map(|((position, endpoint), chain)| {
                        arm(format!("0x{:08x} . {}", position.number(), pair(endpoint)), chain)
                    })
                    .collect(),
            ),
            Switch::Echo(_) | Switch::TrackEcho(..) => return None,
        };
        (!arms.is_empty()).then(|| (key, arms.join(", ")))
    }

    fn declare_switch(&self, out: &mut String, set: &Set, arms: &str) {
        put(out, format_args!("\tmap {} {{\n\t\ttype {} : verdict\n", set.name, set.key));
        put(out, format_args!("\t\telements = {{ {arms} }}\n\t}}\n"));
    }

    fn chain(&self, out: &mut String, id: ChainId, names: &mut Vec<String>) {
        let chain = &self.program[id];
        let name = identifier(&chain.name);
        let mut rules = String::new();
        let mut bodies = String::new();
        for (index, rule) in chain.rules.iter().enumerate() {
            let counted = Counted { chain: id.index(), rule: index };
            let (about, aside) = self.comments(counted, rule);
            let body = numbered(chain, index);
            let conditions = self.conditions(rule);
            if rule.verdict == Some(Verdict::Rescue) && rule.then.is_empty() {
                self.rescue_lines(&mut rules, &conditions, &about);
                continue;
            }
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
            put(&mut bodies, format_args!("\tchain {body} {{\n"));
            for action in actions.iter().filter(|action| action.text != "return") {
                line(&mut bodies, "", &action.beside(None), &aside);
            }
            bodies.push_str("\t}\n");
            names.push(body);
        }
        out.push_str(&bodies);
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

    /// The comment of the first line for what meets a rule's conditions, and that of its other lines.
    fn comments(&self, Counted { chain, rule: place }: Counted, rule: &Rule) -> (String, String) {
        let what = &rule.origin.what;
        if !self.live {
            return (comment(what), comment(what));
        }
        let first = comment(&format!("#{chain}.{place} {what}"));
        match rule.verdict {
            // Those count whom they let in.
            Some(Verdict::Rescue) => (first.clone(), first),
            _ => (first, comment(&format!("+{chain}.{place} {what}"))),
        }
    }

    /// Where rules count, the first line for what meets the conditions does, or one of its own.
    fn count(&self, rule: &Rule, texts: &mut Vec<String>) {
        match texts.first_mut() {
            _ if !self.live || rule.verdict == Some(Verdict::Rescue) || leads_on(rule) => {}
            Some(first) if first.starts_with(COUNTER) => {}
            Some(first) => first.insert_str(0, COUNTER),
            None => texts.push(COUNTER.trim_end().to_owned()),
        }
    }

    /// The rule's conditions in nft's words: once when they say the same to both families, else
    /// for each family that they can hold in. Where a condition is one thing or another, there are
    /// several, of which at most one holds whatever the rule's effects are, unless nothing comes after.
    fn conditions(&self, rule: &Rule) -> Vec<(Option<Family>, Way)> {
        let at_once = decides_at_once(rule);
        let of = |family: Family| {
            let any = vec![Way { text: String::new(), protocols: Protocols::ALL }];
            rule.when.iter().fold(any, |so_far, condition| {
                let ways = self.ways(condition, family, at_once);
                let both = so_far.iter().flat_map(|before| ways.iter().filter_map(|way| before.and(way)));
                both.collect()
            })
        };
        let (v4, v6) = (of(Family::V4), of(Family::V6));
        if v4 == v6 {
            return v4.into_iter().map(|way| (None, way)).collect();
        }
        let named = |family| {
            move |way: Way| {
                let space = if way.text.is_empty() { "" } else { " " };
                let text = format!("meta nfproto {}{space}{}", nfproto(family), way.text);
                (Some(family), Way { text, ..way })
            }
        };
        let v4 = v4.into_iter().map(named(Family::V4));
        v4.chain(v6.into_iter().map(named(Family::V6))).collect()
    }

    /// The ways in which a condition can hold for a packet of the family: none if it never does. Where the rule
    /// decides over the packet `at_once`, several may hold.
    fn ways(&self, condition: &Condition, family: Family, at_once: bool) -> Vec<Way> {
        let protocols = protocols(condition, family);
        match condition {
            Condition::Not(inner) => self.ways_not(inner, family),
            condition => {
                let texts = self.condition(condition, family, at_once).into_iter();
                texts.map(|text| Way { text, protocols }).collect()
            }
        }
    }

    /// The ways in which it does not. Words that are about a protocol hold for no packet of another,
    /// so those are told apart first.
    fn ways_not(&self, condition: &Condition, family: Family) -> Vec<Way> {
        let protocols = protocols(condition, family);
        let others = match condition {
            Condition::Transport(_) | Condition::Protocol(_) => None,
            Condition::To(endpoints) => return elsewhere(endpoints),
            Condition::Ports(transport, ..) => Some(transport.to_string()),
            Condition::Flags { .. } => Some(Transport::Tcp.to_string()),
            Condition::Echo(_) | Condition::Icmp(..) => Some(icmp(family).to_owned()),
            _ => None,
        };
        let texts = self.negated(condition, family);
        match others {
            None if matches!(condition, Condition::Transport(_) | Condition::Protocol(_)) => {
                // Of what is neither TCP, UDP nor ICMP, one protocol leaves the others.
                let other = if protocols == Protocols::OTHER { Protocols::ALL } else { protocols.others() };
                texts.into_iter().map(|text| Way { text, protocols: other }).collect()
            }
            None => texts.into_iter().map(|text| Way { text, protocols }).collect(),
            // It never holds, whatever the protocol is.
            Some(_) if texts == [String::new()] => {
                vec![Way { text: String::new(), protocols: Protocols::ALL }]
            }
            Some(others) => {
                let text = format!("meta l4proto != {{ {others} }}");
                let other = Way { text, protocols: protocols.others() };
                let these = texts.into_iter().map(|text| Way { text, protocols });
                std::iter::once(other).chain(these).collect()
            }
        }
    }

    /// What says that a condition holds, in one way or several; nothing if it never does.
    fn condition(&self, condition: &Condition, family: Family, at_once: bool) -> Vec<String> {
        let ip = header(family);
        vec![match condition {
            Condition::Not(inner) => return self.negated(inner, family),
            Condition::From(interfaces) if interfaces.is_empty() => return vec![],
            Condition::From(interfaces) => format!("iifname {}", interface_set(interfaces)),
            Condition::State(states) if *states == States::of(&[]) => return vec![],
            Condition::State(states) => format!("ct state {}", state_set(*states)),
            Condition::Redirected => "ct status dnat".to_owned(),
            Condition::Cut => format!("ct mark 0x{CUT:08x}"),
            Condition::Family(wanted) => return if *wanted == family { vec![String::new()] } else { vec![] },
            Condition::Transport(transport) => format!("meta l4proto {transport}"),
            Condition::Protocol(number) => format!("meta l4proto {number}"),
            Condition::To(endpoints) => to(endpoints),
            Condition::Ports(_, _, ranges) if ranges.iter().all(RangeInclusive::is_empty) => return vec![],
            Condition::Ports(transport, end, ranges) => {
                let set = range_set(ranges);
                match end {
                    PortEnd::Source => format!("{transport} sport {set}"),
                    PortEnd::Destination => format!("{transport} dport {set}"),
                    PortEnd::Either => {
                        let other = format!("{transport} dport != {set} {transport} sport {set}");
                        return vec![format!("{transport} dport {set}"), other];
                    }
                }
            }
            Condition::Flags { mask, set } => {
                format!("tcp flags & 0x{:02x} == 0x{:02x}", mask.bits(), set.bits())
            }
            Condition::Echo(data) => {
                let size = data.map(|data| format!(" meta length {}", echo_packet_size(family, data)));
                format!("{} type echo-request{}", icmp(family), size.unwrap_or_default())
            }
            Condition::Icmp(wanted, kinds, codes)
                if *wanted != family || kinds.is_empty() || codes.is_empty() =>
            {
                return vec![];
            }
            Condition::Icmp(_, kinds, codes) => {
                let kinds = format!("{} type {}", icmp(family), range(kinds));
                if *codes == (0..=u8::MAX) {
                    kinds
                } else {
                    format!("{kinds} {} code {}", icmp(family), range(codes))
                }
            }
            Condition::HopLimit(limit) => match family {
                Family::V4 => format!("ip ttl {limit}"),
                Family::V6 => format!("ip6 hoplimit {limit}"),
            },
            Condition::Size(sizes) if sizes.is_empty() => return vec![],
            Condition::Size(sizes) => format!("meta length {}", range(sizes)),
            Condition::Source(prefixes) if !has(prefixes, family) => return vec![],
            Condition::Source(prefixes) => format!("{ip} saddr {}", prefix_set(prefixes, family)),
            Condition::Destination(prefixes) if !has(prefixes, family) => return vec![],
            Condition::Destination(prefixes) => format!("{ip} daddr {}", prefix_set(prefixes, family)),
            Condition::ToGateway => "fib daddr type local".to_owned(),
            // The header that follows at once is the payload's: nothing stands between. Said as
            // `ip6 nexthdr { tcp, udp, ipv6-icmp }`, nft would take the first for the packet's
            // protocol, and refuse `icmpv6 type` after it.
            Condition::NoExtensionHeaders => match family {
                Family::V4 => return vec![String::new()],
                Family::V6 => "@nh,48,8 { 6, 17, 58 }".to_owned(),
            },
            Condition::Listed(list) => return self.listed(*list, family, End::Source, at_once),
            Condition::DestinationListed(list) => {
                return self.listed(*list, family, End::Destination, at_once);
            }
            Condition::OnTrack(track) => format!("{ip} saddr @{}", self.track(*track, family)),
            // A program that has it is refused before.
            Condition::Opaque(_) => return vec![],
        }]
    }

    /// What says that a condition does not hold, of a packet whose protocol it is about.
    fn negated(&self, condition: &Condition, family: Family) -> Vec<String> {
        let not_listed = |list: ListId, end| {
            let ways = self.memberships(list, family, end);
            vec![joined(ways.iter().map(|(key, set)| format!("{key} != @{set}")), " ")]
        };
        let always = || vec![String::new()];
        let ip = header(family);
        vec![match condition {
            Condition::From(interfaces) if interfaces.is_empty() => return always(),
            Condition::From(interfaces) => format!("iifname != {}", interface_set(interfaces)),
            Condition::State(states) if *states == States::of(&[]) => return always(),
            Condition::State(states) => format!("ct state != {{ {} }}", state_set(*states)),
            // A packet of no connection has no status, and every match on one fails.
            Condition::Redirected => {
                let none = "{ invalid, untracked }";
                let not = format!("ct state != {none} ct status & dnat == 0");
                return vec![format!("ct state {none}"), not];
            }
            // A packet of no connection has no mark, and every match on one fails.
            Condition::Cut => {
                let none = "{ invalid, untracked }";
                let not = format!("ct state != {none} ct mark != 0x{CUT:08x}");
                return vec![format!("ct state {none}"), not];
            }
            Condition::Family(wanted) => return if *wanted == family { vec![] } else { always() },
            Condition::Transport(transport) => format!("meta l4proto != {transport}"),
            Condition::Protocol(number) => format!("meta l4proto != {number}"),
            Condition::Ports(_, _, ranges) if ranges.iter().all(RangeInclusive::is_empty) => return always(),
            Condition::Ports(transport, end, ranges) => {
                let rest = rest(ranges);
                if rest.is_empty() {
                    return vec![];
                }
                let set = range_set(&rest);
                match end {
                    PortEnd::Source => format!("{transport} sport {set}"),
                    PortEnd::Destination => format!("{transport} dport {set}"),
                    PortEnd::Either => format!("{transport} dport {set} {transport} sport {set}"),
                }
            }
            Condition::Flags { mask, set } => {
                format!("tcp flags & 0x{:02x} != 0x{:02x}", mask.bits(), set.bits())
            }
            Condition::Echo(data) => {
                let kind = echo_request_type(family);
                let other = format!("{} type {}", icmp(family), range_set(&rest(&[kind..=kind])));
                let size = data.map(|data| echo_packet_size(family, data));
                let size = size.map(|size| format!("{} type {kind} meta length != {size}", icmp(family)));
                return std::iter::once(other).chain(size).collect();
            }
            Condition::Icmp(wanted, kinds, codes)
                if *wanted != family || kinds.is_empty() || codes.is_empty() =>
            {
                return always();
            }
            Condition::Icmp(_, kinds, codes) => {
                let icmp = icmp(family);
                let (other_kinds, other_codes) = (rest(slice::from_ref(kinds)), rest(slice::from_ref(codes)));
                let mut ways = vec![];
                if !other_kinds.is_empty() {
                    ways.push(format!("{icmp} type {}", range_set(&other_kinds)));
                }
                if !other_codes.is_empty() {
                    ways.push(format!(
                        "{icmp} type {} {icmp} code {}",
                        range(kinds),
                        range_set(&other_codes)
                    ));
                }
                return ways;
            }
            Condition::HopLimit(limit) => match family {
                Family::V4 => format!("ip ttl {}", range_set(&rest(&[*limit..=*limit]))),
                Family::V6 => format!("ip6 hoplimit {}", range_set(&rest(&[*limit..=*limit]))),
            },
            Condition::Size(sizes) if sizes.is_empty() => return always(),
            Condition::Size(sizes) => format!("meta length != {}", range(sizes)),
            Condition::Source(prefixes) if !has(prefixes, family) => return always(),
            Condition::Source(prefixes) => format!("{ip} saddr != {}", prefix_set(prefixes, family)),
            Condition::Destination(prefixes) if !has(prefixes, family) => return always(),
            Condition::Destination(prefixes) => format!("{ip} daddr != {}", prefix_set(prefixes, family)),
            Condition::ToGateway => "fib daddr type != local".to_owned(),
            Condition::NoExtensionHeaders => match family {
                Family::V4 => return vec![],
                Family::V6 => "@nh,48,8 != { 6, 17, 58 }".to_owned(),
            },
            Condition::Listed(list) => return not_listed(*list, End::Source),
            Condition::DestinationListed(list) => return not_listed(*list, End::Destination),
            Condition::OnTrack(track) => format!("{ip} saddr != @{}", self.track(*track, family)),
            // `Condition::negated` never makes the first; a program with the second is refused before.
            Condition::Not(_) | Condition::Opaque(_) => return vec![],
            // Told apart by protocol before.
            Condition::To(_) => return vec![],
        }]
    }

    /// Whether the source or destination is on a list: among its fixed members or those that people
    /// added, or among those that rules added.
    fn listed(&self, list: ListId, family: Family, end: End, at_once: bool) -> Vec<String> {
        match self.memberships(list, family, end).as_slice() {
            [(fixed, members), (key, set)] if !at_once => {
                vec![format!("{fixed} @{members}"), format!("{fixed} != @{members} {key} @{set}")]
            }
            ways => ways.iter().map(|(key, set)| format!("{key} @{set}")).collect(),
        }
    }

    /// The keys and sets that tell whether an address is on a list, the fixed one first.
    fn memberships(&self, list: ListId, family: Family, end: End) -> Vec<(String, String)> {
        let List { name, fixed, timed, managed } = &self.program[list];
        let written = has(fixed, family) || managed.is_some();
        let fixed = written.then(|| (end.of(family), static_name(name, family)));
        let single = managed.map(|_| (masked(end, family, single_bits(family)), single_name(name, family)));
        let timed = timed.map(|timed| (self.key(timed, family, end), self.pool(timed.pool, family)));
        fixed.into_iter().chain(single).chain(timed).collect()
    }

    fn key(&self, timed: Timed, family: Family, end: End) -> String {
        let Timed { pool, tag, v6_bits } = timed;
        let address = masked(end, family, v6_bits);
        if self.program[pool].shared { format!("{address} . meta mark & 0x0 | 0x{tag:08x}") } else { address }
    }

    fn pool(&self, pool: PoolId, family: Family) -> String {
        format!("{}{}", self.program[pool].name, digit(family))
    }

    fn track(&self, track: TrackId, family: Family) -> String {
        format!("{}{}", self.program[track].name, digit(family))
    }

    /// `name` is that of the map, if the rule is a switch.
    fn actions(&self, rule: &Rule, counted: Counted, name: &str) -> Vec<Action> {
        let mut actions = vec![];
        for (place, effect) in rule.then.iter().enumerate() {
            let told = Told::of(counted, rule, place).filter(|_| self.live);
            for family in Family::BOTH {
                actions.extend(self.make_way(effect, family));
                let done = self.effect(effect, family);
                actions.extend(done.map(|done| done.and_then(told.map(|told| telling(told, family)))));
            }
        }
        match &rule.verdict {
            None => {}
            Some(Verdict::Accept) => actions.push(Action::any("accept")),
            Some(Verdict::Drop) => actions.push(Action::any("drop")),
            Some(Verdict::Reject(how)) => actions.extend(refuse(*how)),
            Some(Verdict::Jump(target)) => actions.push(Action::any(format!("jump {}", self.name(*target)))),
            Some(Verdict::Return) => actions.push(Action::any("return")),
            Some(Verdict::Redirect(target)) => {
                let family = Family::of(target.ip());
                let text = format!("meta l4proto {{ tcp, udp }} dnat {} to {target}", header(family));
                actions.push(Action::of(family, text).with(Protocols::PORTS));
            }
            Some(Verdict::Rescue) => actions.extend(Family::BOTH.map(|family| self.rescue(family))),
            Some(Verdict::Switch(switch)) => actions.extend(self.switch(switch, name)),
        }
        actions
    }

    /// Hardly anybody ever tries a ruleset out, so that is asked before the rule's conditions.
    fn rescue_lines(&self, out: &mut String, conditions: &[(Option<Family>, Way)], about: &str) {
        for family in Family::BOTH {
            let action = self.noted(family);
            for (_, way) in conditions.iter().filter(|condition| action.fits(condition)) {
                line(out, &format!("{} {}", tries(family), way.text), &action.text, about);
            }
        }
    }

    /// What cannot be noted is not let in: adding to a full set breaks the rule off. Whom it lets in is
    /// counted, not who might have been.
    fn noted(&self, family: Family) -> Action {
        let (source, digit) = (End::Source.of(family), digit(family));
        let lifetime = timeout(RESCUED_FOR);
        let noted = format!("add @{RESCUED}{digit} {{ {source} . tcp sport timeout {lifetime} }}");
        let counter = if self.live { COUNTER } else { "" };
        Action::of(family, format!("{noted} {counter}accept")).with(Protocols::of(Transport::Tcp))
    }

    fn rescue(&self, family: Family) -> Action {
        let noted = self.noted(family);
        Action { text: format!("{} {}", tries(family), noted.text), ..noted }
    }

    fn name(&self, chain: ChainId) -> String {
        identifier(&self.program[chain].name)
    }

    fn effect(&self, effect: &Effect, family: Family) -> Option<Action> {
        let source = End::Source.of(family);
        let text = match effect {
            Effect::Add { list, lifetime, expiry } => {
                self.addition(*list, *lifetime, *expiry, family, End::Source)
            }
            Effect::AddDestination { list, lifetime, expiry } => {
                self.addition(*list, *lifetime, *expiry, family, End::Destination)
            }
            Effect::Remove(list) => {
                let timed = self.program[*list].timed?;
                let (key, set) = (self.key(timed, family, End::Source), self.pool(timed.pool, family));
                Some(format!("delete @{set} {{ {key} }}"))
            }
            // Nothing here is worth more than a few lines a second.
            Effect::Log(_) if family == Family::V6 => None,
            Effect::Log(prefix) => {
                let text = format!("limit rate 5/second log prefix {}", quoted(&log_prefix(prefix)));
                return Some(Action::any(text));
            }
            // Updating an element of a map leaves its data as it was (nft_dynset.c, 6.18). A removal
            // never breaks off its rule, so the addition can follow in the same one.
            Effect::Move { track, position, lifetime } => {
                let map = self.track(*track, family);
                let (forget, number) = (forget(&map, &source), position.number());
                let timeout = timeout(*lifetime);
                let add = format!("{forget} add @{map} {{ {source} timeout {timeout} : 0x{number:08x} }}");
                Some(self.counted(add))
            }
            Effect::Forget(track) => Some(forget(&self.track(*track, family), &source)),
        };
        text.map(|text| Action::of(family, text))
    }

    /// `None` for a list that no rule changes; a sealed program has no such addition. What is among
    /// the fixed members is not added.
    fn addition(
        &self,
        list: ListId,
        lifetime: Lifetime,
        expiry: Expiry,
        family: Family,
        end: End,
    ) -> Option<String> {
        let List { name, fixed, timed, .. } = &self.program[list];
        let timed = (*timed)?;
        let verb = match expiry {
            Expiry::Refresh => "update",
            Expiry::Keep => "add",
        };
        let unless = match has(fixed, family) {
            true => format!("{} != @{} ", end.of(family), static_name(name, family)),
            false => String::new(),
        };
        let (key, set) = (self.key(timed, family, end), self.pool(timed.pool, family));
        let add = format!("{verb} @{set} {{ {key} timeout {} }}", timeout(lifetime));
        Some(unless + &self.counted(add))
    }

    /// An addition between two counters, where rules count: of attempts, and of those that found room.
    fn counted(&self, addition: String) -> String {
        if self.live { format!("{COUNTER}{addition} {}", COUNTER.trim_end()) } else { addition }
    }

    /// Before a source is put on a list that rules take sources off: away with what has expired but
    /// is not collected yet. A removal could hit that, and leave what is live (nft_set_hash.c,
    /// `nft_rhash_delete`, takes no notice of expiry; seen on 6.18). A track never has both, for each
    /// move begins with a removal.
    fn make_way(&self, effect: &Effect, family: Family) -> Option<Action> {
        let (list, end) = match effect {
            Effect::Add { list, .. } => (list, End::Source),
            Effect::AddDestination { list, .. } => (list, End::Destination),
            _ => return None,
        };
        if !self.removed.contains(list) {
            return None;
        }
        let timed = self.program[*list].timed?;
        let (key, set) = (self.key(timed, family, end), self.pool(timed.pool, family));
        Some(Action::of(family, format!("{key} != @{set} delete @{set} {{ {key} }}")))
    }

    fn switch(&self, switch: &Switch, name: &str) -> Vec<Action> {
        let load = |track: TrackId, family| {
            format!("meta mark set {} saddr map @{}", header(family), self.track(track, family))
        };
        let both = |text: &dyn Fn(Family) -> String| {
            Family::BOTH
                .into_iter()
                .map(|family| Action::of(family, text(family)).with(Protocols::PORTS))
                .collect::<Vec<_>>()
        };
        match switch {
            Switch::Port(arms) if arms.is_empty() => vec![],
            Switch::Port(_) => {
                vec![Action::any(format!("meta l4proto . th dport vmap @{name}")).with(Protocols::PORTS)]
            }
            Switch::TrackPort(_, arms) if arms.is_empty() => vec![],
            Switch::TrackPort(track, _) => both(&|family| {
                format!("{} meta mark . meta l4proto . th dport vmap @{name}", load(*track, family))
            }),
            // Sizes have no type of their own in nft 1.0.6, so they cannot be part of a key: a rule
            // for each.
            Switch::Echo(arms) => Family::BOTH
                .into_iter()
                .flat_map(|family| arms.iter().map(move |arm| (family, arm)))
                .map(|(family, (data, chain))| {
                    let size = echo_packet_size(family, *data);
                    let text = format!(
                        "{} type echo-request meta length {size} goto {}",
                        icmp(family),
                        self.name(*chain)
                    );
                    Action::of(family, text).with(Protocols::ICMP)
                })
                .collect(),
            Switch::TrackEcho(track, arms) => Family::BOTH
                .into_iter()
                .flat_map(|family| arms.iter().map(move |arm| (family, arm)))
                .map(|(family, ((position, data), chain))| {
                    let size = echo_packet_size(family, *data);
                    let text = format!(
                        "{} type echo-request meta length {size} {} meta mark 0x{:08x} goto {}",
                        icmp(family),
                        load(*track, family),
                        position.number(),
                        self.name(*chain)
                    );
                    Action::of(family, text).with(Protocols::ICMP)
                })
                .collect(),
        }
    }
}

/// Which of TCP, UDP, ICMP and anything else a packet can carry, a bit for each.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Protocols(u8);

impl Protocols {
    const NONE: Self = Self(0);
    const PORTS: Self = Self(3);
    const ICMP: Self = Self(4);
    const OTHER: Self = Self(8);
    const ALL: Self = Self(15);

    fn of(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self(1),
            Transport::Udp => Self(2),
        }
    }

    fn of_number(number: u8, family: Family) -> Self {
        match (number, family) {
            (6, _) => Self::of(Transport::Tcp),
            (17, _) => Self::of(Transport::Udp),
            (1, Family::V4) | (58, Family::V6) => Self::ICMP,
            _ => Self::OTHER,
        }
    }

    /// All but these.
    fn others(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }
}

impl std::ops::BitAnd for Protocols {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// The ways in which a packet goes to none of these ports.
fn elsewhere(endpoints: &BTreeSet<Endpoint>) -> Vec<Way> {
    let other = Way { text: "meta l4proto != { tcp, udp }".to_owned(), protocols: Protocols::PORTS.others() };
    let rest = [Transport::Tcp, Transport::Udp].map(|transport| {
        let of = endpoints.iter().filter(|endpoint| endpoint.transport == transport);
        let ports: Vec<_> = of.map(|endpoint| endpoint.port.number()..=endpoint.port.number()).collect();
        let text = match ports.is_empty() {
            true => format!("meta l4proto {transport}"),
            false => format!("{transport} dport {}", range_set(&rest(&ports))),
        };
        Way { text, protocols: Protocols::of(transport) }
    });
    std::iter::once(other).chain(rest).collect()
}

/// What a packet can carry that meets the condition.
fn protocols(condition: &Condition, family: Family) -> Protocols {
    match condition {
        Condition::Not(inner) => match **inner {
            Condition::Transport(_) => protocols(inner, family).others(),
            _ => Protocols::ALL,
        },
        Condition::Transport(transport) | Condition::Ports(transport, ..) => Protocols::of(*transport),
        Condition::Protocol(number) => Protocols::of_number(*number, family),
        Condition::Flags { .. } => Protocols::of(Transport::Tcp),
        Condition::Echo(_) | Condition::Icmp(..) => Protocols::ICMP,
        Condition::To(endpoints) => {
            let each = endpoints.iter().map(|endpoint| Protocols::of(endpoint.transport));
            each.fold(Protocols::NONE, |all, one| Protocols(all.0 | one.0))
        }
        _ => Protocols::ALL,
    }
}

/// A statement, and what it is for.
struct Action {
    /// `None` for any.
    family: Option<Family>,
    protocols: Protocols,
    text: String,
}

impl Action {
    fn any(text: impl Into<String>) -> Self {
        Self { family: None, protocols: Protocols::ALL, text: text.into() }
    }

    fn of(family: Family, text: String) -> Self {
        Self { family: Some(family), ..Self::any(text) }
    }

    fn with(self, protocols: Protocols) -> Self {
        Self { protocols, ..self }
    }

    /// The same with something behind it, which is left out where it was broken off.
    fn and_then(self, more: Option<String>) -> Self {
        let text = more.into_iter().fold(self.text, |text, more| format!("{text} {more}"));
        Self { text, ..self }
    }

    /// Its text where a packet is known to be of this family, or of any. What begins with a counter counts its
    /// own family alone.
    fn beside(&self, known: Option<Family>) -> String {
        let Self { family, text, .. } = self;
        match family {
            Some(family) if known.is_none() && text.starts_with(COUNTER) => {
                format!("meta nfproto {} {text}", nfproto(*family))
            }
            _ => text.clone(),
        }
    }

    fn fits(&self, (family, way): &(Option<Family>, Way)) -> bool {
        let families = family.is_none() || self.family.is_none() || *family == self.family;
        families && self.protocols & way.protocols != Protocols::NONE
    }
}

/// Has an effect told, as far as there is room in its limit. It stands last in its line, so that neither a
/// full list nor the limit keeps anything else from being done; and each effect has a limit of its own, so
/// that a flood of first knocks hides no grant. Of the packet, its source is told and no port.
fn telling(told: Told, family: Family) -> String {
    let bytes = match family {
        Family::V4 => 16,
        Family::V6 => 24,
    };
    let prefix = quoted(&told.to_string());
    let limit = format!("limit rate {TOLD_A_SECOND}/second burst {TOLD_AT_ONCE} packets");
    format!("{limit} log prefix {prefix} group {EVENTS} snaplen {bytes}")
}

/// How often an effect is told. People read no faster; and where all of 1000 doors are flooded at once, a
/// single process still reads it all.
const TOLD_A_SECOND: u32 = 20;
/// How often it is told in a row, when many come at one moment.
const TOLD_AT_ONCE: u32 = 40;

/// What counts the packets that come as far as this in a line.
const COUNTER: &str = "counter ";

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

/// Whether a packet is from where somebody tries a ruleset out.
fn tries(family: Family) -> String {
    format!("{} . th dport @{RESCUE}{} meta l4proto tcp", End::Source.of(family), digit(family))
}

/// What belongs to one rule of a chain is called so.
fn numbered(chain: &Chain, index: usize) -> String {
    format!("{}.{}", identifier(&chain.name), index + 1)
}

fn pair(endpoint: &Endpoint) -> String {
    format!("{} . {}", endpoint.transport, endpoint.port)
}

/// Writing to a string never fails.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes all that memory holds");
}

fn line(out: &mut String, condition: &str, action: &str, about: &str) {
    let space = if condition.is_empty() || action.is_empty() { "" } else { " " };
    put(out, format_args!("\t\t{condition}{space}{action}{about}\n"));
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}

fn has(members: &[Prefix], family: Family) -> bool {
    members.iter().any(|prefix| prefix.family() == family)
}

/// The set of a list's fixed members.
fn static_name(list: &str, family: Family) -> String {
    format!("{}{}", identifier(list), digit(family))
}

/// The set of the single sources of a list that people manage.
pub fn single_name(list: &str, family: Family) -> String {
    format!("{}.single{}", identifier(list), digit(family))
}

/// The bits of a prefix that is a single source to a list that people manage: an IPv4 address, or the
/// network that stands for an IPv6 address.
pub fn single_bits(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 64,
    }
}

/// The set or map that has a family's share of a pool or track, or the networks of a list that people
/// manage, by its name.
pub fn set_name(name: &str, family: Family) -> String {
    format!("{name}{}", digit(family))
}

/// `name` where nft takes it as a name, with an underscore for its space if it has one, else something
/// like it. No two names become one, and none has two underscores.
fn identifier(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let unchanged = name.chars().all(|c| plain(c) || c == ' ') && name.matches(' ').count() <= 1;
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    // `ip6` and `icmpv6` would be words of nft's own.
    let taken = [ABOUT, "ip", "icmpv"].contains(&name);
    // What is made of other names begins so.
    let made = name.starts_with("x-");
    if unchanged && begins && !taken && !made && name.len() <= MAX_IDENTIFIER {
        return name.replace(' ', "_");
    }
    let kept: String =
        name.chars().map(|c| if plain(c) { c } else { '-' }).take(MAX_IDENTIFIER / 2).collect();
    format!("x-{kept}-{:016x}", fnv1a_64(name.as_bytes()))
}

/// Names of sets have at most 31 bytes before Linux 4.17 and 255 since (`NFT_SET_MAXNAMELEN`); this
/// is short enough to be read.
const MAX_IDENTIFIER: usize = 80;

/// At most 127 bytes (`NF_LOG_PREFIXLEN`), and a colon to part it from the rest.
/// A dollar sign would begin a variable of nft's.
fn log_prefix(text: &str) -> String {
    let end = text.floor_char_boundary(100);
    format!("{}: ", text[..end].replace('$', ""))
}

/// Sources a set of [`RESCUE`] may have; it is given one.
const MOST_RESCUE: u32 = 16;
/// All ports of that one.
const MOST_RESCUED: u32 = 65_536;
/// No trial is longer.
const RESCUED_FOR: Lifetime = Lifetime::from_secs(3600);

fn refuse(how: Refusal) -> Vec<Action> {
    let reset = Action::any("meta l4proto tcp reject with tcp reset").with(Protocols::of(Transport::Tcp));
    match how {
        Refusal::Closed => vec![reset, Action::any("reject with icmpx type port-unreachable")],
        Refusal::Reset => vec![reset],
        Refusal::Unreachable(family, code) => {
            vec![Action::of(family, format!("reject with {} type {code}", icmp(family)))]
        }
        // A program that has it is refused before.
        Refusal::Tarpit => vec![],
    }
}

/// Set elements: `80`, `100-200`.
fn range_set<T: Number>(ranges: &[RangeInclusive<T>]) -> String {
    match merged(ranges).as_slice() {
        [one] => range(one),
        many => format!("{{ {} }}", joined(many.iter().map(range), ", ")),
    }
}

/// All other numbers. What is not in a range is said so, for of two `!=` on neighbouring fields nft
/// 1.0.6 makes one, which holds if either does: `tcp dport != 1 tcp sport != 1`.
fn rest<T: Number>(ranges: &[RangeInclusive<T>]) -> Vec<RangeInclusive<T>> {
    let number = |number: u32| T::try_from(number).ok();
    let mut found = vec![];
    let mut next = 0;
    for taken in merged(ranges) {
        let (start, end): (u32, u32) = ((*taken.start()).into(), (*taken.end()).into());
        found.extend(
            start
                .checked_sub(1)
                .filter(|last| *last >= next)
                .and_then(|last| Some(number(next)?..=number(last)?)),
        );
        next = end + 1;
    }
    found.extend(number(next).zip(number(T::MAX)).map(|(first, last)| first..=last));
    found
}

fn range<T: Copy + PartialEq + fmt::Display>(range: &RangeInclusive<T>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

fn prefix_set(prefixes: &[Prefix], family: Family) -> String {
    let of: Vec<_> = prefixes.iter().filter(|prefix| prefix.family() == family).collect();
    let outer = of.iter().enumerate().filter(|(place, inner)| {
        let within = |(other, outer): (usize, &&Prefix)| {
            outer.covers(***inner) && (other < *place || outer.len() < inner.len())
        };
        !of.iter().copied().enumerate().any(|(other, outer)| within((other, &outer)))
    });
    match outer.map(|(_, prefix)| prefix.to_string()).collect::<Vec<_>>().as_slice() {
        [one] => one.clone(),
        many => format!("{{ {} }}", many.join(", ")),
    }
}

fn nfproto(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn icmp(family: Family) -> &'static str {
    match family {
        Family::V4 => "icmp",
        Family::V6 => "icmpv6",
    }
}

/// nft takes any combination of units, so milliseconds alone are exact and short enough.
fn timeout(lifetime: Lifetime) -> String {
    let millis = lifetime.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

/// Deleting from a map looks at the key alone, but nft 1.0.6 wants data written.
fn forget(map: &str, source: &str) -> String {
    format!("delete @{map} {{ {source} : 0x0 }}")
}

/// An address as a key, of which IPv6 has so many bits.
fn masked(end: End, family: Family, v6_bits: u8) -> String {
    match family {
        Family::V6 if v6_bits < 128 => format!("{} & {}", end.of(family), v6_mask(v6_bits)),
        _ => end.of(family),
    }
}

fn v6_mask(bits: u8) -> std::net::IpAddr {
    crate::net::truncate(std::net::Ipv6Addr::from_bits(u128::MAX).into(), bits)
}

fn interface_set(interfaces: &[Interface]) -> String {
    match interfaces {
        [one] => quoted(one.as_str()),
        many => format!("{{ {} }}", joined(many.iter().map(|name| quoted(name.as_str())), ", ")),
    }
}

fn state_set(states: States) -> String {
    let named = State::NAMED.into_iter().filter(|(_, state)| states.has(*state));
    joined(named.map(|(name, _)| name), ",")
}

fn to(endpoints: &BTreeSet<Endpoint>) -> String {
    format!("meta l4proto . th dport {{ {} }}", joined(endpoints.iter().map(pair), ", "))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::program::{Builder, Origin};

    #[test]
    fn no_two_names_become_one() {
        let names = ["a", "a b", "a-b", "a_b", "a  b", "x-a", "1", "ip", "about", "list a", "ä", "a.1", ""];
        let found: BTreeSet<String> = names.into_iter().map(identifier).collect();
        assert_eq!(found.len(), names.len(), "{found:?}");
        assert!(found.iter().all(|name| !name.contains("__")), "{found:?}");
    }

    #[test]
    fn an_expired_element_is_out_of_the_way_before_one_is_added_that_may_be_removed() {
        for (removed, times) in [(false, 0), (true, 2)] {
            let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
            let pool = builder.pool("seen", NonZeroU32::MIN, false);
            let list = builder.timed_list("seen", pool, 128);
            let lifetime = Lifetime::from_secs(1);
            let add = Effect::Add { list, lifetime, expiry: Expiry::Refresh };
            let input = builder.chain("input", Some(Hook::Input));
            let then = [add].into_iter().chain(removed.then_some(Effect::Remove(list))).collect();
            let origin = Origin { what: "test".into(), span: None };
            builder.rule(input, Rule { when: vec![], then, verdict: None, origin });
            let text = print(&builder.seal().unwrap()).unwrap().text;
            assert_eq!(text.matches(" != @seen").count(), times, "{text}");
        }
    }

    #[test]
    fn a_list_that_people_manage_is_two_empty_sets_and_both_are_asked() {
        let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
        let list = builder.managed_list("by hand", NonZeroU32::MIN);
        let input = builder.chain("input", Some(Hook::Input));
        for (condition, verdict) in [
            (Condition::Listed(list), None),
            (Condition::Listed(list), Some(Verdict::Drop)),
            (Condition::not_listed(list), Some(Verdict::Accept)),
        ] {
            let origin = Origin { what: "test".into(), span: None };
            builder.rule(input, Rule { when: vec![condition], then: vec![], verdict, origin });
        }
        let ruleset = print_live(&builder.seal().unwrap()).unwrap();
        for (digit, address, network) in
            [(4, "ip saddr", "ip saddr"), (6, "ip6 saddr", "ip6 saddr & ffff:ffff:ffff:ffff::")]
        {
            let [networks, singles] = [format!("by_hand{digit}"), format!("by_hand.single{digit}")];
            for name in [&networks, &singles] {
                let set = ruleset.sets.iter().find(|set| set.name == *name).unwrap();
                assert!(!set.fixed && set.size == Some(1));
            }
            for line in [
                format!("{address} @{networks} counter comment"),
                // What is on both counts once.
                format!("{address} != @{networks} {network} @{singles} counter comment"),
                format!("{address} @{networks} counter drop"),
                // What was on the other is gone.
                format!("ipv{digit} {network} @{singles} counter drop"),
                format!("{address} != @{networks} {network} != @{singles} counter accept"),
            ] {
                assert!(ruleset.text.contains(&line), "{line} is not in {}", ruleset.text);
            }
        }
        for flags in ["interval", "dynamic"] {
            assert_eq!(ruleset.text.matches(&format!("size 1\n\t\tflags {flags},timeout\n\t}}")).count(), 2);
        }
    }

    #[test]
    fn every_addition_stands_between_two_counters_and_its_rule_counts_once() {
        let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
        let pool = builder.pool("seen", NonZeroU32::MIN, false);
        let list = builder.timed_list("seen", pool, 128);
        let track = builder.track("progress", NonZeroU32::MIN);
        let position = builder.position(track, "one", "one");
        let input = builder.chain("input", Some(Hook::Input));
        let lifetime = Lifetime::from_secs(1);
        let add = Effect::Add { list, lifetime, expiry: Expiry::Refresh };
        let step = Effect::Move { track, position, lifetime };
        for then in [vec![add.clone()], vec![step.clone()], vec![add, step]] {
            let origin = Origin { what: "test".into(), span: None };
            let when = vec![Condition::Family(Family::V4), Condition::ToGateway];
            builder.rule(input, Rule { when, then, verdict: Some(Verdict::Drop), origin });
        }
        let text = print_live(&builder.seal().unwrap()).unwrap().text;
        let adding: Vec<&str> =
            text.lines().filter(|line| line.contains(" add @") || line.contains("update @")).collect();
        assert_eq!(adding.len(), 4, "{text}");
        for line in adding {
            assert_eq!(line.matches("counter").count(), 2, "{line}");
        }
    }

    #[test]
    fn a_rule_that_counts_does_so_once_and_is_told_by_its_comment() {
        let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
        let input = builder.chain("input", Some(Hook::Input));
        for verdict in [None, Some(Verdict::Reject(Refusal::Closed)), Some(Verdict::Drop)] {
            let origin = Origin { what: "door #1.1 of \"mine\"".into(), span: None };
            let when = vec![Condition::Family(Family::V4)];
            builder.rule(input, Rule { when, then: vec![], verdict, origin });
        }
        let program = builder.seal().unwrap();
        let text = print_live(&program).unwrap().text;
        let counted = |line: &str| Counted::of_comment(line.split_once("comment \"")?.1);
        let counting = text.lines().filter(|line| line.contains("counter")).map(counted);
        let rules = (0..3).map(|rule| Some(Counted { chain: 0, rule }));
        assert_eq!(counting.collect::<Vec<_>>(), rules.collect::<Vec<_>>(), "{text}");
        assert!(!print(&program).unwrap().text.contains("counter"));
        assert_eq!(counted(" comment \"door main: knock 1 of 3\""), None);
    }

    #[test]
    fn what_is_done_is_told_at_the_end_of_its_line_and_known_again() {
        let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
        let pool = builder.pool("seen", NonZeroU32::MIN, false);
        let list = builder.timed_list("seen", pool, 128);
        let track = builder.track("progress", NonZeroU32::MIN);
        let position = builder.position(track, "a", "a 1/2");
        let lifetime = Lifetime::from_secs(1);
        let add = Effect::Add { list, lifetime, expiry: Expiry::Refresh };
        let input = builder.chain("input", Some(Hook::Input));
        let then = vec![Effect::Forget(track), add, Effect::Move { track, position, lifetime }];
        let origin = Origin { what: "test".into(), span: None };
        builder.rule(input, Rule { when: vec![], then, verdict: Some(Verdict::Drop), origin });
        let program = builder.seal().unwrap();
        let text = print_live(&program).unwrap().text;
        let prefixes = text.lines().filter_map(|line| {
            let (done, told) = line.split_once("limit rate")?;
            assert!(done.contains("@seen") || done.contains("add @progress"), "{line}");
            Told::of_prefix(told.split('"').nth(1)?)
        });
        let found: Vec<Told> = prefixes.collect();
        let known: Vec<Told> = Told::all(&program).map(|(told, _)| told).collect();
        assert_eq!(known.iter().map(|told| told.effect).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(found, [known[0], known[0], known[1], known[1]], "one for each family: {text}");
        assert!(!print(&program).unwrap().text.contains("limit"));
        assert_eq!(Told::of_prefix("#1.2 x 00"), None);
    }

    #[test]
    fn of_who_might_try_a_ruleset_out_only_those_are_counted_who_do() {
        let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
        let input = builder.chain("input", Some(Hook::Input));
        let origin = Origin { what: "test".into(), span: None };
        let (when, verdict) = (vec![Condition::ToGateway], Some(Verdict::Rescue));
        builder.rule(input, Rule { when, then: vec![], verdict, origin });
        let text = print_live(&builder.seal().unwrap()).unwrap().text;
        for line in text.lines().filter(|line| line.contains("counter")) {
            let (lookup, noted) = (line.find("@rescue"), line.find("add @rescued"));
            assert!(lookup.is_some() && lookup < noted && noted < line.find("counter accept"), "{text}");
        }
        assert_eq!(text.matches("counter").count(), 2, "{text}");
    }

    #[test]
    fn rules_that_have_counted_are_the_same_but_for_their_numbers_each_told_once() {
        let mut builder = Builder::new(vec!["eth0".parse().unwrap()]);
        let input = builder.chain("input", Some(Hook::Input));
        let rule = |when, then, verdict| Rule {
            when,
            then,
            verdict,
            origin: Origin { what: "a counter of it".into(), span: None },
        };
        let outside = vec![Condition::From(vec!["eth0".parse().unwrap(), "counter".parse().unwrap()])];
        let log = || vec![Effect::Log("is a counter here".into())];
        builder.rule(input, rule(outside.clone(), log(), Some(Verdict::Drop)));
        builder.rule(input, rule(vec![], log(), None));
        builder.rule(input, rule(outside, vec![], Some(Verdict::Rescue)));
        builder.rule(input, rule(vec![Condition::Echo(Some(9))], vec![], None));
        let program = builder.seal().expect("no flaws");
        let number = |rule: Counted| (100 + rule.rule as u64, 7);
        let ruleset = print_live(&program).expect("sayable");
        let counted = ruleset.counting_from(number);
        for rule in 0..4 {
            let numbers = format!("counter packets {} bytes 7 ", 100 + rule);
            assert_eq!(counted.matches(&numbers).count(), 1, "{numbers} in {counted}");
        }
        assert_eq!(counted.matches("\"is a counter here").count(), 2, "{counted}");
        let numbers = (0..4).map(|rule| format!("packets {} bytes 7 ", 100 + rule));
        let numbers = numbers.chain(["packets 0 bytes 0 ".to_owned()]);
        let bare = numbers.fold(counted, |text, numbers| text.replace(&numbers, ""));
        assert_eq!(bare, ruleset.text);
        let plain = print(&program).expect("sayable");
        assert_eq!(plain.counting_from(number), plain.text, "rules that do not count stay as they are");
    }
}
