//! What is open that is meant to be closed.

use super::super::findings::Findings;
use super::super::quoted;
use super::super::rules::{Action, Matcher, Rule, Table};
use super::exposed::lets_strangers;
use super::order::reordered;
use super::overlap::states;
use super::path::is_inside;
use super::stages::grants;
use super::{View, disabled};
use crate::diag::{Code, Diagnostic, Edit, Span, Suggestion};
use crate::frontend::rsc::ast::Statement;
use crate::net::Family;
use crate::program::{Condition, PortEnd, State};

/// The first rule of `input` that lets in who is on a list.
fn door<'a>(view: &View<'a>, family: Family) -> Option<&'a Rule<'a>> {
    let lets_in = |rule: &&Rule<'_>| rule.action.value == Action::Accept && rule.asks_for().is_some();
    view.input(family).into_iter().find(lets_in)
}

/// Tells of an `input` that lets everybody in after it has let in those on a list.
pub(super) fn nothing_drops(view: &View<'_>, findings: &mut Findings) {
    for family in Family::BOTH {
        if view.is_part || view.closer(family).is_some() {
            continue;
        }
        let Some(door) = door(view, family) else {
            in_vain(view, family, findings);
            continue;
        };
        let at = door.asks_for().map_or(door.place(), |name| name.span);
        let message = "this lets in who is on the list, and the end of `input` lets in everybody else";
        let mut finding = Diagnostic::warning(Code::NothingDrops, at, message)
            .note("a packet that no rule of `input` decides is accepted");
        let off = disabled(view.config).find(|(of, table, item)| {
            (*of, *table) == (family, Table::Filter)
                && item.text("chain") == Some("input")
                && would_close(item)
        });
        match (off, Closing::of(view, family)) {
            (Some((.., item)), _) => {
                let at = item.get("disabled").map_or(item.span, |value| value.span);
                let disabled = Diagnostic::warning(
                    Code::DisabledInTheWay,
                    at,
                    "the drop that closes `input` is disabled",
                )
                .and_at(door.place(), "so this lets in nobody who would not come in anyway")
                .help("enable it, once you know that it does not shut you out");
                findings.push(disabled);
            }
            (None, closing) => finding = closed(view, closing, finding),
        }
        findings.push(finding);
    }
}

/// Whether a disabled rule would drop all that comes its way.
fn would_close(item: &super::Item) -> bool {
    const SAYS_LITTLE: [&str; 9] = [
        "chain",
        "action",
        "in-interface",
        "in-interface-list",
        "connection-state",
        "comment",
        "disabled",
        "log",
        "log-prefix",
    ];
    matches!(item.text("action"), Some("drop" | "reject"))
        && item.attributes.iter().all(|set| SAYS_LITTLE.contains(&set.name.value.as_str()))
        && item.text("connection-state") != Some("invalid")
}

/// Tells of an `input` without a door that lets everybody in from outside.
fn in_vain(view: &View<'_>, family: Family, findings: &mut Findings) {
    let rules = view.chain(Table::Filter, family, "input");
    // Rules that go by number between others are not all that there is.
    if view.not_followed || rules.iter().any(|rule| view.is_numbered(rule)) {
        return;
    }
    let from_outside = |rule: &Rule<'_>| {
        rule.action.value == Action::Accept
            && view.is_whole(rule)
            && rule.matchers.iter().all(|matcher| lets_strangers(view, &matcher.value, None))
    };
    let accepts = || rules.iter().filter(|rule| from_outside(rule));
    let everything = accepts().find(|rule| rule.matchers.iter().all(|matcher| is_wide(&matcher.value)));
    let to_ports = |condition: &Condition| matches!(condition, Condition::Ports(_, PortEnd::Destination, _));
    let finding = if let Some(rule) = everything {
        let message = "this accepts everything that comes from outside";
        Diagnostic::warning(Code::NothingDrops, rule.place(), message)
    } else if !view.input(family).into_iter().any(drops_new)
        && let Some(rule) = accepts().find(|rule| rule.conditions().any(to_ports))
    {
        let at = rule.item.get("dst-port").map_or(rule.place(), |value| value.span);
        let message = "this is for certain ports, and everything else is accepted at the end anyway";
        Diagnostic::warning(Code::NothingDrops, at, message)
            .note("a packet that no rule of `input` decides is accepted")
    } else {
        return;
    };
    findings.push(finding.help(BY_HAND));
}

/// Whether the rule turns away packets that begin connections.
fn drops_new(rule: &Rule<'_>) -> bool {
    let is_late =
        |condition: &Condition| states(condition).is_some_and(|states| states & 1 << State::New as u8 == 0);
    rule.refuses() && !rule.conditions().any(is_late)
}

/// What there is to do for who would rather not have it done.
const BY_HAND: &str = "let the last rule of `input` drop what comes from outside";

/// What closes an `input`: a drop at the end for what comes in where the door is, and before everything
/// an accept for the connections that stand.
struct Closing {
    accept: Option<&'static str>,
    drop: String,
}

/// Suggests `closing`, or says what would be suggested once the rules are in the order they are to have.
fn closed(view: &View<'_>, closing: Option<Closing>, mut finding: Diagnostic) -> Diagnostic {
    let Some(closing) = closing else { return finding.help(BY_HAND) };
    if view.not_followed {
        let why = "`--fix` adds nothing here, as some of the script is not followed";
        return finding.note(why).help(BY_HAND);
    }
    match closing.suggestion(view) {
        Some(suggestion) => {
            finding.suggestions.push(suggestion);
            finding.help(format!("`--fix` would add exactly {}", closing.rules()))
        }
        None if reordered(view, FILTER).is_some() => finding
            .help(format!("once the rules are in order, `--fix` would add exactly {}", closing.rules())),
        None => finding.help(BY_HAND),
    }
}

