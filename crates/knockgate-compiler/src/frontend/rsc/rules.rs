//! The rules of a configuration, with their values understood.
//!
//! What is not modelled is kept in its own words, so that no condition is ever lost: the simulator
//! takes it as never holding, and a target that does not have it refuses the rule by name.

mod values;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::ast::Value;
use super::config::{Config, Item, Set};
use super::{duration, quoted, truth};
use crate::diag::{At, Code, Diagnostic, Span, did_you_mean};
use crate::net::{Family, Transport};
use crate::program::{Condition, PortEnd, Refusal};
use crate::time::Lifetime;

/// A table of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Before connection tracking.
    Raw,
    /// Of packets that are marked; only its lists are looked at.
    Mangle,
    /// Of connections that are sent elsewhere.
    Nat,
    /// Of packets that are let through or not.
    Filter,
}

impl Table {
    /// Every table with its menu's name.
    pub const NAMED: [(&'static str, Self); 4] =
        [("raw", Self::Raw), ("mangle", Self::Mangle), ("nat", Self::Nat), ("filter", Self::Filter)];

    /// `filter`.
    pub fn as_str(self) -> &'static str {
        Self::NAMED.into_iter().find(|(_, table)| *table == self).map_or("", |(name, _)| name)
    }
}

/// `/ip/firewall/filter`.
pub fn menu(family: Family, table: Table) -> String {
    let root = match family {
        Family::V4 => "ip",
        Family::V6 => "ipv6",
    };
    format!("/{root}/firewall/{}", table.as_str())
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule<'c> {
    /// What it was read from.
    pub item: &'c Item,
    /// Its table.
    pub table: Table,
    /// Its family.
    pub family: Family,
    /// Its place among the rules of its menu, from 0.
    pub place: usize,
    /// Its chain.
    pub chain: &'c str,
    /// What it does.
    pub action: At<Action>,
    /// When it does it: all must hold.
    pub matchers: Vec<At<Matcher>>,
    /// The prefix of the line that it writes to the log, if it does.
    pub log: Option<String>,
}

impl Rule<'_> {
    /// The list that its source must be on, or must not be on.
    pub fn source_list(&self) -> Option<(&At<String>, bool)> {
        self.matchers.iter().find_map(|matcher| match &matcher.value {
            Matcher::SourceList { name, negated } => Some((name, *negated)),
            _ => None,
        })
    }

    /// The list that its destination must be on, or must not be on.
    pub fn destination_list(&self) -> Option<(&At<String>, bool)> {
        self.matchers.iter().find_map(|matcher| match &matcher.value {
            Matcher::DestinationList { name, negated } => Some((name, *negated)),
            _ => None,
        })
    }

    /// The list that it puts addresses on.
    pub fn adds_to(&self) -> Option<&At<String>> {
        match &self.action.value {
            Action::AddSource { list, .. } | Action::AddDestination { list, .. } => Some(list),
            _ => None,
        }
    }

    /// An attribute as it would be written: `src-address-list="!black list"`.
    pub fn words(&self, name: &str) -> String {
        self.item.get(name).map_or_else(|| name.to_owned(), |value| words(name, value))
    }

