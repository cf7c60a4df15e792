//! Lists that people manage: in each family a set of single sources, which a million of them make no slower,
//! and a set of networks, whose elements never overlap.
//!
//! Who puts something on such a list keeps it so that no two entries overlap in both sets together. Where
//! that would take long, or others change the list at the same time, they may: each entry counts for itself.

use std::net::IpAddr;
use std::ops::ControlFlow;

use knockgate_compiler::backend::nft::{set_name, single_bits, single_name};
use knockgate_compiler::net::{Family, Prefix};

use super::elements::{Change, Element, Shape, change, get_singles, holding, walk};
use super::{TargetError, table};

/// The members of such a list in one family.
#[derive(Debug)]
pub struct Managed {
    singles: String,
    networks: String,
    family: Family,
}

/// An entry of such a list, and the set that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What is on the list.
    pub element: Element,
    shape: Shape,
}

/// Entries that are taken off in one transaction.
const AT_ONCE: usize = 100;
/// Sources that are taken to be there where the kernel does not tell how many there are.
const FEW: u32 = 4096;
/// What looking for single sources may take before something is put on a list: about a second.
const SOON: u128 = 200_000;

/// How single sources of a prefix are looked for, and what that takes, in questions for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Each that could be there is asked for.
    Asking(u128),
    /// All that are there are looked through. The kernel shows some 500 at a time, and passes over those before
    /// from the beginning (netlink_dump; nft_set_hash.c, `nft_rhash_walk`).
    Walking(u128),
}

impl Look {
    fn at(could_be: u128, there: Option<u32>) -> Self {
        let there = u128::from(there.unwrap_or(FEW));
        let walking = there + there * there / 50_000;
        if could_be <= walking { Self::Asking(could_be) } else { Self::Walking(walking) }
    }

    fn takes_long(self) -> bool {
        let (Self::Asking(takes) | Self::Walking(takes)) = self;
        takes > SOON
    }
}

impl Managed {
    /// The list of this name.
    pub fn of(list: &str, family: Family) -> Self {
        Self { singles: single_name(list, family), networks: set_name(list, family), family }
    }

    /// Where a prefix is kept.
    fn shape_of(&self, who: Prefix) -> Shape {
        if who.len() == single_bits(self.family) { Shape::Singles } else { Shape::Intervals }
    }

    fn set_of(&self, shape: Shape) -> &str {
        if shape == Shape::Singles { &self.singles } else { &self.networks }
    }

    /// The entries that hold an address.
    pub fn holding(&self, address: IpAddr) -> Result<Vec<Element>, TargetError> {
        let mut found = self.singles_meeting(Prefix::host(address))?;
        found.extend(holding(&self.networks, address)?);
        Ok(found)
    }

    /// The entries that have an address in common with a prefix.
    pub fn meeting(&self, who: Prefix) -> Result<Vec<Kept>, TargetError> {
        let kept = |shape| move |element| Kept { element, shape };
        let singles = self.singles_meeting(who)?.into_iter().map(kept(Shape::Singles));
        let networks = self.networks_meeting(who)?.into_iter().map(kept(Shape::Intervals));
        Ok(singles.chain(networks).collect())
    }

    /// The entries that one for this prefix would stand for, or be held by. Single sources are left out where
    /// looking for them takes long: they stay beside it.
    pub fn in_the_way(&self, who: Prefix) -> Result<Vec<Kept>, TargetError> {
        if Look::at(self.singles_in(who), self.singles_there()?).takes_long() {
            let networks = self.networks_meeting(who)?.into_iter();
            return Ok(networks.map(|element| Kept { element, shape: Shape::Intervals }).collect());
        }
        self.meeting(who)
    }

    /// How many single sources a prefix has; one if it is a part of one.
    fn singles_in(&self, who: Prefix) -> u128 {
        let wider = single_bits(self.family).saturating_sub(who.len());
        1u128.checked_shl(wider.into()).unwrap_or(u128::MAX)
    }

    /// How many single sources there are, where the kernel tells.
    fn singles_there(&self) -> Result<Option<u32>, TargetError> {
        Ok(table::fill()?.get(&self.singles).and_then(|fill| fill.entries))
    }

    fn singles_meeting(&self, who: Prefix) -> Result<Vec<Element>, TargetError> {
        let bits = single_bits(self.family);
        let first = Prefix::holding(who.network(), bits).expect("no family has fewer bits").network();
        let count = self.singles_in(who);
        if count == 1 {
            return get_singles(&self.singles, std::iter::once(first));
        }
        match Look::at(count, self.singles_there()?) {
            Look::Asking(_) => get_singles(&self.singles, each_from(first, count, bits)),
            Look::Walking(_) => all_meeting(&self.singles, Shape::Singles, &Element::within(who)),
        }
    }

