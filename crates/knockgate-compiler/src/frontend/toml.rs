//! The policy file. `docs/policy.md` is its reference.

mod decode;
mod document;
mod upkeep;
mod words;

use std::collections::BTreeSet;

use ::toml::de::DeTable;
use serde_json::{Value, json};

use crate::diag::{Code, Diagnostic, Span, has_errors};
use crate::policy::Policy;
use decode::{Decode, Decoder};
use document::Document;

/// Bytes that a policy file may have.
pub const MAX_BYTES: usize = 1 << 20;

/// Findings that are told of one file; what is left out is counted.
const MAX_FINDINGS: usize = 100;

/// The policy in `text`, unless something is wrong with it, and all that can be said about it.
/// A text longer than [`MAX_BYTES`] is refused unread.
pub fn parse(text: &str) -> (Option<Policy>, Vec<Diagnostic>) {
    if text.len() > MAX_BYTES {
        let message = format!("a policy has at most {MAX_BYTES} bytes, this text has {}", text.len());
        let finding = Diagnostic::error(Code::TooMany, Span { start: 0, end: 0 }, message);
        return (None, vec![finding.help("is this the right file?")]);
    }
    let (policy, mut findings) = read(text);
    findings.sort_by_key(|finding| (finding.primary.span, finding.code));
    // What is wrong with a default would be told for each door that has it.
    findings.dedup_by_key(|finding| (finding.primary.span, finding.code));
    if findings.len() > MAX_FINDINGS {
        // Errors first, so that a cut never hides the reason for a refusal.
        findings.sort_by_key(|finding| finding.severity);
        let more = findings.len() - MAX_FINDINGS;
        findings.truncate(MAX_FINDINGS);
        if let Some(last) = findings.last_mut() {
            last.notes.push(format!("{more} more findings are not shown"));
        }
    }
    (policy, findings)
}

fn read(text: &str) -> (Option<Policy>, Vec<Diagnostic>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut decoder = Decoder::new();
    for finding in duplicates(text, &errors).into_iter().chain(syntax_errors(text, &errors)) {
        decoder.report(finding);
    }
    let document = Document::decode_table(table.get_ref(), &mut decoder);
    let mut findings = decoder.finish();
    if has_errors(&findings) {
        return (None, less_consequences(findings, &headings(text, table.get_ref())));
    }
    let (policy, more) = document.into_draft(text.len()).check();
    findings.extend(more);
    (policy, findings)
}

const DUPLICATE: &str = "duplicate key";

/// What is there twice, less what only follows from a heading that is: the keys below it are then
/// there twice as well.
fn duplicates(text: &str, errors: &[::toml::de::Error]) -> Vec<Diagnostic> {
    let mut told_up_to = 0;
    let mut findings = vec![];
    for range in errors.iter().filter(|error| error.message().starts_with(DUPLICATE)).filter_map(|e| e.span())
    {
        if range.start < told_up_to {
            continue;
        }
        let line_start = text[..range.start].rfind('\n').map_or(0, |newline| newline + 1);
        if text[line_start..].starts_with('[') {
            told_up_to = text[range.end..].find("\n[").map_or(text.len(), |next| range.end + next);
        }
        let name = &text[range.clone()];
        findings.push(
            Diagnostic::error(Code::Duplicate, range.into(), format!("`{name}` is there twice"))
                .help("keep one of the two, or give one another name"),
        );
    }
    findings
}

/// In the order of their places, for some are said to be further up than the parser says.
fn syntax_errors(text: &str, errors: &[::toml::de::Error]) -> Vec<Diagnostic> {
    let mut syntax: Vec<_> = errors.iter().filter(|error| !error.message().starts_with(DUPLICATE)).collect();
    syntax.sort_by_key(|error| error.span().map_or(text.len(), |span| span.start));
    syntax.into_iter().map(|error| syntax_error(text, error)).collect()
}

fn syntax_error(text: &str, error: &::toml::de::Error) -> Diagnostic {
    let range = error.span().unwrap_or(text.len()..text.len());
    let what = error.message().lines().next().unwrap_or("it cannot be read");
    let finding = |span: Span| Diagnostic::error(Code::Syntax, span, format!("this is not TOML: {what}"));
    let word = &text[range.clone()];
    if what.starts_with("string values must be quoted") && !word.contains(['"', '\\']) {
        return finding(range.clone().into()).replace(range.into(), format!("\"{word}\""), "in quotes");
    }
    if what.starts_with("missing comma") {
        // The parser stands at what follows, which may be many lines further down.
        let end = text[..range.start].trim_end().len();
        return finding((end..end).into()).help("here a comma is missing, or the bracket that ends the list");
    }
    finding(range.into()).help("lines are `key = value` under `[table]` headings, with texts in quotes")
}

/// Where headings stand that the parser took as such.
fn headings(text: &str, table: &DeTable<'_>) -> BTreeSet<usize> {
    let tables = table.values().filter_map(|value| Some((value.span().start, value.get_ref().as_table()?)));
    let mut found = BTreeSet::new();
    for (start, inner) in tables {
        if text[start..].starts_with('[') {
            found.insert(start);
        }
        found.extend(headings(text, inner));
    }
    found
}

/// `findings` less those about a value that a syntax error is in, and those between it and the next
/// heading: what the parser makes of the text there is guesswork.
fn less_consequences(mut findings: Vec<Diagnostic>, headings: &BTreeSet<usize>) -> Vec<Diagnostic> {
    findings.sort_by_key(|finding| (finding.primary.span.start, finding.code));
    let is_syntax = |finding: &&Diagnostic| finding.code == Code::Syntax;
    let broken: BTreeSet<usize> =
        findings.iter().filter(is_syntax).map(|finding| finding.primary.span.start).collect();
    let mut sound_from = 0;
    findings.retain(|finding| {
        let Span { start, end } = finding.primary.span;
        let is_syntax = finding.code == Code::Syntax;
        // The parser makes up a value where one is missing, and gives it no place.
        let made_up = finding.code == Code::WrongType && start == end;
        let spared = is_syntax || (!made_up && broken.range(start..=end).next().is_none());
        let sound = start >= sound_from && spared;
        if sound && is_syntax {
            sound_from = headings.range(start + 1..).next().copied().unwrap_or(usize::MAX);
        }
        sound
    });
    findings
}

/// A JSON schema (draft 2020-12) of the policy file, for editors.
pub fn schema() -> Value {
    let mut schema = Document::schema();
    if let Value::Object(object) = &mut schema {
        object.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".into(), json!("Knockgate policy"));
    }
    schema
}
