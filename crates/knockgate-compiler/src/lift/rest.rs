//! Why rules are no part of a door.

use std::collections::BTreeSet;

use super::walk::{At, Walker};
use super::{Lifted, Unlifted};
use crate::net::{Family, Prefix, Transport};
use crate::policy::Host;
use crate::program::{
    Chain, ChainId, Condition, Effect, Hook, ListId, PortEnd, Program, Rule, State, Verdict,
};

/// Every rule that `used` does not name, in the order of the text, with the reason.
pub(super) fn rest(walker: &Walker<'_>, used: &BTreeSet<At>, lifted: &Lifted) -> Vec<Unlifted> {
    let program = walker.program;
    let effects = used.iter().flat_map(|at| &walker.rule(*at).then);
    let told = effects.filter_map(|effect| match effect {
        Effect::Add { list, .. } => Some(&*program[*list].name),
        _ => None,
    });
    let about = About {
        program,
        hooks: program.hooks(),
        filled: filled(program),
        asked: asked(program),
        told: told.collect(),
        lifted,
    };
    let mut found: Vec<Unlifted> = vec![];
    for (id, chain) in program.chains_with_ids() {
        for (index, rule) in chain.rules.iter().enumerate().filter(|(index, _)| !used.contains(&(id, *index)))
        {
            let (why, lost) = about.why(id, chain, index, rule);
            let unlifted = Unlifted { origin: rule.origin.clone(), why, lost };
            // A rule of a script can be several of the program.
            if found.last() != Some(&unlifted) {
                found.push(unlifted);
            }
        }
    }
    found.sort_by_key(|rule| rule.origin.span.map(|span| span.start));
    found
}

/// What is asked of a program as a whole.
struct About<'p> {
    program: &'p Program,
    /// The hooks from which each chain can be reached.
    hooks: Vec<BTreeSet<Hook>>,
    filled: BTreeSet<ListId>,
    asked: BTreeSet<ListId>,
    /// Lists that rules fill which something was lifted from.
    told: BTreeSet<&'p str>,
    lifted: &'p Lifted,
}

/// Why, and whether the policy does something else without it.
type Why = (String, bool);

fn kept(why: impl Into<String>) -> Why {
    (why.into(), false)
}

fn lost(why: impl Into<String>) -> Why {
    (why.into(), true)
}

