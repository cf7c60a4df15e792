//! Whether a condition of somebody else's rule holds for a packet of which not everything is known.
//! Conditions are those of nft's JSON (`man libnftables-json`, EXPRESSIONS and MATCH).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Not;

use knockgate_compiler::net::{Family, Prefix, Transport};
use knockgate_compiler::policy::Knock;
use serde_json::Value;

/// Whether something holds: the least of several is that all hold, the greatest that any does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// It does not.
    No,
    /// It cannot be told.
    Maybe,
    /// It does.
    Yes,
}

impl Not for Holds {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// The first packet of a connection from outside, as far as it is known.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// IPv4 or IPv6.
    pub family: Family,
    /// What it carries.
    pub knock: Knock,
    /// Where it may be sent to.
    pub to: Vec<IpAddr>,
    /// Where it may come in.
    pub from: &'a [&'a str],
    /// Where it goes out, if that is known.
    pub out: Option<&'a str>,
    /// Whether it is for the gateway itself.
    pub local: bool,
    /// Whether its destination was translated.
    pub translated: bool,
    /// Whether conditions about its source hold.
    pub named: Holds,
}

/// The members of named sets and maps, by name.
pub type Sets = BTreeMap<String, Vec<Value>>;

/// What a condition looks at.
enum Field<'p> {
    /// The packet has no such thing.
    Absent,
    /// It has one, and nothing is known of it.
    Unknown,
    /// Who sends it.
    Source(Holds),
    /// One of these.
    Is(Vec<Atom<'p>>),
    Joined(Vec<Field<'p>>),
}

enum Atom<'p> {
    Number(u64),
    Word(&'p str),
    /// A name, and the number that says the same.
    Named(&'p str, u64),
    Interface(&'p str),
    Address(IpAddr),
    Truth(bool),
}

/// Whether a `match` holds.
pub fn holds(condition: &Value, packet: &Packet<'_>, sets: &Sets) -> Holds {
    let field = field(&condition["left"], packet);
    let right = &condition["right"];
    match condition["op"].as_str() {
        // A list is of flags: all of these, and no other.
        Some("==") if right.as_array().is_some_and(|flags| flags.len() > 1) => field.if_known(Holds::No),
        Some("==" | "in") => field.is(right, sets),
        Some("!=") => field.if_known(!field.is(right, sets)),
        Some(order) => field.compares(order, right),
        None => Holds::Maybe,
    }
}

/// What a verdict map may say of a packet, with whether it is said; the last is whether it may say
/// nothing.
pub fn arms<'v>(map: &'v Value, packet: &Packet<'_>, sets: &'v Sets) -> (Vec<&'v Value>, bool) {
    let field = field(&map["key"], packet);
    let Some(pairs) = members(&map["data"], sets) else { return (vec![], true) };
    let mut found = vec![];
    for pair in pairs {
        match field.is(&pair[0], sets) {
            Holds::Yes => {
                found.push(&pair[1]);
                return (found, false);
            }
            Holds::Maybe => found.push(&pair[1]),
            Holds::No => {}
        }
    }
    (found, true)
}

fn field<'p>(left: &Value, packet: &Packet<'p>) -> Field<'p> {
    let Some((kind, of)) = left.as_object().and_then(|object| object.iter().next()) else {
        return Field::Unknown;
    };
    match kind.as_str() {
        "meta" => meta(of["key"].as_str().unwrap_or_default(), packet),
        "payload" => payload(of, packet),
        "ct" => match of["key"].as_str() {
            Some("state") => Field::word("new"),
            Some("direction") => Field::word("original"),
            Some("status") => Field::word(if packet.translated { "dnat" } else { "none" }),
            _ => Field::Unknown,
        },
        "fib" => fib(of, packet),
        "&" => match (field(&of[0], packet), mentions(&of[1], "syn")) {
            (Field::Is(atoms), true) if matches!(atoms[..], [Atom::Word("syn")]) => Field::word("syn"),
            (Field::Absent, _) => Field::Absent,
            _ => Field::Unknown,
        },
        "concat" => {
            Field::Joined(of.as_array().into_iter().flatten().map(|part| field(part, packet)).collect())
        }
        _ => Field::Unknown,
    }
}

