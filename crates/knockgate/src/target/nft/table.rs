//! Our table as the kernel has it: chains, rules and sets, read without `nft`, which reads every
//! element of every table before it lists one rule (1.0.6: a minute for a million).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use knockgate_compiler::backend::nft::{ABOUT, Counted, is_on_trial};
use knockgate_compiler::hash::{Fnv64, fnv1a_64};
use rustix::io::Errno;

use super::netlink::{self, Attributes, Bytes, Request};
use super::note::{COMMENT_NOTE, note, text};
use super::{Count, NAME, TargetError};
use crate::plan::SetFound;

/// Tables of both families (`NFPROTO_INET`).
pub(super) const INET: u8 = 1;

/// Messages and attributes (linux/netfilter/nf_tables.h).
const GET_TABLE: u16 = 0x0a01;
const GET_CHAIN: u16 = 0x0a04;
const GET_RULE: u16 = 0x0a07;
const GET_SET: u16 = 0x0a0a;
const GET_ELEMENTS: u16 = 0x0a0d;
/// The table's name, in each kind of message.
const TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const COUNTER_BYTES: u16 = 1;
const COUNTER_PACKETS: u16 = 2;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_DATA_TYPE: u16 = 6;
const SET_DESC: u16 = 9;
const SET_DESC_SIZE: u16 = 1;
const SET_EXPRESSION: u16 = 17;
/// Since Linux 6.16.
const SET_COUNT: u16 = 20;
const ELEMENTS: u16 = 3;
const ELEMENT_USERDATA: u16 = 6;
const ELEMENT_EXPRESSION: u16 = 7;
const SET_IS_MAP: u32 = 0x8;
const SET_TIMEOUT: u32 = 0x10;
const VERDICTS: u32 = 0xffff_ff00;

/// How often counters are read again because the rules were changed on the way.
const ATTEMPTS: usize = 20;

/// What failed, in our words.
pub(super) fn refused(set: &str, error: Errno) -> TargetError {
    match error {
        Errno::PERM | Errno::ACCESS => TargetError::NotPermitted,
        Errno::NOENT => TargetError::NoSet(set.to_owned()),
        Errno::NFILE => TargetError::Full(set.to_owned()),
        error => TargetError::Kernel(set.to_owned(), error.into()),
    }
}

fn request(kind: u16) -> Request {
    Request { kind, family: INET, flags: 0, attributes: Bytes::default().put_name(TABLE, NAME) }
}

fn all<T>(kind: u16, mut of: impl FnMut(Attributes<'_>) -> Option<T>) -> Result<Vec<T>, TargetError> {
    let ours = |item: Attributes<'_>| (item.name(TABLE) == Some(NAME)).then(|| of(item)).flatten();
    found(netlink::collect(&request(kind), ours))
}

/// Nothing, where the kernel tells that there is no such table.
fn found<T>(collected: Result<Vec<T>, Errno>) -> Result<Vec<T>, TargetError> {
    match collected {
        Err(Errno::NOENT) => Ok(vec![]),
        found => found.map_err(|error| refused("the rules", error)),
    }
}

/// Whether there is a table of ours.
pub(super) fn exists() -> Result<bool, TargetError> {
    let tables = Request { attributes: Bytes::default(), ..request(GET_TABLE) };
    let found = netlink::collect(&tables, |table| (table.name(TABLE) == Some(NAME)).then_some(()));
    Ok(!found.map_err(|error| refused("the tables", error))?.is_empty())
}

/// The names of our chains.
pub(super) fn chains() -> Result<BTreeSet<String>, TargetError> {
    Ok(all(GET_CHAIN, |chain| chain.name(CHAIN_NAME).map(str::to_owned))?.into_iter().collect())
}

/// A set as it was declared, and how many elements it has, where the kernel tells.
struct Declared {
    name: String,
    found: SetFound,
    flags: u32,
    count: Option<u32>,
}

fn declared() -> Result<Vec<Declared>, TargetError> {
    all(GET_SET, |set| {
        let flags = set.number(SET_FLAGS).unwrap_or_default();
        let data = (flags & SET_IS_MAP != 0).then(|| set.number(SET_DATA_TYPE).map(type_name)).flatten();
        let found = SetFound {
            key: set.number(SET_KEY_TYPE).map(type_name)?,
            data,
            timed: flags & SET_TIMEOUT != 0,
            size: set.within(SET_DESC).number(SET_DESC_SIZE),
            counts: set.find(SET_EXPRESSION).is_some(),
        };
        Some(Declared { name: set.name(SET_NAME)?.to_owned(), found, flags, count: set.number(SET_COUNT) })
    })
}

/// Our sets and maps.
pub(super) fn sets() -> Result<BTreeMap<String, SetFound>, TargetError> {
    let named = declared()?.into_iter().filter(|set| !is_anonymous(set));
    Ok(named.map(|set| (set.name, set.found)).collect())
}

fn is_anonymous(set: &Declared) -> bool {
    set.flags & 1 != 0
}

/// Whether there is such a set.
pub(super) fn has_set(name: &str) -> Result<bool, TargetError> {
    Ok(sets()?.contains_key(name))
}

/// How full our timed sets and maps are, by name. What has expired counts until it is collected.
pub fn fill() -> Result<BTreeMap<String, Fill>, TargetError> {
    let timed = declared()?.into_iter().filter(|set| set.found.timed);
    Ok(timed.map(|set| (set.name, Fill { entries: set.count, capacity: set.found.size })).collect())
}

/// How full a set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Elements that it has; `None` where the kernel does not tell (before Linux 6.16).
    pub entries: Option<u32>,
    /// Elements that it may have.
    pub capacity: Option<u32>,
}

