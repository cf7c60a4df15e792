//! Knocks, the stages they make, and the grants at their end.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::super::findings::Findings;
use super::super::rules::{Action, Rule, Stay};
use super::overlap::{exclude, matches_all_of};
use super::path::is_inside;
use super::traps::bans;
use super::{List, Test, View};
use crate::diag::{At, Code, Diagnostic, Span};
use crate::net::{Family, Transport};
use crate::program::Condition;
use crate::time::Lifetime;

/// A grant that is not worth a word. `P040` has the same limit.
const LONG: Lifetime = Lifetime::from_secs(300);

/// A list that lets connections in, and that knocks fill.
pub(super) struct Grant<'v, 'a> {
    pub(super) family: Family,
    pub(super) name: &'a str,
    pub(super) list: &'v List<'a>,
    /// The rules that let in who is on it.
    pub(super) tests: Vec<Test<'a>>,
}

/// Every grant.
pub(super) fn grants<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = Grant<'v, 'a>> {
    view.lists.iter().filter_map(|(&(family, name), list)| {
        // What is wrong with a door is told even while a name is.
        let slips = view.slips.iter().filter(|((of, _), meant)| *of == family && **meant == name);
        let slipped = slips.filter_map(|(key, _)| view.lists.get(key)).flat_map(|list| &list.tests);
        let tests = list.tests.iter().chain(slipped).copied();
        let tests = tests.filter(|test| !test.negated && test.rule.admits());
        let tests: Vec<_> = tests.filter(|test| test.rule.asks_for() == Some(test.name)).collect();
        let knocked = list.adders.iter().any(|rule| is_knock(rule));
        (knocked && !tests.is_empty()).then_some(Grant { family, name, list, tests })
    })
}

/// Whether a stranger's packet of some kind makes the rule add its source to a list.
pub(super) fn is_knock(rule: &Rule<'_>) -> bool {
    let kind = |condition: &Condition| {
        matches!(
            condition,
            Condition::Ports(..)
                | Condition::Transport(_)
                | Condition::Protocol(_)
                | Condition::Icmp(..)
                | Condition::Size(_)
        )
    };
    rule.adds_source() && (rule.conditions().any(kind) || rule.has_opaque()) && !is_from_inside(rule)
}

/// Whether the rule is for who is inside already.
pub(super) fn is_from_inside(rule: &Rule<'_>) -> bool {
    use super::Matcher;
    rule.matchers.iter().any(|matcher| match &matcher.value {
        Matcher::Interface { name, negated } | Matcher::InterfaceList { name, negated } => {
            if *negated {
                super::path::is_outside(name)
            } else {
                is_inside(name)
            }
        }
        Matcher::Packet(Condition::Source(_)) => true,
        _ => false,
    })
}

/// What a rule adds its source to, and for how long.
fn adds<'r>(rule: &'r Rule<'_>) -> Option<(&'r At<String>, At<Stay>)> {
    match &rule.action.value {
        Action::AddSource { list, stay } => Some((list, At { value: stay.value, span: stay.span })),
        _ => None,
    }
}

/// Tells of grants that are longer than it takes to connect, and of grants and stages without end.
pub(super) fn kept_too_long(view: &View<'_>, findings: &mut Findings) {
    let granting: BTreeSet<(Family, &str)> = grants(view).map(|grant| (grant.family, grant.name)).collect();
    for (key @ (_, name), list) in &view.lists {
        let gates = |test: &Test<'_>| {
            let next = test.rule.adds_to().is_some_and(|next| next.value != *name);
            !test.negated && next && is_knock(test.rule)
        };
        let grants = granting.contains(key);
        if !grants && !list.tests.iter().any(gates) {
            continue;
        }
        for rule in list.adders.iter().filter(|rule| is_knock(rule)) {
            let Some((list, stay)) = adds(rule) else { continue };
            let what = if grants { "grant" } else { "stage" };
            match stay.value {
                Stay::For(time) if grants && time > LONG => {
                    let message = format!("a grant of {time}");
                    let finding = Diagnostic::warning(Code::GrantOutlives, stay.span, message)
                        .note("while it lasts, everybody who shares the address can connect")
                        .help("`30s` is enough to connect; what is connected stays, if a rule accepts `connection-state=established`");
                    findings.push(finding);
                }
                Stay::For(_) => {}
                Stay::UntilRestart | Stay::Always => {
                    let message =
                        format!("who has come onto `{}` stays there: a {what} without end", list.value);
                    let finding = Diagnostic::warning(Code::KeptForEver, list.span, message)
                        .help("say for how long: `address-list-timeout=30s`");
                    findings.push(finding);
                }
            }
        }
    }
}

