//! Elements of sets and maps, one at a time or as a stream, never a whole large set.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::ControlFlow;

use knockgate_compiler::backend::nft::single_bits;
use knockgate_compiler::net::{Family, Prefix};
use rustix::io::Errno;

use super::netlink::{self, Attributes, Bytes, CREATE, Request};
use super::note::{COMMENT_NOTE, LENGTH_NOTE, note, text, userdata};
use super::table::{self, INET};
use super::{NAME, TargetError};

/// Messages and attributes (linux/netfilter/nf_tables.h).
const NEW: u16 = 0x0a0c;
const GET: u16 = 0x0a0d;
const DELETE: u16 = 0x0a0e;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const KEY: u16 = 1;
const DATA: u16 = 2;
const FLAGS: u16 = 3;
const TIMEOUT: u16 = 4;
const EXPIRATION: u16 = 5;
const USERDATA: u16 = 6;
/// `NFTA_LIST_ELEM`, and `NFTA_DATA_VALUE`.
const ONE: u16 = 1;
/// The element is the end of an interval, itself no part of it.
const INTERVAL_END: u32 = 1;
/// Elements in one transaction.
const AT_ONCE: usize = 256;

/// An element of a set or map: an address with what belongs to it, or all addresses from one to
/// another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The address, or the first of them.
    pub first: IpAddr,
    /// The last of them.
    pub last: IpAddr,
    /// The list's tag, the track's position, or a port as keys have it, where the set has one.
    pub number: Option<u32>,
    /// Milliseconds that are left; `None` for one that stays.
    pub left_ms: Option<u64>,
    /// Milliseconds that it was to last; `None` where that is not known, or for one that stays.
    pub whole_ms: Option<u64>,
    /// What somebody noted with it.
    pub comment: Option<String>,
}

impl Element {
    /// An address.
    pub fn of(address: IpAddr) -> Self {
        Self { first: address, last: address, number: None, left_ms: None, whole_ms: None, comment: None }
    }

    /// An address with the tag of a list.
    pub fn tagged(address: IpAddr, tag: u32) -> Self {
        Self { number: Some(tag), ..Self::of(address) }
    }

    /// An address with a port of TCP or UDP.
    pub fn with_port(end: SocketAddr) -> Self {
        let [high, low] = end.port().to_be_bytes();
        Self::tagged(end.ip(), u32::from_ne_bytes([high, low, 0, 0]))
    }

    /// All addresses of a prefix.
    pub fn within(prefix: Prefix) -> Self {
        Self { last: last_of(prefix), ..Self::of(prefix.network()) }
    }

    /// The same for so long.
    #[must_use]
    pub fn lasting(self, left_ms: u64) -> Self {
        Self { left_ms: Some(left_ms), ..self }
    }

    /// Whether it has an address in common with the other.
    pub fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether every address of the other is in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// The address or prefix, or from which to which.
    pub fn addresses(&self) -> String {
        self.prefix().map_or_else(|| format!("{}-{}", self.first, self.last), |prefix| prefix.to_string())
    }

    /// The prefix that has just these addresses, if there is one.
    fn prefix(&self) -> Option<Prefix> {
        let mut prefixes = (0..=128).rev().filter_map(|length| Prefix::holding(self.first, length));
        prefixes.find(|prefix| prefix.network() == self.first && last_of(*prefix) == self.last)
    }
}

/// The last address of a prefix.
fn last_of(prefix: Prefix) -> IpAddr {
    let length = u32::from(prefix.len());
    match prefix.network() {
        IpAddr::V4(first) => {
            let rest = u32::MAX.checked_shr(length).unwrap_or_default();
            Ipv4Addr::from_bits(first.to_bits() | rest).into()
        }
        IpAddr::V6(first) => {
            let rest = u128::MAX.checked_shr(length).unwrap_or_default();
            Ipv6Addr::from_bits(first.to_bits() | rest).into()
        }
    }
}

