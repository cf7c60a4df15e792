//! nftables (`man nft`, 1.0.6 and later): one table, `inet knockgate`.
//!
//! - A timed list is a `dynamic,timeout` set per family. Lists that share a pool share its set,
//!   whose second key is the list's tag; the tag is written `meta mark & 0x0 | TAG`, for nft 1.0.6
//!   takes no constant in a concatenation. The mark itself is only read.
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

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::net::{Endpoint, Family, Interface, Prefix, Transport, echo_packet_size};
use crate::program::{
    Chain, ChainId, Condition, Effect, Expiry, Hook, ListId, Members, PoolId, Program, Rule, State, States,
    Switch, TrackId, Verdict,
};
use crate::time::Lifetime;

/// The table that is ours, and the only one ever touched.
pub const TABLE: &str = "inet knockgate";
/// A chain that no packet enters; the comment of its only rule tells which ruleset is loaded.
pub const ABOUT: &str = "about";

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

impl Set {
    /// `set` or `map`.
    pub fn kind(&self) -> &'static str {
        if self.data.is_some() { "map" } else { "set" }
    }
}

/// The ruleset of `program`.
pub fn print(program: &Program) -> Ruleset {
    let printer = Printer { program };
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
    for (_, chain) in program.chains_with_ids() {
        printer.chain(&mut body, chain, &mut chains);
    }
    let fingerprint = format!("knockgate {:016x}", fnv1a(body.as_bytes()));
    // A rule on connection tracking anywhere, even one that no packet meets, is what makes the
    // kernel track connections, run chains of type nat, and put fragments together.
    let about =
        format!("\tchain {ABOUT} {{\n\t\tct state new return comment {}\n\t}}\n", quoted(&fingerprint));
    chains.push(ABOUT.to_owned());
    let text = format!("table {TABLE} {{\n{body}{about}}}\n");
    Ruleset { text, fingerprint, sets, chains }
}

/// FNV-1a, 64 bits (RFC 9923). It tells rulesets apart; it is no protection against forgery.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
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
}

