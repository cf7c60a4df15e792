//! Rules of RouterOS while they are being put together.

use std::collections::{BTreeMap, BTreeSet};

use crate::net::Family;
use crate::program::{
    Builder, Chain, ChainId, Condition, Effect, Flaw, Hook, List, Origin, Program, Rule, Verdict,
};

use super::line::Line;
use super::table::Table;

/// A chain of a sketch, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(usize);

/// What a rule does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Effect(Effect),
    Jump(Place),
    /// Neither jump nor switch.
    Verdict(Verdict),
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) line: Line,
    pub(super) action: Action,
    pub(super) origin: Origin,
}

impl Step {
    fn returns(&self) -> bool {
        matches!(self.action, Action::Verdict(Verdict::Return))
    }
}

#[derive(Debug)]
struct Drawn {
    table: Table,
    name: String,
    hook: Option<Hook>,
    steps: Vec<Step>,
}

/// Chains that are being drawn.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    chains: Vec<Drawn>,
    names: BTreeSet<String>,
    /// How many chains hold a part of a chain's rules.
    bodies: BTreeMap<Place, usize>,
}

impl Sketch {
    /// A chain without rules, called `name` or, if that is taken, something like it.
    pub(super) fn chain(&mut self, table: Table, name: &str, hook: Option<Hook>) -> Place {
        let others = (2..).map(|nth| format!("{name}-{nth}"));
        let mut names = std::iter::once(name.to_owned()).chain(others);
        let name = names.find(|name| self.names.insert(name.clone())).unwrap_or_default();
        self.chains.push(Drawn { table, name, hook, steps: vec![] });
        Place(self.chains.len() - 1)
    }

    /// A chain for a part of another one's rules.
    pub(super) fn body(&mut self, of: Place) -> Place {
        let number = self.bodies.entry(of).or_default();
        *number += 1;
        let Drawn { table, name, .. } = &self.chains[of.0];
        let (table, name) = (*table, format!("{name}.{number}"));
        self.chain(table, &name, None)
    }

    pub(super) fn push(&mut self, chain: Place, step: Step) {
        self.chains[chain.0].steps.push(step);
    }

    /// Every rule, with its table.
    pub(super) fn steps(&self) -> impl Iterator<Item = (Table, &Step)> {
        self.chains.iter().flat_map(|chain| chain.steps.iter().map(|step| (chain.table, step)))
    }

    /// Takes out what changes nothing: returns at the end of a chain, and jumps to where nothing is
    /// for the family.
    pub(super) fn tidy(&mut self) {
        self.drop_idle_redirects();
        let mut before = usize::MAX;
        let mut now = self.steps().count();
        while now < before {
            before = now;
            for chain in &mut self.chains {
                chain.drop_last_returns();
            }
            let empty: BTreeSet<(usize, bool)> = (0..self.chains.len())
                .flat_map(|chain| Family::BOTH.map(|family| (chain, family)))
                .filter(|(chain, family)| {
                    self.chains[*chain].steps.iter().all(|s| s.line.family() != *family)
                })
                .map(|(chain, family)| (chain, family == Family::V6))
                .collect();
            for chain in &mut self.chains {
                chain.steps.retain(|step| match step.action {
                    Action::Jump(Place(to)) => !empty.contains(&(to, step.line.family() == Family::V6)),
                    Action::Effect(_) | Action::Verdict(_) => true,
                });
            }
            now = self.steps().count();
        }
    }

    /// Takes out translations of a protocol that no packet has that is led to their chain.
    fn drop_idle_redirects(&mut self) {
        let mut led: BTreeMap<(Place, bool), BTreeSet<Option<u8>>> = BTreeMap::new();
        for (_, step) in self.steps() {
            if let Action::Jump(to) = step.action {
                let of = led.entry((to, step.line.family() == Family::V6)).or_default();
                of.insert(step.line.protocol());
            }
        }
        for (nth, chain) in self.chains.iter_mut().enumerate().filter(|(_, chain)| chain.hook.is_none()) {
            chain.steps.retain(|Step { line, action, .. }| {
                let of = led.get(&(Place(nth), line.family() == Family::V6));
                let meets =
                    |led: &Option<u8>| led.is_none() || line.protocol().is_none() || *led == line.protocol();
                !matches!(action, Action::Verdict(Verdict::Redirect(_)))
                    || of.is_none_or(|led| led.iter().any(meets))
            });
        }
    }

