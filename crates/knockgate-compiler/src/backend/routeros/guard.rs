//! A chain that is left when two lists hold at once.
//!
//! A rule can ask for one list only, and nothing that a chain finds out can make the chain that
//! jumped to it return. So the rules behind such a return are given the opposite as conditions of
//! their own, case by case.

use std::collections::BTreeSet;

use super::line::list_of;
use crate::program::{Condition, ListId};

/// Cases in which the rules that follow are for a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guard {
    /// Each a set of lists that must hold or must not. No packet is in two.
    cases: Vec<Case>,
}

type Case = Vec<Condition>;

/// Cases that a chain may have. Each use of a knock at another door doubles them.
const MAX_CASES: usize = 64;

impl Guard {
    /// Every packet.
    pub(super) fn open() -> Self {
        Self { cases: vec![vec![]] }
    }

    pub(super) fn is_open(&self) -> bool {
        *self == Self::open()
    }

    pub(super) fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The lists that cases are told apart by.
    pub(super) fn lists(&self) -> BTreeSet<ListId> {
        self.cases.iter().flatten().filter_map(list_of).collect()
    }

    /// Only for packets for which not all of `lists` hold; `None` if that has too many cases.
    pub(super) fn except(&self, lists: &[Condition]) -> Option<Self> {
        let mut cases = vec![];
        for case in &self.cases {
            let mut case = Some(case.clone());
            for list in lists {
                let Some(so_far) = &case else { break };
                cases.extend(and(so_far, &list.clone().negated()));
                case = and(so_far, list);
            }
        }
        simplify(&mut cases);
        (cases.len() <= MAX_CASES).then_some(Self { cases })
    }
}

/// The case and one list more, if both can be.
fn and(case: &Case, list: &Condition) -> Option<Case> {
    if case.contains(list) {
        return Some(case.clone());
    }
    if case.contains(&list.clone().negated()) {
        return None;
    }
    let mut case = case.clone();
    case.push(list.clone());
    case.sort_by_key(|condition| (list_of(condition), matches!(condition, Condition::Not(_))));
    Some(case)
}

/// Two cases that differ in one list, on it and not on it, are one.
fn simplify(cases: &mut Vec<Case>) {
    while let Some((one, other, case)) = pair(cases) {
        cases.remove(other);
        cases[one] = case;
    }
}

fn pair(cases: &[Case]) -> Option<(usize, usize, Case)> {
    cases.iter().enumerate().find_map(|(one, case)| {
        let (other, rest) = case.iter().enumerate().find_map(|(place, list)| {
            let mut turned = case.clone();
            turned[place] = list.clone().negated();
            let same = |other: &Case| other.len() == turned.len() && turned.iter().all(|c| other.contains(c));
            let other = cases.iter().position(same)?;
            let mut rest = case.clone();
            rest.remove(place);
            Some((other, rest))
        })?;
        // The first of the two finds the second.
        (one < other).then_some((one, other, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Builder;
    use std::num::NonZeroU32;

    fn lists(count: usize) -> Vec<ListId> {
        let mut builder = Builder::new(vec![]);
        let pool = builder.pool("p", NonZeroU32::MIN, true);
        (0..count).map(|nth| builder.timed_list(&nth.to_string(), pool, 128)).collect()
    }

    fn holds(case: &Case, listed: &BTreeSet<ListId>) -> bool {
        case.iter().all(|condition| match condition {
            Condition::Not(_) => !list_of(condition).is_some_and(|list| listed.contains(&list)),
            _ => list_of(condition).is_some_and(|list| listed.contains(&list)),
        })
    }

    #[test]
    fn a_packet_is_in_one_case_if_no_return_was_for_it_and_in_none_otherwise() {
        let lists = lists(5);
        let on = |nth: usize| Condition::Listed(lists[nth]);
        let off = |nth: usize| Condition::not_listed(lists[nth]);
        let returns = [vec![on(0), off(1)], vec![on(1), off(2)], vec![off(2), off(3), off(4)]];
        let mut guard = Guard::open();
        for all in &returns {
            guard = guard.except(all).unwrap();
        }
        for bits in 0..32 {
            let listed = (0..5).filter(|nth| bits & 1 << nth != 0).map(|nth| lists[nth]).collect();
            let left = returns.iter().any(|all| holds(all, &listed));
            let cases = guard.cases().iter().filter(|case| holds(case, &listed)).count();
            assert_eq!(cases, usize::from(!left), "{listed:?}");
        }
    }

    #[test]
    fn the_returns_of_one_knock_leave_two_cases() {
        let lists = lists(3);
        let on = |nth: usize| Condition::Listed(lists[nth]);
        let off = |nth: usize| Condition::not_listed(lists[nth]);
        let guard = Guard::open().except(&[on(0), off(1)]).and_then(|g| g.except(&[on(1), off(2)])).unwrap();
        assert_eq!(guard.cases(), [vec![off(0), off(1)], vec![on(1), on(2)]]);
    }

    #[test]
    fn too_many_cases_are_none() {
        let lists = lists(20);
        let mut guard = Some(Guard::open());
        for pair in lists.chunks(2) {
            let both = [Condition::Listed(pair[0]), Condition::Listed(pair[1])];
            guard = guard.and_then(|guard| guard.except(&both));
        }
        assert_eq!(guard, None);
    }
}
