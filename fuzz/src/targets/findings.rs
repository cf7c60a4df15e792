//! What holds for the findings of every parser.

use std::ops::Range;

use knockgate_compiler::diag::{Diagnostic, Label, Source, Span, Style, Suggestion, to_json, to_text};

/// Bytes that one finding may have besides what it repeats of the text.
const OWN_WORDS: usize = 4096;
/// How often the findings together may repeat the text.
const REPEATED: usize = 8;
/// Suggestions of a case that are carried out.
const MOST_SUGGESTIONS: usize = 4;

/// Asserts that findings can be shown, and that there are `most` of them at most.
pub(super) fn check(text: &str, findings: &[Diagnostic], most: usize) {
    assert!(findings.len() <= most, "{} findings", findings.len());
    let said: usize = findings.iter().map(size).sum();
    assert!(said <= findings.len() * OWN_WORDS + text.len() * REPEATED, "findings of {said} bytes");
    for finding in findings {
        check_places(text, finding);
    }
    let source = Source::new("fuzz", text);
    to_text(&source, findings, Style::Plain);
    to_text(&source, findings, Style::Coloured);
    let json = to_json(&source, findings);
    assert_eq!(json.as_array().map(Vec::len), Some(findings.len()));
}

fn check_places(text: &str, finding: &Diagnostic) {
    let labels = std::iter::once(&finding.primary).chain(&finding.others).map(|label| label.span);
    let edits = finding.suggestions.iter().flat_map(|suggestion| &suggestion.edits).map(|edit| edit.span);
    for span in labels.chain(edits) {
        check_span(text, span, finding);
    }
}

/// Asserts that a span is some whole characters of the text.
pub(super) fn check_span(text: &str, span: Span, of: &dyn std::fmt::Debug) {
    assert!(text.get(Range::from(span)).is_some(), "no part of the text: {span:?} of {of:?}");
}

/// Asserts of some suggestions that a finding is gone once its suggestion is carried out.
pub(super) fn check_suggestions(text: &str, findings: &[Diagnostic], read: impl Fn(&str) -> Vec<Diagnostic>) {
    let suggestions =
        findings.iter().flat_map(|finding| finding.suggestions.iter().map(move |one| (finding, one)));
    for (finding, suggestion) in suggestions.take(MOST_SUGGESTIONS) {
        let mended = mended(text, suggestion);
        let is_there = |other: &Diagnostic| {
            (other.code, other.primary.span.start, &other.message)
                == (finding.code, finding.primary.span.start, &finding.message)
        };
        assert!(!read(&mended).iter().any(is_there), "{finding:?} is still there in\n{mended}");
    }
}

/// The text with a suggestion carried out.
fn mended(text: &str, suggestion: &Suggestion) -> String {
    let mut edits: Vec<_> = suggestion.edits.iter().collect();
    edits.sort_by_key(|edit| edit.span);
    assert!(edits.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start), "{suggestion:?}");
    let mut text = text.to_owned();
    for edit in edits.iter().rev() {
        text.replace_range(Range::from(edit.span), &edit.replacement);
    }
    text
}

fn size(finding: &Diagnostic) -> usize {
    let labels = std::iter::once(&finding.primary).chain(&finding.others).map(|Label { text, .. }| text);
    let remarks = finding.notes.iter().chain(&finding.help);
    let edits = finding.suggestions.iter().flat_map(|suggestion| &suggestion.edits);
    let replacements = edits.map(|edit| &edit.replacement);
    std::iter::once(&finding.message).chain(labels).chain(remarks).chain(replacements).map(String::len).sum()
}
