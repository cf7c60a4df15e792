//! What is suggested, done.

use std::collections::BTreeMap;

use super::{Diagnostic, Edit, Suggestion};

/// A text after some of what was suggested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The text.
    pub text: String,
    /// The findings that were seen to, by their places among those that were given.
    pub made: Vec<usize>,
}

/// `text` with every suggestion made that is the only one of its finding and touches none made
/// before it; `None` if there is none. What is left is to be looked for anew in what comes out.
pub fn fixed(text: &str, findings: &[Diagnostic]) -> Option<Fixed> {
    let mut edits: BTreeMap<usize, &Edit> = BTreeMap::new();
    let mut made = vec![];
    for (nth, finding) in findings.iter().enumerate() {
        let [suggestion] = finding.suggestions.as_slice() else { continue };
        if changes(text, suggestion) && takes(&mut edits, suggestion) {
            made.push(nth);
        }
    }
    if made.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for edit in edits.values() {
        out.push_str(text.get(copied..edit.span.start).unwrap_or_default());
        out.push_str(&edit.replacement);
        copied = edit.span.end;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Some(Fixed { text: out, made })
}

/// Whether it can be made, and leaves something else than what there is.
fn changes(text: &str, suggestion: &Suggestion) -> bool {
    let old = |edit: &Edit| text.get(edit.span.start..edit.span.end);
    suggestion.edits.iter().all(|edit| old(edit).is_some())
        && suggestion.edits.iter().any(|edit| old(edit) != Some(&*edit.replacement))
}

/// Takes all edits of a suggestion, or none where one of them touches one that was taken.
fn takes<'f>(edits: &mut BTreeMap<usize, &'f Edit>, suggestion: &'f Suggestion) -> bool {
    let mut added = vec![];
    for edit in &suggestion.edits {
        let before = edits.range(..=edit.span.end).next_back();
        if before.is_some_and(|(_, other)| other.span.end >= edit.span.start) {
            edits.retain(|start, _| !added.contains(start));
            return false;
        }
        edits.insert(edit.span.start, edit);
        added.push(edit.span.start);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::{Code, Span};
    use super::*;

    fn finding(edits: &[(usize, usize, &str)]) -> Diagnostic {
        let mut finding = Diagnostic::error(Code::BadPort, Span { start: 0, end: 0 }, "no");
        let edit = |(start, end, text): &(usize, usize, &str)| Edit {
            span: Span { start: *start, end: *end },
            replacement: (*text).to_owned(),
        };
        let edits = edits.iter().map(edit).collect();
        finding.suggestions.push(Suggestion { message: String::new(), edits });
        finding
    }

    #[test]
    fn all_edits_of_a_suggestion_are_made_together() {
        let made = fixed("one two", &[finding(&[(4, 7, "1"), (0, 3, "22")])]).unwrap();
        assert_eq!((made.text.as_str(), made.made), ("22 1", vec![0]));
    }

    #[test]
    fn a_suggestion_that_touches_one_before_it_waits() {
        let findings =
            [finding(&[(0, 3, "1")]), finding(&[(5, 6, "x"), (3, 3, "!")]), finding(&[(4, 7, "2")])];
        let made = fixed("one two", &findings).unwrap();
        assert_eq!((made.text.as_str(), made.made), ("1 2", vec![0, 2]));
    }

    #[test]
    fn what_cannot_be_made_or_changes_nothing_is_left() {
        let mut either = finding(&[(0, 1, "x")]);
        either.suggestions.extend(finding(&[(0, 1, "y")]).suggestions);
        let odd = [finding(&[(0, 2, "\u{e4}")]), finding(&[(1, 2, "x")]), finding(&[(9, 10, "x")]), either];
        assert_eq!(fixed("\u{e4}", &odd), None);
        assert_eq!(fixed("", &[]), None);
    }
}