fn meta<'p>(key: &str, packet: &Packet<'p>) -> Field<'p> {
    let interfaces = |names: &[&'p str]| match names {
        [] => Field::Unknown,
        names => Field::Is(names.iter().map(|name| Atom::Interface(name)).collect()),
    };
    let out = packet.out.as_slice();
    match (key, packet.family) {
        ("iif" | "iifname", _) => interfaces(packet.from),
        ("oif" | "oifname", _) => interfaces(out),
        ("nfproto", Family::V4) => Field::word("ipv4"),
        ("nfproto", Family::V6) => Field::word("ipv6"),
        ("protocol", Family::V4) => Field::word("ip"),
        ("protocol", Family::V6) => Field::word("ip6"),
        ("l4proto", _) => protocol(packet),
        ("pkttype", _) => Field::word("host"),
        _ => Field::Unknown,
    }
}

fn protocol<'p>(packet: &Packet<'p>) -> Field<'p> {
    let (name, number) = match (packet.knock, packet.family) {
        (Knock::Port(endpoint), _) => match endpoint.transport {
            Transport::Tcp => ("tcp", 6),
            Transport::Udp => ("udp", 17),
        },
        (Knock::Ping(_), Family::V4) => ("icmp", 1),
        (Knock::Ping(_), Family::V6) => ("ipv6-icmp", 58),
    };
    Field::Is(vec![Atom::Named(name, number)])
}

fn payload<'p>(of: &Value, packet: &Packet<'p>) -> Field<'p> {
    let (Some(header), Some(name)) = (of["protocol"].as_str(), of["field"].as_str()) else {
        return Field::Unknown;
    };
    let family = if packet.family == Family::V4 { "ip" } else { "ip6" };
    match (header, name) {
        ("ip" | "ip6", _) if header != family => Field::Absent,
        ("ip" | "ip6", "saddr") | ("ether", "saddr") => Field::Source(packet.named),
        ("ip" | "ip6", "daddr") => {
            Field::Is(packet.to.iter().map(|address| Atom::Address(*address)).collect())
        }
        ("ip", "protocol") | ("ip6", "nexthdr") => protocol(packet),
        ("tcp" | "udp" | "th", _) => port(header, name, packet),
        ("icmp" | "icmpv6", _) => {
            match (packet.knock, (header == "icmp") == (packet.family == Family::V4), name) {
                (Knock::Ping(_), true, "type") => Field::word("echo-request"),
                (Knock::Ping(_), true, _) => Field::Unknown,
                _ => Field::Absent,
            }
        }
        _ => Field::Unknown,
    }
}

fn port<'p>(header: &str, name: &str, packet: &Packet<'p>) -> Field<'p> {
    let Knock::Port(endpoint) = packet.knock else { return Field::Absent };
    if header != "th" && header != endpoint.transport.to_string() {
        return Field::Absent;
    }
    match name {
        "dport" => Field::Is(vec![Atom::Number(endpoint.port.number().into())]),
        "flags" => Field::word("syn"),
        _ => Field::Unknown,
    }
}

fn fib<'p>(of: &Value, packet: &Packet<'p>) -> Field<'p> {
    match (of["result"].as_str(), mentions(&of["flags"], "daddr")) {
        (Some("type"), true) => Field::word(if packet.local { "local" } else { "unicast" }),
        // That the source is routed by where the packet came in: who is no forger passes that.
        (Some("oif" | "oifname"), false) => Field::Is(vec![Atom::Truth(true)]),
        _ => Field::Unknown,
    }
}

/// Whether `word` stands in `value`, however deep.
fn mentions(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => text == word,
        Value::Array(parts) => parts.iter().any(|part| mentions(part, word)),
        Value::Object(parts) => parts.values().any(|part| mentions(part, word)),
        _ => false,
    }
}

impl<'p> Field<'p> {
    fn word(word: &'p str) -> Self {
        Self::Is(vec![Atom::Word(word)])
    }

    /// `holds`, where there is something that it can be said of.
    fn if_known(&self, holds: Holds) -> Holds {
        match self {
            Self::Absent => Holds::No,
            Self::Unknown => Holds::Maybe,
            Self::Source(_) | Self::Is(_) | Self::Joined(_) => holds,
        }
    }

