//! What a rule does, in the words of nft.

use super::conditions::{Protocols, Way};
use super::told::{Counted, Told, telling};
use super::words::{
    End, digit, forget, has, header, icmp, log_prefix, nfproto, quoted, static_name, timeout,
};
use super::{BY_PORT, BY_POSITION, Printer, RESCUE, RESCUED, RESCUED_FOR};
use crate::net::{Family, Transport, echo_packet_size};
use crate::program::{Effect, Expiry, List, ListId, PoolId, Refusal, Rule, Switch, TrackId, Verdict};
use crate::time::Lifetime;

impl Printer<'_> {
    /// `name` is that of the map, if the rule is a switch.
    pub(super) fn actions(&self, rule: &Rule, counted: Counted, name: &str) -> Vec<Action> {
        let mut actions = vec![];
        for (place, effect) in rule.then.iter().enumerate() {
            let told = Told::of(counted, rule, place);
            let told = told.filter(|_| self.live.is_some_and(|tells| tells(effect)));
            for family in Family::BOTH {
                actions.extend(self.make_way(effect, family));
                let done = self.effect(effect, family);
                actions.extend(done.map(|done| done.and_then(told.map(|told| telling(told, family, 1)))));
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
            // Those are there for as long as somebody tries the ruleset out.
            Some(Verdict::Rescue) => {}
            Some(Verdict::Switch(switch)) => actions.extend(self.switch(switch, name)),
        }
        actions
    }

    /// The lines of a rule for who tries the ruleset out, with these conditions. What cannot be noted is not
    /// let in: adding to a full set breaks the rule off. Whom it lets in is counted, not who might have been.
    pub(super) fn rescue(&self, conditions: &[(Option<Family>, Way)]) -> Vec<String> {
        let counter = if self.live.is_some() { COUNTER } else { "" };
        let mut lines = vec![];
        for family in Family::BOTH {
            let (source, digit, lifetime) = (End::Source.of(family), digit(family), timeout(RESCUED_FOR));
            let tries = format!("{source} . th dport @{RESCUE}{digit} meta l4proto tcp");
            let noted = format!("add @{RESCUED}{digit} {{ {source} . tcp sport timeout {lifetime} }}");
            let action = Action::of(family, format!("{noted} {counter}accept"));
            let action = action.with(Protocols::of(Transport::Tcp));
            let fitting = conditions.iter().filter(|condition| action.fits(condition));
            lines.extend(fitting.map(|(_, way)| format!("{tries} {} {}", way.text, action.text)));
        }
        lines
    }

    pub(super) fn effect(&self, effect: &Effect, family: Family) -> Option<Action> {
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
            Effect::Move { track, position, lifetime } => {
                let position = format!("0x{:08x}", position.number());
                Some(self.moving(*track, &position, *lifetime, family))
            }
            Effect::Forget(track) => Some(forget(&self.track(*track, family), &source)),
        };
        text.map(|text| Action::of(family, text))
    }

    /// `None` for a list that no rule changes; a sealed program has no such addition. What is among
    /// the fixed members is not added.
    pub(super) fn addition(
        &self,
        list: ListId,
        lifetime: Lifetime,
        expiry: Expiry,
        family: Family,
        end: End,
    ) -> Option<String> {
        let List { name, fixed, timed, .. } = &self.program[list];
        let timed = (*timed)?;
        let unless = match has(fixed, family) {
            true => format!("{} != @{} ", end.of(family), static_name(name, family)),
            false => String::new(),
        };
        Some(unless + &self.adding(timed.pool, &self.key(timed, family, end), lifetime, expiry, family))
    }

    /// What adds a key to a pool.
    pub(super) fn adding(
        &self,
        pool: PoolId,
        key: &str,
        lifetime: Lifetime,
        expiry: Expiry,
        family: Family,
    ) -> String {
        let verb = match expiry {
            Expiry::Refresh => "update",
            Expiry::Keep => "add",
        };
        let set = self.pool(pool, family);
        self.counted(format!("{verb} @{set} {{ {key} timeout {} }}", timeout(lifetime)))
    }

    /// What moves the source. Updating an element of a map leaves its data as it was (nft_dynset.c, 6.18). A
    /// removal never breaks off its rule, so the addition can follow in the same one.
    pub(super) fn moving(&self, track: TrackId, to: &str, lifetime: Lifetime, family: Family) -> String {
        let (map, source) = (self.track(track, family), End::Source.of(family));
        let forget = forget(&map, &source);
        self.counted(format!("{forget} add @{map} {{ {source} timeout {} : {to} }}", timeout(lifetime)))
    }

    /// An addition between two counters, where rules count: of attempts, and of those that found room.
    pub(super) fn counted(&self, addition: String) -> String {
        if self.live.is_some() { format!("{COUNTER}{addition} {}", COUNTER.trim_end()) } else { addition }
    }

    /// Before a source is put on a list that rules take sources off: away with what has expired but
    /// is not collected yet. A removal could hit that, and leave what is live (nft_set_hash.c,
    /// `nft_rhash_delete`, takes no notice of expiry; seen on 6.18). A track never has both, for each
    /// move begins with a removal.
    pub(super) fn make_way(&self, effect: &Effect, family: Family) -> Option<Action> {
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

    pub(super) fn switch(&self, switch: &Switch, name: &str) -> Vec<Action> {
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
                vec![Action::any(self.arm(switch, BY_PORT, name)).with(Protocols::PORTS)]
            }
            Switch::TrackPort(_, arms) if arms.is_empty() => vec![],
            Switch::TrackPort(track, _) => {
                both(&|family| format!("{} {}", load(*track, family), self.arm(switch, BY_POSITION, name)))
            }
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

/// A statement, and what it is for.
pub(super) struct Action {
    /// `None` for any.
    pub(super) family: Option<Family>,
    pub(super) protocols: Protocols,
    pub(super) text: String,
}

impl Action {
    pub(super) fn any(text: impl Into<String>) -> Self {
        Self { family: None, protocols: Protocols::ALL, text: text.into() }
    }

    pub(super) fn of(family: Family, text: String) -> Self {
        Self { family: Some(family), ..Self::any(text) }
    }

    pub(super) fn with(self, protocols: Protocols) -> Self {
        Self { protocols, ..self }
    }

    /// The same with something behind it, which is left out where it was broken off.
    pub(super) fn and_then(self, more: Option<String>) -> Self {
        let text = more.into_iter().fold(self.text, |text, more| format!("{text} {more}"));
        Self { text, ..self }
    }

    /// Its text where a packet is known to be of this family, or of any. What begins with a counter counts its
    /// own family alone.
    pub(super) fn beside(&self, known: Option<Family>) -> String {
        let Self { family, text, .. } = self;
        match family {
            Some(family) if known.is_none() && text.starts_with(COUNTER) => {
                format!("meta nfproto {} {text}", nfproto(*family))
            }
            _ => text.clone(),
        }
    }

    pub(super) fn fits(&self, (family, way): &(Option<Family>, Way)) -> bool {
        let families = family.is_none() || self.family.is_none() || *family == self.family;
        families && self.protocols & way.protocols != Protocols::NONE
    }
}

/// What counts the packets that come as far as this in a line.
pub(super) const COUNTER: &str = "counter ";

pub(super) fn refuse(how: Refusal) -> Vec<Action> {
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