/// Whether a set's elements are intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Single addresses, each with what belongs to it.
    Points,
    /// Sources as lists count them that people manage: of IPv6, networks.
    Singles,
    /// From one address to another.
    Intervals,
}

/// Shows `each` element of a set, in no order, until it has seen enough.
pub fn walk(
    set: &str,
    shape: Shape,
    mut each: impl FnMut(Element) -> ControlFlow<()>,
) -> Result<(), TargetError> {
    let request = request(GET, 0, set, &[]);
    let mut pairs = Pairs::default();
    let mut stopped = false;
    let seen = netlink::walk(&request, |message| {
        for (_, element) in message.within(LIST_ELEMENTS) {
            let Some(found) = Found::of(Attributes(element)) else { continue };
            let found = match shape {
                Shape::Points => [Some(found.element), None],
                Shape::Singles => [Some(found.element.whole()), None],
                Shape::Intervals => pairs.add(found),
            };
            for element in found.into_iter().flatten() {
                if each(element).is_break() {
                    stopped = true;
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    });
    seen.map_err(|error| table::refused(set, error))?;
    match pairs.start {
        Some(open) if !stopped => drop(each(open.open_ended())),
        _ => {}
    }
    Ok(())
}

/// At most `most` elements of a set, and whether there are more.
pub fn some(set: &str, shape: Shape, most: usize) -> Result<(Vec<Element>, bool), TargetError> {
    let (mut found, mut more) = (vec![], false);
    walk(set, shape, |element| {
        more = found.len() >= most;
        if more {
            return ControlFlow::Break(());
        }
        found.push(element);
        ControlFlow::Continue(())
    })?;
    Ok((found, more))
}

/// What a set of single sources has for each of these, if it does.
pub fn get_singles(set: &str, sources: impl Iterator<Item = IpAddr>) -> Result<Vec<Element>, TargetError> {
    let requests = sources.map(|source| asking(set, &key(source, None)));
    let found = netlink::ask_each(requests, element_in).map_err(|error| table::refused(set, error))?;
    Ok(found.into_iter().map(|found| found.element.whole()).collect())
}

/// What a set has for this key, if it does.
pub fn get(set: &str, wanted: &Element) -> Result<Option<Element>, TargetError> {
    let found = get_one(set, &key(wanted.first, wanted.number))?;
    Ok(found.map(|found| found.element))
}

/// The interval that holds an address, if one does. The kernel tells where it begins; where it ends is
/// noted with it, for of intervals that touch the kernel confuses the ends (nft_set_rbtree.c,
/// `__nft_rbtree_get`, 6.18). Without a note, the whole set is walked.
pub fn holding(set: &str, address: IpAddr) -> Result<Option<Element>, TargetError> {
    let Some(start) = get_one(set, &key(address, None))? else { return Ok(None) };
    let first = start.element.first;
    if let Some(prefix) = start.length.and_then(|length| Prefix::holding(first, length)) {
        return Ok(Some(Element { last: last_of(prefix), ..start.element }));
    }
    let mut found = None;
    walk(set, Shape::Intervals, |element| {
        if element.first != first {
            return ControlFlow::Continue(());
        }
        found = Some(element);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn asking(set: &str, key: &[u8]) -> Request {
    let wanted = Bytes::default().put_all(KEY, &Bytes::default().put(ONE, key));
    request(GET, 0, set, &[wanted])
}

fn element_in(message: Attributes<'_>) -> Option<Found> {
    let (_, element) = message.within(LIST_ELEMENTS).next()?;
    Found::of(Attributes(element))
}

fn get_one(set: &str, key: &[u8]) -> Result<Option<Found>, TargetError> {
    match netlink::ask(&asking(set, key), element_in) {
        Ok(found) => Ok(found),
        // A set that is missing is told by the same number, so it is looked for.
        Err(Errno::NOENT) if table::has_set(set)? => Ok(None),
        Err(error) => Err(table::refused(set, error)),
    }
}

/// What is to be taken off a set, and put on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'c> {
    pub(super) set: &'c str,
    pub(super) shape: Shape,
    pub(super) old: &'c [Element],
    pub(super) new: &'c [Element],
}

impl Change<'_> {
    fn written(&self, kind: u16, flags: u16, elements: &[Element]) -> Vec<Request> {
        let written: Vec<Bytes> = elements.iter().flat_map(|element| element.written(self.shape)).collect();
        written.chunks(AT_ONCE).map(|part| request(kind, flags, self.set, part)).collect()
    }
}

/// Takes elements off a set and puts others on it, in one transaction. Says whether all that were to
/// be taken off were there; otherwise nothing is changed.
pub fn replace(set: &str, shape: Shape, old: &[Element], new: &[Element]) -> Result<bool, TargetError> {
    change(&[Change { set, shape, old, new }])
}

/// The same with several sets.
pub(super) fn change(changes: &[Change<'_>]) -> Result<bool, TargetError> {
    let deletions = changes.iter().flat_map(|change| change.written(DELETE, 0, change.old));
    let exclusive = CREATE | netlink::EXCLUSIVE;
    let additions = changes.iter().flat_map(|change| change.written(NEW, exclusive, change.new));
    let requests: Vec<Request> = deletions.chain(additions).collect();
    let sets = || changes.iter().filter(|change| !change.old.is_empty() || !change.new.is_empty());
    match netlink::change(&requests) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::EXIST | Errno::NOTEMPTY) => {
            for change in sets() {
                if !table::has_set(change.set)? {
                    return Err(table::refused(change.set, Errno::NOENT));
                }
            }
            Ok(false)
        }
        Err(error) => {
            let adding = sets().find(|change| !change.new.is_empty()).or_else(|| sets().next());
            Err(table::refused(adding.map_or(NAME, |change| change.set), error))
        }
    }
}

/// Elements that are added in one transaction. Each one costs the kernel some milliseconds.
pub(super) const MOST_IN_ONE: usize = 8192;

/// Attempts at what packets may change in between.
const ATTEMPTS: usize = 20;

/// Puts an element on a set of single addresses, in the place of what is there for its key.
pub fn put(set: &str, element: &Element) -> Result<(), TargetError> {
    for _ in 0..ATTEMPTS {
        let new = std::slice::from_ref(element);
        if replace(set, Shape::Points, &[], new)? || replace(set, Shape::Points, new, new)? {
            return Ok(());
        }
    }
    Err(TargetError::Restless(set.to_owned()))
}

/// Takes an element off a set of single addresses. Says whether it was there.
pub fn take(set: &str, element: &Element) -> Result<bool, TargetError> {
    replace(set, Shape::Points, std::slice::from_ref(element), &[])
}

/// What became of elements that were to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// They are in the set now.
    pub done: usize,
    /// There was something for their key already, or an interval that meets theirs. It was left alone.
    pub there: usize,
    /// The set was full.
    pub no_room: usize,
}

impl Added {
    fn and(self, other: Self) -> Self {
        Self {
            done: self.done + other.done,
            there: self.there + other.there,
            no_room: self.no_room + other.no_room,
        }
    }
}

/// Adds elements to a set, as many as it has room for, in as few transactions as it takes. What is there
/// stays as it is.
pub fn add(set: &str, shape: Shape, elements: &[Element]) -> Result<Added, TargetError> {
    let mut each = elements.chunks(MOST_IN_ONE);
    each.try_fold(Added::default(), |so_far, some| Ok(so_far.and(add_in_one(set, shape, some)?)))
}

fn add_in_one(set: &str, shape: Shape, elements: &[Element]) -> Result<Added, TargetError> {
    match replace(set, shape, &[], elements) {
        Ok(true) => Ok(Added { done: elements.len(), ..Added::default() }),
        Ok(false) => {
            let new = new_ones(set, elements)?;
            let there = elements.len() - new.len();
            let added = match there {
                0 => halves(set, shape, &new)?,
                _ if new.is_empty() => Added::default(),
                _ => add_in_one(set, shape, &new)?,
            };
            Ok(Added { there, ..Added::default() }.and(added))
        }
        Err(TargetError::Full(_)) => halves(set, shape, elements),
        Err(error) => Err(error),
    }
}

/// Those that the set has nothing for.
fn new_ones(set: &str, elements: &[Element]) -> Result<Vec<Element>, TargetError> {
    let mut new = vec![];
    for element in elements {
        if get(set, element)?.is_none() {
            new.push(element.clone());
        }
    }
    Ok(new)
}

/// Adds one half and then the other, of elements that cannot be added together; of one, tells why.
fn halves(set: &str, shape: Shape, elements: &[Element]) -> Result<Added, TargetError> {
    if elements.len() <= 1 {
        return match replace(set, shape, &[], elements) {
            Ok(true) => Ok(Added { done: elements.len(), ..Added::default() }),
            Ok(false) => Ok(Added { there: elements.len(), ..Added::default() }),
            Err(TargetError::Full(_)) => Ok(Added { no_room: elements.len(), ..Added::default() }),
            Err(error) => Err(error),
        };
    }
    let (first, rest) = elements.split_at(elements.len() / 2);
    let added = add(set, shape, first)?;
    let full = added.no_room > 0;
    let rest = if full { Added { no_room: rest.len(), ..Added::default() } } else { add(set, shape, rest)? };
    Ok(added.and(rest))
}

fn request(kind: u16, flags: u16, set: &str, elements: &[Bytes]) -> Request {
    let list = elements.iter().fold(Bytes::default(), |list, element| list.put_all(ONE, element));
    let named = Bytes::default().put_name(LIST_TABLE, NAME).put_name(LIST_SET, set);
    let attributes = if elements.is_empty() { named } else { named.put_all(LIST_ELEMENTS, &list) };
    Request { kind, family: INET, flags, attributes }
}

/// An address as a key, with a number as nft has marks: as the machine has it.
fn key(address: IpAddr, number: Option<u32>) -> Vec<u8> {
    let mut key = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    key.extend(number.into_iter().flat_map(u32::to_ne_bytes));
    key
}

impl Element {
    /// As the kernel takes it: an interval is two elements.
    fn written(&self, shape: Shape) -> Vec<Bytes> {
        let keyed = |key: &[u8]| Bytes::default().put_all(KEY, &Bytes::default().put(ONE, key));
        let mut element = keyed(&key(self.first, self.number));
        if let Some(left) = self.left_ms {
            element = element.put(TIMEOUT, &left.to_be_bytes());
        }
        let comment = self.comment.as_deref().map(|text| userdata(COMMENT_NOTE, text));
        let length = self.prefix().filter(|_| shape == Shape::Intervals);
        let length = length.map(|prefix| vec![LENGTH_NOTE, 1, prefix.len()]);
        let notes: Vec<u8> = comment.into_iter().chain(length).flatten().collect();
        if !notes.is_empty() {
            element = element.put(USERDATA, &notes);
        }
        let end = (shape == Shape::Intervals).then(|| after(self.last)).flatten();
        let end = end.map(|end| keyed(&key(end, None)).put(FLAGS, &INTERVAL_END.to_be_bytes()));
        std::iter::once(element).chain(end).collect()
    }

    /// All addresses of the single source that begins with this one.
    fn whole(self) -> Self {
        let bits = single_bits(Family::of(self.first));
        let prefix = Prefix::holding(self.first, bits).expect("no family has fewer bits");
        Self { last: last_of(prefix), ..self }
    }

    fn open_ended(self) -> Self {
        let last = match self.first {
            IpAddr::V4(_) => Ipv4Addr::BROADCAST.into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(u128::MAX).into(),
        };
        Self { last, ..self }
    }
}

/// The address after this one; `None` after the last.
fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// The address before this one, which ends an interval.
fn before(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits().saturating_sub(1)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().saturating_sub(1)).into(),
    }
}

