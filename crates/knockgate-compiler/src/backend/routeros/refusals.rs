//! What RouterOS rules cannot say.

use std::collections::BTreeMap;

use super::print::reject_with;
use super::sketch::{Action, Sketch, Step};
use super::table::Table;
use super::{Options, Version};
use crate::backend::Unsayable;
use crate::net::Family;
use crate::program::{Condition, Effect, Origin, Program, Refusal, Rule, Switch, TrackId, Verdict};

/// What cannot be said, each thing once.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<Unsayable>);

impl Refusals {
    pub(super) fn add(&mut self, what: &str, origin: &Origin, hint: Option<&str>) {
        if self.0.iter().all(|refused| refused.what != what) {
            let (origin, hint) = (origin.clone(), hint.map(str::to_owned));
            self.0.push(Unsayable { target: "RouterOS", what: what.to_owned(), origin, hint });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Unsayable> {
        self.0
    }
}

const NEVER_OFF: &str = "a router's rules put sources on lists, but never take them off";
const COOLDOWN: &str = "a router's rules put sources on lists, but never take them off: \
                        write `wrong = \"cooldown 10s\"` in the door, or for all in `[defaults]`";
const NOT_CARRIED_OVER: &str =
    "leave the rule where it is, beside what is compiled: disable it in the script";
const NO_WILDCARDS: &str = "name each interface, such as `pppoe-out1`: lists of interfaces have no `*`";

/// What no rule of a router does, whatever stands around it.
pub(super) fn of(program: &Program) -> Refusals {
    let mut refusals = Refusals::default();
    for (track, origin) in tracks(program) {
        let what = format!("taking back progress on {}", program[track].name);
        refusals.add(&what, origin, Some(COOLDOWN));
    }
    for rule in program.chains().iter().flat_map(|chain| &chain.rules) {
        for effect in &rule.then {
            if let Effect::Remove(list) = effect {
                let what = format!("taking a source off {}", program[*list].name);
                refusals.add(&what, &rule.origin, Some(NEVER_OFF));
            }
        }
        for condition in &rule.when {
            of_condition(condition, rule, &mut refusals);
        }
    }
    refusals
}

/// The tracks that rules use, each with a rule, one that the policy asked for if there is any.
fn tracks(program: &Program) -> BTreeMap<TrackId, &Origin> {
    let mut found: BTreeMap<TrackId, &Origin> = BTreeMap::new();
    for rule in program.chains().iter().flat_map(|chain| &chain.rules) {
        let moved = rule.then.iter().filter_map(|effect| match effect {
            Effect::Move { track, .. } | Effect::Forget(track) => Some(*track),
            _ => None,
        });
        let switched = rule.verdict.iter().filter_map(|verdict| match verdict {
            Verdict::Switch(Switch::TrackPort(track, _) | Switch::TrackEcho(track, _)) => Some(*track),
            _ => None,
        });
        let asked = rule.when.iter().filter_map(|condition| match condition {
            Condition::OnTrack(track) => Some(*track),
            Condition::Not(inner) => match **inner {
                Condition::OnTrack(track) => Some(track),
                _ => None,
            },
            _ => None,
        });
        for track in moved.chain(switched).chain(asked) {
            let origin = found.entry(track).or_insert(&rule.origin);
            if origin.span.is_none() {
                *origin = &rule.origin;
            }
        }
    }
    found
}

fn of_condition(condition: &Condition, rule: &Rule, refusals: &mut Refusals) {
    match condition {
        Condition::From(interfaces) => {
            for interface in interfaces.iter().filter(|interface| interface.as_str().ends_with('*')) {
                refusals.add(interface.as_str(), &rule.origin, Some(NO_WILDCARDS));
            }
        }
        // An action is more than its name, and our lists have other names than those of a script.
        Condition::Opaque(words) if words.starts_with("action=") || words.contains("address-list=") => {
            refusals.add(words, &rule.origin, Some(NOT_CARRIED_OVER));
        }
        Condition::Not(inner) => match &**inner {
            Condition::Opaque(words) => refusals.add(&format!("not {words}"), &rule.origin, None),
            Condition::NoExtensionHeaders => refusals.add("extension headers", &rule.origin, None),
            inner => of_condition(inner, rule, refusals),
        },
        _ => {}
    }
}

/// What the table or the version of a rule does not have.
pub(super) fn of_tables(sketch: &Sketch, options: Options, refusals: &mut Refusals) {
    for (table, step) in sketch.steps() {
        let Step { line, action, origin } = step;
        if (table, line.family(), options.version) == (Table::Nat, Family::V6, Version::V6) {
            let hint = "RouterOS 7 has it: compile with `--ros 7`, or redirect to an IPv4 address alone";
            refusals.add("/ipv6 firewall nat", origin, Some(hint));
        }
        let Action::Verdict(verdict) = action else { continue };
        match verdict {
            Verdict::Drop if table == Table::Nat => refusals.add("dropping in table nat", origin, None),
            Verdict::Reject(_) if table != Table::Filter => {
                refusals.add(&format!("refusing in table {}", table.name()), origin, None);
            }
            Verdict::Reject(Refusal::Tarpit) if line.family() == Family::V6 => {
                refusals.add("action=tarpit for IPv6", origin, None);
            }
            Verdict::Reject(how) if reject_with(*how).is_none() && *how != Refusal::Tarpit => {
                refusals.add(&format!("refusing with {how:?}"), origin, None);
            }
            _ => {}
        }
    }
}
