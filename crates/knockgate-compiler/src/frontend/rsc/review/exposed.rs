//! What strangers should not see.

use super::super::findings::Findings;
use super::super::rules::{Action, Matcher, Rule, Table};
use super::View;
use super::overlap::states;
use super::path::{is_inside, is_outside};
use crate::diag::{Code, Diagnostic, Severity};
use crate::net::{Family, Transport};
use crate::program::{Condition, PortEnd, State};

/// Tells of interfaces that are lists of them.
pub(super) fn interface_for_list(view: &View<'_>, findings: &mut Findings) {
    let asked = |attribute: &'static str| view.rules.iter().filter_map(move |rule| rule.item.text(attribute));
    let known: std::collections::BTreeSet<&str> = view
        .interfaces
        .lists()
        .chain(asked("in-interface-list"))
        .chain(asked("out-interface-list"))
        .collect();
    for rule in view.rules {
        for (attribute, list) in
            [("in-interface", "in-interface-list"), ("out-interface", "out-interface-list")]
        {
            let Some(set) = rule.item.attributes.iter().find(|set| set.name.value == attribute) else {
                continue;
            };
            let Some(name) = set.value.text().filter(|name| known.contains(name)) else { continue };
            if view.commands.has_interface(name) || !findings.wants(Severity::Warning) {
                continue;
            }
            let message = format!("`{name}` is a list of interfaces, and `{attribute}` takes one interface");
            let finding = Diagnostic::warning(Code::InterfaceForList, set.value.span, message)
                .note("a router without an interface of that name refuses the rule");
            let written = view.written(set.name.span).starts_with(|c: char| c.is_ascii_lowercase());
            findings.push(match written && rule.item.get(list).is_none() {
                true => finding.replace(set.name.span, list, format!("ask for the list with `{list}`")),
                false => finding.help(format!("ask for the list with `{list}`")),
            });
        }
    }
}

/// Ports that a router is managed at.
const MANAGEMENT: [(u16, &str); 8] = [
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (80, "WebFig"),
    (443, "WebFig"),
    (8291, "WinBox"),
    (8728, "the API"),
    (8729, "the API"),
];

/// Tells of rules that let strangers manage the router.
pub(super) fn management(view: &View<'_>, findings: &mut Findings) {
    for family in Family::BOTH {
        let closer = view.closer(family);
        let input = view.chain(Table::Filter, family, "input").iter();
        let before = input.filter(|rule| closer.is_none_or(|closer| rule.place < closer.place));
        for rule in before.filter(|rule| rule.action.value == Action::Accept && view.is_whole(rule)) {
            let outside = |matcher: &Matcher| lets_strangers(view, matcher, closer);
            if !rule.matchers.iter().all(|matcher| outside(&matcher.value)) {
                continue;
            }
            let Some(ports) = destination_ports(rule) else { continue };
            let open = MANAGEMENT.iter().filter(|(port, _)| ports.iter().any(|range| range.contains(port)));
            let mut names: Vec<&str> = open.map(|(_, name)| *name).collect();
            names.dedup();
            if names.is_empty() {
                continue;
            }
            let at = rule.item.get("dst-port").map_or(rule.place(), |value| value.span);
            let message = format!("strangers can reach {}", names.join(", "));
            let finding = Diagnostic::warning(Code::ManagementOpen, at, message);
            let finding = match closer {
                Some(closer) => finding.and_at(closer.place(), "all else from outside is dropped only here"),
                None => finding.note("nothing here drops what comes from outside"),
            };
            let finding = finding.help(
                "let in who has knocked: `src-address-list=...`, or who is inside: `in-interface-list=LAN`",
            );
            findings.push(finding);
        }
    }
}

fn destination_ports<'r>(rule: &'r Rule<'_>) -> Option<&'r [std::ops::RangeInclusive<u16>]> {
    rule.conditions().find_map(|condition| match condition {
        Condition::Ports(Transport::Tcp, PortEnd::Destination, ranges) => Some(ranges.as_slice()),
        _ => None,
    })
}

/// Whether the matcher surely lets the first packets of strangers match.
pub(super) fn lets_strangers(view: &View<'_>, matcher: &Matcher, closer: Option<&Rule<'_>>) -> bool {
    let as_in_closer = || closer.is_some_and(|closer| closer.matchers.iter().any(|at| at.value == *matcher));
    match matcher {
        Matcher::Packet(
            Condition::Transport(Transport::Tcp) | Condition::Ports(..) | Condition::ToGateway,
        ) => true,
        Matcher::Packet(condition) => {
            states(condition).is_some_and(|states| states & 1 << State::New as u8 != 0)
        }
        Matcher::Interface { name, negated } | Matcher::InterfaceList { name, negated } if *negated => {
            is_inside(name)
        }
        Matcher::InterfaceList { name, .. } => is_outside(name) || as_in_closer(),
        Matcher::Interface { name, .. } => as_in_closer() || is_member_of_wan(view, name),
        _ => false,
    }
}

fn is_member_of_wan(view: &View<'_>, interface: &str) -> bool {
    view.config
        .items("/interface/list/member")
        .iter()
        .any(|item| item.text("interface") == Some(interface) && item.text("list").is_some_and(is_outside))
}

/// Tells of passwords and keys, and never which.
pub(super) fn secrets(view: &View<'_>, findings: &mut Findings) {
    let version = view.script.header.as_ref().map(|header| header.version.as_str());
    let without = match version.and_then(|version| version.split('.').next()?.parse::<u32>().ok()) {
        None => "export with `hide-sensitive`, from version 7 on without `show-sensitive`",
        Some(..7) => "export with `hide-sensitive`",
        Some(_) => "export without `show-sensitive`",
    };
    for (name, value) in &view.commands.secrets {
        if !findings.wants(Severity::Warning) {
            return;
        }
        let message = format!("the script holds what `{}` is set to", name.value);
        let finding = Diagnostic::warning(Code::Secret, value.span, message)
            .note("it is not shown here, but everybody who has the script has it")
            .help(format!("{without}, and change it if the script was given away"));
        findings.push(finding);
    }
}