    /// Where a network holds the whole prefix, no other is looked at.
    fn networks_meeting(&self, who: Prefix) -> Result<Vec<Element>, TargetError> {
        let wanted = Element::within(who);
        let first = holding(&self.networks, wanted.first)?;
        if first.as_ref().is_some_and(|first| first.covers(&wanted)) || wanted.first == wanted.last {
            return Ok(first.into_iter().collect());
        }
        all_meeting(&self.networks, Shape::Intervals, &wanted)
    }

    /// Puts a prefix on the list that nothing is in the way of. Says whether that is so; otherwise nothing is
    /// changed.
    pub fn add(&self, who: Prefix, element: &Element) -> Result<bool, TargetError> {
        let shape = self.shape_of(who);
        let is_free = match shape {
            Shape::Singles => self.networks_meeting(who)?.is_empty(),
            _ => {
                let look = Look::at(self.singles_in(who), self.singles_there()?);
                look.takes_long() || self.singles_meeting(who)?.is_empty()
            }
        };
        if !is_free {
            return Ok(false);
        }
        let new = std::slice::from_ref(element);
        change(&[Change { set: self.set_of(shape), shape, old: &[], new }])
    }

    /// Puts a prefix on the list in the place of what is there. Says whether all of that still was; otherwise
    /// nothing is changed. Many single sources are taken off after it, when it stands for them.
    pub fn replace(&self, old: &[Kept], who: Prefix, element: &Element) -> Result<bool, TargetError> {
        let (singles, networks) = parted(old);
        let shape = self.shape_of(who);
        let new_in = |wanted| if shape == wanted { std::slice::from_ref(element) } else { &[] };
        let (now, later) =
            if singles.len() > AT_ONCE { (&[][..], &singles[..]) } else { (&singles[..], &[][..]) };
        let of = |shape, old| Change { set: self.set_of(shape), shape, old, new: new_in(shape) };
        if !change(&[of(Shape::Singles, now), of(Shape::Intervals, &networks)])? {
            return Ok(false);
        }
        self.take_of(Shape::Singles, later)?;
        Ok(true)
    }

    /// Takes entries off the list.
    pub fn take(&self, old: &[Kept]) -> Result<(), TargetError> {
        let (singles, networks) = parted(old);
        self.take_of(Shape::Singles, &singles)?;
        self.take_of(Shape::Intervals, &networks)
    }

    fn take_of(&self, shape: Shape, old: &[Element]) -> Result<(), TargetError> {
        let set = self.set_of(shape);
        let gone = |old| change(&[Change { set, shape, old, new: &[] }]);
        for some in old.chunks(AT_ONCE) {
            // One that has just ended by itself keeps the others.
            if !gone(some)? {
                for one in some {
                    gone(std::slice::from_ref(one))?;
                }
            }
        }
        Ok(())
    }
}

/// The elements of each of the two sets.
fn parted(kept: &[Kept]) -> (Vec<Element>, Vec<Element>) {
    let of = |singles: bool| {
        let some = kept.iter().filter(move |kept| (kept.shape == Shape::Singles) == singles);
        some.map(|kept| kept.element.clone()).collect()
    };
    (of(true), of(false))
}

fn all_meeting(set: &str, shape: Shape, wanted: &Element) -> Result<Vec<Element>, TargetError> {
    let mut found = vec![];
    walk(set, shape, |element| {
        if element.meets(wanted) {
            found.push(element);
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// So many networks of this length, from the first on, each by its first address.
fn each_from(first: IpAddr, count: u128, bits: u8) -> impl Iterator<Item = IpAddr> {
    (0..count).map(move |number| match first {
        IpAddr::V4(v4) => {
            let number = u32::try_from(number).expect("there are no more addresses");
            std::net::Ipv4Addr::from_bits(v4.to_bits() + (number << (32 - bits))).into()
        }
        IpAddr::V6(v6) => std::net::Ipv6Addr::from_bits(v6.to_bits() + (number << (128 - bits))).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_sources_are_looked_for_in_the_quicker_way() {
        assert_eq!(Look::at(256, Some(300)), Look::Asking(256));
        assert_eq!(Look::at(65_536, Some(300)), Look::Walking(301));
        assert_eq!(Look::at(256, None), Look::Asking(256));
        for (could_be, there, long) in [
            (1 << 24, 1_000_000, true),
            (1 << 16, 1_000_000, false),
            (1 << 24, 50_000, false),
            (1 << 64, 200_000, true),
        ] {
            assert_eq!(Look::at(could_be, Some(there)).takes_long(), long, "{could_be} {there}");
        }
    }

    #[test]
    fn single_sources_of_a_network_are_its_addresses_or_the_networks_that_stand_for_them() {
        let each = |first: &str, count, bits| {
            let all = each_from(first.parse().unwrap(), count, bits);
            all.map(|address| address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(each("255.255.255.254", 2, 32), ["255.255.255.254", "255.255.255.255"]);
        assert_eq!(each("2001:db8::", 3, 64), ["2001:db8::", "2001:db8:0:1::", "2001:db8:0:2::"]);
        assert_eq!(each("0.0.0.0", 1 << 20, 32).last().map(String::as_str), Some("0.15.255.255"));
    }
}
