//! From a program to a target's own language.

pub mod nft;
pub mod routeros;

use std::fmt;
use std::ops::RangeInclusive;

use crate::diag::{Code, Diagnostic, Span};
use crate::program::Origin;

/// What a target cannot say as the program means it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsayable {
    /// The target, by its name.
    pub target: &'static str,
    /// The words as they stand in the rule, or what the rule does.
    pub what: String,
    /// The rule.
    pub origin: Origin,
    /// A way out, if one is known.
    pub hint: Option<String>,
}

impl Unsayable {
    /// It as a finding at the place that the rule comes from.
    pub fn finding(&self) -> Diagnostic {
        let span = self.origin.span.unwrap_or(Span { start: 0, end: 0 });
        let message = format!("{} has nothing that means `{}`", self.target, self.what);
        let finding = Diagnostic::error(Code::Unsayable, span, message)
            .note(format!("the rule is {}", self.origin.what));
        match &self.hint {
            Some(hint) => finding.help(hint),
            None => finding,
        }
    }
}

/// A field of a header, as wide as this.
trait Number: Copy + Ord + fmt::Display + TryFrom<u32> + Into<u32> {
    const MAX: u32;
}

impl Number for u8 {
    const MAX: u32 = 0xff;
}

impl Number for u16 {
    const MAX: u32 = 0xffff;
}

/// The same numbers in ranges that neither overlap nor touch, for nft refuses those that do.
fn merged<T: Number>(ranges: &[RangeInclusive<T>]) -> Vec<RangeInclusive<T>> {
    let mut sorted: Vec<_> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_by_key(|range| *range.start());
    let mut found: Vec<RangeInclusive<T>> = vec![];
    for next in sorted {
        match found.last_mut() {
            Some(last) if (*next.start()).into() <= (*last.end()).into() + 1 => {
                *last = *last.start()..=*last.end().max(next.end());
            }
            _ => found.push(next),
        }
    }
    found
}