/// An element as the kernel has it.
struct Found {
    element: Element,
    /// Of an interval that is a prefix, its length.
    length: Option<u8>,
    is_end: bool,
}

impl Found {
    /// `None` for one whose key is no address.
    fn of(attributes: Attributes<'_>) -> Option<Self> {
        let key = attributes.within(KEY).find(ONE)?;
        let (first, tag) = match key.len() {
            4 => (IpAddr::from(<[u8; 4]>::try_from(key).ok()?), None),
            8 => (IpAddr::from(<[u8; 4]>::try_from(key.get(..4)?).ok()?), key.get(4..)),
            16 => (IpAddr::from(<[u8; 16]>::try_from(key).ok()?), None),
            20 => (IpAddr::from(<[u8; 16]>::try_from(key.get(..16)?).ok()?), key.get(16..)),
            _ => return None,
        };
        let data = attributes.within(DATA).find(ONE);
        let number = tag.or(data).and_then(|bytes| Some(u32::from_ne_bytes(bytes.try_into().ok()?)));
        let (left_ms, whole_ms) = (attributes.long(EXPIRATION), attributes.long(TIMEOUT));
        let notes = attributes.find(USERDATA).unwrap_or_default();
        let comment = note(notes, COMMENT_NOTE).map(text);
        let length = note(notes, LENGTH_NOTE).and_then(|bytes| bytes.first().copied());
        let element = Element { first, last: first, number, left_ms, whole_ms, comment };
        Some(Self {
            element,
            length,
            is_end: attributes.number(FLAGS).unwrap_or_default() & INTERVAL_END != 0,
        })
    }
}

