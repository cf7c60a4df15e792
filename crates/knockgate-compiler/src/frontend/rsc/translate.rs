//! From rules to a program.
//!
//! Evaluation is that of RouterOS: a packet that no rule of a built-in chain decides is accepted;
//! adding to a list goes on to the next rule, which sees the address already; adding it again starts
//! its timeout anew. IPv4 and IPv6 have lists and chains of their own. Here they share them, and every
//! rule says which family it is for, which comes to the same: no packet is of both.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::num::NonZeroU32;

use super::config::{Config, Item};
use super::interfaces::{Interfaces, Meant, Named};
use super::rules::{Action, Matcher, Rule, Table, Target, prefixes};
use crate::diag::{At, Code, Diagnostic, Span};
use crate::hash::fnv1a_64;
use crate::net::{Family, Interface, Prefix};
use crate::program::Rule as Step;
use crate::program::{
    Builder, ChainId, Condition, Effect, Expiry, Flaw, Hook, ListId, Origin, PortEnd, Program, Refusal,
    Verdict,
};

/// What a script leaves open.
#[derive(Clone, Debug)]
pub struct Options {
    /// What adding does to an address that is on the list already. Routers refresh; for IPv6 that is
    /// not documented.
    pub again: Expiry,
    /// The interfaces of this machine that stand for those of the script.
    pub interfaces: Named,
    /// Addresses of each family that a list may hold. Routers have no bound but their memory.
    pub capacity: NonZeroU32,
}

impl Default for Options {
    fn default() -> Self {
        let capacity = NonZeroU32::new(65_536).unwrap_or(NonZeroU32::MIN);
        Self { again: Expiry::Refresh, interfaces: Named::new(), capacity }
    }
}

