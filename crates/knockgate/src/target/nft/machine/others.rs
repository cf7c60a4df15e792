//! The tables of others, and what becomes of a packet in one of their chains.

mod text;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use knockgate_compiler::backend::nft::TABLE;
use knockgate_compiler::net::Family;
use serde_json::Value;

use super::super::{TargetError, nft};
use super::holds::{Holds, Packet, Sets, arms, holds};

/// A table that is not ours.
#[derive(Debug)]
pub struct Table {
    /// As nft names it: `inet filter`.
    pub name: String,
    /// By name.
    pub chains: BTreeMap<String, Chain>,
    sets: Sets,
}

/// Its rules in order.
#[derive(Debug, Default)]
pub struct Chain {
    /// Where packets enter it, unless it is only jumped to.
    pub base: Option<Base>,
    rules: Vec<Rule>,
}

/// Where packets enter a chain.
#[derive(Debug)]
pub struct Base {
    /// `input` and the like.
    pub hook: String,
    /// Lower ones come first.
    pub priority: i64,
    /// Whether only the first packet of a connection enters it, to be translated.
    pub translates: bool,
    /// Whether packets that leave its end are dropped.
    drops: bool,
    /// The interfaces whose packets enter it; none stands for all.
    devices: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    handle: u64,
    statements: Vec<Value>,
}

/// A rule or a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// As nft names it: `inet filter`.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The rule's handle; `None` for the chain's policy.
    pub rule: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Some(handle) => write!(f, "rule {handle} in chain `{}` of table `{}`", self.chain, self.table),
            None => write!(f, "the policy of chain `{}` of table `{}`", self.chain, self.table),
        }
    }
}

/// What is done to a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// It is dropped or rejected.
    Drop,
    /// It is sent elsewhere, if that is said, to there.
    Divert(Option<String>),
    /// Connection tracking does not see it.
    Untrack,
    /// A program decides over it.
    Queue,
}

/// What may become of a packet.
#[derive(Debug, Default)]
pub struct Fate {
    /// It may go on as it was.
    pub passes: bool,
    /// What else may be done to it, in the order in which that is asked; if it cannot pass, the last
    /// is done at the latest.
    pub deeds: Vec<(Deed, Place)>,
    /// It may leave the chain's end.
    on: bool,
    /// It may go back to where the chain was jumped to from.
    back: bool,
}

/// Jumps that the kernel follows at most.
const DEPTH: u32 = 16;
/// Rules that one packet is held against at most; what comes behind cannot be told.
const RULES: u32 = 200_000;

/// All tables but ours that packets for a policy can meet.
pub fn read() -> Result<Vec<Table>, TargetError> {
    let listed = objects(&nft(&["-j", "list", "tables"], None)?)?;
    let tables = listed.iter().filter_map(|object| object.get("table"));
    let names = tables.filter_map(|table| Some((table["family"].as_str()?, table["name"].as_str()?)));
    let mut found = vec![];
    for (family, name) in names {
        let full = format!("{family} {name}");
        if full == TABLE || !["ip", "ip6", "inet", "netdev"].contains(&family) {
            continue;
        }
        // One that cannot be listed is one that was taken away at this moment.
        if let Ok(listing) = nft(&["-j", "list", "table", family, name], None) {
            let mut objects = objects(&listing)?;
            if text::is_short(&listing) {
                text::complete(&mut objects, &nft(&["-a", "list", "table", family, name], None)?);
            }
            found.push(Table::of(full, &objects));
        }
    }
    Ok(found)
}

fn objects(listing: &str) -> Result<Vec<Value>, TargetError> {
    let mut answer: Value =
        serde_json::from_str(listing).map_err(|error| TargetError::Unintelligible(error.to_string()))?;
    match answer["nftables"].take() {
        Value::Array(objects) => Ok(objects),
        other => Err(TargetError::Unintelligible(format!("a list of {other}"))),
    }
}

