//! Rules that others stand before.

use std::collections::BTreeMap;

use super::super::ast::{Argument, Command, Scope, Statement, Value};
use super::super::findings::Findings;
use super::super::rules::{Action, Rule, Table, menu};
use super::super::translate::is_built_in;
use super::super::truth;
use super::overlap::covers;
use super::{View, any_within, disabled};
use crate::diag::{Code, Diagnostic, Edit, Severity, Span, Suggestion};
use crate::net::{Family, Transport};
use crate::program::Refusal;

/// Matchers of a rule that others are held against.
const MAX_MATCHERS: usize = 4;

/// Rules with so many matchers that others are held against, for each number of matchers.
const MAX_DECIDERS: usize = 32;

/// Tells of rules that no packet reaches.
pub(super) fn never_reached(view: &View<'_>, findings: &mut Findings) {
    for rules in view.chains.values() {
        let mut deciders: [Vec<&Rule<'_>>; MAX_MATCHERS + 1] = Default::default();
        let mut hidden: BTreeMap<usize, (&Rule<'_>, Vec<&Rule<'_>>)> = BTreeMap::new();
        for rule in rules.iter().copied() {
            let earlier = deciders.iter().flatten().find(|earlier| covers(view, earlier, rule));
            if let Some(earlier) = earlier {
                hidden.entry(earlier.place).or_insert((earlier, vec![])).1.push(rule);
                continue;
            }
            if decides_all(rule)
                && view.is_whole(rule)
                && let Some(alike) = deciders.get_mut(rule.matchers.len())
                && alike.len() < MAX_DECIDERS
            {
                alike.push(rule);
            }
        }
        for (earlier, later) in hidden.into_values() {
            let Some(first) = later.first() else { continue };
            let mut finding =
                Diagnostic::warning(Code::NeverReached, first.place(), "this rule is never reached")
                    .and_at(earlier.place(), "this decides every packet that it could match");
            match later.len() - 1 {
                0 => {}
                1 => finding = finding.note("nor is one more rule of the chain, for the same reason"),
                more => finding = finding.note(format!("nor are {more} more rules, for the same reason")),
            }
            findings.push(finding.help("let it stand first, or take it out"));
        }
    }
}

/// Whether every packet that the rule matches ends its way through the chain there.
fn decides_all(rule: &Rule<'_>) -> bool {
    let tcp_only = matches!(rule.action.value, Action::Tarpit | Action::Reject(Refusal::Reset));
    rule.decides() && (!tcp_only || rule.transport() == Some(Transport::Tcp))
}

/// Tells of chains that nothing leads to.
pub(super) fn never_jumped_to(view: &View<'_>, findings: &mut Findings) {
    let unknown = view.rules.iter().any(|rule| match &rule.action.value {
        Action::Opaque(words) => words == "action=jump",
        _ => false,
    });
    // A part of what a router holds may be jumped to from the rest of it.
    if unknown || view.is_part {
        return;
    }
    let off = disabled(view.config)
        .filter_map(|(family, table, item)| Some(((table, family, item.text("jump-target")?), item)));
    let off: BTreeMap<_, _> = off.collect();
    for (&(table, family, chain), rules) in &view.chains {
        let made_by_routers = chain.starts_with("hs-") || chain.contains("hotspot") || chain == "ppp";
        let reached = is_built_in(table, chain) || view.jumps.contains_key(&(table, family, chain));
        let Some(first) = rules.first() else { continue };
        if reached || made_by_routers || view.commands.mention(chain) {
            continue;
        }
        let at = first.item.get("chain").map_or(first.item.span, |value| value.span);
        let message = format!("nothing jumps to chain `{chain}`");
        let mut finding = Diagnostic::warning(Code::NeverReached, at, message)
            .note(format!("packets enter {} by themselves, and other chains by a jump", entered(table)));
        if let Some(item) = off.get(&(table, family, chain)) {
            finding = finding.and_at(item.span, "this would, but is disabled");
        }
        findings.push(
            finding
                .help(format!("add a rule with `action=jump jump-target={}`", super::super::quoted(chain))),
        );
    }
}

fn entered(table: Table) -> &'static str {
    match table {
        Table::Filter => "`input`, `forward` and `output`",
        Table::Raw => "`prerouting` and `output`",
        Table::Nat => "`srcnat` and `dstnat`",
        Table::Mangle => "`prerouting`, `input`, `forward`, `output` and `postrouting`",
    }
}