    /// Chains that packets reach, callers first, in the order of hooks and rules.
    fn reached(&self) -> Vec<usize> {
        let (mut order, mut seen) = (vec![], vec![false; self.chains.len()]);
        for hook in [Hook::Raw, Hook::Prerouting, Hook::Input, Hook::Forward] {
            let entered = |chain: &Drawn| chain.hook == Some(hook) && !chain.steps.is_empty();
            if let Some(chain) = self.chains.iter().position(entered) {
                self.walk(chain, &mut order, &mut seen);
            }
        }
        order
    }

    /// A sealed program has no loops, so this ends.
    fn walk(&self, chain: usize, order: &mut Vec<usize>, seen: &mut [bool]) {
        if std::mem::replace(&mut seen[chain], true) {
            return;
        }
        order.push(chain);
        for step in &self.chains[chain].steps {
            if let Action::Jump(Place(to)) = step.action {
                self.walk(to, order, seen);
            }
        }
    }

    /// The program of these chains, with the memory of `origin`. IPv6 addresses are told apart.
    pub(super) fn seal(self, origin: &Program) -> Result<Program, Flaw> {
        let order = self.reached();
        let mut builder = Builder::new(origin.outside().to_vec());
        lists(&mut builder, origin);
        let mut ids: Vec<Option<ChainId>> = vec![None; self.chains.len()];
        for chain in &order {
            let Drawn { name, hook, .. } = &self.chains[*chain];
            ids[*chain] = Some(builder.chain(name, *hook));
        }
        for chain in order {
            for Step { line, action, origin } in &self.chains[chain].steps {
                let when = std::iter::once(Condition::Family(line.family()));
                let when = when.chain(line.conditions().iter().cloned()).collect();
                let (then, verdict) = match action {
                    Action::Effect(effect) => (vec![effect.clone()], None),
                    Action::Jump(Place(to)) => (vec![], ids[*to].map(Verdict::Jump)),
                    Action::Verdict(verdict) => (vec![], Some(verdict.clone())),
                };
                if let Some(id) = ids[chain] {
                    builder.rule(id, Rule { when, then, verdict, origin: origin.clone() });
                }
            }
        }
        builder.seal()
    }
}

impl Drawn {
    fn drop_last_returns(&mut self) {
        for family in Family::BOTH {
            while let Some(last) = self.steps.iter().rposition(|step| step.line.family() == family)
                && self.steps[last].returns()
            {
                self.steps.remove(last);
            }
        }
    }
}

/// What a list of ours begins with, so that it is never one of the owner's.
const OURS: &str = "knockgate-";

/// `name` with our name before it, once.
pub(super) fn ours(name: &str) -> String {
    if name.starts_with(OURS) { name.to_owned() } else { format!("{OURS}{name}") }
}

/// The same pools and lists in the same order, so that their ids stay what they are.
fn lists(builder: &mut Builder, origin: &Program) {
    let pools: Vec<_> =
        origin.pools().iter().map(|pool| builder.pool(&pool.name, pool.capacity, pool.shared)).collect();
    for List { name, fixed, timed, managed } in origin.lists() {
        let name = ours(name);
        match (timed, managed) {
            (None, Some(capacity)) => builder.managed_list(&name, *capacity),
            (None, None) => builder.static_list(&name, fixed.clone()),
            (Some(timed), _) => builder.mixed_list(&name, fixed.clone(), pools[timed.pool.index()], 128),
        };
    }
}

/// Whether packets only pass through the chain of a hook to another one, which has the rules.
pub(super) fn passes_on(chain: &Chain) -> Option<ChainId> {
    let target = |rule: &Rule| match rule.verdict {
        Some(Verdict::Jump(target)) if rule.then.is_empty() => {
            rule.when.iter().all(|when| matches!(when, Condition::Family(_))).then_some(target)
        }
        _ => None,
    };
    let first = target(chain.rules.first()?)?;
    let same = chain.rules.iter().all(|rule| target(rule) == Some(first));
    let families: Vec<_> = chain.rules.iter().map(|rule| rule.when.first()).collect();
    let twice = families.iter().enumerate().any(|(nth, family)| families[..nth].contains(family));
    (same && !twice && (families.len() == 1 || !families.contains(&None))).then_some(first)
}
