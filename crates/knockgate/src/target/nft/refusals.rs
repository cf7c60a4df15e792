//! Additions that sets and maps had no room for. In a ruleset that counts, each stands between two counters:
//! nobody gets to the second whom there was no room for (nft_dynset.c, `nft_dynset_eval`).

use std::collections::BTreeMap;

use super::TargetError;
use super::netlink::Attributes;
use super::table;

/// Attributes and operations (linux/netfilter/nf_tables.h).
const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const COUNTER_PACKETS: u16 = 2;
const DYNSET_SET: u16 = 1;
const DYNSET_OPERATION: u16 = 3;
const DELETE: u32 = 2;

/// How often each of our sets and maps that packets fill has refused one since the rules were loaded, by its name.
pub fn refused() -> Result<BTreeMap<String, u64>, TargetError> {
    let mut refused = BTreeMap::<String, u64>::new();
    for (set, count) in table::rules(|rule| Some(of_rule(rule)))?.into_iter().flatten() {
        *refused.entry(set).or_default() += count;
    }
    Ok(refused)
}

fn of_rule(rule: Attributes<'_>) -> Vec<(String, u64)> {
    let expressions = rule.within(RULE_EXPRESSIONS).filter_map(|(_, expression)| {
        let expression = Attributes(expression);
        Part::of(expression.name(EXPRESSION_NAME)?, expression.within(EXPRESSION_DATA))
    });
    refusals(expressions)
}

/// What matters in a rule.
enum Part {
    Counter(u64),
    Addition(String),
}

impl Part {
    fn of(name: &str, data: Attributes<'_>) -> Option<Self> {
        match name {
            "counter" => data.long(COUNTER_PACKETS).map(Self::Counter),
            "dynset" if data.number(DYNSET_OPERATION) != Some(DELETE) => {
                data.name(DYNSET_SET).map(|set| Self::Addition(set.to_owned()))
            }
            _ => None,
        }
    }
}

/// The sets of a rule's additions that stand between two counters, with how often each refused.
fn refusals(parts: impl Iterator<Item = Part>) -> Vec<(String, u64)> {
    let mut found = vec![];
    let (mut attempts, mut addition) = (None, None);
    for part in parts {
        match part {
            Part::Counter(count) => {
                // Packets may have come in between the two readings.
                let refused = |(set, attempts): (String, u64)| (set, attempts.saturating_sub(count));
                found.extend(addition.take().map(refused));
                attempts = Some(count);
            }
            Part::Addition(set) => addition = attempts.take().map(|attempts| (set, attempts)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_between_two_counters_and_does_not_get_to_the_second_was_refused() {
        let adds = |set: &str| Part::Addition(set.to_owned());
        let of = |parts: Vec<Part>| refusals(parts.into_iter());
        let (count, found) = (Part::Counter, |set: &str, count| vec![(set.to_owned(), count)]);
        assert_eq!(of(vec![count(7), adds("seen4"), count(5)]), found("seen4", 2));
        // The first counts for its rule, before a condition of the addition alone.
        assert_eq!(of(vec![count(9), count(7), adds("seen4"), count(7)]), found("seen4", 0));
        // Of who is let in for a trial, only those are counted who are.
        assert!(of(vec![adds("rescued4"), count(5)]).is_empty());
        assert!(of(vec![count(7), adds("seen4")]).is_empty());
        assert_eq!(of(vec![count(4), adds("seen4"), count(5)]), found("seen4", 0), "one came in between");
    }
}