/// The menu of the rules that close it.
const FILTER: &str = "/ip/firewall/filter";

impl Closing {
    /// Only for IPv4: IPv6 does not go without its ICMP.
    fn of(view: &View<'_>, family: Family) -> Option<Self> {
        if family == Family::V6 {
            return None;
        }
        let drop = format!("add chain=input action=drop {}", outside(view)?);
        let accept = "add chain=input action=accept connection-state=established,related,untracked";
        Some(Self { accept: view.established(family).is_none().then_some(accept), drop })
    }

    /// In words.
    fn rules(&self) -> String {
        match self.accept {
            None => format!("one rule: `{}` last", self.drop),
            Some(accept) => {
                format!("two rules: `{accept}` first, and `{}` last", self.drop)
            }
        }
    }

    fn suggestion(&self, view: &View<'_>) -> Option<Suggestion> {
        if view.text.trim_end().ends_with('\\') {
            return None;
        }
        let end = view.text.len();
        let line_end = if view.text.ends_with('\n') { "" } else { "\n" };
        let menu = if last_menu(view) == Some(FILTER) { "" } else { "/ip firewall filter " };
        let drop = format!("{line_end}{menu}{}\n", self.drop);
        let mut edits = vec![Edit { span: Span { start: end, end }, replacement: drop }];
        let mut message = "drop the rest".to_owned();
        if let Some(accept) = self.accept {
            let first = first_of_input(view)?;
            let start = first.start;
            let menu = if view.written(first).starts_with("add") { "" } else { "/ip firewall filter " };
            let accept = format!("{menu}{accept}\n");
            edits.insert(0, Edit { span: Span { start, end: start }, replacement: accept });
            message = "let the packets of connections go on, and drop the rest".to_owned();
        }
        Some(Suggestion { message, edits })
    }
}

/// The interfaces that the rules before the door are for, in their words.
fn outside(view: &View<'_>) -> Option<String> {
    let mut rules = view.input(Family::V4);
    rules.retain(|rule| rule.adds_source() || rule.asks_for().is_some());
    let words = |rule: &&Rule<'_>| {
        rule.matchers.iter().find_map(|matcher| match &matcher.value {
            Matcher::InterfaceList { name, negated } if *negated || !is_inside(name) => {
                Some(format!("in-interface-list={}{}", if *negated { "!" } else { "" }, quoted(name)))
            }
            Matcher::Interface { name, negated: false } if !is_inside(name) => {
                Some(format!("in-interface={}", quoted(name)))
            }
            _ => None,
        })
    };
    rules.iter().find_map(words)
}

/// The menu that a command at the end of the script runs in.
fn last_menu<'a>(view: &View<'a>) -> Option<&'a str> {
    view.script.statements.iter().rev().find_map(|statement| match statement {
        Statement::Enter(menu) => Some(menu.value.path()),
        _ => None,
    })
}

/// The command that makes the first rule of `input`, if it is also the first of them that is written.
fn first_of_input(view: &View<'_>) -> Option<Span> {
    let rules = view.chain(Table::Filter, Family::V4, "input");
    let first = rules.first()?.item;
    let earlier = rules.iter().any(|rule| rule.item.span.start < first.span.start);
    let command = view.commands.add(first)?;
    let moved = view
        .config
        .items(FILTER)
        .iter()
        .filter_map(|item| view.commands.add(item))
        .any(|command| command.attribute("place-before").is_some());
    (!moved && !earlier).then_some(command.span)
}

/// Tells of grants for every port there is.
pub(super) fn opens_everything(view: &View<'_>, findings: &mut Findings) {
    for grant in grants(view) {
        for test in &grant.tests {
            let rule = test.rule;
            let built_in = matches!(rule.chain, "input" | "forward");
            let wide = rule.matchers.iter().all(|matcher| is_wide(&matcher.value));
            if rule.table != Table::Filter || !built_in || !wide || !view.is_whole(rule) {
                continue;
            }
            let whose = if rule.chain == "input" { "of the router" } else { "behind the router" };
            let message = format!("whoever is on `{}` may reach every port {whose}", grant.name);
            let finding = Diagnostic::warning(Code::WideAccept, test.name.span, message)
                .note("so may everybody who shares the address")
                .help("name what the door is for: `protocol=tcp dst-port=22`");
            findings.push(finding);
        }
    }
}

/// Whether a matcher lets any port through.
fn is_wide(matcher: &Matcher) -> bool {
    match matcher {
        Matcher::Packet(Condition::ToGateway) => true,
        Matcher::Packet(condition) => {
            states(condition).is_some_and(|states| states & 1 << State::New as u8 != 0)
        }
        Matcher::Interface { .. } | Matcher::InterfaceList { .. } | Matcher::SourceList { .. } => true,
        Matcher::DestinationList { .. } | Matcher::Opaque(_) => false,
    }
}

/// Tells of a router that is guarded where IPv4 is concerned, and open otherwise.
pub(super) fn only_ipv4(view: &View<'_>, findings: &mut Findings) {
    let doors = grants(view).filter(|grant| grant.family == Family::V4).flat_map(|grant| grant.tests);
    let Some(door) = doors.min_by_key(|test| test.name.span) else { return };
    let drops = view.input(Family::V6).into_iter().any(Rule::refuses);
    if drops || view.is_part || view.commands.no_ipv6 {
        return;
    }
    let finding = Diagnostic::warning(
        Code::OnlyIpv4,
        door.name.span,
        "this guards IPv4 alone: nothing here drops IPv6",
    )
    .note("rules of `/ip firewall` never see a packet of IPv6")
    .help("drop it in `/ipv6 firewall filter`, or turn it off: `/ipv6 settings set disable-ipv6=yes`");
    findings.push(finding);
}
