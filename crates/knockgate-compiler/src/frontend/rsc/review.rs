//! What is wrong with the meaning of a script.
//!
//! One question per function. What they find is told only where it is sure: a script that is a part
//! of what a router holds, or that runs commands which are not followed, is asked less.

mod commands;
mod doors;
mod exposed;
mod lists;
mod order;
mod overlap;
mod path;
mod stages;
mod traps;

use std::collections::BTreeMap;

use super::ast::Script;
use super::config::{Config, Item};
use super::findings::Findings;
use super::interfaces::Interfaces;
use super::rules::{Action, Matcher, Rule, Table};
use super::translate::Options;
use crate::diag::{At, Code, Diagnostic, Edit, Severity, Span};
use crate::net::Family;
use commands::Commands;

/// A script with everything that was made of it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What was read.
    pub text: &'a str,
    /// What it says.
    pub script: &'a Script,
    /// What a router holds after it.
    pub config: &'a Config,
    /// The rules in that.
    pub rules: &'a [Rule<'a>],
    /// What the script leaves open.
    pub options: &'a Options,
}

/// Tells what is wrong with the meaning of a script, and how to mend what `findings`, those of the
/// steps before, can be mended of once the meaning is known. Takes time in proportion to its size.
pub fn review(subject: &Subject<'_>, findings: &mut Vec<Diagnostic>) {
    let view = View::new(subject, findings);
    let mut told = Findings::default();
    lists::never_filled(&view, &mut told);
    lists::never_tested(&view, &mut told);
    lists::several_in_one(&view, &mut told);
    lists::filled_by_a_disabled_rule(&view, &mut told);
    order::never_reached(&view, &mut told);
    order::never_jumped_to(&view, &mut told);
    doors::nothing_drops(&view, &mut told);
    doors::opens_everything(&view, &mut told);
    doors::only_ipv4(&view, &mut told);
    stages::kept_too_long(&view, &mut told);
    stages::cannot_be_reached(&view, &mut told);
    stages::two_at_once(&view, &mut told);
    stages::ascending(&view, &mut told);
    traps::shuts_out_who_is_in(&view, &mut told);
    traps::renews_itself(&view, &mut told);
    traps::counts_any_packet(&view, &mut told);
    exposed::interface_for_list(&view, &mut told);
    exposed::management(&view, &mut told);
    exposed::secrets(&view, &mut told);
    order::without_numbers(&view, findings);
    findings.extend(told.into_sorted(subject.text.len()));
}

/// A chain of a table and family.
type Chain<'a> = (Table, Family, &'a str);

/// What there is to know of an address list.
#[derive(Debug, Default)]
struct List<'a> {
    /// Rules that put addresses on it.
    adders: Vec<&'a Rule<'a>>,
    /// Entries it has without them.
    entries: Vec<&'a Item>,
    /// What would fill it if it were not disabled.
    disabled: Vec<&'a Item>,
    /// Rules that ask for it.
    tests: Vec<Test<'a>>,
}

/// A rule that asks whether an address is on a list.
#[derive(Clone, Copy, Debug)]
struct Test<'a> {
    rule: &'a Rule<'a>,
    name: &'a At<String>,
    negated: bool,
}

impl List<'_> {
    fn is_filled(&self) -> bool {
        !self.adders.is_empty() || !self.entries.is_empty()
    }
}

