//! Traps, and the bans that they make.

use std::collections::BTreeMap;

use super::super::findings::Findings;
use super::super::quoted;
use super::super::rules::{Action, Rule, Stay, Table};
use super::overlap::{exclude, matches_all_of, states};
use super::stages::{grants, is_from_inside, is_knock};
use super::{Chain, List, Matcher, Test, View};
use crate::diag::{Code, Diagnostic, Suggestion};
use crate::net::{Family, Transport};
use crate::program::{Condition, State};

/// A list whose addresses are turned away, and that rules fill.
pub(super) struct Ban<'v, 'a> {
    family: Family,
    name: &'a str,
    pub(super) list: &'v List<'a>,
    /// The rules that turn them away.
    drops: Vec<Test<'a>>,
}

/// Every ban.
pub(super) fn bans<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = Ban<'v, 'a>> {
    view.lists.iter().filter_map(|(&(family, name), list)| {
        let drops = list.tests.iter().copied().filter(|test| !test.negated && test.rule.refuses());
        let drops: Vec<_> = drops.filter(|test| test.rule.asks_for() == Some(test.name)).collect();
        let trapped = list.adders.iter().any(|rule| rule.adds_source());
        (trapped && !drops.is_empty()).then_some(Ban { family, name, list, drops })
    })
}

/// Rules for grants that bans are held against.
const MAX_GRANTS: usize = 64;

/// Tells of bans that anybody can have for somebody else, and that outrank connections and grants.
pub(super) fn shuts_out_who_is_in(view: &View<'_>, findings: &mut Findings) {
    let established = Family::BOTH.map(|family| view.established(family));
    let granting = grants(view).flat_map(|grant| grant.tests);
    let granting = granting.filter(|test| (test.rule.table, test.rule.chain) == (Table::Filter, "input"));
    let granting: Vec<_> = granting.take(MAX_GRANTS).collect();
    for ban in bans(view) {
        let Some(trap) = ban.list.adders.iter().find(|rule| can_be_forged(rule)) else { continue };
        let drop = ban.drops.iter().find(|drop| {
            matches!(
                (drop.rule.table, drop.rule.chain),
                (Table::Filter, "input") | (Table::Raw, "prerouting")
            )
        });
        let Some(drop) = drop.filter(|drop| !is_from_inside(drop.rule)) else { continue };
        let established = established.iter().flatten().find(|rule| rule.family == ban.family).copied();
        let connected = hits_connections(drop.rule, established);
        let granted = granting.iter().map(|test| test.rule).find(|grant| {
            let after = grant.table != drop.rule.table || drop.rule.place < grant.place;
            let other = grant.asks_for().is_some_and(|name| name.value != ban.name);
            grant.family == ban.family && after && other && !exclude(drop.rule, grant)
        });
        let who = match (connected, granted) {
            (true, Some(_)) => "who is connected, and who has a grant",
            (true, None) => "who is connected",
            (false, Some(_)) => "who has a grant",
            (false, None) => continue,
        };
        let message = format!("the ban of `{}` can be forged, and shuts out {who}", ban.name);
        let mut finding = Diagnostic::warning(Code::TrapFirst, drop.name.span, message)
            .and_at(trap.place(), "one packet here, in the name of anybody, bans him");
        if let Some(grant) = granted {
            finding = finding.and_at(grant.place(), "grants are looked at only here");
        }
        let help = if drop.rule.table == Table::Raw {
            "ban in `filter`, after the rules that let connections and grants through"
        } else if connected && established.is_none() {
            "accept `connection-state=established,related` and those with a grant before it"
        } else {
            "let the rules that accept connections and grants stand before it"
        };
        findings.push(finding.help(help));
    }
}

/// Whether a single packet, whose source may be anybody's, makes the rule add it.
fn can_be_forged(rule: &Rule<'_>) -> bool {
    let begins =
        |condition: &Condition| states(condition).is_none_or(|states| states & 1 << State::New as u8 != 0);
    rule.adds_source() && !rule.has_opaque() && rule.conditions().all(begins) && !is_from_inside(rule)
}

/// Whether packets of connections that stand come to this rule and match it.
fn hits_connections(drop: &Rule<'_>, established: Option<&Rule<'_>>) -> bool {
    let mut matched = drop.conditions().filter_map(states);
    if matched.any(|states| states & 1 << State::Established as u8 == 0) {
        return false;
    }
    match established {
        Some(accept) if drop.table == Table::Filter => {
            accept.chain == drop.chain && drop.place < accept.place
        }
        _ => true,
    }
}

/// Tells of bans that what a banned address sends prolongs.
pub(super) fn renews_itself(view: &View<'_>, findings: &mut Findings) {
    for ban in bans(view) {
        for trap in ban.list.adders.iter().filter(|rule| view.is_whole(rule)) {
            let Action::AddSource { list, stay } = &trap.action.value else { continue };
            let spared = trap.source_list().is_some_and(|(name, negated)| negated && name.value == ban.name);
            if spared || !matches!(stay.value, Stay::For(_)) || is_from_inside(trap) {
                continue;
            }
            let by_number = ban.drops.iter().find(|drop| view.is_numbered(drop.rule));
            let by_number = by_number.filter(|_| view.is_numbered(trap));
            let Some(reason) = reason(view, &ban, trap, by_number.is_some()) else { continue };
            let message = format!("who is on `{}` already comes onto it anew with each packet", ban.name);
            let mut finding = Diagnostic::warning(Code::BanRenews, list.span, message).note(reason);
            if let Some(drop) = ban.drops.first() {
                finding = finding.and_at(drop.rule.place(), "this turns away who is on it");
            }
            let words = format!(" src-address-list=!{}", quoted(ban.name));
            match view.append(trap, &words).filter(|_| trap.source_list().is_none()) {
                Some(edit) => {
                    let message = format!("leave out who is on `{}`", ban.name);
                    finding.suggestions.push(Suggestion { message, edits: vec![edit] });
                }
                None => finding = finding.help("let the rule that drops stand before this one"),
            }
            findings.push(finding);
        }
    }
}