/// Suggests for places that are named by number to write the rules down in the order that the numbers
/// give them, where all rules have one: the others go behind what the router has already, and so would
/// these.
pub(super) fn without_numbers(view: &View<'_>, findings: &mut [Diagnostic]) {
    for (_, table) in Table::NAMED {
        for family in Family::BOTH {
            let menu = menu(family, table);
            let Some(edits) = reordered(view, &menu) else { continue };
            let within = |span: Span| {
                edits.iter().any(|edit| edit.span.start <= span.start && span.end <= edit.span.end)
            };
            let first = findings
                .iter_mut()
                .find(|finding| finding.code == Code::PositionByNumber && within(finding.primary.span));
            if let Some(finding) = first.filter(|finding| finding.severity == Severity::Warning) {
                let message = "write the rules down in the order that they are to have".to_owned();
                finding.suggestions.push(Suggestion { message, edits });
                let so = "what is written then stands in this order, and behind the rules that the router has already";
                finding.notes.push(so.to_owned());
                let else_named = "where a rule is to stand before one that the router has already, name that one by its comment instead: `place-before=[find comment=...]`";
                finding.help = vec![else_named.to_owned()];
            }
        }
    }
}

/// What [`without_numbers`] suggests for `menu`.
pub(super) fn reordered(view: &View<'_>, menu: &str) -> Option<Vec<Edit>> {
    let here = only_adds(view, menu)?;
    let items = view.config.items(menu);
    let is_placed = |command: &&Command| {
        let off = command.attribute("disabled").and_then(Value::text).and_then(truth) == Some(true);
        off || (place_number(command).is_some() && any_within(&view.numbered, command.span))
    };
    let numbered = here.iter().any(|command| place_number(command).is_some());
    if items.len() != here.len() || !numbered || !here.iter().all(is_placed) {
        return None;
    }
    let edits = here.iter().zip(items).map(|(command, item)| {
        let belongs = view.commands.add(item)?;
        let replacement = without_place(view, belongs)?;
        Some(Edit { span: command.span, replacement })
    });
    edits.collect()
}

/// The commands in `menu`, if there are none but `add` one after the other.
fn only_adds<'a>(view: &View<'a>, menu: &str) -> Option<Vec<&'a Command>> {
    let mut here: Vec<&Command> = vec![];
    let mut ended = false;
    for statement in &view.script.statements {
        match statement {
            Statement::Run(command) if command.scope == Scope::Menu && command.menu.path() == menu => {
                let plain = command.attribute("copy-from").is_none();
                if ended || !plain || command.name.value != "add" {
                    return None;
                }
                here.push(command);
            }
            Statement::Enter(entered) if entered.value.path() == menu => {}
            Statement::Block(_) | Statement::Table(_) => return None,
            Statement::Run(command) if command.scope != Scope::Menu => return None,
            _ => ended = !here.is_empty(),
        }
    }
    Some(here)
}

/// The number that says where the rule of a command goes.
fn place_number(command: &Command) -> Option<u32> {
    command.attribute("place-before")?.text()?.parse().ok()
}

/// What is written of a command, less the number that says where its rule goes; `None` where it says
/// so in another way.
fn without_place(view: &View<'_>, command: &Command) -> Option<String> {
    let text = view.written(command.span);
    let place = command
        .arguments
        .iter()
        .find(|argument| matches!(argument, Argument::Set { name, .. } if name.value == "place-before"));
    let Some(Argument::Set { name, value }) = place else { return Some(text.to_owned()) };
    value.text()?.parse::<u32>().ok()?;
    let start = name.span.start.checked_sub(command.span.start)?;
    let before = text.get(..start)?.trim_end();
    let after = text.get(value.span.end.checked_sub(command.span.start)?..)?;
    Some(format!("{before}{after}"))
}