impl About<'_> {
    fn why(&self, id: ChainId, chain: &Chain, index: usize, rule: &Rule) -> Why {
        self.same(rule)
            .or_else(|| self.words(rule))
            .or_else(|| self.surroundings(id, rule))
            .or_else(|| self.lists(rule))
            .or_else(|| shadowed(chain, index))
            .unwrap_or_else(|| self.otherwise(rule))
    }

    /// What every policy does, or this one by another rule.
    fn same(&self, rule: &Rule) -> Option<Why> {
        let accepts = rule.verdict == Some(Verdict::Accept);
        let lets_in = matches!(rule.verdict, Some(Verdict::Accept | Verdict::Redirect(_)));
        let hosts = || self.lifted.doors.iter().flat_map(|door| &door.services).map(|service| service.host);
        rule.when.iter().find_map(|condition| match condition {
            Condition::Icmp(Family::V6, kinds, _)
                if accepts && *kinds.start() >= 130 && *kinds.end() <= 136 =>
            {
                Some(kept("what the link needs passes in every policy"))
            }
            Condition::Ports(Transport::Udp, PortEnd::Source, ranges)
                if accepts && ranges.iter().all(|range| *range == (67..=67) || *range == (547..=547)) =>
            {
                Some(kept("answers of DHCP pass in every policy"))
            }
            Condition::Listed(list) if lets_in => {
                let fixed = &self.program[*list].fixed;
                let known = !fixed.is_empty() && fixed.iter().all(|p| self.lifted.allow.contains(p));
                known.then(|| kept("allowed sources pass in this policy too"))
            }
            Condition::Destination(prefixes) if rule.verdict == Some(Verdict::Drop) => {
                let behind = |host: Host| match host {
                    Host::Gateway => false,
                    Host::At(address) | Host::Via(address, _) => prefixes[..] == [Prefix::host(address)],
                };
                hosts().any(behind).then(|| kept("only granted sources reach that host in this policy too"))
            }
            _ => None,
        })
    }

    /// A condition that a policy cannot say.
    fn words(&self, rule: &Rule) -> Option<Why> {
        let what = rule.when.iter().find_map(|condition| self.wordless(condition))?;
        Some(lost(format!("it asks for {what}: a policy cannot say this")))
    }

    fn wordless(&self, condition: &Condition) -> Option<String> {
        match condition {
            Condition::Not(inner) => self.wordless(inner),
            Condition::Opaque(words) => Some(format!("`{words}`")),
            Condition::HopLimit(limit) => Some(format!("a TTL of {limit}")),
            Condition::Ports(_, PortEnd::Source, _) => Some("the port it is sent from".to_owned()),
            Condition::DestinationListed(list) => {
                Some(format!("destinations on list `{}`", self.program[*list].name))
            }
            _ => None,
        }
    }

    /// Packets that are not the first ones of connections from outside to the gateway.
    fn surroundings(&self, id: ChainId, rule: &Rule) -> Option<Why> {
        let outside = self.program.outside();
        let accepts = rule.verdict == Some(Verdict::Accept);
        for condition in &rule.when {
            let why = match condition {
                Condition::From(interfaces) if !interfaces.iter().any(|i| outside.contains(i)) => {
                    kept("it is for packets from inside, which a policy leaves alone")
                }
                Condition::Not(inner) if matches!(&**inner, Condition::From(interfaces) if outside.iter().all(|o| interfaces.contains(o))) => {
                    kept("it is for packets from inside, which a policy leaves alone")
                }
                Condition::State(states) if !states.has(State::New) => {
                    let why = "it is for packets that begin no connection: those of one pass in every policy, others are dropped";
                    (why.to_owned(), states.has(State::Invalid) && accepts)
                }
                Condition::Protocol(number) if ![1, 6, 17, 58].contains(number) => {
                    (format!("it is for protocol {number}, which every policy drops"), accepts)
                }
                Condition::Protocol(1 | 58) | Condition::Icmp(..) | Condition::Echo(_) if accepts => {
                    lost("it lets pings in, which every policy drops")
                }
                Condition::Source(prefixes) if accepts => {
                    let prefixes: Vec<String> = prefixes.iter().take(3).map(ToString::to_string).collect();
                    lost(format!(
                        "it accepts packets from {} to services that no door has",
                        prefixes.join(", ")
                    ))
                }
                _ => continue,
            };
            return Some(why);
        }
        let hooks = &self.hooks[id.index()];
        if hooks.is_empty() && !matches!(rule.verdict, Some(Verdict::Return)) {
            return Some(kept("no packet comes to this chain"));
        }
        if !hooks.is_empty() && hooks.iter().all(|hook| *hook == Hook::Forward) {
            return Some(match rule.verdict {
                Some(Verdict::Accept) | None => {
                    kept("it is for packets that are passed on, which a policy leaves alone")
                }
                _ => {
                    lost("it is for packets that are passed on, which a policy leaves alone: keep it beside")
                }
            });
        }
        matches!(rule.verdict, Some(Verdict::Redirect(_)))
            .then(|| lost("it sends everybody on to a host behind, which no door does: keep it beside"))
    }

    /// Lists that lead nowhere, or come from nowhere.
    fn lists(&self, rule: &Rule) -> Option<Why> {
        let name = |list: &ListId| &self.program[*list].name;
        for effect in &rule.then {
            if let Effect::Add { list, .. } | Effect::AddDestination { list, .. } = effect
                && !self.asked.contains(list)
            {
                return Some(lost(format!("it fills list `{}`, which no rule asks for", name(list))));
            }
        }
        rule.when.iter().find_map(|condition| match condition {
            Condition::Listed(list)
                if !self.filled.contains(list) && self.program[*list].fixed.is_empty() =>
            {
                Some(lost(format!("it asks for list `{}`, which no rule fills", name(list))))
            }
            _ => None,
        })
    }

    /// Whether it is for lists with members that are written down.
    fn members(&self, rule: &Rule) -> bool {
        let fixed = |condition: &Condition| match condition {
            Condition::Listed(list) => !self.program[*list].fixed.is_empty(),
            _ => false,
        };
        rule.when.iter().any(fixed)
    }

    fn otherwise(&self, rule: &Rule) -> Why {
        let name = |list: &ListId| &self.program[*list].name;
        let listed = rule.when.iter().find_map(|condition| match condition {
            Condition::Listed(list) => Some(name(list)),
            _ => None,
        });
        let added = rule.then.iter().find_map(|effect| match effect {
            Effect::Add { list, .. } => Some(&**name(list)),
            _ => None,
        });
        match (&rule.verdict, added, listed) {
            (_, Some(added), _) if self.told.contains(added) => lost(format!(
                "it puts sources on list `{added}` too, but for packets or stages that stand for nothing here"
            )),
            (_, Some(added), Some(listed)) => lost(format!(
                "it puts sources of list `{listed}` on list `{added}`, but no sequence of single ports or ping sizes leads there and opens something"
            )),
            (_, Some(added), None) => lost(format!(
                "it puts sources on list `{added}`, but not by a single port or ping size of a sequence that opens something, nor of a trap"
            )),
            (Some(Verdict::Accept), _, Some(listed)) if self.members(rule) => lost(format!(
                "it lets list `{listed}` in without a knock, but not to every service here, as `allow` would"
            )),
            (Some(Verdict::Accept), _, Some(listed)) => {
                lost(format!("it lets list `{listed}` in, but no knocks lead to that list"))
            }
            (Some(Verdict::Accept), ..) => lost("it lets in more than a policy's public ports"),
            (Some(Verdict::Drop | Verdict::Reject(_)), _, Some(listed)) if self.lifted.traps.is_none() => {
                lost(format!("it drops list `{listed}`, but no traps were found that lead to it"))
            }
            (Some(Verdict::Drop | Verdict::Reject(_)), ..) => {
                kept("a policy drops all that it does not let in")
            }
            (Some(Verdict::Redirect(_)), ..) => lost("it sends packets on to a host behind"),
            (Some(Verdict::Jump(_) | Verdict::Switch(_)), ..) => {
                kept("it only leads to another chain, whose rules are told of")
            }
            (Some(Verdict::Return), ..) => kept("it only leads back"),
            (Some(Verdict::Rescue), ..) => kept("every policy can be tried out"),
            (None, ..) => kept("it only counts or logs"),
        }
    }
}

