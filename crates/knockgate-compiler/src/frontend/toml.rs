//! The policy file. `docs/policy.md` is its reference.

mod decode;
mod document;
mod words;

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
        return (None, vec![Diagnostic::error(Code::TooMany, Span { start: 0, end: 0 }, message)]);
    }
    let (policy, mut findings) = read(text);
    findings.sort_by_key(|finding| (finding.primary.span, finding.code));
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
    for finding in syntax_errors(text, &errors) {
        decoder.report(finding);
    }
    let document = Document::decode_table(table.get_ref(), &mut decoder);
    let mut findings = decoder.finish();
    if has_errors(&findings) {
        return (None, findings);
    }
    let (policy, more) = document.into_draft(text.len()).check();
    findings.extend(more);
    (policy, findings)
}

/// What the parser says, less what only follows from a heading that is there twice: the keys below
/// it are then there twice as well.
fn syntax_errors(text: &str, errors: &[::toml::de::Error]) -> Vec<Diagnostic> {
    let mut told_up_to = 0;
    let mut findings = vec![];
    for error in errors {
        let range = error.span().unwrap_or(text.len()..text.len());
        if !error.message().starts_with("duplicate key") {
            let first_line = error.message().lines().next().unwrap_or("it cannot be read");
            let message = format!("this is not TOML: {first_line}");
            findings.push(Diagnostic::error(Code::Syntax, range.into(), message));
            continue;
        }
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

/// A JSON schema (draft 2020-12) of the policy file, for editors.
pub fn schema() -> Value {
    let mut schema = Document::schema();
    if let Value::Object(object) = &mut schema {
        object.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".into(), json!("Knockgate policy"));
    }
    schema
}