/// Tells of stages that ask for one which can never be made.
pub(super) fn cannot_be_reached(view: &View<'_>, findings: &mut Findings) {
    let made = made(view);
    let mut told: BTreeSet<(Family, &str)> = BTreeSet::new();
    for (key @ (family, name), list) in &view.lists {
        let (false, Some(rule)) = (made.contains(key) || told.contains(key), list.adders.first()) else {
            continue;
        };
        let Some(asked) = rule.asks_for() else { continue };
        let circle = circle(view, *family, name);
        let nothing = view.list(*family, &asked.value).is_none_or(|list| !list.is_filled());
        // What comes after such a stage is in vain for its sake.
        if circle.is_empty() && !nothing {
            continue;
        }
        told.extend(circle.iter().map(|name| (*family, *name)));
        let message = format!("nobody ever comes onto `{name}`: that takes being on `{}`", asked.value);
        let finding = Diagnostic::warning(Code::StageNotReached, asked.span, message);
        findings.push(match circle.as_slice() {
            [] => finding.note(format!("nothing fills `{}`", asked.value)),
            [_] => finding.note("and nothing else fills it"),
            [.., last] => {
                let filler = view.list(*family, last).and_then(|list| list.adders.first());
                let at = filler.and_then(|rule| rule.asks_for()).map_or(asked.span, |asked| asked.span);
                finding.and_at(at, "and this leads back to it").note("so none of them is ever made")
            }
        });
    }
}

