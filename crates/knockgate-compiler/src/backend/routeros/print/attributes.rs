//! One rule as the attributes of `add`.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::super::line::{icmp, number};
use super::chain_name;
use crate::console::quoted;
use crate::net::{Family, Interface, TcpFlags};
use crate::program::{
    Chain, Condition, Effect, ListId, PortEnd, Program, Refusal, Rule, State, States, Verdict,
};

/// `chain=input action=accept protocol=tcp`: everything but the comment.
pub(super) fn attributes(rule: &Rule, chain: &Chain, program: &Program, family: Family) -> String {
    let mut said = Said { program, family, text: String::new() };
    said.set("chain", chain_name(chain));
    for effect in &rule.then {
        said.effect(effect);
    }
    if let Some(verdict) = &rule.verdict {
        said.verdict(verdict);
    }
    if let Some(number) = rule.when.iter().find_map(|condition| protocol(condition, family)) {
        said.matcher("protocol", false, protocol_name(number));
    }
    for condition in &rule.when {
        said.condition(condition, false);
    }
    let counted = |when: &Condition| matches!(when, Condition::Opaque(words) if words.starts_with("limit="));
    let logs = rule.then.iter().any(|effect| matches!(effect, Effect::Log(_)));
    if logs && !rule.when.iter().any(counted) {
        said.set("limit", "5,5:packet");
    }
    said.text
}

/// The list of interfaces that a rule names, unless it names a single one.
pub(super) fn interface_list(names: &[Interface], program: &Program) -> Option<String> {
    let set = |names: &[Interface]| names.iter().cloned().collect::<BTreeSet<_>>();
    let names = set(names);
    if names == set(program.outside()) {
        return Some("knockgate-outside".to_owned());
    }
    // Called by its members, so that it is never the list of another script with other ones.
    (names.len() > 1).then(|| format!("knockgate-if-{}", joined(&names, "+")))
}

struct Said<'p> {
    program: &'p Program,
    family: Family,
    text: String,
}

impl Said<'_> {
    fn set(&mut self, name: &str, value: impl Display) {
        self.matcher(name, false, value);
    }

    /// The exclamation mark goes inside the quotes, as in a router's own exports.
    fn matcher(&mut self, name: &str, negated: bool, value: impl Display) {
        let value = quoted(&value.to_string());
        let value = match (negated, value.strip_prefix('"')) {
            (false, _) => value,
            (true, Some(rest)) => format!("\"!{rest}"),
            (true, None) => format!("!{value}"),
        };
        let space = if self.text.is_empty() { "" } else { " " };
        super::put(&mut self.text, format_args!("{space}{name}={value}"));
    }

    fn list(&self, list: ListId) -> String {
        self.program[list].name.to_string()
    }

    fn effect(&mut self, effect: &Effect) {
        let (action, list, lifetime) = match effect {
            Effect::Add { list, lifetime, .. } => ("add-src-to-address-list", list, lifetime),
            Effect::AddDestination { list, lifetime, .. } => ("add-dst-to-address-list", list, lifetime),
            Effect::Log(prefix) => {
                self.set("action", "log");
                // The longest that a router takes.
                return self.set("log-prefix", &prefix[..prefix.floor_char_boundary(31)]);
            }
            // A shaped program has none of these.
            Effect::Remove(_) | Effect::Move { .. } | Effect::Forget(_) => return,
        };
        self.set("action", action);
        self.set("address-list", self.list(*list));
        self.set("address-list-timeout", lifetime);
    }

    fn verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Accept => self.set("action", "accept"),
            Verdict::Drop => self.set("action", "drop"),
            Verdict::Return => self.set("action", "return"),
            Verdict::Reject(Refusal::Tarpit) => self.set("action", "tarpit"),
            Verdict::Reject(how) => {
                self.set("action", "reject");
                self.set("reject-with", reject_with(*how).unwrap_or_default());
            }
            Verdict::Jump(target) => {
                self.set("action", "jump");
                let program = self.program;
                self.set("jump-target", chain_name(&program[*target]));
            }
            Verdict::Redirect(target) => {
                self.set("action", "dst-nat");
                // For IPv6 some versions call it `to-address`, and the others take that for short.
                let name = if self.family == Family::V4 { "to-addresses" } else { "to-address" };
                self.set(name, target.ip());
                self.set("to-ports", target.port());
            }
            // A shaped program has none.
            Verdict::Rescue | Verdict::Switch(_) => {}
        }
    }

    fn condition(&mut self, condition: &Condition, not: bool) {
        match condition {
            Condition::Not(inner) => self.condition(inner, true),
            Condition::From(names) => match interface_list(names, self.program) {
                Some(list) => self.matcher("in-interface-list", not, list),
                None => self.matcher("in-interface", not, joined(names, ",")),
            },
            Condition::State(states) => self.matcher("connection-state", not, state_names(*states)),
            Condition::Redirected => self.matcher("connection-nat-state", not, "dstnat"),
            Condition::Transport(transport) if not => self.matcher("protocol", not, transport),
            Condition::Protocol(number) if not => self.matcher("protocol", not, protocol_name(*number)),
            Condition::To(endpoints) => {
                self.matcher("dst-port", not, joined(endpoints.iter().map(|e| e.port), ","));
            }
            Condition::Ports(_, end, ranges) => {
                let name = match end {
                    PortEnd::Source => "src-port",
                    PortEnd::Destination => "dst-port",
                    PortEnd::Either => "port",
                };
                self.matcher(name, not, joined(ranges.iter().map(range), ","));
            }
            Condition::Flags { mask, set } => self.set("tcp-flags", flag_names(*mask, *set)),
            Condition::Icmp(_, kinds, codes) => {
                self.matcher("icmp-options", not, format!("{}:{}", range(kinds), range(codes)));
            }
            Condition::HopLimit(limit) => {
                let name = if self.family == Family::V4 { "ttl" } else { "hop-limit" };
                self.set(name, format!("{}:{limit}", if not { "not-equal" } else { "equal" }));
            }
            Condition::Size(sizes) => self.matcher("packet-size", not, range(sizes)),
            Condition::Source(prefixes) => self.matcher("src-address", not, joined(prefixes, ",")),
            Condition::Destination(prefixes) => self.matcher("dst-address", not, joined(prefixes, ",")),
            Condition::ToGateway => self.matcher("dst-address-type", not, "local"),
            Condition::Listed(list) => self.matcher("src-address-list", not, self.list(*list)),
            Condition::DestinationListed(list) => self.matcher("dst-address-list", not, self.list(*list)),
            Condition::Opaque(words) => super::put(&mut self.text, format_args!(" {words}")),
            // Said by the menu, as the protocol, or by what a shaped program has instead.
            Condition::Family(_)
            | Condition::Transport(_)
            | Condition::Protocol(_)
            | Condition::Echo(_)
            | Condition::NoExtensionHeaders
            | Condition::Cut
            | Condition::OnTrack(_) => {}
        }
    }
}