/// A script as the questions look at it.
struct View<'a> {
    text: &'a str,
    script: &'a Script,
    config: &'a Config,
    rules: &'a [Rule<'a>],
    interfaces: Interfaces<'a>,
    commands: Commands<'a>,
    chains: BTreeMap<Chain<'a>, Vec<&'a Rule<'a>>>,
    /// The rules that jump to a chain.
    jumps: BTreeMap<Chain<'a>, Vec<&'a Rule<'a>>>,
    lists: BTreeMap<(Family, &'a str), List<'a>>,
    /// Lists that nothing fills, each with the one that is surely meant.
    slips: BTreeMap<(Family, &'a str), &'a str>,
    /// Where errors are, in order.
    errors: Vec<usize>,
    /// Where a place is named by a number, in order.
    numbered: Vec<usize>,
    /// Whether the script speaks of items that it has not made.
    is_part: bool,
    /// Whether some of the script is not followed.
    not_followed: bool,
}

impl<'a> View<'a> {
    fn new(subject: &Subject<'a>, findings: &[Diagnostic]) -> Self {
        let Subject { text, script, config, rules, options } = *subject;
        let starts = |wanted: &dyn Fn(&Diagnostic) -> bool| {
            let found = findings.iter().filter(|finding| wanted(finding));
            let mut starts: Vec<_> = found.map(|finding| finding.primary.span.start).collect();
            starts.sort_unstable();
            starts
        };
        let mut chains: BTreeMap<Chain<'a>, Vec<_>> = BTreeMap::new();
        let mut jumps: BTreeMap<Chain<'a>, Vec<_>> = BTreeMap::new();
        for rule in rules {
            chains.entry((rule.table, rule.family, rule.chain)).or_default().push(rule);
            if let Action::Jump(target) = &rule.action.value {
                jumps.entry((rule.table, rule.family, &target.value)).or_default().push(rule);
            }
        }
        let not_followed = findings.iter().filter(|finding| finding.code == Code::NotFollowed);
        let mut view = Self {
            text,
            script,
            config,
            rules,
            interfaces: Interfaces::of(config, &options.interfaces),
            commands: Commands::of(script, text, not_followed.map(|finding| finding.primary.span)),
            chains,
            jumps,
            lists: lists(config, rules),
            slips: BTreeMap::new(),
            errors: starts(&|finding| {
                finding.severity == Severity::Error && finding.code != Code::BrokenLine
            }),
            numbered: starts(&|finding| finding.code == Code::PositionByNumber),
            is_part: findings.iter().any(|finding| finding.code == Code::NoSuchItem),
            not_followed: findings.iter().any(|finding| finding.code == Code::NotFollowed),
        };
        view.slips = lists::slips(&view);
        view
    }

    fn chain<'v>(&'v self, table: Table, family: Family, chain: &'v str) -> &'v [&'a Rule<'a>] {
        self.chains.get(&(table, family, chain)).map_or(&[], Vec::as_slice)
    }

    fn list<'v>(&'v self, family: Family, name: &'v str) -> Option<&'v List<'a>> {
        self.lists.get(&(family, name))
    }

    /// Whether all that a rule says was understood: otherwise it matches less than it seems to.
    fn is_whole(&self, rule: &Rule<'_>) -> bool {
        !any_within(&self.errors, rule.item.span) && !rule.has_opaque()
    }

    /// Whether a rule's place depends on numbers that the script does not know.
    fn is_numbered(&self, rule: &Rule<'_>) -> bool {
        any_within(&self.numbered, rule.item.span)
    }

    /// What puts `words` at the end of the command that made the rule, if a command alone did.
    fn append(&self, rule: &Rule<'_>, words: &str) -> Option<Edit> {
        let command = self.commands.add(rule.item)?;
        let end = command.span.end;
        Some(Edit { span: Span { start: end, end }, replacement: words.to_owned() })
    }

    /// What is written at `span`.
    fn written(&self, span: Span) -> &'a str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }
}

fn any_within(places: &[usize], span: Span) -> bool {
    places.get(places.partition_point(|place| *place < span.start)).is_some_and(|place| *place < span.end)
}

/// The menus of address lists.
const LISTS: [(Family, &str); 2] =
    [(Family::V4, "/ip/firewall/address-list"), (Family::V6, "/ipv6/firewall/address-list")];

fn lists<'a>(config: &'a Config, rules: &'a [Rule<'a>]) -> BTreeMap<(Family, &'a str), List<'a>> {
    let mut lists: BTreeMap<_, List<'_>> = BTreeMap::new();
    for (family, menu) in LISTS {
        for item in config.items(menu) {
            let Some(name) = item.text("list") else { continue };
            let list = lists.entry((family, name)).or_default();
            if item.is_disabled() { &mut list.disabled } else { &mut list.entries }.push(item);
        }
    }
    for (family, _, item) in disabled(config) {
        let adds = item.text("action").is_some_and(|action| action.starts_with("add-"));
        if let Some(name) = item.text("address-list").filter(|_| adds) {
            lists.entry((family, name)).or_default().disabled.push(item);
        }
    }
    for rule in rules {
        if let Some(name) = rule.adds_to() {
            lists.entry((rule.family, name.value.as_str())).or_default().adders.push(rule);
        }
        for (name, negated) in rule.source_list().into_iter().chain(rule.destination_list()) {
            let test = Test { rule, name, negated };
            lists.entry((rule.family, name.value.as_str())).or_default().tests.push(test);
        }
    }
    for list in lists.values_mut() {
        list.tests.sort_by_key(|test| test.name.span);
    }
    lists
}

/// The rules that are disabled.
fn disabled(config: &Config) -> impl Iterator<Item = (Family, Table, &Item)> {
    let tables = Table::NAMED.into_iter().flat_map(|(_, table)| Family::BOTH.map(|family| (family, table)));
    tables.flat_map(|(family, table)| {
        let items = config.items(&super::rules::menu(family, table)).iter();
        items.filter(|item| item.is_disabled()).map(move |item| (family, table, item))
    })
}

/// Questions of one rule.
impl Rule<'_> {
    fn has_opaque(&self) -> bool {
        self.matchers.iter().any(|matcher| matches!(matcher.value, Matcher::Opaque(_)))
    }

    fn adds_source(&self) -> bool {
        matches!(self.action.value, Action::AddSource { .. })
    }

    /// Whether it turns packets away.
    fn refuses(&self) -> bool {
        matches!(self.action.value, Action::Drop | Action::Reject(_) | Action::Tarpit)
    }

    /// Whether it lets connections through.
    fn admits(&self) -> bool {
        matches!(
            (self.table, &self.action.value),
            (Table::Filter, Action::Accept) | (Table::Nat, Action::Redirect(_))
        )
    }

    /// The list that its source must be on.
    fn asks_for(&self) -> Option<&At<String>> {
        self.source_list().filter(|(_, negated)| !negated).map(|(name, _)| name)
    }

    /// Where it names its chain, or its action.
    fn place(&self) -> Span {
        self.item.get("action").map_or(self.item.span, |_| self.action.span)
    }
}

#[cfg(test)]
mod tests;