    /// Its conditions on nothing but the packet.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.matchers.iter().filter_map(|matcher| match &matcher.value {
            Matcher::Packet(condition) => Some(condition),
            _ => None,
        })
    }

    /// TCP or UDP, where it is for one of them alone.
    pub fn transport(&self) -> Option<Transport> {
        self.conditions().find_map(|condition| match condition {
            Condition::Transport(transport) => Some(*transport),
            _ => None,
        })
    }

    /// The destination ports that it is for, where it says so.
    pub fn ports(&self) -> Option<&[RangeInclusive<u16>]> {
        self.conditions().find_map(|condition| match condition {
            Condition::Ports(_, PortEnd::Destination | PortEnd::Either, ranges) => Some(&**ranges),
            _ => None,
        })
    }

    /// Whether its packets end their way through the table here.
    pub fn decides(&self) -> bool {
        match self.action.value {
            Action::Accept
            | Action::Drop
            | Action::Reject(_)
            | Action::Tarpit
            | Action::Redirect(_)
            | Action::Return => true,
            Action::Jump(_)
            | Action::AddSource { .. }
            | Action::AddDestination { .. }
            | Action::Log
            | Action::Pass
            | Action::Opaque(_) => false,
        }
    }
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `accept`
    Accept,
    /// `drop`
    Drop,
    /// `reject`
    Reject(Refusal),
    /// `tarpit`
    Tarpit,
    /// `jump`
    Jump(At<String>),
    /// `return`
    Return,
    /// `add-src-to-address-list`
    AddSource {
        /// The list.
        list: At<String>,
        /// For how long.
        stay: At<Stay>,
    },
    /// `add-dst-to-address-list`
    AddDestination {
        /// The list.
        list: At<String>,
        /// For how long.
        stay: At<Stay>,
    },
    /// `log`
    Log,
    /// `passthrough`, and `fasttrack-connection`, which is followed by an `accept` of the same packets.
    Pass,
    /// `dst-nat` to an address and a port; without the latter, to the port the packet is sent to.
    Redirect(Target),
    /// What is not modelled.
    Opaque(String),
}

/// Where `dst-nat` leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This port of that host.
    Port(SocketAddr),
    /// The same port of that host.
    Host(IpAddr),
}

/// How long an address stays on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// For so long.
    For(Lifetime),
    /// Until the router restarts: `none-dynamic`, or nothing said.
    UntilRestart,
    /// For good: `none-static`.
    Always,
}

impl Stay {
    /// How long it stays where everything ends some day.
    pub fn lifetime(self) -> Lifetime {
        match self {
            Self::For(lifetime) => lifetime,
            Self::UntilRestart | Self::Always => Lifetime::from_secs(Lifetime::MAX.as_secs()),
        }
    }
}

/// A matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// Something of the packet.
    Packet(Condition),
    /// An interface it came in by.
    Interface {
        /// Its name.
        name: String,
        /// Or any other.
        negated: bool,
    },
    /// A list with the interface it came in by.
    InterfaceList {
        /// Its name.
        name: String,
        /// Or none of it.
        negated: bool,
    },
    /// A list with its source.
    SourceList {
        /// Its name.
        name: At<String>,
        /// Or not.
        negated: bool,
    },
    /// A list with its destination.
    DestinationList {
        /// Its name.
        name: At<String>,
        /// Or not.
        negated: bool,
    },
    /// What is not modelled, as it is written.
    Opaque(String),
}

/// Every rule of `config` that is not disabled, table by table and family by family in their order,
/// and what is wrong with them.
pub fn rules(config: &Config) -> (Vec<Rule<'_>>, Vec<Diagnostic>) {
    let mut findings = vec![];
    let mut found = vec![];
    for (_, table) in Table::NAMED {
        for family in Family::BOTH {
            let items = config.items(&menu(family, table)).iter().enumerate();
            for (place, item) in items.filter(|(_, item)| !item.is_disabled()) {
                found.extend(Reader { item, table, family, findings: &mut findings }.rule(place));
            }
        }
    }
    (found, findings)
}

/// The address that an entry of an address list is for.
pub(super) fn prefixes(text: &str, family: Family) -> Option<Vec<crate::net::Prefix>> {
    values::prefixes(text, family)
}

/// Attributes that say what a rule does, not when.
const NO_MATCHERS: &[&str] = &[
    "chain",
    "action",
    "jump-target",
    "address-list",
    "address-list-timeout",
    "reject-with",
    "log",
    "log-prefix",
    "comment",
    "disabled",
    "to-addresses",
    "to-address",
    "to-ports",
    "hw-offload",
    "passthrough",
];

/// In which order matchers are looked at, whatever order they are written in: the protocol first, for
/// others are about it, and lists last. None of them changes anything, so the order has no meaning.
const ORDER: &[&str] = &[
    "protocol",
    "in-interface",
    "in-interface-list",
    "src-address",
    "dst-address",
    "dst-address-type",
    "packet-size",
    "ttl",
    "hop-limit",
    "src-port",
    "dst-port",
    "port",
    "tcp-flags",
    "icmp-options",
    "connection-state",
    "connection-nat-state",
    "src-address-list",
    "dst-address-list",
];

