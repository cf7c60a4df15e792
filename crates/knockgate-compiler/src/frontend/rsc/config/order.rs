//! Which item comes after which.

use std::collections::BTreeMap;

/// Where an item is kept, which says nothing of its place in the order.
pub(super) type Slot = u32;

/// Where an item goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// After all others.
    Last,
    /// Before another.
    Before(Slot),
    /// Before the one that has this number on the router, and is not known here.
    BeforeUnseen(u32),
}

/// A chain of items, in which everything takes the same time however long it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    links: Vec<Link>,
    first: Option<Slot>,
    last: Option<Slot>,
    /// For each unseen number, the last of those that stand before it.
    tails: BTreeMap<u32, Slot>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    before: Option<Slot>,
    after: Option<Slot>,
    /// The unseen number that it stands before. Numbers ascend along the chain, and those without
    /// one come last.
    unseen: Option<u32>,
}

impl Order {
    /// Puts in what has the next slot. Whether it is now the last.
    pub(super) fn add(&mut self, place: Place) -> bool {
        let slot = Slot::try_from(self.links.len()).unwrap_or(Slot::MAX);
        self.links.push(Link::default());
        self.put(slot, place)
    }

    /// Puts in what was taken out, or was never in. Whether it is now the last.
    pub(super) fn put(&mut self, slot: Slot, place: Place) -> bool {
        let (before, unseen) = match place {
            Place::Last => (self.last, None),
            Place::Before(other) => (self.link(other).before, self.link(other).unseen),
            Place::BeforeUnseen(number) => {
                let before = self.tails.range(..=number).next_back().map(|(_, slot)| *slot);
                self.tails.insert(number, slot);
                (before, Some(number))
            }
        };
        let after = match before {
            Some(before) => self.link(before).after,
            None => self.first,
        };
        self.join(before, Some(slot));
        self.join(Some(slot), after);
        if let Some(link) = self.links.get_mut(slot as usize) {
            link.unseen = unseen;
        }
        after.is_none()
    }

    /// Takes out what is in.
    pub(super) fn take(&mut self, slot: Slot) {
        let Link { before, after, unseen } = self.link(slot);
        self.join(before, after);
        if let Some(number) = unseen.filter(|number| self.tails.get(number) == Some(&slot)) {
            match before.filter(|before| self.link(*before).unseen == unseen) {
                Some(before) => self.tails.insert(number, before),
                None => self.tails.remove(&number),
            };
        }
    }

    /// From the first to the last.
    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        std::iter::successors(self.first, |slot| self.link(*slot).after)
    }

    /// The same chain where slots are numbered along it.
    pub(super) fn renumbered(&self) -> Self {
        let mut new = Self::default();
        for slot in self.iter() {
            let unseen = self.link(slot).unseen;
            // Numbers ascend along the chain, so each goes right behind the one before.
            new.add(unseen.map_or(Place::Last, Place::BeforeUnseen));
        }
        new
    }

    fn link(&self, slot: Slot) -> Link {
        self.links.get(slot as usize).copied().unwrap_or_default()
    }

    fn join(&mut self, before: Option<Slot>, after: Option<Slot>) {
        match before.and_then(|slot| self.links.get_mut(slot as usize)) {
            Some(link) => link.after = after,
            None => self.first = after,
        }
        match after.and_then(|slot| self.links.get_mut(slot as usize)) {
            Some(link) => link.before = before,
            None => self.last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(places: &[Place]) -> Order {
        let mut order = Order::default();
        for place in places {
            order.add(*place);
        }
        order
    }

    fn slots(order: &Order) -> Vec<Slot> {
        order.iter().collect()
    }

    #[test]
    fn what_goes_before_another_stands_right_before_it() {
        let order = order(&[Place::Last, Place::Last, Place::Before(1), Place::Before(0)]);
        assert_eq!(slots(&order), [3, 0, 2, 1]);
    }

    #[test]
    fn unseen_numbers_ascend_and_equal_ones_stay_in_turn() {
        let unseen = Place::BeforeUnseen;
        let order =
            order(&[Place::Last, unseen(4), unseen(1), unseen(1), Place::Before(1), unseen(4), unseen(0)]);
        assert_eq!(slots(&order), [6, 2, 3, 4, 1, 5, 0]);
    }

    #[test]
    fn what_is_taken_out_leaves_the_others_where_they_are() {
        let unseen = Place::BeforeUnseen;
        let mut order = order(&[unseen(1), unseen(1), unseen(2), Place::Last]);
        order.take(1);
        order.add(unseen(1));
        assert_eq!(slots(&order), [0, 4, 2, 3]);
        for slot in [0, 4, 2, 3] {
            order.take(slot);
        }
        assert_eq!(order.iter().next(), None);
        order.put(1, unseen(1));
        assert_eq!(slots(&order), [1]);
    }

    #[test]
    fn slots_are_renumbered_without_a_change_of_order() {
        let unseen = Place::BeforeUnseen;
        let mut order = order(&[Place::Last, unseen(2), unseen(1), Place::Before(1)]).renumbered();
        assert_eq!(slots(&order), [0, 1, 2, 3]);
        order.add(unseen(1));
        assert_eq!(slots(&order), [0, 4, 1, 2, 3]);
    }
}
