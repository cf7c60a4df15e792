//! Which items `find` finds.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::super::ast::{Condition, Conditions, Relation};
use super::super::menus::SHOWN;
use super::super::typed::{duration, truth};
use super::Item;
use super::items::plain_address;

/// Conditions that can be held against items here.
pub(super) struct Search<'a>(Vec<Test<'a>>);

/// Why only a router can tell which items are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Untold(pub(super) &'static str);

struct Test<'a> {
    name: &'a str,
    relation: Relation,
    value: &'a str,
    /// For [`Relation::Matches`].
    pattern: Option<Pattern>,
}

impl<'a> Search<'a> {
    pub(super) fn new(conditions: Option<&'a Conditions>) -> Result<Self, Untold> {
        match conditions {
            None => Ok(Self(vec![])),
            Some(Conditions::All(all)) => Ok(Self(all.iter().map(Test::new).collect::<Result<_, _>>()?)),
            Some(Conditions::Other { .. }) => Err(Untold("conditions with more than `and` are not followed")),
        }
    }

    /// Whether it is about what ids items have.
    pub(super) fn asks_for_ids(&self) -> bool {
        self.0.iter().any(|test| test.name == ".id")
    }

    /// Whether it finds `item`.
    pub(super) fn finds(&self, item: &Item) -> Result<bool, Untold> {
        for test in &self.0 {
            if !test.holds(item)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// About how long it takes with `item`, in short comparisons.
    pub(super) fn effort(&self, item: &Item) -> usize {
        let text = |test: &Test<'_>| item.text(test.name).map_or(0, str::len) / 32;
        // Addresses are read anew each time.
        let reading = |test: &Test<'_>| if test.name == "address" { 16 } else { 1 };
        1 + self.0.iter().map(|test| reading(test) + text(test)).sum::<usize>()
    }
}

impl<'a> Test<'a> {
    fn new(condition: &'a Condition) -> Result<Self, Untold> {
        let name = condition.name.value.as_str();
        if SHOWN.contains(&name) && !["invalid", "dynamic", ".id"].contains(&name) {
            return Err(Untold("this is not in the script"));
        }
        let value = condition.value.text().ok_or(Untold("the value is worked out by the router"))?;
        let pattern = match condition.relation {
            Relation::Matches => {
                let what = "of regular expressions, only plain texts with `^` and `$` are followed";
                Some(Pattern::new(value).ok_or(Untold(what))?)
            }
            _ => None,
        };
        Ok(Self { name, relation: condition.relation, value, pattern })
    }

    fn holds(&self, item: &Item) -> Result<bool, Untold> {
        let shown =
            shown(item, self.name).ok_or(Untold("what it is held against is worked out by the router"))?;
        let order = |wanted: fn(Ordering) -> bool| wanted(compare(&shown, self.value));
        Ok(match self.relation {
            Relation::Equals => same(self.name, &shown, self.value),
            Relation::Differs => !same(self.name, &shown, self.value),
            Relation::Matches => self.pattern.as_ref().is_some_and(|pattern| pattern.is_in(&shown)),
            Relation::Less => order(Ordering::is_lt),
            Relation::AtMost => order(Ordering::is_le),
            Relation::Greater => order(Ordering::is_gt),
            Relation::AtLeast => order(Ordering::is_ge),
        })
    }
}

/// What a router shows of an attribute: where it was not set, its default, or nothing.
fn shown<'a>(item: &'a Item, name: &str) -> Option<Cow<'a, str>> {
    if let Some(value) = item.get(name) {
        let text = value.text()?;
        return Some(if value.negated { format!("!{text}").into() } else { text.into() });
    }
    Some(match name {
        "action" => "accept".into(),
        "dynamic" if item.get("timeout").is_some() => "yes".into(),
        "disabled" | "dynamic" | "invalid" | "log" => "no".into(),
        ".id" => format!("*{:X}", item.id).into(),
        _ => "".into(),
    })
}

fn same(name: &str, shown: &str, wanted: &str) -> bool {
    shown == wanted
        || truth(shown).is_some_and(|shown| truth(wanted) == Some(shown))
        || (name == "address" && plain_address(shown) == plain_address(wanted))
        || (name.ends_with("timeout") && duration(shown).is_some_and(|shown| duration(wanted) == Some(shown)))
}

/// By size where both are numbers or durations, otherwise by letter.
fn compare(shown: &str, wanted: &str) -> Ordering {
    let numbers = shown.parse::<u64>().ok().zip(wanted.parse().ok());
    let durations = || duration(shown).zip(duration(wanted));
    match numbers {
        Some((shown, wanted)) => shown.cmp(&wanted),
        None => durations().map_or_else(|| shown.cmp(wanted), |(shown, wanted)| shown.cmp(&wanted)),
    }
}

/// A regular expression that is a plain text, perhaps at the start or at the end.
#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    from_start: bool,
    to_end: bool,
}

impl Pattern {
    fn new(written: &str) -> Option<Self> {
        let (from_start, rest) = written.strip_prefix('^').map_or((false, written), |rest| (true, rest));
        let (mut text, mut to_end) = (String::new(), false);
        let mut characters = rest.chars();
        while let Some(character) = characters.next() {
            match character {
                '$' if characters.as_str().is_empty() => to_end = true,
                '\\' => text.push(characters.next().filter(char::is_ascii_punctuation)?),
                '.' | '[' | ']' | '(' | ')' | '*' | '+' | '?' | '{' | '}' | '|' | '^' | '$' => return None,
                _ => text.push(character),
            }
        }
        Some(Self { text, from_start, to_end })
    }

    fn is_in(&self, shown: &str) -> bool {
        match (self.from_start, self.to_end) {
            (true, true) => shown == self.text,
            (true, false) => shown.starts_with(&self.text),
            (false, true) => shown.ends_with(&self.text),
            (false, false) => shown.contains(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_texts_are_found_at_the_start_at_the_end_and_within() {
        let all = [
            ("^kno", "knock", true),
            ("^nock", "knock", false),
            ("ock$", "knock", true),
            ("kno$", "knock", false),
            ("^knock$", "knock", true),
            ("noc", "knock", true),
            ("a\\.b\\$", "xa.b$y", true),
            ("", "", true),
        ];
        for (pattern, text, found) in all {
            assert_eq!(Pattern::new(pattern).unwrap().is_in(text), found, "{pattern} {text}");
        }
    }

    #[test]
    fn other_regular_expressions_are_left_to_routers() {
        for pattern in ["a.b", "a|b", "[ab]", "a*", "a^", "$a", "\\d", "a\\"] {
            assert_eq!(Pattern::new(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn values_are_compared_as_what_they_are() {
        assert_eq!(compare("9", "10"), Ordering::Less);
        assert_eq!(compare("1m", "59s"), Ordering::Greater);
        assert_eq!(compare("b", "a"), Ordering::Greater);
        assert!(same("disabled", "true", "yes"));
        assert!(same("address", "192.0.2.9/24", "192.0.2.0/24"));
        assert!(!same("comment", "192.0.2.9/32", "192.0.2.9"));
        assert!(same("address-list-timeout", "1m", "60s"));
    }
}