/// The name of a data type of nft's (nftables, `enum datatypes`); a key of several has six bits for
/// each.
fn type_name(number: u32) -> String {
    const NAMES: [(u32, &str); 6] = [
        (7, "ipv4_addr"),
        (8, "ipv6_addr"),
        (12, "inet_proto"),
        (13, "inet_service"),
        (19, "mark"),
        (23, "classid"),
    ];
    if number == VERDICTS {
        return "verdict".to_owned();
    }
    let parts = (0..5).rev().map(|place| number >> (place * 6) & 0x3f).filter(|part| *part != 0);
    let name = |part| {
        let known = NAMES.iter().find(|(number, _)| *number == part);
        known.map_or_else(|| format!("type-{part}"), |(_, name)| (*name).to_owned())
    };
    parts.map(name).collect::<Vec<_>>().join(" . ")
}

/// All of our rules, and the members of fixed sets and maps, in a line for each chain and set; not
/// what packets and people add, nor what is there for as long as a trial. Two listings are the same if nothing
/// else was changed.
pub(super) fn listing() -> Result<String, TargetError> {
    let mut lines = String::new();
    let mut put = |line: std::fmt::Arguments<'_>| {
        lines.write_fmt(line).expect("a string takes all that memory holds");
    };
    about()?.iter().for_each(|about| put(format_args!("{about}\n")));
    let mut chains: BTreeMap<String, Fnv64> = all(GET_CHAIN, chain_identity)?.into_iter().collect();
    let identity = |rule: Attributes<'_>| {
        let on_trial = comment(rule).is_some_and(|comment| is_on_trial(&comment));
        (!on_trial).then_some((rule.name(RULE_CHAIN)?.to_owned(), rule_identity(rule)))
    };
    for (chain, rule) in all(GET_RULE, identity)? {
        let rules = chains.entry(chain).or_default();
        *rules = rules.and(&rule);
    }
    for (name, rules) in chains {
        put(format_args!("chain {name} {:016x}\n", rules.value()));
    }
    let mut sets = declared()?;
    sets.sort_by(|one, other| one.name.cmp(&other.name));
    for set in &sets {
        let members = if set.found.timed { 0 } else { members_identity(&set.name)? };
        let SetFound { key, data, size, counts, .. } = &set.found;
        let counts = if *counts { " counts" } else { "" };
        put(format_args!(
            "set {} {key} {data:?} {size:?} {:x} {members:016x}{counts}\n",
            set.name, set.flags
        ));
    }
    Ok(lines)
}

/// What tells the loaded ruleset from others.
fn about() -> Result<Vec<String>, TargetError> {
    let mut of_about = request(GET_RULE);
    of_about.attributes = of_about.attributes.put_name(RULE_CHAIN, ABOUT);
    found(netlink::collect(&of_about, comment))
}

fn chain_identity(chain: Attributes<'_>) -> Option<(String, Fnv64)> {
    let parts = [CHAIN_HOOK, CHAIN_POLICY, CHAIN_TYPE].map(|kind| chain.find(kind).unwrap_or_default());
    let identity = parts.into_iter().fold(Fnv64::default(), Fnv64::and);
    Some((chain.name(CHAIN_NAME)?.to_owned(), identity))
}

/// What a rule says, without what it has counted.
fn rule_identity(rule: Attributes<'_>) -> Vec<u8> {
    let mut identity = rule.find(RULE_USERDATA).unwrap_or_default().to_vec();
    for (_, expression) in rule.within(RULE_EXPRESSIONS) {
        let expression = Attributes(expression);
        let name = expression.find(EXPRESSION_NAME).unwrap_or_default();
        identity.extend(name);
        if !matches!(name, b"counter\0" | b"last\0") {
            identity.extend(expression.find(EXPRESSION_DATA).unwrap_or_default());
        }
    }
    // So that nothing of one rule can be taken for a part of the next.
    identity.extend(identity.len().to_ne_bytes());
    identity
}

/// The same for the same members, whatever their order.
fn members_identity(set: &str) -> Result<u64, TargetError> {
    let identities = elements(set, |element| Some(element_identity(element)))?;
    Ok(identities.into_iter().fold(0, u64::wrapping_add))
}

