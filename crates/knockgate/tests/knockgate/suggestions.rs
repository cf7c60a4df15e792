//! What is suggested to people can be done, and helps.

use knockgate_compiler::diag::{CATALOGUE, Diagnostic, Suggestion};
use knockgate_compiler::frontend::toml::parse;

use crate::bad_policies;

fn applied(text: &str, suggestion: &Suggestion) -> String {
    let mut edits = suggestion.edits.clone();
    edits.sort_by_key(|edit| edit.span);
    let mut text = text.to_owned();
    for edit in edits.iter().rev() {
        text.replace_range(edit.span.start..edit.span.end, &edit.replacement);
    }
    text
}

/// How many suggestions were tried. Each must leave the text without its finding, and without a
/// new one of the same kind at that place.
fn try_all(text: &str) -> usize {
    let (_, findings) = parse(text);
    let suggestions = |finding: &Diagnostic| finding.suggestions.clone();
    let mut tried = 0;
    for finding in &findings {
        for suggestion in suggestions(finding) {
            let fixed = applied(text, &suggestion);
            let again = parse(&fixed).1;
            let same = |other: &&Diagnostic| {
                other.code == finding.code && other.primary.span.start == finding.primary.span.start
            };
            assert_eq!(again.iter().find(same), None, "{suggestion:?} was applied to\n{text}");
            tried += 1;
        }
    }
    tried
}

#[test]
fn every_suggestion_makes_its_finding_go_away() {
    let examples = CATALOGUE.iter().filter_map(|entry| entry.wrong).map(str::to_owned);
    let texts = examples.chain(bad_policies::all().into_iter().map(|bad| bad.text));
    let tried: usize = texts.map(|text| try_all(&text)).sum();
    assert!(tried > 40, "only {tried} suggestions were tried");
}