/// What a condition is to a packet of some family.
enum Test {
    /// Always true.
    True,
    /// Never true.
    False,
    /// True where this matches.
    Match(String),
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
                name: format!("{}{}", name.replace(' ', "-"), digit(family)),
                key,
                data,
                fixed: size.is_none(),
                size,
            };
            for list in self.program.lists() {
                if matches!(&list.members, Members::Static(members) if has(members, family)) {
                    sets.push(set(&list.name, address.to_owned(), None, None));
                }
            }
            for pool in self.program.pools() {
                let key = if pool.shared { format!("{address} . mark") } else { address.to_owned() };
                sets.push(set(&pool.name, key, None, Some(pool.capacity.get())));
            }
            for track in self.program.tracks() {
                sets.push(set(&track.name, address.to_owned(), Some("mark"), Some(track.capacity.get())));
            }
        }
        sets
    }

    fn declare(&self, out: &mut String, set: &Set) {
        let data = set.data.map(|data| format!(" : {data}")).unwrap_or_default();
        put(out, format_args!("\t{} {} {{\n\t\ttype {}{data}\n", set.kind(), set.name, set.key));
        match set.size {
            Some(size) => put(out, format_args!("\t\tsize {size}\n\t\tflags dynamic,timeout\n")),
            None => {
                put(out, format_args!("\t\tflags interval\n\t\tauto-merge\n"));
                let members = self.program.lists().iter().flat_map(|list| match &list.members {
                    Members::Static(members) => Family::BOTH
                        .into_iter()
                        .filter(|family| static_name(&list.name, *family) == set.name)
                        .flat_map(|family| members.iter().filter(move |prefix| prefix.family() == family))
                        .collect::<Vec<_>>(),
                    Members::Timed { .. } => vec![],
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

    fn chain(&self, out: &mut String, chain: &Chain, names: &mut Vec<String>) {
        names.push(chain.name.to_string());
        let mut rules = String::new();
        let mut bodies = String::new();
        for (index, rule) in chain.rules.iter().enumerate() {
            let about = comment(&rule.origin.what);
            let body = numbered(chain, index);
            let mut actions = self.actions(rule, &body);
            actions.retain(|action| action.protocols & possible(rule) != Protocols::NONE);
            let conditions = self.conditions(rule);
            // A single action is the last thing its rule does, so it may break off. The arms of a
            // switch lead out of this very chain, so they stand in it.
            let switch = matches!(rule.verdict, Some(Verdict::Switch(_)));
            let inline = actions.len() <= 1 || rule.when.is_empty() || switch;
            if inline {
                for (family, condition) in &conditions {
                    for action in actions.iter().filter(|action| fits(*family, action.family)) {
                        line(&mut rules, condition, &action.text, &about);
                    }
                }
                continue;
            }
            let enter = if rule.verdict == Some(Verdict::Return) { "goto" } else { "jump" };
            for (_, condition) in &conditions {
                line(&mut rules, condition, &format!("{enter} {body}"), &about);
            }
            put(&mut bodies, format_args!("\tchain {body} {{\n"));
            for action in actions.iter().filter(|action| action.text != "return") {
                line(&mut bodies, "", &action.text, &about);
            }
            bodies.push_str("\t}\n");
            names.push(body);
        }
        out.push_str(&bodies);
        put(out, format_args!("\tchain {} {{\n", chain.name));
        if let Some(hook) = chain.hook {
            let (kind, name, priority) = match hook {
                Hook::Prerouting => ("nat", "prerouting", "dstnat"),
                Hook::Input => ("filter", "input", "filter"),
                Hook::Forward => ("filter", "forward", "filter"),
            };
            put(out, format_args!("\t\ttype {kind} hook {name} priority {priority}; policy accept;\n"));
        }
        out.push_str(&rules);
        out.push_str("\t}\n");
    }

    /// The rule's conditions in nft's words: once when they say the same to both families, else
    /// for each family that they can hold in.
    fn conditions(&self, rule: &Rule) -> Vec<(Option<Family>, String)> {
        if possible(rule) == Protocols::NONE {
            return vec![];
        }
        let of = |family: Family| -> Option<String> {
            let mut words = vec![];
            for condition in &rule.when {
                match self.condition(condition, family) {
                    Test::True => {}
                    Test::False => return None,
                    Test::Match(text) => words.push(text),
                }
            }
            Some(words.join(" "))
        };
        match (of(Family::V4), of(Family::V6)) {
            (Some(v4), Some(v6)) if v4 == v6 => vec![(None, v4)],
            (v4, v6) => [(Family::V4, v4), (Family::V6, v6)]
                .into_iter()
                .filter_map(|(family, text)| {
                    text.map(|text| (Some(family), format!("meta nfproto {} {text}", nfproto(family))))
                })
                .collect(),
        }
    }

    fn condition(&self, condition: &Condition, family: Family) -> Test {
        let ip = header(family);
        Test::Match(match condition {
            Condition::From(interfaces) if interfaces.is_empty() => return Test::False,
            Condition::From(interfaces) => format!("iifname {}", interface_set(interfaces)),
            Condition::NotFrom(interfaces) if interfaces.is_empty() => return Test::True,
            Condition::NotFrom(interfaces) => format!("iifname != {}", interface_set(interfaces)),
            Condition::State(states) if *states == States::of(&[]) => return Test::False,
            Condition::State(states) => format!("ct state {}", state_set(*states)),
            Condition::Family(wanted) => return if *wanted == family { Test::True } else { Test::False },
            Condition::Transport(transport) => format!("meta l4proto {transport}"),
            Condition::To(endpoints) => to(endpoints),
            Condition::SourcePort(transport, port) => format!("{transport} sport {port}"),
            Condition::Flags { mask, set } => {
                format!("tcp flags & 0x{:02x} == 0x{:02x}", mask.bits(), set.bits())
            }
            Condition::Echo(data) => {
                let size = data.map(|data| format!(" meta length {}", echo_packet_size(family, data)));
                format!("{} type echo-request{}", icmp(family), size.unwrap_or_default())
            }
            Condition::Icmp(wanted, kinds) if *wanted != family || kinds.is_empty() => return Test::False,
            Condition::Icmp(_, kinds) if kinds.start() == kinds.end() => {
                format!("{} type {}", icmp(family), kinds.start())
            }
            Condition::Icmp(_, kinds) => format!("{} type {}-{}", icmp(family), kinds.start(), kinds.end()),
            Condition::HopLimit(limit) => match family {
                Family::V4 => format!("ip ttl {limit}"),
                Family::V6 => format!("ip6 hoplimit {limit}"),
            },
            Condition::Source(prefix) if prefix.family() != family => return Test::False,
            Condition::Source(prefix) => format!("{ip} saddr {prefix}"),
            Condition::Destination(prefix) if prefix.family() != family => return Test::False,
            Condition::Destination(prefix) => format!("{ip} daddr {prefix}"),
            Condition::ToGateway => "fib daddr type local".to_owned(),
            // The header that follows at once is the payload's: nothing stands between. Said as
            // `ip6 nexthdr { tcp, udp, ipv6-icmp }`, nft would take the first for the packet's
            // protocol, and refuse `icmpv6 type` after it.
            Condition::NoExtensionHeaders => match family {
                Family::V4 => return Test::True,
                Family::V6 => "@nh,48,8 { 6, 17, 58 }".to_owned(),
            },
            Condition::Listed(list) => match self.membership(*list, family) {
                Some((key, set)) => format!("{key} @{set}"),
                None => return Test::False,
            },
            Condition::NotListed(list) => match self.membership(*list, family) {
                Some((key, set)) => format!("{key} != @{set}"),
                None => return Test::True,
            },
        })
    }

    /// The key and the set that tell whether a source is on a list; `None` when nothing of the
    /// family ever is.
    fn membership(&self, list: ListId, family: Family) -> Option<(String, String)> {
        let list = &self.program[list];
        match &list.members {
            Members::Static(members) => has(members, family)
                .then(|| (format!("{} saddr", header(family)), static_name(&list.name, family))),
            Members::Timed { pool, tag, v6_bits } => {
                Some((self.key(*pool, tag.get(), *v6_bits, family), self.pool(*pool, family)))
            }
        }
    }

    fn key(&self, pool: PoolId, tag: u32, v6_bits: u8, family: Family) -> String {
        let source = match family {
            Family::V6 if v6_bits < 128 => format!("ip6 saddr & {}", v6_mask(v6_bits)),
            _ => format!("{} saddr", header(family)),
        };
        if self.program[pool].shared { format!("{source} . meta mark & 0x0 | 0x{tag:08x}") } else { source }
    }

    fn pool(&self, pool: PoolId, family: Family) -> String {
        format!("{}{}", self.program[pool].name, digit(family))
    }

    fn track(&self, track: TrackId, family: Family) -> String {
        format!("{}{}", self.program[track].name, digit(family))
    }

    /// `name` is that of the map, if the rule is a switch.
    fn actions(&self, rule: &Rule, name: &str) -> Vec<Action> {
        let mut actions = vec![];
        for effect in &rule.then {
            for family in Family::BOTH {
                actions.extend(self.make_way(effect, family));
                actions.extend(self.effect(effect, family));
            }
        }
        match &rule.verdict {
            None => {}
            Some(Verdict::Accept) => actions.push(Action::any("accept")),
            Some(Verdict::Drop) => actions.push(Action::any("drop")),
            Some(Verdict::Reject) => {
                actions.push(Action::any("meta l4proto tcp reject with tcp reset"));
                actions.push(Action::any("reject with icmpx type port-unreachable"));
            }
            Some(Verdict::Jump(target)) => actions.push(Action::any(format!("jump {}", self.name(*target)))),
            Some(Verdict::Return) => actions.push(Action::any("return")),
            Some(Verdict::Redirect(target)) => {
                let family = Family::of(target.ip());
                let text = format!("meta l4proto {{ tcp, udp }} dnat {} to {target}", header(family));
                actions.push(Action::of(family, text).with(Protocols::PORTS));
            }
            Some(Verdict::Switch(switch)) => actions.extend(self.switch(switch, name)),
        }
        actions
    }

    fn name(&self, chain: ChainId) -> &str {
        &self.program[chain].name
    }

    fn effect(&self, effect: &Effect, family: Family) -> Option<Action> {
        let list = |list: ListId| match &self.program[list].members {
            Members::Timed { pool, tag, v6_bits } => {
                Some((self.key(*pool, tag.get(), *v6_bits, family), self.pool(*pool, family)))
            }
            // A sealed program changes no static list.
            Members::Static(_) => None,
        };
        let source = format!("{} saddr", header(family));
        let text = match effect {
            Effect::Add { list: id, lifetime, expiry } => list(*id).map(|(key, set)| {
                let verb = match expiry {
                    Expiry::Refresh => "update",
                    Expiry::Keep => "add",
                };
                format!("{verb} @{set} {{ {key} timeout {} }}", timeout(*lifetime))
            }),
            Effect::Remove(id) => list(*id).map(|(key, set)| format!("delete @{set} {{ {key} }}")),
            // Updating an element of a map leaves its data as it was (nft_dynset.c, 6.18). A removal
            // never breaks off its rule, so the addition can follow in the same one.
            Effect::Move { track, position, lifetime } => {
                let map = self.track(*track, family);
                let (forget, number) = (forget(&map, &source), position.number());
                let timeout = timeout(*lifetime);
                Some(format!("{forget} add @{map} {{ {source} timeout {timeout} : 0x{number:08x} }}"))
            }
            Effect::Forget(track) => Some(forget(&self.track(*track, family), &source)),
        };
        text.map(|text| Action::of(family, text))
    }

    /// Before a source is put on a list that rules take sources off: away with what has expired but
    /// is not collected yet. A removal could hit that, and leave what is live (nft_set_hash.c,
    /// `nft_rhash_delete`, takes no notice of expiry; seen on 6.18). A track never has both, for each
    /// move begins with a removal.
    fn make_way(&self, effect: &Effect, family: Family) -> Option<Action> {
        let Effect::Add { list, .. } = effect else { return None };
        let mut effects =
            self.program.chains().iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.then);
        if !effects.any(|other| *other == Effect::Remove(*list)) {
            return None;
        }
        let (key, set) = self.membership(*list, family)?;
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

/// Which of TCP, UDP and ICMP a packet can carry, a bit for each.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Protocols(u8);

impl Protocols {
    const NONE: Self = Self(0);
    const PORTS: Self = Self(3);
    const ICMP: Self = Self(4);
    const ALL: Self = Self(7);

    fn of(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self(1),
            Transport::Udp => Self(2),
        }
    }
}

impl std::ops::BitAnd for Protocols {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What a packet can carry that the rule is for. nft refuses to name two protocols at once.
fn possible(rule: &Rule) -> Protocols {
    rule.when.iter().fold(Protocols::ALL, |left, condition| left & protocols(condition))
}

/// What a packet can carry that meets the condition.
fn protocols(condition: &Condition) -> Protocols {
    match condition {
        Condition::Transport(transport) | Condition::SourcePort(transport, _) => Protocols::of(*transport),
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
}

fn fits(condition: Option<Family>, action: Option<Family>) -> bool {
    condition.is_none() || action.is_none() || condition == action
}

/// What belongs to one rule of a chain is called so.
fn numbered(chain: &Chain, index: usize) -> String {
    format!("{}.{}", chain.name, index + 1)
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

fn static_name(list: &str, family: Family) -> String {
    format!("{}{}", list.replace(' ', "-"), digit(family))
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
            let text = print(&builder.seal().unwrap()).text;
            assert_eq!(text.matches(" != @seen").count(), times, "{text}");
        }
    }
}
