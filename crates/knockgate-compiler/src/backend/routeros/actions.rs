//! What effects and verdicts are in a router's rules.

use std::collections::{BTreeSet, HashMap};

use super::line::Line;
use super::sketch::{Action, Place};
use super::ways::holds;
use crate::net::{Endpoint, Family, Transport};
use crate::program::{ChainId, Condition, Effect, Expiry, ListId, Refusal, Switch, Verdict};

/// A router's rule always prolongs an entry that is there, so that must not be there.
pub(super) fn add(effect: &Effect, family: Family) -> (Line, Action) {
    let (line, effect) = match *effect {
        Effect::Add { list, lifetime, expiry: Expiry::Keep } => (
            Line::saying(family, [Condition::not_listed(list)]),
            Effect::Add { list, lifetime, expiry: Expiry::Refresh },
        ),
        Effect::AddDestination { list, lifetime, expiry: Expiry::Keep } => (
            Line::saying(family, [Condition::DestinationListed(list).negated()]),
            Effect::AddDestination { list, lifetime, expiry: Expiry::Refresh },
        ),
        _ => (Line::of(family), effect.clone()),
    };
    (line, Action::Effect(effect))
}

/// The rules that a verdict takes.
pub(super) fn verdicts(
    verdict: &Verdict,
    family: Family,
    places: &HashMap<ChainId, Place>,
) -> Vec<(Line, Action)> {
    let of = |transport| Line::saying(family, [Condition::Transport(transport)]);
    let reject = |how| Action::Verdict(Verdict::Reject(how));
    let jump = |target: &ChainId| places.get(target).map(|place| Action::Jump(*place));
    match verdict {
        Verdict::Reject(Refusal::Closed) => {
            let code = if family == Family::V4 { 3 } else { 4 };
            let rest = (Line::of(family), reject(Refusal::Unreachable(family, code)));
            vec![(of(Transport::Tcp), reject(Refusal::Reset)), rest]
        }
        Verdict::Reject(how @ (Refusal::Reset | Refusal::Tarpit)) => vec![(of(Transport::Tcp), reject(*how))],
        Verdict::Reject(Refusal::Unreachable(wanted, _)) if *wanted != family => vec![],
        Verdict::Redirect(target) if Family::of(target.ip()) != family => vec![],
        Verdict::Redirect(_) => {
            let both = [Transport::Tcp, Transport::Udp].into_iter();
            both.map(|transport| (of(transport), Action::Verdict(verdict.clone()))).collect()
        }
        Verdict::Jump(target) => jump(target).map(|jump| (Line::of(family), jump)).into_iter().collect(),
        Verdict::Switch(Switch::Port(arms)) => {
            let mut ports: Vec<(ChainId, BTreeSet<Endpoint>)> = vec![];
            for (endpoint, chain) in arms {
                match ports.iter_mut().find(|(other, _)| other == chain) {
                    Some((_, ports)) => drop(ports.insert(*endpoint)),
                    None => ports.push((*chain, [*endpoint].into())),
                }
            }
            let ways = ports.into_iter().flat_map(|(chain, ports)| {
                holds(&Condition::To(ports), family).into_iter().flatten().map(move |way| (way, chain))
            });
            ways.filter_map(|(way, chain)| Some((way, jump(&chain)?))).collect()
        }
        Verdict::Switch(Switch::Echo(arms)) => {
            let ways = arms.iter().flat_map(|(data, chain)| {
                holds(&Condition::Echo(Some(*data)), family)
                    .into_iter()
                    .flatten()
                    .map(move |way| (way, chain))
            });
            ways.filter_map(|(way, chain)| Some((way, jump(chain)?))).collect()
        }
        // Nothing here tries a router out.
        Verdict::Rescue => vec![],
        // Refused before.
        Verdict::Switch(_) => vec![],
        _ => vec![(Line::of(family), Action::Verdict(verdict.clone()))],
    }
}

pub(super) fn is_return(action: &Action) -> bool {
    matches!(action, Action::Verdict(Verdict::Return))
}

pub(super) fn changed(action: &Action) -> Option<ListId> {
    match action {
        Action::Effect(effect) => added(effect),
        Action::Jump(_) | Action::Verdict(_) => None,
    }
}

pub(super) fn added(effect: &Effect) -> Option<ListId> {
    match effect {
        Effect::Add { list, .. } | Effect::AddDestination { list, .. } => Some(*list),
        _ => None,
    }
}