/// The rule that leaves nothing for this one: one above it that ends the way of every packet it is for.
pub(crate) fn shadow(chain: &Chain, index: usize) -> Option<&Rule> {
    let covers = |above: &&Rule| {
        let ends = matches!(above.verdict, Some(Verdict::Accept | Verdict::Drop | Verdict::Return));
        ends && above.when.iter().all(|condition| chain.rules[index].when.contains(condition))
    };
    chain.rules[..index].iter().take(MAX_ABOVE).find(covers)
}

fn shadowed(chain: &Chain, index: usize) -> Option<Why> {
    let above = shadow(chain, index)?;
    Some(kept(format!("no packet comes to it, after the rule: {}", above.origin.what)))
}

/// Rules above one that are looked at.
const MAX_ABOVE: usize = 1000;

fn rules(program: &Program) -> impl Iterator<Item = &Rule> {
    program.chains().iter().flat_map(|chain| &chain.rules)
}

fn filled(program: &Program) -> BTreeSet<ListId> {
    let effects = rules(program).flat_map(|rule| &rule.then);
    let list = |effect: &Effect| match effect {
        Effect::Add { list, .. } | Effect::AddDestination { list, .. } => Some(*list),
        _ => None,
    };
    effects.filter_map(list).collect()
}

fn asked(program: &Program) -> BTreeSet<ListId> {
    fn list(condition: &Condition) -> Option<ListId> {
        match condition {
            Condition::Not(inner) => list(inner),
            Condition::Listed(list) | Condition::DestinationListed(list) => Some(*list),
            _ => None,
        }
    }
    rules(program).flat_map(|rule| &rule.when).filter_map(list).collect()
}
