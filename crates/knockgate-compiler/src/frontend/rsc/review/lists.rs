//! Lists whose names do not meet.

use std::collections::{BTreeMap, BTreeSet};

use super::super::findings::Findings;
use super::super::quoted;
use super::{List, Test, View, any_within, disabled};
use crate::diag::{At, Code, Diagnostic, Edit, Span, Suggestion, did_you_mean};
use crate::net::Family;

/// Names that are compared with each other.
const MAX_NAMES: usize = 256;

/// Other places that one finding points to.
const MAX_PLACES: usize = 4;

/// Tells of lists that rules ask for, and nothing fills.
pub(super) fn never_filled(view: &View<'_>, findings: &mut Findings) {
    for (family, name, list) in unfilled(view) {
        let Some(first) = list.tests.first() else { continue };
        if !list.disabled.is_empty() || known_parts(view, family, name).next().is_some() {
            continue;
        }
        let message = format!("list `{name}` is tested, but nothing ever fills it");
        let mut finding = Diagnostic::warning(Code::ListNeverFilled, first.name.span, message);
        for other in list.tests.iter().skip(1).take(MAX_PLACES) {
            finding = finding.and_at(other.name.span, "and here");
        }
        let slip = view.slips.get(&(family, name)).and_then(|near| Some((*near, view.list(family, near)?)));
        findings.push(match slip {
            Some((near, other)) => renamed(finding, list, near, other),
            None => words(view, finding, family, name),
        });
    }
}

/// What may help where it is not sure which list is meant.
fn words(view: &View<'_>, finding: Diagnostic, family: Family, name: &str) -> Diagnostic {
    if let [(only, other)] = idle(view, family).take(2).collect::<Vec<_>>().as_slice() {
        let text = format!("this fills `{only}`, which nothing tests");
        return finding.and_at(filler(other), text).help(help(family));
    }
    let filled = filled(view, family).take(MAX_NAMES).map(|(name, _)| name);
    match did_you_mean(name, filled) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(help(family)),
    }
}

fn help(family: Family) -> String {
    let menu = if family == Family::V4 { "/ip" } else { "/ipv6" };
    format!("if the router has entries of it already, all is well: see `{menu} firewall address-list print`")
}

/// Lists that rules ask for, and nothing is known to fill.
fn unfilled<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = (Family, &'a str, &'v List<'a>)> {
    let lists = view.lists.iter().map(|((family, name), list)| (*family, *name, list));
    lists
        .filter(|(_, name, list)| !list.tests.is_empty() && !list.is_filled() && !view.commands.mention(name))
}

fn filled<'v, 'a>(view: &'v View<'a>, family: Family) -> impl Iterator<Item = (&'a str, &'v List<'a>)> {
    let lists = view.lists.iter().filter(move |((of, _), list)| *of == family && list.is_filled());
    lists.map(|((_, name), list)| (*name, list))
}

/// Lists that nothing fills, each with the one that is surely meant: of those that rules fill and
/// nothing tests, the only one whose name is close.
pub(super) fn slips<'a>(view: &View<'a>) -> BTreeMap<(Family, &'a str), &'a str> {
    let mut slips = BTreeMap::new();
    for family in Family::BOTH {
        let idle: Vec<_> = idle(view, family).take(MAX_NAMES).map(|(name, _)| name).collect();
        let unfilled = unfilled(view).filter(|(of, _, list)| *of == family && list.disabled.is_empty());
        for (_, name, _) in unfilled.take(MAX_NAMES) {
            let mut near = idle.iter().filter(|other| did_you_mean(name, [**other]).is_some());
            if let (Some(near), None) = (near.next(), near.next()) {
                slips.insert((family, name), *near);
            }
        }
    }
    slips
}

/// Lists that rules fill, and nothing tests.
fn idle<'v, 'a>(view: &'v View<'a>, family: Family) -> impl Iterator<Item = (&'a str, &'v List<'a>)> {
    filled(view, family).filter(|(_, list)| list.tests.is_empty() && !list.adders.is_empty())
}

fn renamed(finding: Diagnostic, list: &List<'_>, near: &str, other: &List<'_>) -> Diagnostic {
    let edit = |test: &Test<'_>| {
        let sign = if test.negated { "!" } else { "" };
        Edit { span: test.name.span, replacement: format!("{sign}{}", quoted(near)) }
    };
    let edits = list.tests.iter().map(edit).collect();
    let mut finding = finding.and_at(filler(other), format!("this fills `{near}`"));
    finding.suggestions.push(Suggestion { message: format!("did you mean `{near}`?"), edits });
    finding
}

