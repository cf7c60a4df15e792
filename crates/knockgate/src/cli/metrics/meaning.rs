//! What it means that a rule counted a packet.

use std::collections::BTreeMap;

use knockgate::target::nft::Count;
use knockgate_compiler::backend::nft::Counted;
use knockgate_compiler::lower::{ALLOWED_BY_HAND, BANNED_BY_HAND, KNOWN, PUBLIC};
use knockgate_compiler::program::{Chain, Condition, Effect, ListId, Program, Rule, State, Verdict};

/// Something that a packet shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// What became of it, and why.
    Fate(&'static str),
    /// The door of this name let it in.
    LetIn(String),
    /// It was the last of the knocks of this door.
    Completed(String),
    /// It was a strike.
    Strike,
    /// It brought a ban about.
    Ban,
}

/// Whose rules they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Those of a policy, whose lists have known names.
    OfPolicy,
    /// Those of a script, whose lists mean what their owner meant.
    OfScript,
}

/// What was counted, by what it means.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<Meaning, Count>);

impl Sums {
    pub(super) fn of(program: &Program, made: Made, counts: &BTreeMap<Counted, Count>) -> Self {
        let mut sums = BTreeMap::<Meaning, Count>::new();
        // Every fate there is, also of which no packet has been yet.
        for (chain, rule) in
            program.chains().iter().flat_map(|chain| chain.rules.iter().map(move |r| (chain, r)))
        {
            let meanings = meanings(program, made, chain, rule).into_iter();
            sums.extend(meanings.map(|meaning| (meaning, Count::default())));
        }
        for (at, count) in counts {
            // Of other rules than these, which somebody else changed, nothing can be told.
            let Some(chain) = program.chains().get(at.chain) else { continue };
            let rule = chain.rules.get(at.rule).into_iter();
            for meaning in rule.flat_map(|rule| meanings(program, made, chain, rule)) {
                let sum = sums.entry(meaning).or_default();
                sum.packets += count.packets;
                sum.bytes += count.bytes;
            }
        }
        Self(sums)
    }

    /// What became of packets.
    pub(super) fn fates(&self) -> impl Iterator<Item = (&'static str, Count)> {
        self.0.iter().filter_map(|(meaning, count)| match meaning {
            Meaning::Fate(fate) => Some((*fate, *count)),
            _ => None,
        })
    }

    pub(super) fn of_meaning(&self, meaning: &Meaning) -> Count {
        self.0.get(meaning).copied().unwrap_or_default()
    }
}

fn meanings(program: &Program, made: Made, chain: &Chain, rule: &Rule) -> Vec<Meaning> {
    if made == Made::OfScript {
        return of_verdict(rule).map(Meaning::Fate).into_iter().collect();
    }
    let mut meanings: Vec<Meaning> =
        rule.then.iter().filter_map(|effect| of_effect(program, effect)).collect();
    // A touch of a trap may enter several lists, and is one strike.
    meanings.dedup();
    meanings.extend(fate(program, chain, rule).map(Meaning::Fate));
    if rule.verdict == Some(Verdict::Accept) {
        let door = lists(rule).find_map(|list| program[list].name.strip_prefix("grant "));
        meanings.extend(door.map(|door| Meaning::LetIn(door.to_owned())));
    }
    meanings
}

fn of_verdict(rule: &Rule) -> Option<&'static str> {
    match rule.verdict {
        Some(Verdict::Accept) => Some("accepted"),
        Some(Verdict::Drop) => Some("dropped"),
        Some(Verdict::Reject(_)) => Some("rejected"),
        _ => None,
    }
}

fn of_effect(program: &Program, effect: &Effect) -> Option<Meaning> {
    let Effect::Add { list, .. } = effect else { return None };
    let name = &*program[*list].name;
    match name.split_once(' ') {
        Some(("grant", door)) => Some(Meaning::Completed(door.to_owned())),
        Some(("strikes", _)) => Some(Meaning::Strike),
        None if name == "banned" => Some(Meaning::Ban),
        _ => None,
    }
}

/// What becomes of a packet at a rule of a policy that decides over it.
fn fate(program: &Program, chain: &Chain, rule: &Rule) -> Option<&'static str> {
    let list = || lists(rule).map(|list| &*program[list].name).next();
    let asks = |of: fn(&Condition) -> bool| rule.when.iter().any(of);
    match rule.verdict {
        Some(Verdict::Rescue) => Some("on-trial"),
        Some(Verdict::Accept) => Some(match list() {
            Some("allow" | ALLOWED_BY_HAND) => "allowed",
            Some(_) => "granted",
            None if asks(|when| matches!(when, Condition::Not(_))) => "inside",
            None if *chain.name == *KNOWN => "established",
            None if *chain.name == *PUBLIC => "public",
            None if asks(
                |when| matches!(when, Condition::State(states) if states.has(State::Established)),
            ) =>
            {
                "established"
            }
            None => "link",
        }),
        Some(Verdict::Drop) => Some(match list() {
            Some(BANNED_BY_HAND) => BANNED_BY_HAND,
            Some(_) => "banned",
            None if asks(|when| matches!(when, Condition::Cut)) => "cut",
            None => "stranger",
        }),
        _ => None,
    }
}

/// The lists that a source must be on.
fn lists(rule: &Rule) -> impl Iterator<Item = ListId> {
    rule.when.iter().filter_map(|when| match when {
        Condition::Listed(list) => Some(*list),
        _ => None,
    })
}