    /// Whether it is `right`, or one of them.
    fn is(&self, right: &Value, sets: &Sets) -> Holds {
        let one_of = |holds: &dyn Fn(&Value) -> Holds| match members(right, sets) {
            Some(members) => members.into_iter().map(holds).max().unwrap_or(Holds::No),
            None => Holds::Maybe,
        };
        match self {
            Self::Absent => Holds::No,
            Self::Unknown => Holds::Maybe,
            Self::Source(named) => *named,
            Self::Is(atoms) => all_alike(atoms.iter().map(|atom| one_of(&|member| atom.is(member)))),
            Self::Joined(fields) => one_of(&|member| {
                let parts = member["concat"].as_array().into_iter().flatten();
                fields
                    .iter()
                    .zip(parts)
                    .map(|(field, part)| field.is(part, sets))
                    .min()
                    .unwrap_or(Holds::Maybe)
            }),
        }
    }

    fn compares(&self, order: &str, right: &Value) -> Holds {
        let compares = |atom: &Atom<'_>| match (atom, right.as_u64()) {
            (Atom::Number(left), Some(right)) => match order {
                "<" => (*left < right).into(),
                ">" => (*left > right).into(),
                "<=" => (*left <= right).into(),
                ">=" => (*left >= right).into(),
                _ => Holds::Maybe,
            },
            _ => Holds::Maybe,
        };
        match self {
            Self::Is(atoms) => all_alike(atoms.iter().map(compares)),
            other => other.if_known(Holds::Maybe),
        }
    }
}

/// What holds for something that may be any of several.
fn all_alike(mut each: impl Iterator<Item = Holds>) -> Holds {
    let first = each.next().unwrap_or(Holds::Maybe);
    if each.all(|holds| holds == first) { first } else { Holds::Maybe }
}

/// The values that `right` stands for; `None` if they are not known.
fn members<'v>(right: &'v Value, sets: &'v Sets) -> Option<Vec<&'v Value>> {
    let plain = |value: &'v Value| value.get("elem").map_or(value, |element| &element["val"]);
    match right {
        Value::String(name) if name.starts_with('@') => {
            Some(sets.get(&name[1..])?.iter().map(plain).collect())
        }
        Value::Array(flags) => Some(flags.iter().collect()),
        Value::Object(object) => match object.get("set") {
            Some(Value::Array(members)) => Some(members.iter().map(plain).collect()),
            Some(one) => members(one, sets),
            None => Some(vec![right]),
        },
        _ => Some(vec![right]),
    }
}

impl Atom<'_> {
    fn is(&self, right: &Value) -> Holds {
        if right == "*" {
            return Holds::Yes;
        }
        match self {
            Self::Number(number) => match (right.as_u64(), right["range"].as_array().map(Vec::as_slice)) {
                (Some(right), _) => (*number == right).into(),
                (None, Some([first, last])) => match (first.as_u64(), last.as_u64()) {
                    (Some(first), Some(last)) => (first..=last).contains(number).into(),
                    _ => Holds::Maybe,
                },
                _ => Holds::Maybe,
            },
            Self::Word(word) => right.as_str().map_or(Holds::Maybe, |right| (right == *word).into()),
            Self::Named(name, number) => (right == name || right.as_u64() == Some(*number)).into(),
            Self::Interface(name) => match right.as_str() {
                Some(right) => match right.strip_suffix('*') {
                    Some(start) => name.starts_with(start).into(),
                    None => (right == *name).into(),
                },
                None => Holds::Maybe,
            },
            Self::Address(address) => in_addresses(*address, right),
            Self::Truth(truth) => right.as_bool().map_or(Holds::Maybe, |right| (right == *truth).into()),
        }
    }
}

fn in_addresses(address: IpAddr, right: &Value) -> Holds {
    let parsed = |value: &Value| value.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    if let Some(right) = parsed(right) {
        return (right == address).into();
    }
    let prefix = &right["prefix"];
    if let (Some(network), Some(len)) = (parsed(&prefix["addr"]), prefix["len"].as_u64()) {
        let prefix = u8::try_from(len).ok().and_then(|len| Prefix::holding(network, len));
        return prefix.map_or(Holds::Maybe, |prefix| prefix.contains(address).into());
    }
    match right["range"].as_array().map(Vec::as_slice) {
        Some([first, last]) => match (parsed(first), parsed(last)) {
            (Some(first), Some(last)) => (first..=last).contains(&address).into(),
            _ => Holds::Maybe,
        },
        _ => Holds::Maybe,
    }
}