/// Why packets of a banned address reach the trap; `None` where they may not.
fn reason(view: &View<'_>, ban: &Ban<'_, '_>, trap: &Rule<'_>, by_number: bool) -> Option<&'static str> {
    if by_number {
        return Some("whether it is dropped before rests on numbers that only a `print` would have shown");
    }
    let mut after = false;
    for Test { rule: drop, .. } in &ban.drops {
        match (drop.table, drop.chain) == (trap.table, trap.chain) {
            // What the drop asks for besides the list, the trap has to ask for too.
            true if drop.place < trap.place => {
                if drop.has_opaque() || without_list(view, drop, trap) {
                    return None;
                }
            }
            true => after = true,
            false if drop.table > trap.table => after = true,
            false => return None,
        }
    }
    Some(match after {
        true => "the packet is dropped only after this",
        false => "what is dropped before is not all that matches here",
    })
}

/// Whether `drop` drops all packets of banned sources that `trap` matches.
fn without_list(view: &View<'_>, drop: &Rule<'_>, trap: &Rule<'_>) -> bool {
    let mut drop = drop.clone();
    drop.matchers.retain(|matcher| !matches!(matcher.value, Matcher::SourceList { .. }));
    matches_all_of(view, &drop, trap)
}

/// Tells of TCP knocks that any packet makes.
pub(super) fn counts_any_packet(view: &View<'_>, findings: &mut Findings) {
    let checked = checked(view);
    for rule in view.rules.iter().filter(|rule| is_knock(rule) && rule.table != Table::Nat) {
        let loose = rule.transport() == Some(Transport::Tcp) && rule.ports().is_some() && !has_check(rule);
        if !loose || !view.is_whole(rule) || is_checked_before(view, &checked, rule) {
            continue;
        }
        let at = rule.item.get("protocol").map_or(rule.place(), |value| value.span);
        let finding = Diagnostic::warning(
            Code::Loose,
            at,
            "any TCP packet counts here, not only one that begins a connection",
        )
        .note("an ACK, a RST or half a header does, and so does the answer to a packet that somebody forged");
        let (words, message) = match rule.table {
            Table::Raw => (" tcp-flags=syn,!fin,!rst,!ack", "ask for the flags of a first packet"),
            _ => (
                " connection-state=new tcp-flags=syn,!fin,!rst,!ack",
                "ask for the state and the flags of a first packet",
            ),
        };
        let edits: Vec<_> = view.append(rule, words).into_iter().collect();
        findings.push(match edits.is_empty() {
            true => finding.help(format!("{message}:`{words}`")),
            false => {
                let mut finding = finding;
                finding.suggestions.push(Suggestion { message: message.to_owned(), edits });
                finding
            }
        });
    }
}

/// Whether the rule asks for a state or for flags.
fn has_check(rule: &Rule<'_>) -> bool {
    rule.conditions().any(|condition| states(condition).is_some() || is_flags(condition))
}

fn is_flags(condition: &Condition) -> bool {
    match condition {
        Condition::Flags { .. } => true,
        Condition::Not(inner) => is_flags(inner),
        _ => false,
    }
}

/// Where, in each chain, all packets of connections that stand, and all that are invalid, have been
/// decided on.
type Checked<'a> = BTreeMap<Chain<'a>, Option<usize>>;

fn checked<'a>(view: &View<'a>) -> Checked<'a> {
    let first = |rules: &[&Rule<'_>], state: State| {
        let decides = |rule: &&&Rule<'_>| {
            let all = rule.matchers.iter().all(|matcher| match &matcher.value {
                Matcher::Packet(condition) => {
                    states(condition).is_some_and(|states| states & 1 << state as u8 != 0)
                }
                Matcher::Interface { .. } | Matcher::InterfaceList { .. } => true,
                _ => false,
            });
            all && rule.decides() && !rule.matchers.is_empty()
        };
        rules.iter().find(decides).map(|rule| rule.place)
    };
    let both =
        |rules: &[&Rule<'_>]| Some(first(rules, State::Established)?.max(first(rules, State::Invalid)?));
    view.chains.iter().map(|(chain, rules)| (*chain, both(rules))).collect()
}

/// Whether what comes to the rule has been asked for its state or flags: by the jumps to its chain, or
/// because all else was accepted or dropped before.
fn is_checked_before(view: &View<'_>, checked: &Checked<'_>, rule: &Rule<'_>) -> bool {
    let (table, family) = (rule.table, rule.family);
    match view.jumps.get(&(table, family, rule.chain)) {
        Some(jumps) => {
            let asked = |jump: &&Rule<'_>| has_check(jump) || jump.has_opaque();
            let before = |jump: &&Rule<'_>| {
                let place = checked.get(&(table, family, jump.chain)).copied().flatten();
                place.is_some_and(|place| place < jump.place)
            };
            jumps.iter().take(MAX_JUMPS).all(|jump| asked(jump) || before(jump))
        }
        None => {
            let place = checked.get(&(table, family, rule.chain)).copied().flatten();
            place.is_some_and(|place| place < rule.place)
        }
    }
}

/// Jumps to a chain that are looked at.
const MAX_JUMPS: usize = 16;
