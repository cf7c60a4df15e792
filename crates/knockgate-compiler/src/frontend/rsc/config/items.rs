//! The items of one menu.

use std::collections::{BTreeMap, HashMap};

use super::order::{Order, Place, Slot};
use super::{Item, Set};
use crate::net::{Prefix, PrefixError};

/// Attributes of one item. No menu has as many, and names that a menu does not have were refused.
const MAX_ATTRIBUTES: usize = 128;

/// The items of one menu. While commands are carried out they stay where they are kept, and their
/// order stands beside them.
#[derive(Clone, Debug)]
pub(super) struct Items {
    path: &'static str,
    kept: Vec<Item>,
    order: Order,
    /// Whether what is kept is not just what there is, in order.
    loose: bool,
    slots: HashMap<u32, Slot>,
    /// What can be there once only, and the id of the item that is it.
    taken: HashMap<Identity, u32>,
    /// Ids by the numbers that they were last shown with.
    numbers: BTreeMap<u32, u32>,
}

/// What no two items of a menu may share: list and address, or name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity(String, String);

impl Items {
    pub(super) fn new(path: &'static str) -> Self {
        Self {
            path,
            kept: vec![],
            order: Order::default(),
            loose: false,
            slots: HashMap::new(),
            taken: HashMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// All of them in order, once [`settle`](Self::settle) was called.
    pub(super) fn as_slice(&self) -> &[Item] {
        &self.kept
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn in_order(&self) -> impl Iterator<Item = (Slot, &Item)> {
        self.order.iter().filter_map(|slot| Some((slot, self.item(slot)?)))
    }

    pub(super) fn item(&self, slot: Slot) -> Option<&Item> {
        self.kept.get(slot as usize)
    }

    pub(super) fn with_id(&self, id: u32) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    /// What no other item may have of what `attributes` say.
    pub(super) fn identity(&self, attributes: &[Set]) -> Option<Identity> {
        let text = |name: &str| attributes.iter().find(|set| set.name.value == name)?.value.text();
        match self.path {
            "/ip/firewall/address-list" | "/ipv6/firewall/address-list" => {
                Some(Identity(text("list")?.to_owned(), plain_address(text("address")?)))
            }
            "/interface/list" => Some(Identity(text("name")?.to_owned(), String::new())),
            _ => None,
        }
    }

    /// The item that is it already.
    pub(super) fn holder(&self, identity: &Identity) -> Option<&Item> {
        self.item(self.with_id(*self.taken.get(identity)?)?)
    }

    pub(super) fn add(&mut self, item: Item, place: Place) {
        if let Some(identity) = self.identity(&item.attributes) {
            self.taken.insert(identity, item.id);
        }
        self.slots.insert(item.id, Slot::try_from(self.kept.len()).unwrap_or(Slot::MAX));
        self.kept.push(item);
        self.loose |= !self.order.add(place);
    }

    pub(super) fn replace(&mut self, slot: Slot, attributes: Vec<Set>) {
        self.release(slot);
        let identity = self.identity(&attributes);
        if let Some(item) = self.kept.get_mut(slot as usize) {
            item.attributes = attributes;
            self.taken.extend(identity.map(|identity| (identity, item.id)));
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.release(slot);
        let id = self.item(slot).map(|item| item.id);
        if id.is_some_and(|id| self.slots.remove(&id).is_some()) {
            self.order.take(slot);
            self.loose = true;
        }
    }

    pub(super) fn shift(&mut self, slot: Slot, place: Place) {
        if place != Place::Before(slot) {
            self.order.take(slot);
            self.order.put(slot, place);
            self.loose = true;
        }
    }

    fn release(&mut self, slot: Slot) {
        if let Some(identity) = self.item(slot).and_then(|item| self.identity(&item.attributes)) {
            self.taken.remove(&identity);
        }
    }

    /// Keeps just what there is, in order.
    pub(super) fn settle(&mut self) {
        if !std::mem::take(&mut self.loose) {
            return;
        }
        let mut kept: Vec<_> = std::mem::take(&mut self.kept).into_iter().map(Some).collect();
        let in_order = self.order.iter().filter_map(|slot| kept.get_mut(slot as usize)?.take());
        self.kept = in_order.collect();
        self.order = self.order.renumbered();
        self.slots = self.kept.iter().zip(0..).map(|(item, slot)| (item.id, slot)).collect();
    }

    pub(super) fn number_all(&mut self) {
        let ids: Vec<_> = self.in_order().map(|(_, item)| item.id).collect();
        self.number((0..).zip(ids).collect());
    }

    /// Forgets all numbers but these.
    pub(super) fn number(&mut self, numbers: BTreeMap<u32, u32>) {
        self.numbers = numbers;
    }

    /// Whether it was shown what has which number.
    pub(super) fn has_numbers(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// What was shown, and is still there, in the order of its numbers.
    pub(super) fn numbered_items(&self) -> impl Iterator<Item = (u32, &Item)> {
        self.numbers.iter().filter_map(|(number, id)| Some((*number, self.item(self.with_id(*id)?)?)))
    }

    pub(super) fn numbered(&self, number: u32) -> Option<Slot> {
        self.with_id(*self.numbers.get(&number)?)
    }
}

/// An address as it is kept: without host bits, and without a length that says nothing.
pub(super) fn plain_address(text: &str) -> String {
    match text.parse() {
        Ok(prefix) | Err(PrefixError::HostBits(prefix)) => Prefix::to_string(&prefix),
        Err(_) => text.to_owned(),
    }
}

/// Sets an attribute, in its old place if it was set before.
pub(super) fn put(attributes: &mut Vec<Set>, set: Set) {
    let room = attributes.len() < MAX_ATTRIBUTES;
    match attributes.iter_mut().find(|old| old.name.value == set.name.value) {
        Some(old) => *old = set,
        None if room => attributes.push(set),
        None => {}
    }
}