/// The lists that somebody can be on, as far as is known.
fn made<'a>(view: &View<'a>) -> BTreeSet<(Family, &'a str)> {
    let mut made: BTreeSet<(Family, &'a str)> = BTreeSet::new();
    let mut open: Vec<(Family, &'a str)> = vec![];
    for (&(family, name), list) in &view.lists {
        let asks = |rule: &&Rule<'_>| rule.asks_for().is_some();
        let free = list.adders.iter().any(|rule| !asks(rule));
        if free || !list.entries.is_empty() || !list.disabled.is_empty() || view.commands.mention(name) {
            open.push((family, name));
        }
    }
    while let Some(key) = open.pop() {
        if !made.insert(key) {
            continue;
        }
        let tests = view.lists.get(&key).map_or(&[][..], |list| list.tests.as_slice());
        let next = tests.iter().filter(|test| !test.negated).filter_map(|test| test.rule.adds_to());
        open.extend(next.map(|next| (key.0, next.value.as_str())));
    }
    made
}

/// Lists that are longer in a circle are not looked at.
const MAX_CIRCLE: usize = 64;

/// The lists from `name` on, each of which asks for the next, if they lead back to it.
fn circle<'a>(view: &View<'a>, family: Family, name: &'a str) -> Vec<&'a str> {
    let mut found = vec![name];
    while let Some(last) = found.last() {
        let first = view.list(family, last).and_then(|list| list.adders.first().copied());
        match first.and_then(|rule| rule.asks_for()) {
            Some(asked) if asked.value == name => return found,
            Some(asked) if found.len() < MAX_CIRCLE => found.push(&asked.value),
            _ => break,
        }
    }
    vec![]
}

/// Rules between two that are looked through.
const MAX_BETWEEN: usize = 64;

/// Tells of pairs of stages that one packet makes.
pub(super) fn two_at_once(view: &View<'_>, findings: &mut Findings) {
    for rule in view.rules.iter().filter(|rule| makes_a_stage(view, rule)) {
        let Some(asked) = rule.asks_for() else { continue };
        let Some(list) = view.list(rule.family, &asked.value) else { continue };
        let first = list.adders.iter().take(MAX_BETWEEN).find(|first| {
            let before = (first.table, first.chain) == (rule.table, rule.chain) && first.place < rule.place;
            before && makes_a_stage(view, first) && !exclude(first, rule) && !parted(view, first, rule)
        });
        let (Some(first), Some(next)) = (first, rule.adds_to()) else { continue };
        let message = format!("one packet makes both `{}` and `{}`", asked.value, next.value);
        let finding = Diagnostic::warning(Code::TwoStages, asked.span, message)
            .and_at(first.place(), "the packet that matches here matches there as well")
            .note("what a rule adds is seen by the rules after it, for the same packet")
            .help("let the last stage stand first");
        findings.push(finding);
    }
}

fn makes_a_stage(view: &View<'_>, rule: &Rule<'_>) -> bool {
    let kind = |condition: &Condition| {
        matches!(condition, Condition::Ports(..) | Condition::Icmp(..) | Condition::Size(_))
    };
    rule.adds_source() && rule.conditions().any(kind) && view.is_whole(rule) && !view.is_numbered(rule)
}

/// Whether a rule between the two ends the way of packets that both could match; also where it is too
/// far to look.
fn parted(view: &View<'_>, first: &Rule<'_>, then: &Rule<'_>) -> bool {
    if then.place - first.place > MAX_BETWEEN {
        return true;
    }
    let chain = view.chain(first.table, first.family, first.chain);
    let start = chain.partition_point(|rule| rule.place <= first.place);
    let between = chain.iter().skip(start).take_while(|rule| rule.place < then.place);
    let mut ends = between.filter(|rule| rule.decides() || matches!(rule.action.value, Action::Jump(_)));
    ends.any(|rule| {
        rule.has_opaque()
            || matches!(rule.action.value, Action::Jump(_))
            || matches_all_of(view, rule, first)
            || matches_all_of(view, rule, then)
            || rule.asks_for().is_some()
    })
}

/// Tells of doors that open to a scan which goes up the ports.
pub(super) fn ascending(view: &View<'_>, findings: &mut Findings) {
    let traps = traps(view);
    for grant in grants(view) {
        let Some(knocks) = sequence(view, &grant) else { continue };
        let ports: Vec<u16> = knocks.iter().map(|knock| knock.port).collect();
        let (Some(last), true) = (knocks.last(), ports.len() > 1 && ports.is_sorted_by(|one, two| one < two))
        else {
            continue;
        };
        let traps = trap_ports(&traps, grant.family, last);
        let count: u32 = traps.iter().map(|range| u32::from(range.end() - range.start()) + 1).sum();
        if count > u32::from(last.port) / 2 {
            continue;
        }
        let list: Vec<String> = ports.iter().map(u16::to_string).collect();
        let message = format!("one scan up the ports makes all {} knocks in their order", ports.len());
        let finding = Diagnostic::warning(Code::Ascending, last.span, message).note(format!(
            "the door behind `{}` opens to {}",
            grant.name,
            list.join(", ")
        ));
        let finding = match traps.first() {
            None => finding,
            Some(_) => {
                let named: Vec<String> = traps.iter().take(4).map(said).collect();
                finding.note(format!(
                    "a scan of every port meets the trap at {} on its way; one that leaves it out opens the door",
                    named.join(", ")
                ))
            }
        };
        findings.push(finding.help("let the ports go up and down"));
    }
}

fn said(range: &RangeInclusive<u16>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

struct Knock {
    transport: Transport,
    port: u16,
    span: Span,
}

/// The knocks of a door, if each is one port of the same protocol, and there is one way to it.
fn sequence(view: &View<'_>, grant: &Grant<'_, '_>) -> Option<Vec<Knock>> {
    let mut list = grant.list;
    let mut knocks: Vec<Knock> = vec![];
    loop {
        let [rule] = list.adders.as_slice() else { return None };
        let (transport, port) =
            match rule.conditions().find(|condition| matches!(condition, Condition::Ports(..)))? {
                Condition::Ports(transport, _, ranges) => match ranges.as_slice() {
                    [range] if range.start() == range.end() => (*transport, *range.start()),
                    _ => return None,
                },
                _ => return None,
            };
        if !is_knock(rule)
            || !view.is_whole(rule)
            || knocks.first().is_some_and(|next| next.transport != transport)
        {
            return None;
        }
        let span = rule.item.get("dst-port").map_or(rule.item.span, |value| value.span);
        knocks.insert(0, Knock { transport, port, span });
        match rule.asks_for() {
            None => return Some(knocks),
            Some(asked) if knocks.len() < MAX_CIRCLE => list = view.list(grant.family, &asked.value)?,
            Some(_) => return None,
        }
    }
}

/// Rules that ban whoever touches a port, as far as they are looked at.
const MAX_TRAPS: usize = 64;

/// The rules that ban by themselves.
fn traps<'a>(view: &View<'a>) -> Vec<&'a Rule<'a>> {
    let adders = bans(view).flat_map(|ban| ban.list.adders.iter().copied());
    adders.filter(|rule| rule.asks_for().is_none() && rule.adds_source()).take(MAX_TRAPS).collect()
}

/// The ports below the last knock whose touch bans; all of them where any packet does.
fn trap_ports(traps: &[&Rule<'_>], family: Family, last: &Knock) -> Vec<RangeInclusive<u16>> {
    let mut ports = vec![];
    for rule in traps.iter().filter(|rule| rule.family == family) {
        let here = rule.conditions().find_map(|condition| match condition {
            Condition::Ports(transport, _, ranges) => Some((*transport, ranges.as_slice())),
            _ => None,
        });
        match here {
            None => return std::iter::once(1..=u16::MAX).collect(),
            Some((transport, ranges)) if transport == last.transport => {
                let below = ranges.iter().filter(|range| *range.start() < last.port);
                ports.extend(below.map(|range| *range.start()..=(*range.end()).min(last.port)));
            }
            Some(_) => {}
        }
    }
    ports.sort_by_key(|range| *range.start());
    ports
}