impl Table {
    fn of(name: String, objects: &[Value]) -> Self {
        let mut table = Self { name, chains: BTreeMap::new(), sets: Sets::new() };
        for (kind, object) in objects.iter().filter_map(Value::as_object).flatten() {
            let name = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
            match kind.as_str() {
                "chain" => table.chains.entry(name("name")).or_default().base = Base::of(object),
                "rule" => table.chains.entry(name("chain")).or_default().rules.push(Rule {
                    handle: object["handle"].as_u64().unwrap_or_default(),
                    statements: object["expr"].as_array().cloned().unwrap_or_default(),
                }),
                "set" | "map" => {
                    let members = object["elem"].as_array().cloned().unwrap_or_default();
                    table.sets.insert(name("name"), members);
                }
                _ => {}
            }
        }
        table
    }

    /// Its rules that send TCP connections from elsewhere to another address or port, but those that ask for
    /// ports of which none is `among` those that matter.
    pub fn translations(&self, among: impl Fn(u16) -> bool) -> Vec<Place> {
        let enters = |base: &Base| base.hook == "prerouting";
        let mut found = vec![];
        for (name, chain) in &self.chains {
            let rules = chain.rules.iter().filter(|_| chain.base.as_ref().is_none_or(enters));
            let rules = rules.filter(|rule| rule.translates());
            for rule in
                rules.filter(|rule| rule.tcp_ports().is_none_or(|ports| ports.into_iter().any(&among)))
            {
                found.push(Place { table: self.name.clone(), chain: name.clone(), rule: Some(rule.handle) });
            }
        }
        found
    }

    /// Whether packets of this family enter it.
    fn sees(&self, family: Family) -> bool {
        match family {
            Family::V4 => !self.name.starts_with("ip6 "),
            Family::V6 => !self.name.starts_with("ip "),
        }
    }

    /// What becomes of a packet in the chain `name`, which has a hook.
    pub fn meet(&self, name: &str, packet: &Packet<'_>) -> Fate {
        let Some(base) = self.chains.get(name).and_then(|chain| chain.base.as_ref()) else {
            return Fate { passes: true, ..Fate::default() };
        };
        let enters = |device: &String| packet.from.contains(&device.as_str());
        if !self.sees(packet.family) || !(base.devices.is_empty() || base.devices.iter().any(enters)) {
            return Fate { passes: true, ..Fate::default() };
        }
        let walk = Walk { table: self, packet, left: Cell::new(RULES) };
        let mut fate = walk.chain(name, 0);
        let leaves = fate.on || fate.back;
        fate.passes |= leaves && !base.drops;
        if leaves && base.drops {
            let place = Place { table: self.name.clone(), chain: name.to_owned(), rule: None };
            fate.deeds.push((Deed::Drop, place));
        }
        fate
    }
}

impl Base {
    fn of(chain: &Value) -> Option<Self> {
        let devices = match &chain["dev"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => vec![],
        };
        Some(Self {
            hook: chain["hook"].as_str()?.to_owned(),
            priority: chain["prio"].as_i64()?,
            translates: chain["type"] == "nat",
            drops: chain["policy"] == "drop",
            devices,
        })
    }
}

impl Rule {
    fn words(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.statements.iter().filter_map(Value::as_object).flatten()
    }

    fn translates(&self) -> bool {
        self.words().any(|(word, _)| ["dnat", "redirect", "tproxy"].contains(&word.as_str()))
    }

    /// The TCP ports that it asks for, none if it asks for those of UDP; `None` if it asks for no ports, or
    /// not in a way that is understood.
    fn tcp_ports(&self) -> Option<Vec<u16>> {
        let mut matches = self.words().filter(|(word, of)| *word == "match" && of["op"] == "==");
        let port = matches.find(|(_, of)| of["left"]["payload"]["field"] == "dport")?.1;
        let mut found = vec![];
        for part in match &port["right"]["set"] {
            Value::Array(parts) => parts.as_slice(),
            _ => std::slice::from_ref(&port["right"]),
        } {
            let number = |value: &Value| u16::try_from(value.as_u64()?).ok();
            match &part["range"] {
                Value::Array(ends) => found.extend(number(ends.first()?)?..=number(ends.last()?)?),
                _ => found.push(number(part)?),
            }
        }
        Some(if port["left"]["payload"]["protocol"] == "udp" { vec![] } else { found })
    }
}

/// A packet on its way through a table.
struct Walk<'a> {
    table: &'a Table,
    packet: &'a Packet<'a>,
    /// Rules that it may still be held against.
    left: Cell<u32>,
}