/// Where a list is filled.
fn filler(list: &List<'_>) -> Span {
    let rule = list.adders.first().and_then(|rule| rule.adds_to()).map(|name| name.span);
    rule.or_else(|| list.entries.first().map(|item| item.span)).unwrap_or(Span { start: 0, end: 0 })
}

/// Tells of lists that are filled, and that no rule asks for.
pub(super) fn never_tested(view: &View<'_>, findings: &mut Findings) {
    for family in Family::BOTH {
        // Entries alone are for rules that stand elsewhere.
        if !view.rules.iter().any(|rule| rule.family == family) {
            continue;
        }
        let slips = view.slips.iter().filter(|((of, _), _)| *of == family);
        let told: BTreeSet<&str> = slips.map(|(_, near)| *near).collect();
        let waiting = waiting(view, family);
        for (name, list) in filled(view, family) {
            if !list.tests.is_empty() || view.commands.mention(name) || told.contains(&name) {
                continue;
            }
            if waiting.contains(name) {
                continue;
            }
            let message = format!("list `{name}` is filled, but nothing ever tests it");
            let mut finding = Diagnostic::warning(Code::ListNeverTested, filler(list), message);
            let more = list.adders.len() + list.entries.len() - 1;
            if more > 0 {
                finding = finding.note(format!("{} in all", counted(list)));
            }
            findings
                .push(finding.help("a rule asks for a list with `src-address-list` or `dst-address-list`"));
        }
    }
}

/// Lists that disabled rules ask for.
fn waiting<'a>(view: &View<'a>, family: Family) -> BTreeSet<&'a str> {
    let items = disabled(view.config).filter(|(of, ..)| *of == family);
    items
        .flat_map(|(.., item)| ["src-address-list", "dst-address-list"].map(|name| item.text(name)))
        .flatten()
        .collect()
}

fn counted(list: &List<'_>) -> String {
    let of = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    match (list.adders.len(), list.entries.len()) {
        (rules, 0) => of(rules, "rule fills it", "rules fill it"),
        (0, entries) => of(entries, "entry", "entries"),
        (rules, entries) => {
            format!("{} and {}", of(rules, "rule fills it", "rules fill it"), of(entries, "entry", "entries"))
        }
    }
}

/// Tells of matchers that name several lists.
pub(super) fn several_in_one(view: &View<'_>, findings: &mut Findings) {
    for (family, name, list) in unfilled(view) {
        let Some(part) = known_parts(view, family, name).next() else { continue };
        for Test { name: At { span, .. }, .. } in &list.tests {
            let message = format!("a matcher takes one list, and this one is called `{name}`");
            let finding = Diagnostic::warning(Code::TwoLists, *span, message)
                .note(format!("so this does not ask for `{part}`"))
                .help("to ask for two, jump to a chain that asks for the second");
            findings.push(finding);
        }
    }
}

/// The lists that `name` has between commas, where they are known as such.
fn known_parts<'n>(view: &View<'_>, family: Family, name: &'n str) -> impl Iterator<Item = &'n str> {
    let parts =
        name.split(',').filter(move |_| name.contains(',')).map(|part| part.trim().trim_start_matches('!'));
    parts.filter(move |part| view.list(family, part).is_some())
}

/// Tells of disabled rules without which a list stays empty.
pub(super) fn filled_by_a_disabled_rule(view: &View<'_>, findings: &mut Findings) {
    for (_, name, list) in unfilled(view) {
        let (Some(test), Some(item)) = (list.tests.first(), list.disabled.first()) else { continue };
        if any_within(&view.errors, item.span) {
            continue;
        }
        let at = item.get("disabled").map_or(item.span, |value| value.span);
        let message = format!("list `{name}` stays empty, for what fills it is disabled");
        let finding = Diagnostic::warning(Code::DisabledInTheWay, at, message)
            .and_at(test.name.span, "this waits for it")
            .help(format!("enable it, or take out the rules that ask for `{name}`"));
        findings.push(finding);
    }
}