/// Makes intervals of beginnings and ends, whichever of the two the kernel shows first. An interval
/// up to the last address has no end.
#[derive(Default)]
struct Pairs {
    start: Option<Element>,
    end: Option<IpAddr>,
}

impl Pairs {
    fn add(&mut self, found: Found) -> [Option<Element>; 2] {
        let at = found.element.first;
        if found.is_end {
            let start = self.start.take();
            return match start {
                Some(start) if start.first < at => [Some(Element { last: before(at), ..start }), None],
                start => {
                    self.end = Some(at);
                    [start.map(Element::open_ended), None]
                }
            };
        }
        match self.end.take() {
            Some(end) if end > at => [Some(Element { last: before(end), ..found.element }), None],
            _ => [self.start.replace(found.element).map(Element::open_ended), None],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Element {
        Element::within(text.parse().unwrap())
    }

    #[test]
    fn prefixes_are_told_as_they_were_said() {
        for text in ["192.0.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::/64", "224.0.0.0/3", "192.0.2.7"] {
            assert_eq!(prefix(text).addresses(), text);
        }
        let odd = Element { last: "192.0.2.9".parse().unwrap(), ..Element::of("192.0.2.7".parse().unwrap()) };
        assert_eq!(odd.addresses(), "192.0.2.7-192.0.2.9");
    }

    #[test]
    fn beginnings_and_ends_make_the_same_intervals_in_either_order() {
        let wanted =
            [prefix("10.0.0.0/8"), prefix("192.0.2.7"), prefix("192.0.2.8/29"), prefix("224.0.0.0/3")];
        let mut found: Vec<(IpAddr, bool)> = vec![];
        for element in &wanted {
            found.push((element.first, false));
            found.extend(after(element.last).map(|end| (end, true)));
        }
        for turned in [false, true] {
            let mut pairs = Pairs::default();
            let mut made = vec![];
            for (at, is_end) in found.iter().copied() {
                made.extend(
                    pairs.add(Found { element: Element::of(at), length: None, is_end }).into_iter().flatten(),
                );
            }
            made.extend(pairs.start.map(Element::open_ended));
            made.sort_by_key(|element| element.first);
            assert_eq!(made, wanted, "turned: {turned}");
            found.reverse();
        }
    }
}