/// What an element is, without what it has counted.
fn element_identity(element: Attributes<'_>) -> u64 {
    let expression = element.within(ELEMENT_EXPRESSION);
    if expression.name(EXPRESSION_NAME) != Some("counter") {
        return fnv1a_64(element.0);
    }
    let rest = element.filter(|(kind, _)| *kind != ELEMENT_EXPRESSION);
    let hash = rest.fold(Fnv64::default(), |hash, (kind, part)| {
        hash.and(&kind.to_ne_bytes()).and(&part.len().to_ne_bytes()).and(part)
    });
    hash.value()
}

/// What `of` makes of each element of a set.
fn elements<T>(set: &str, mut of: impl FnMut(Attributes<'_>) -> Option<T>) -> Result<Vec<T>, TargetError> {
    let mut request = request(GET_ELEMENTS);
    request.attributes = request.attributes.put_name(SET_NAME, set);
    let each = |message: Attributes<'_>| {
        let elements = message.within(ELEMENTS).filter_map(|(_, element)| of(Attributes(element)));
        Some(elements.collect::<Vec<T>>())
    };
    let found = netlink::collect(&request, each).map_err(|error| refused(set, error))?;
    Ok(found.into_iter().flatten().collect())
}

/// What `of` makes of each of our rules.
pub(super) fn rules<T>(of: impl FnMut(Attributes<'_>) -> Option<T>) -> Result<Vec<T>, TargetError> {
    all(GET_RULE, of)
}

/// What each rule has counted, of a ruleset that counts. Of rules that are written once, the elements of a map
/// count.
pub fn counts() -> Result<BTreeMap<Counted, Count>, TargetError> {
    for _ in 0..ATTEMPTS {
        let before = about()?;
        match counted() {
            // A map that is gone goes with its rules.
            Err(TargetError::NoSet(_)) => {}
            counts if about()? == before => return counts,
            _ => {}
        }
    }
    Err(refused("the rules", Errno::INTR))
}

fn counted() -> Result<BTreeMap<Counted, Count>, TargetError> {
    let of_rule = |rule: Attributes<'_>| {
        let of = Counted::of_comment(&comment(rule)?)?;
        let mut expressions = rule.within(RULE_EXPRESSIONS).map(|(_, expression)| Attributes(expression));
        // Further ones count additions.
        Some((of, expressions.find_map(count).unwrap_or_default()))
    };
    let of_element = |element: Attributes<'_>| {
        let about = note(element.find(ELEMENT_USERDATA)?, COMMENT_NOTE).map(text)?;
        Some((Counted::of_comment(&about)?, count(element.within(ELEMENT_EXPRESSION))?))
    };
    let mut found = all(GET_RULE, of_rule)?;
    for set in declared()?.iter().filter(|set| set.found.counts) {
        found.extend(elements(&set.name, of_element)?);
    }
    let mut counts = BTreeMap::<Counted, Count>::new();
    for (rule, count) in found {
        let sum = counts.entry(rule).or_default();
        sum.packets += count.packets;
        sum.bytes += count.bytes;
    }
    Ok(counts)
}

/// What an expression has counted, if it is a counter.
fn count(expression: Attributes<'_>) -> Option<Count> {
    let counter = expression.within(EXPRESSION_DATA);
    let number = |kind| counter.long(kind).unwrap_or_default();
    (expression.name(EXPRESSION_NAME) == Some("counter"))
        .then(|| Count { packets: number(COUNTER_PACKETS), bytes: number(COUNTER_BYTES) })
}

fn comment(rule: Attributes<'_>) -> Option<String> {
    note(rule.find(RULE_USERDATA)?, COMMENT_NOTE).map(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_the_same_whatever_it_has_counted_and_another_with_anything_else() {
        let expression = |name: &str, data: u8| {
            Bytes::default().put_name(EXPRESSION_NAME, name).put(EXPRESSION_DATA, &[data])
        };
        let (counter, limit) = (|packets| expression("counter", packets), expression("limit", 1));
        let plain = |key: &[u8]| Bytes::default().put(1, key);
        let element = |key: &[u8], more: &[Bytes]| {
            let bytes = more.iter().fold(plain(key), |bytes, more| bytes.put_all(ELEMENT_EXPRESSION, more));
            element_identity(Attributes(&bytes.0))
        };
        let counting = element(b"a", &[counter(1)]);
        assert_eq!(counting, element(b"a", &[counter(2)]));
        for other in [element(b"b", &[counter(1)]), element(b"a", &[]), element(b"a", &[limit])] {
            assert_ne!(counting, other);
        }
        assert_eq!(element(b"a", &[]), fnv1a_64(&plain(b"a").0), "as it always was");
    }

    #[test]
    fn types_are_named_as_nft_names_them() {
        assert_eq!(type_name(7), "ipv4_addr");
        assert_eq!(type_name(8 << 6 | 23), "ipv6_addr . classid");
        assert_eq!(type_name(19 << 12 | 12 << 6 | 13), "mark . inet_proto . inet_service");
        assert_eq!(type_name(VERDICTS), "verdict");
    }
}