/// The program of `rules`, which are all those of `config`; `None` if it has no one meaning.
pub fn translate(
    config: &Config,
    rules: &[Rule<'_>],
    options: &Options,
) -> (Option<Program>, Vec<Diagnostic>) {
    match attempt(config, rules, options, false) {
        // Chains of IPv4 and of IPv6 that have the same name may stand in each other's way.
        (Err(_), _) => match attempt(config, rules, options, true) {
            (Ok(program), findings) => (program, findings),
            (Err(flaw), mut findings) => {
                findings.push(flawed(&flaw, rules));
                (None, findings)
            }
        },
        (Ok(program), findings) => (program, findings),
    }
}

/// The same, with chains for each family where `apart`.
fn attempt(
    config: &Config,
    rules: &[Rule<'_>],
    options: &Options,
    apart: bool,
) -> (Result<Option<Program>, Flaw>, Vec<Diagnostic>) {
    let interfaces = Interfaces::of(config, &options.interfaces);
    let outside = outside(rules, &interfaces);
    let mut translator = Translator {
        rules,
        options,
        interfaces,
        builder: Builder::new(outside),
        lists: HashMap::new(),
        unknown: BTreeSet::new(),
        chains: BTreeMap::new(),
        places: BTreeMap::new(),
        assumed: BTreeSet::new(),
        apart,
        findings: vec![],
    };
    translator.lists(config);
    let sound = translator.chains();
    for rule in rules.iter().filter(|rule| rule.table != Table::Mangle) {
        translator.rule(rule);
    }
    let Translator { builder, findings, .. } = translator;
    if sound { (builder.seal().map(Some), findings) } else { (Ok(None), findings) }
}

/// A flaw that no rule of its own was found for.
fn flawed(flaw: &Flaw, rules: &[Rule<'_>]) -> Diagnostic {
    let span = rules.first().map_or(Span { start: 0, end: 0 }, |rule| rule.item.span);
    Diagnostic::error(Code::JumpLoop, span, flaw.to_string())
}

/// The interfaces that face strangers: those of the list `WAN`, else those that rules name, else one
/// that no rule names.
fn outside(rules: &[Rule<'_>], interfaces: &Interfaces<'_>) -> Vec<Interface> {
    let matchers = || rules.iter().flat_map(|rule| &rule.matchers).map(|matcher| &matcher.value);
    let mut named = vec![];
    let mut avoided = vec![];
    let mut wide = None;
    for matcher in matchers() {
        let (found, negated) = match matcher {
            Matcher::Interface { name, negated } => (interfaces.interface(name), *negated),
            Matcher::InterfaceList { name, negated } => {
                let found = match interfaces.list(name) {
                    Meant::These(found) | Meant::Assumed(found) => found,
                    Meant::All | Meant::Unknown => continue,
                };
                // The list that routers come with, and that of our own scripts.
                let faces_strangers = name.eq_ignore_ascii_case("wan") || name == "knockgate-outside";
                if faces_strangers && !found.is_empty() {
                    wide = Some(found.clone());
                }
                (found, *negated)
            }
            _ => continue,
        };
        if negated { avoided.extend(found) } else { named.extend(found) }
    }
    named.retain(|interface| !avoided.contains(interface));
    named.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    named.dedup();
    match wide {
        Some(wide) => wide,
        None if !named.is_empty() => named,
        None => {
            let free = |name: &Interface| !avoided.contains(name);
            let mut names = (0..).map(|nth| {
                let name = if nth == 0 { "outside".to_owned() } else { format!("outside{nth}") };
                name.parse().expect("a short word is a name")
            });
            names.find(free).into_iter().collect()
        }
    }
}

/// From where a chain is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reached {
    forward: bool,
    elsewhere: bool,
}

/// A chain of a table and family.
type Chain<'r> = (Table, Family, &'r str);

/// The jumps of each chain: where to, in their order.
type Jumps<'r> = BTreeMap<Chain<'r>, Vec<&'r At<String>>>;

struct Translator<'r, 'c> {
    rules: &'r [Rule<'c>],
    options: &'r Options,
    interfaces: Interfaces<'r>,
    builder: Builder,
    lists: HashMap<&'r str, ListId>,
    /// Lists of which only the router knows who is on them, with their families.
    unknown: BTreeSet<(Family, &'r str)>,
    /// Those of both families, but for user chains where families are apart.
    chains: BTreeMap<(Table, Option<Family>, &'r str), ChainId>,
    apart: bool,
    places: BTreeMap<Chain<'r>, Reached>,
    /// Interfaces and lists of them that were told of as assumed.
    assumed: BTreeSet<&'r str>,
    findings: Vec<Diagnostic>,
}

/// The hook of a chain that packets enter by themselves; `None` for a hook that is not modelled.
fn hook(table: Table, chain: &str) -> Option<Option<Hook>> {
    match (table, chain) {
        (Table::Filter, "input") => Some(Some(Hook::Input)),
        (Table::Filter, "forward") => Some(Some(Hook::Forward)),
        (Table::Raw, "prerouting") => Some(Some(Hook::Raw)),
        (Table::Nat, "dstnat") => Some(Some(Hook::Prerouting)),
        (Table::Filter | Table::Raw, "output")
        | (Table::Nat, "srcnat" | "input" | "output")
        | (Table::Mangle, "input" | "forward" | "output" | "prerouting" | "postrouting") => Some(None),
        _ => None,
    }
}

/// Whether packets enter the chain by themselves.
pub fn is_built_in(table: Table, chain: &str) -> bool {
    hook(table, chain).is_some()
}

impl<'r, 'c> Translator<'r, 'c> {
    fn lists(&mut self, config: &'r Config) {
        let mut fixed: BTreeMap<&'r str, Vec<Prefix>> = BTreeMap::new();
        for family in Family::BOTH {
            let menu = if family == Family::V4 {
                "/ip/firewall/address-list"
            } else {
                "/ipv6/firewall/address-list"
            };
            for item in config.items(menu).iter().filter(|item| !item.is_disabled()) {
                self.entry(item, family, &mut fixed);
            }
        }
        let mut timed = BTreeSet::new();
        let mut told = BTreeSet::new();
        for rule in self.rules {
            let played = rule.table != Table::Mangle && !matches!(hook(rule.table, rule.chain), Some(None));
            if !played && told.insert((rule.table, rule.family, rule.chain)) {
                let message =
                    format!("rules of `{}` in table {} are not played", rule.chain, rule.table.as_str());
                let note = "neither the simulator nor nftables has them";
                self.findings
                    .push(Diagnostic::warning(Code::NotModelled, rule.item.span, message).note(note));
            }
            match (played, rule.adds_to()) {
                (false, Some(list)) => {
                    if self.unknown.insert((rule.family, &list.value)) {
                        let message = format!("list `{}` is filled by a rule that is not played", list.value);
                        let note = "so who is on the list is not known here";
                        self.findings
                            .push(Diagnostic::warning(Code::NotModelled, list.span, message).note(note));
                    }
                }
                (_, Some(list)) => {
                    timed.insert(list.value.as_str());
                }
                (_, None) => {}
            }
            for (list, _) in rule.source_list().into_iter().chain(rule.destination_list()) {
                fixed.entry(&list.value).or_default();
            }
        }
        for name in &timed {
            fixed.entry(name).or_default();
        }
        for (name, members) in fixed {
            let list = if timed.contains(name) {
                let pool = self.builder.pool(&pool_name(name), self.options.capacity, false);
                self.builder.mixed_list(name, members, pool, 128)
            } else {
                self.builder.static_list(name, members)
            };
            self.lists.insert(name, list);
        }
    }

    fn entry(&mut self, item: &'r Item, family: Family, fixed: &mut BTreeMap<&'r str, Vec<Prefix>>) {
        let Some(list) = item.text("list") else {
            let message = "an entry without a list that could be told here";
            self.findings.push(Diagnostic::error(Code::BadValue, item.span, message));
            return;
        };
        let at = item.get("address").map_or(item.span, |value| value.span);
        let Some(address) = item.text("address").filter(|_| !item.is_computed("disabled")) else {
            self.unknown.insert((family, list));
            let message = format!("only the router can tell what this puts on list `{list}`");
            self.findings.push(Diagnostic::warning(Code::ListEntry, at, message));
            return;
        };
        match (prefixes(address, family), item.get("timeout")) {
            (Some(prefixes), None) => fixed.entry(list).or_default().extend(prefixes),
            (Some(_), Some(_)) => {
                self.unknown.insert((family, list));
                let message = format!("an entry of list `{list}` has a timeout");
                let note = "it is gone after that, or when the router restarts";
                self.findings.push(Diagnostic::warning(Code::ListEntry, at, message).note(note));
            }
            (None, _) => {
                self.unknown.insert((family, list));
                let message = format!("`{address}` is a name for the router to look up");
                let finding = Diagnostic::warning(Code::ListEntry, at, message)
                    .note(format!("so who is on list `{list}` is not known here"));
                self.findings.push(finding);
            }
        }
    }

    /// Makes the chains, and finds out from where each is reached. Whether that makes sense.
    fn chains(&mut self) -> bool {
        let mut jumps = Jumps::new();
        let mut known = BTreeSet::new();
        for rule in self.rules.iter().filter(|rule| rule.table != Table::Mangle) {
            known.insert((rule.table, rule.family, rule.chain));
            if let Action::Jump(target) = &rule.action.value {
                jumps.entry((rule.table, rule.family, rule.chain)).or_default().push(target);
            }
        }
        let mut sound = true;
        for (key, targets) in &jumps {
            for target in targets {
                let (table, family, _) = *key;
                if is_built_in(table, &target.value) {
                    let message = format!("a jump to `{}`, which packets enter by themselves", target.value);
                    self.findings.push(Diagnostic::error(Code::JumpLoop, target.span, message));
                    sound = false;
                } else if !known.contains(&(table, family, target.value.as_str())) {
                    self.nowhere(target, *key, &known);
                }
            }
        }
        sound &= self.acyclic(&jumps);
        if !sound {
            return false;
        }
        for (table, family, chain) in &known {
            if hook(*table, chain).is_some() {
                self.reach((*table, *family, chain), *chain == "forward", &jumps);
            }
        }
        for (table, family, chain) in &known {
            if matches!(hook(*table, chain), Some(None)) {
                continue;
            }
            let key = self.key(*table, *family, chain);
            let hook = hook(*table, chain).flatten();
            let name = match hook {
                Some(Hook::Raw) => "raw".to_owned(),
                Some(Hook::Prerouting) => "prerouting".to_owned(),
                Some(Hook::Input) => "input".to_owned(),
                Some(Hook::Forward) => "forward".to_owned(),
                None if key.1 == Some(Family::V6) => format!("{}6 {chain}", table.as_str()),
                None => format!("{} {chain}", table.as_str()),
            };
            let builder = &mut self.builder;
            self.chains.entry(key).or_insert_with(|| builder.chain(&name, hook));
        }
        true
    }

    fn nowhere(&mut self, target: &At<String>, from: Chain<'r>, known: &BTreeSet<Chain<'r>>) {
        let chains = known.iter().filter(|(table, family, chain)| {
            (*table, *family) == (from.0, from.1) && !is_built_in(*table, chain)
        });
        let message = format!("there is no chain `{}`", target.value);
        let mut finding = Diagnostic::warning(Code::JumpNowhere, target.span, message)
            .note("a packet that jumps there comes back at once");
        if let Some(near) = crate::diag::did_you_mean(&target.value, chains.map(|(.., chain)| *chain)) {
            finding = finding.replace(target.span, super::quoted(near), format!("did you mean `{near}`?"));
        }
        self.findings.push(finding);
    }

    /// Whether no chain leads back to itself. A rule that does is told of.
    fn acyclic(&mut self, jumps: &Jumps<'r>) -> bool {
        /// How deep a chain leads, once that is known.
        enum Depth {
            Pending,
            Known(usize),
        }
        let mut depths: BTreeMap<Chain<'_>, Depth> = BTreeMap::new();
        for start in jumps.keys() {
            // Each chain with the number of its jumps that were followed.
            let mut path = vec![(*start, 0)];
            while let Some((chain, next)) = path.last_mut() {
                let (table, family, name) = *chain;
                let here = jumps.get(&(table, family, name)).map_or(&[][..], Vec::as_slice);
                if *next == 0 {
                    if matches!(depths.get(chain), Some(Depth::Known(_))) {
                        path.pop();
                        continue;
                    }
                    depths.insert(*chain, Depth::Pending);
                }
                let Some(target) = here.get(*next) else {
                    let of = |target: &str| match depths.get(&(table, family, target)) {
                        Some(Depth::Known(depth)) => depth + 1,
                        _ => 1,
                    };
                    let depth = here.iter().map(|target| of(&target.value)).max().unwrap_or(0);
                    if depth > crate::program::MAX_DEPTH {
                        let span = here.first().map_or(Span { start: 0, end: 0 }, |target| target.span);
                        let message =
                            format!("jumps from chain `{name}` go deeper than {}", crate::program::MAX_DEPTH);
                        self.findings.push(Diagnostic::error(Code::JumpLoop, span, message));
                        return false;
                    }
                    depths.insert((table, family, name), Depth::Known(depth));
                    path.pop();
                    continue;
                };
                *next += 1;
                let target_key = (table, family, target.value.as_str());
                match depths.get(&target_key) {
                    Some(Depth::Pending) => {
                        let message = format!("from chain `{}` jumps lead back to it", target.value);
                        self.findings.push(Diagnostic::error(Code::JumpLoop, target.span, message));
                        return false;
                    }
                    Some(Depth::Known(_)) => {}
                    None => path.push((target_key, 0)),
                }
            }
        }
        true
    }

    fn reach(&mut self, key: Chain<'r>, forward: bool, jumps: &Jumps<'r>) {
        let mut open = vec![key];
        while let Some(key) = open.pop() {
            let reached = self.places.entry(key).or_default();
            let flag = if forward { &mut reached.forward } else { &mut reached.elsewhere };
            if std::mem::replace(flag, true) {
                continue;
            }
            let targets = jumps.get(&key).into_iter().flatten();
            open.extend(targets.map(|target| (key.0, key.1, target.value.as_str())));
        }
    }

    fn key<'k>(&self, table: Table, family: Family, chain: &'k str) -> (Table, Option<Family>, &'k str) {
        (table, Some(family).filter(|_| self.apart && hook(table, chain).is_none()), chain)
    }

    fn rule(&mut self, rule: &'r Rule<'c>) {
        let key = self.key(rule.table, rule.family, rule.chain);
        let Some(chain) = self.chains.get(&key).copied() else { return };
        let place = self.places.get(&(rule.table, rule.family, rule.chain)).copied().unwrap_or_default();
        // What is reached from nowhere matches nothing anyway.
        let forward = !place.elsewhere;
        let mut when = vec![Condition::Family(rule.family)];
        for matcher in &rule.matchers {
            self.matcher(rule, matcher, forward, &mut when);
        }
        let mut then = vec![];
        if let Some(prefix) = &rule.log {
            then.push(Effect::Log(prefix.as_str().into()));
        }
        let origin = Origin { what: what(rule).into(), span: Some(rule.item.span) };
        let verdict = match &rule.action.value {
            Action::Accept => Some(Verdict::Accept),
            Action::Drop => Some(Verdict::Drop),
            Action::Reject(how) => Some(Verdict::Reject(*how)),
            Action::Tarpit => Some(Verdict::Reject(Refusal::Tarpit)),
            Action::Return if is_built_in(rule.table, rule.chain) => Some(Verdict::Accept),
            Action::Return => Some(Verdict::Return),
            Action::Jump(target) => {
                let target = self.chains.get(&self.key(rule.table, rule.family, &target.value));
                target.map(|target| Verdict::Jump(*target))
            }
            Action::AddSource { list, stay } => {
                let list = self.lists[list.value.as_str()];
                then.push(Effect::Add { list, lifetime: stay.value.lifetime(), expiry: self.options.again });
                None
            }
            Action::AddDestination { list, stay } if forward => {
                let list = self.lists[list.value.as_str()];
                let lifetime = stay.value.lifetime();
                then.push(Effect::AddDestination { list, lifetime, expiry: self.options.again });
                None
            }
            Action::AddDestination { .. } => {
                let message = "addresses of the router's own on a list are not played";
                let finding = Diagnostic::warning(Code::NotModelled, rule.action.span, message);
                self.findings
                    .push(finding.note("outside the chain `forward`, the rule is taken to match nothing"));
                when.push(Condition::Opaque("action=add-dst-to-address-list".into()));
                None
            }
            Action::Log | Action::Pass => None,
            Action::Redirect(target) => return self.redirect(rule, chain, &when, &then, *target),
            Action::Opaque(words) => {
                self.opaque(rule, words);
                when.push(Condition::Opaque(words.as_str().into()));
                None
            }
        };
        self.builder.rule(chain, Step { when, then, verdict, origin });
    }

    fn opaque(&mut self, rule: &Rule<'_>, words: &str) {
        let message = format!("`{words}` is not played");
        let finding = Diagnostic::warning(Code::NotModelled, rule.action.span, message)
            .note("the rule is taken to match nothing, and nftables refuses it");
        self.findings.push(finding);
    }

    fn matcher(
        &mut self,
        rule: &Rule<'_>,
        matcher: &'r At<Matcher>,
        forward: bool,
        when: &mut Vec<Condition>,
    ) {
        let turned = |condition: Condition, negated| if negated { condition.negated() } else { condition };
        let words = |name: &str| Condition::Opaque(rule.words(name).into());
        let span = matcher.span;
        let condition = match &matcher.value {
            Matcher::Packet(condition) if asks_destination(condition) && !forward => {
                self.not_modelled(
                    span,
                    "which of its own addresses the router is reached at is not modelled",
                );
                words("dst-address")
            }
            Matcher::Packet(condition) => condition.clone(),
            Matcher::Interface { name, negated } => {
                turned(Condition::From(self.interfaces.interface(name)), *negated)
            }
            Matcher::InterfaceList { name, negated } => match self.interfaces.list(name) {
                Meant::All if *negated => Condition::From(vec![]),
                Meant::All => return,
                Meant::These(found) => turned(Condition::From(found), *negated),
                Meant::Assumed(found) => {
                    self.assume(name, span);
                    turned(Condition::From(found), *negated)
                }
                Meant::Unknown => {
                    self.not_modelled(span, "which interfaces are on the list, only the router knows");
                    words("in-interface-list")
                }
            },
            Matcher::SourceList { name, negated } => {
                if self.unknown.contains(&(rule.family, name.value.as_str())) {
                    words("src-address-list")
                } else {
                    turned(Condition::Listed(self.lists[name.value.as_str()]), *negated)
                }
            }
            Matcher::DestinationList { name, negated } => {
                if !forward {
                    self.not_modelled(
                        span,
                        "which of its own addresses the router is reached at is not modelled",
                    );
                }
                if !forward || self.unknown.contains(&(rule.family, name.value.as_str())) {
                    words("dst-address-list")
                } else {
                    turned(Condition::DestinationListed(self.lists[name.value.as_str()]), *negated)
                }
            }
            Matcher::Opaque(words) => Condition::Opaque(words.as_str().into()),
        };
        when.push(condition);
    }

    fn assume(&mut self, name: &'r str, span: Span) {
        if self.assumed.insert(name) {
            let message = format!("which interfaces are in list `{name}` is not in the script");
            let finding = Diagnostic::warning(Code::Assumed, span, message)
                .note(format!("it is taken for one interface that is called `{name}`"))
                .help(format!("say which of this machine's are meant: `--interface {name}=eth0`"));
            self.findings.push(finding);
        }
    }

    fn not_modelled(&mut self, span: Span, why: &str) {
        let finding = Diagnostic::warning(Code::NotModelled, span, "this matcher is not played")
            .note(format!("{why}, so the rule is taken to match nothing, and nftables refuses it"));
        self.findings.push(finding);
    }

    /// One rule for each port where each leads to its own.
    fn redirect(
        &mut self,
        rule: &Rule<'_>,
        chain: ChainId,
        when: &[Condition],
        then: &[Effect],
        target: Target,
    ) {
        let origin = || Origin { what: what(rule).into(), span: Some(rule.item.span) };
        let host = match target {
            Target::Port(to) => {
                let verdict = Some(Verdict::Redirect(to));
                let step = Step { when: when.to_vec(), then: then.to_vec(), verdict, origin: origin() };
                self.builder.rule(chain, step);
                return;
            }
            Target::Host(host) => host,
        };
        let ports = rule.conditions().find_map(|condition| match condition {
            Condition::Ports(transport, PortEnd::Destination, ranges) => Some((*transport, ranges)),
            _ => None,
        });
        let each: Option<Vec<_>> = ports.map(|(transport, ranges)| {
            let all: BTreeSet<u16> = ranges.iter().cloned().flatten().take(MAX_PORTS + 1).collect();
            all.into_iter().map(|port| (transport, port)).collect()
        });
        match each.filter(|each| each.len() <= MAX_PORTS) {
            Some(each) => {
                for (transport, port) in each {
                    let this = Condition::Ports(transport, PortEnd::Destination, vec![port..=port]);
                    let when = when.iter().cloned().chain([this]).collect();
                    let verdict = Some(Verdict::Redirect(SocketAddr::new(host, port)));
                    self.builder.rule(chain, Step { when, then: then.to_vec(), verdict, origin: origin() });
                }
            }
            None => {
                self.opaque(rule, "action=dst-nat");
                let words = Condition::Opaque("action=dst-nat".into());
                let when = when.iter().cloned().chain([words]).collect();
                self.builder.rule(chain, Step { when, then: then.to_vec(), verdict: None, origin: origin() });
            }
        }
    }
}

/// Ports that a `dst-nat` which keeps them may have to be played.
const MAX_PORTS: usize = 256;

/// Whether it asks for destinations that may be the router's own. Groups (RFC 5771, RFC 919, RFC 4291)
/// never are.
fn asks_destination(condition: &Condition) -> bool {
    let groups = ["224.0.0.0/4", "255.255.255.255", "ff00::/8"];
    let groups = groups.map(|text| text.parse::<Prefix>().expect("a prefix of the RFC"));
    match condition {
        Condition::Not(inner) => asks_destination(inner),
        Condition::Destination(prefixes) => {
            !prefixes.iter().all(|prefix| groups.iter().any(|group| group.covers(*prefix)))
        }
        _ => false,
    }
}

/// Its comment, or its place: `input rule 3 in /ip/firewall/filter`.
fn what(rule: &Rule<'_>) -> String {
    rule.item.comment().map_or_else(
        || {
            let menu = super::rules::menu(rule.family, rule.table);
            format!("{} rule {} in {menu}", rule.chain, rule.place + 1)
        },
        str::to_owned,
    )
}

/// A name for the set of a list, which nftables takes. It depends on nothing but the list's own, for
/// the set keeps its members when the script around it changes. No other set or chain has two
/// underscores in its name.
fn pool_name(list: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric();
    let kept: String = list.chars().map(|c| if plain(c) { c } else { '_' }).take(40).collect();
    if kept == list {
        return format!("list__{kept}");
    }
    format!("list__{kept}_{:016x}", fnv1a_64(list.as_bytes()))
}

#[cfg(test)]
mod tests;