/// Attributes that are for people alone.
const TEXTS: &[&str] = &["comment", "log-prefix"];

struct Reader<'c, 'f> {
    item: &'c Item,
    table: Table,
    family: Family,
    findings: &'f mut Vec<Diagnostic>,
}

impl<'c> Reader<'c, '_> {
    fn rule(mut self, place: usize) -> Option<Rule<'c>> {
        let item = self.item;
        let Some(chain) = item.text("chain") else {
            let message = "a rule without a chain";
            self.findings
                .push(Diagnostic::error(Code::BadValue, item.span, message).help("say `chain=input`"));
            return None;
        };
        let set = |set: &Set| set.value.text() != Some("") || set.value.negated;
        let mut known: Vec<&Set> =
            item.attributes.iter().filter(|set| !NO_MATCHERS.contains(&set.name.value.as_str())).collect();
        known.sort_by_key(|set| {
            let place = ORDER.iter().position(|name| *name == set.name.value);
            (place.unwrap_or(ORDER.len()), set.name.value.as_str())
        });
        let mut matchers = vec![];
        for attribute in known {
            if set(attribute) {
                matchers.extend(self.matcher(attribute));
            } else {
                matchers.push(self.empty(attribute));
            }
        }
        // What it does, or whether it is there at all, may be the router's to work out, too.
        let computed = |set: &&Set| set.value.text().is_none() && !TEXTS.contains(&set.name.value.as_str());
        for attribute in item.attributes.iter().filter(|set| NO_MATCHERS.contains(&set.name.value.as_str())) {
            if computed(&attribute) {
                matchers.push(self.opaque(attribute, "only the router can tell what it is"));
            }
        }
        let action = self.action();
        let log = match item.text("log").and_then(truth) {
            Some(true) => Some(item.text("log-prefix").unwrap_or_default().to_owned()),
            _ if action.value == Action::Log => Some(item.text("log-prefix").unwrap_or_default().to_owned()),
            _ => None,
        };
        let Self { table, family, .. } = self;
        Some(Rule { item, table, family, place, chain, action, matchers, log })
    }

    /// Exports of some versions have them: `connection-state=""`.
    fn empty(&mut self, set: &Set) -> At<Matcher> {
        let span = whole(set);
        let name = &set.name.value;
        let finding = Diagnostic::warning(Code::NotModelled, span, format!("`{name}` with nothing in it"))
            .note("what a router makes of it is not documented, so the rule is taken to match nothing")
            .help(format!("take `{name}=\"\"` out if it is to mean nothing"));
        self.findings.push(finding);
        At { value: Matcher::Opaque(format!("{name}=\"\"")), span }
    }

    fn matcher(&mut self, set: &Set) -> Option<At<Matcher>> {
        let span = whole(set);
        let value = &set.value;
        let name = set.name.value.as_str();
        let Some(text) = value.text() else {
            return Some(self.opaque(set, "only the router can tell what it is"));
        };
        let negated = value.negated;
        let listed = || At { value: text.to_owned(), span: value.span };
        let matcher = match name {
            "src-address-list" => Matcher::SourceList { name: listed(), negated },
            "dst-address-list" => Matcher::DestinationList { name: listed(), negated },
            "in-interface-list" => Matcher::InterfaceList { name: text.to_owned(), negated },
            "in-interface" if !text.starts_with("all-") => {
                Matcher::Interface { name: text.to_owned(), negated }
            }
            "src-port" | "dst-port" | "port" => return self.port(set, text),
            _ => match values::condition(name, text, self.family) {
                values::Read::Condition(condition) => {
                    Matcher::Packet(if negated { condition.negated() } else { condition })
                }
                values::Read::NotModelled => return Some(self.opaque(set, "it is not modelled")),
                values::Read::Wrong(why) => {
                    let message = format!("`{text}` is no value of `{name}`");
                    self.findings.push(Diagnostic::error(Code::BadValue, value.span, message).help(why));
                    return None;
                }
            },
        };
        Some(At { value: matcher, span })
    }

    fn port(&mut self, set: &Set, text: &str) -> Option<At<Matcher>> {
        let span = whole(set);
        let Some(ranges) = values::ports(text) else {
            let message = format!("`{text}` is no port");
            let help = "ports are numbers from 0 to 65535, ranges `80-90` or lists of both";
            self.findings.push(Diagnostic::error(Code::BadValue, set.value.span, message).help(help));
            return None;
        };
        let end = match set.name.value.as_str() {
            "src-port" => PortEnd::Source,
            "dst-port" => PortEnd::Destination,
            _ => PortEnd::Either,
        };
        let protocol = self.item.get("protocol").filter(|protocol| !protocol.negated).and_then(Value::text);
        let transport = match protocol {
            Some("tcp" | "6") => Transport::Tcp,
            Some("udp" | "17") => Transport::Udp,
            Some("sctp" | "132" | "dccp" | "33" | "udp-lite" | "136") => {
                return Some(self.opaque(set, "ports of this protocol are not modelled"));
            }
            _ => {
                let message = format!("`{}` without a protocol that has ports", set.name.value);
                let finding = Diagnostic::error(Code::PortWithoutProtocol, span, message)
                    .help("say `protocol=tcp` or `protocol=udp` too");
                self.findings.push(finding);
                return Some(At { value: Matcher::Opaque(words(&set.name.value, &set.value)), span });
            }
        };
        let condition = Condition::Ports(transport, end, ranges);
        let condition = if set.value.negated { condition.negated() } else { condition };
        Some(At { value: Matcher::Packet(condition), span })
    }

    fn opaque(&mut self, set: &Set, why: &str) -> At<Matcher> {
        let span = whole(set);
        let words = words(&set.name.value, &set.value);
        let message = format!("`{}` is not played", set.name.value);
        let finding = Diagnostic::warning(Code::NotModelled, span, message)
            .note(format!("{why}, so the rule is taken to match nothing, and nftables refuses it"));
        self.findings.push(finding);
        At { value: Matcher::Opaque(words), span }
    }

    fn action(&mut self) -> At<Action> {
        let item = self.item;
        let (span, text) = match item.get("action") {
            None => (item.span, "accept"),
            Some(value) => (value.span, value.text().unwrap_or("passthrough")),
        };
        let action = match text {
            "accept" => Action::Accept,
            "drop" => Action::Drop,
            "reject" => Action::Reject(self.refusal()),
            "tarpit" => Action::Tarpit,
            "return" => Action::Return,
            "log" => Action::Log,
            "passthrough" | "fasttrack-connection" => Action::Pass,
            "jump" => match self.needed("jump-target") {
                Some(target) => Action::Jump(target),
                None => Action::Opaque("action=jump".to_owned()),
            },
            "add-src-to-address-list" | "add-dst-to-address-list" => match self.needed("address-list") {
                Some(list) if text == "add-src-to-address-list" => {
                    Action::AddSource { list, stay: self.stay() }
                }
                Some(list) => Action::AddDestination { list, stay: self.stay() },
                None => Action::Opaque(format!("action={text}")),
            },
            "dst-nat" if self.table == Table::Nat => self.redirect(),
            _ => self.other_action(span, text),
        };
        At { value: action, span }
    }

    fn other_action(&mut self, span: Span, text: &str) -> Action {
        let elsewhere = matches!(self.table, Table::Mangle | Table::Nat);
        if !elsewhere && text != "notrack" {
            let known = ["accept", "drop", "reject", "jump", "return", "log", "passthrough", "tarpit"];
            let known = known.into_iter().chain(["add-src-to-address-list", "add-dst-to-address-list"]);
            let mut finding = Diagnostic::error(Code::BadValue, span, format!("`{text}` is no action"));
            if let Some(word) = did_you_mean(text, known) {
                finding = finding.help(format!("did you mean `{word}`?"));
            }
            self.findings.push(finding);
        }
        Action::Opaque(format!("action={}", quoted(text)))
    }

    fn needed(&mut self, name: &str) -> Option<At<String>> {
        let value = self.item.get(name);
        if let Some((value, text)) = value.and_then(|value| Some((value, value.text()?)))
            && !text.is_empty()
        {
            return Some(At { value: text.to_owned(), span: value.span });
        }
        if self.item.is_computed(name) {
            return None;
        }
        let action = self.item.text("action").unwrap_or_default();
        let message = format!("`action={action}` without `{name}`");
        self.findings.push(Diagnostic::error(Code::BadValue, self.item.span, message));
        None
    }

    fn stay(&mut self) -> At<Stay> {
        let Some(value) = self.item.get("address-list-timeout") else {
            return At { value: Stay::UntilRestart, span: self.item.span };
        };
        let span = value.span;
        // What the router works out makes the rule one that is not played.
        let text = value.text().unwrap_or("none-dynamic");
        let millis = |length: std::time::Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let stay = match text {
            "none-dynamic" => Stay::UntilRestart,
            "none-static" => Stay::Always,
            _ => match duration(text).map(millis) {
                Some(0) => Stay::UntilRestart,
                Some(length) if Lifetime::from_millis(length).is_some() => {
                    Stay::For(Lifetime::from_millis(length).unwrap_or(Lifetime::from_secs(1)))
                }
                Some(_) => {
                    let message = format!("`{text}` is longer than a router can count");
                    let help = "at most 35w3d13h13m56s; `none-dynamic` is until the router restarts";
                    self.findings.push(Diagnostic::error(Code::BadValue, span, message).help(help));
                    Stay::UntilRestart
                }
                None => {
                    let message = format!("`{text}` is no length of time");
                    let help = "for example `30s`, `1d12h` or `00:30:00`";
                    self.findings.push(Diagnostic::error(Code::BadValue, span, message).help(help));
                    Stay::UntilRestart
                }
            },
        };
        At { value: stay, span }
    }

    fn refusal(&mut self) -> Refusal {
        let Some(value) = self.item.get("reject-with") else {
            // 0 in both families: network unreachable, and no route.
            return Refusal::Unreachable(self.family, 0);
        };
        let text = value.text().unwrap_or("tcp-reset");
        match values::refusal(text, self.family) {
            Some(refusal) => refusal,
            None => {
                let message = format!("`{text}` is no way to reject");
                self.findings.push(Diagnostic::error(Code::BadValue, value.span, message));
                Refusal::Closed
            }
        }
    }

    fn redirect(&mut self) -> Action {
        let item = self.item;
        let to = item.text("to-addresses").or_else(|| item.text("to-address"));
        let address: Option<IpAddr> = to.and_then(|text| text.trim_end_matches("/128").parse().ok());
        let port = item.text("to-ports").map(str::parse::<u16>);
        let protocol = item.get("protocol").filter(|value| !value.negated).and_then(Value::text);
        let has_ports = matches!(protocol, Some("tcp" | "udp" | "6" | "17"));
        match (address, port) {
            (Some(address), Some(Ok(port))) if has_ports => {
                Action::Redirect(Target::Port(SocketAddr::new(address, port)))
            }
            (Some(address), None) if has_ports => Action::Redirect(Target::Host(address)),
            _ => {
                let finding =
                    Diagnostic::warning(Code::NotModelled, item.span, "this `dst-nat` is not played")
                        .note("it is if it is for TCP or UDP, and to one address and at most one port");
                self.findings.push(finding);
                Action::Opaque("action=dst-nat".to_owned())
            }
        }
    }
}

fn words(name: &str, value: &Value) -> String {
    match value.text() {
        // A text in quotes has its exclamation mark there, too.
        Some(text) if value.negated && quoted(text) != text => {
            format!("{name}={}", quoted(&format!("!{text}")))
        }
        Some(text) if value.negated => format!("{name}=!{text}"),
        Some(text) => format!("{name}={}", quoted(text)),
        None => format!("{name}=…"),
    }
}

/// The attribute with its name.
fn whole(set: &Set) -> Span {
    Span { start: set.name.span.start, end: set.value.span.end }
}