impl Walk<'_> {
    fn chain(&self, name: &str, depth: u32) -> Fate {
        let mut fate = Fate::default();
        for rule in self.table.chains.get(name).map_or(&[][..], |chain| &chain.rules) {
            if depth > DEPTH || self.left.replace(self.left.get().saturating_sub(1)) == 0 {
                fate.passes = true;
                break;
            }
            let one = self.rule(name, rule, depth);
            let on = one.on;
            fate.take(one);
            if !on {
                fate.on = false;
                return fate;
            }
        }
        fate.on = true;
        fate
    }

    fn rule(&self, chain: &str, rule: &Rule, depth: u32) -> Fate {
        let mut fate = Fate::default();
        let mut so_far = Holds::Yes;
        let place =
            || Place { table: self.table.name.clone(), chain: chain.to_owned(), rule: Some(rule.handle) };
        for (word, of) in rule.statements.iter().filter_map(Value::as_object).flatten() {
            match word.as_str() {
                "match" => so_far = so_far.min(holds(of, self.packet, &self.table.sets)),
                "limit" | "quota" | "ct count" | "xt" | "socket" => so_far = so_far.min(Holds::Maybe),
                "vmap" => {
                    let (found, none) = arms(of, self.packet, &self.table.sets);
                    fate.on |= none;
                    for verdict in found.into_iter().filter_map(Value::as_object).flatten() {
                        self.verdict(verdict, &place, depth, &mut fate);
                    }
                    if !fate.on {
                        break;
                    }
                }
                _ => {
                    if self.verdict((word, of), &place, depth, &mut fate) {
                        fate.on |= so_far == Holds::Maybe;
                        return fate;
                    }
                }
            }
            if so_far == Holds::No {
                return Fate { on: true, ..Fate::default() };
            }
        }
        fate.on |= so_far == Holds::Maybe || !ends_in_vmap(rule);
        fate
    }

    /// What a verdict makes of the packet; `false` if it is none.
    fn verdict(
        &self,
        (word, of): (&String, &Value),
        place: &dyn Fn() -> Place,
        depth: u32,
        fate: &mut Fate,
    ) -> bool {
        let mut deed = |deed| fate.deeds.push((deed, place()));
        match word.as_str() {
            "drop" | "reject" => deed(Deed::Drop),
            "queue" => {
                deed(Deed::Queue);
                fate.passes = true;
            }
            "dnat" | "redirect" | "tproxy" if !self.sees(of) => fate.on = true,
            "dnat" | "redirect" | "tproxy" => deed(Deed::Divert(target(of))),
            "notrack" => deed(Deed::Untrack),
            "accept" => fate.passes = true,
            "return" => fate.back = true,
            "continue" => fate.on = true,
            "jump" | "goto" => {
                let inner = self.chain(of["target"].as_str().unwrap_or_default(), depth + 1);
                let returns = inner.on || inner.back;
                fate.take(Fate { on: false, back: false, ..inner });
                if word == "jump" { fate.on |= returns } else { fate.back |= returns }
            }
            _ => return false,
        }
        true
    }

    /// Whether a translation is of the packet's family; most do not say one.
    fn sees(&self, translation: &Value) -> bool {
        let family = if self.packet.family == Family::V4 { "ip" } else { "ip6" };
        translation["family"].as_str().is_none_or(|named| named == family)
    }
}

fn ends_in_vmap(rule: &Rule) -> bool {
    rule.statements.last().is_some_and(|last| last.get("vmap").is_some())
}

/// The address and port that a packet is sent to, as far as they are said.
fn target(of: &Value) -> Option<String> {
    match (of["addr"].as_str(), of["port"].as_u64()) {
        (Some(address), Some(port)) if address.contains(':') => Some(format!("[{address}]:{port}")),
        (Some(address), Some(port)) => Some(format!("{address}:{port}")),
        (Some(address), None) => Some(address.to_owned()),
        (None, Some(port)) => Some(format!("port {port}")),
        (None, None) => None,
    }
}

impl Fate {
    fn take(&mut self, other: Self) {
        self.passes |= other.passes;
        self.back |= other.back;
        self.on |= other.on;
        self.deeds.extend(other.deeds);
    }
}
