//! The way of a stranger's packet through `input`.

use std::collections::BTreeSet;

use super::super::rules::{Action, Matcher, Rule, Table};
use super::View;
use super::overlap::states;
use crate::net::{Family, TcpFlags, Transport};
use crate::program::{Condition, State};

/// Chains that are looked into, one out of another.
const MAX_DEPTH: usize = 8;

impl<'a> View<'a> {
    /// The rules of `input` and of the chains that it leads to, `input` first.
    pub(super) fn input(&self, family: Family) -> Vec<&'a Rule<'a>> {
        let mut seen = BTreeSet::from(["input"]);
        let mut open = vec!["input"];
        let mut rules = vec![];
        while let Some(chain) = open.pop() {
            for rule in self.chain(Table::Filter, family, chain) {
                rules.push(*rule);
                if let Action::Jump(target) = &rule.action.value
                    && seen.insert(&target.value)
                {
                    open.push(&target.value);
                }
            }
        }
        rules
    }

    /// The rule of `input` after which no stranger's new TCP connection is let through: at `input`
    /// itself, even if it only jumps to the one that drops.
    pub(super) fn closer(&self, family: Family) -> Option<&'a Rule<'a>> {
        self.closer_in(family, "input", MAX_DEPTH, &mut BTreeSet::new())
    }

    /// `open` are chains that were looked into and close nothing: many jumps may lead to one.
    fn closer_in(
        &self,
        family: Family,
        chain: &'a str,
        depth: usize,
        open: &mut BTreeSet<&'a str>,
    ) -> Option<&'a Rule<'a>> {
        let mut closes = |rule: &&'a Rule<'a>| match &rule.action.value {
            _ if !rule.matchers.iter().all(|matcher| may_be_stranger(&matcher.value)) => false,
            Action::Drop | Action::Reject(_) | Action::Tarpit => true,
            Action::Jump(target) if depth > 0 && !open.contains(target.value.as_str()) => {
                self.closer_in(family, &target.value, depth - 1, open).is_some()
            }
            _ => false,
        };
        let found = self.chain(Table::Filter, family, chain).iter().copied().find(|rule| closes(rule));
        if found.is_none() {
            open.insert(chain);
        }
        found
    }

    /// The first rule of `input` that lets the packets of connections go on.
    pub(super) fn established(&self, family: Family) -> Option<&'a Rule<'a>> {
        self.input(family).into_iter().find(|rule| {
            let lets = |matcher: &Matcher| match matcher {
                Matcher::Packet(condition) => {
                    states(condition).is_some_and(|states| states & 1 << State::Established as u8 != 0)
                }
                Matcher::Interface { .. } | Matcher::InterfaceList { .. } => true,
                _ => false,
            };
            rule.action.value == Action::Accept && rule.matchers.iter().all(|matcher| lets(&matcher.value))
        })
    }
}

/// Whether the matcher lets most first packets of TCP connections of strangers match. Where it is
/// hard to say, it does.
fn may_be_stranger(matcher: &Matcher) -> bool {
    match matcher {
        Matcher::Interface { name, negated } | Matcher::InterfaceList { name, negated } => {
            if *negated {
                !is_outside(name)
            } else {
                !is_inside(name)
            }
        }
        Matcher::SourceList { negated, .. } => *negated,
        Matcher::DestinationList { .. } => true,
        Matcher::Packet(condition) => condition_of_stranger(condition),
        Matcher::Opaque(words) => {
            const RARE: [&str; 9] = [
                "psd",
                "limit",
                "dst-limit",
                "content",
                "layer7",
                "connection-",
                "random",
                "nth",
                "tls-host",
            ];
            !RARE.iter().any(|rare| words.starts_with(rare))
        }
    }
}

fn condition_of_stranger(condition: &Condition) -> bool {
    if let Some(states) = states(condition) {
        return states & 1 << State::New as u8 != 0;
    }
    match condition {
        Condition::Not(inner) => {
            matches!(**inner, Condition::Redirected | Condition::Destination(_))
                || !condition_of_stranger(inner)
        }
        Condition::Transport(transport) => *transport == Transport::Tcp,
        Condition::Ports(_, _, ranges) => {
            let count = |range: &std::ops::RangeInclusive<u16>| u32::from(range.end() - range.start()) + 1;
            ranges.iter().map(count).sum::<u32>() > 30_000
        }
        Condition::Flags { mask, set } => TcpFlags::SYN.masked(*mask) == *set,
        Condition::Source(prefixes) => prefixes.iter().any(|prefix| prefix.len() == 0),
        Condition::Destination(_) | Condition::ToGateway => true,
        _ => false,
    }
}

/// Whether an interface or list of that name faces strangers, as far as a name can tell.
pub(super) fn is_outside(name: &str) -> bool {
    name.to_ascii_lowercase().contains("wan")
}

/// Whether one of that name does not.
pub(super) fn is_inside(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["lan", "bridge", "local", "loopback"].iter().any(|start| name.starts_with(start)) || name == "lo"
}