/// The protocol that a condition is about, which its rule must name.
fn protocol(condition: &Condition, family: Family) -> Option<u8> {
    match condition {
        Condition::Transport(transport) | Condition::Ports(transport, ..) => Some(number(*transport)),
        Condition::To(endpoints) => endpoints.first().map(|endpoint| number(endpoint.transport)),
        Condition::Protocol(number) => Some(*number),
        Condition::Flags { .. } => Some(6),
        Condition::Icmp(..) => Some(icmp(family)),
        _ => None,
    }
}

fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

/// What `reject-with` calls a refusal (MikroTik manual, firewall filter); some have no name there.
pub(in super::super) fn reject_with(how: Refusal) -> Option<&'static str> {
    Some(match how {
        Refusal::Reset => "tcp-reset",
        Refusal::Unreachable(Family::V4, 0) => "icmp-network-unreachable",
        Refusal::Unreachable(Family::V4, 1) => "icmp-host-unreachable",
        Refusal::Unreachable(Family::V4, 2) => "icmp-protocol-unreachable",
        Refusal::Unreachable(Family::V4, 3) => "icmp-port-unreachable",
        Refusal::Unreachable(Family::V4, 9) => "icmp-net-prohibited",
        Refusal::Unreachable(Family::V4, 10) => "icmp-host-prohibited",
        Refusal::Unreachable(Family::V4, 13) => "icmp-admin-prohibited",
        Refusal::Unreachable(Family::V6, 0) => "icmp-no-route",
        Refusal::Unreachable(Family::V6, 1) => "icmp-admin-prohibited",
        Refusal::Unreachable(Family::V6, 3) => "icmp-address-unreachable",
        Refusal::Unreachable(Family::V6, 4) => "icmp-port-unreachable",
        Refusal::Closed | Refusal::Tarpit | Refusal::Unreachable(..) => return None,
    })
}

fn state_names(states: States) -> String {
    let named = State::NAMED.into_iter().filter(|(_, state)| states.has(*state));
    joined(named.map(|(name, _)| name), ",")
}

/// Those that must be set come first: an exclamation mark at the beginning may negate all of them.
fn flag_names(mask: TcpFlags, set: TcpFlags) -> String {
    let named = |wanted: bool| {
        let named = TcpFlags::NAMED.into_iter();
        let named = named.filter(move |(_, flag)| mask.has(*flag) && set.has(*flag) == wanted);
        named.map(move |(name, _)| if wanted { name.to_owned() } else { format!("!{name}") })
    };
    joined(named(true).chain(named(false)), ",")
}

fn range<T: PartialEq + Display>(range: &RangeInclusive<T>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

fn joined<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(separator)
}
