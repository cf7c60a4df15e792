//! What is wrong with a text, where, and what to do about it.

mod catalogue;
mod fix;
mod render;
mod secret;

use std::borrow::Cow;
use std::ops::Range;

pub use catalogue::{CATALOGUE, Code, Entry};
pub use fix::{Fixed, fixed};
pub use render::{Style, to_json, to_text};
pub use secret::is_secret;

/// A range of bytes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.start..span.end
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its text.
    pub span: Span,
}

/// A text with a name, that positions are counted in, as it may be shown: without the passwords and
/// keys that are in it, which are not even kept.
#[derive(Debug)]
pub struct Source<'a> {
    name: &'a str,
    text: Cow<'a, str>,
    /// Where it had a password or key.
    secrets: Vec<Span>,
    /// Byte offset of the start of each line.
    lines: Vec<usize>,
}

/// Where something stands, counted from 1 as editors do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl<'a> Source<'a> {
    /// `name` is what messages call it, usually its path.
    pub fn new(name: &'a str, text: &'a str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(i, _)| i + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        let secrets = secret::secrets(text);
        Self { name, text: secret::starred(text, &secrets), secrets, lines }
    }

    /// The name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The text, with stars for its passwords and keys.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is said of a finding, as it may be told.
    pub fn message(&self, finding: &Diagnostic) -> String {
        self.discreet(finding).message.clone()
    }

    /// The finding as it may be told. One that is about a password or key could repeat it in its own
    /// words, so of those only the code, the place and what the code stands for are left.
    fn discreet<'f>(&self, finding: &'f Diagnostic) -> Cow<'f, Diagnostic> {
        let labels = std::iter::once(&finding.primary).chain(&finding.others).map(|label| label.span);
        let edits = finding.suggestions.iter().flat_map(|one| &one.edits).map(|edit| edit.span);
        if finding.code == Code::Secret || !labels.chain(edits).any(|span| self.has_secret(span)) {
            return Cow::Borrowed(finding);
        }
        let (code, severity, span) = (finding.code, finding.severity, finding.primary.span);
        let bare = Diagnostic::error(code, span, Entry::of(code).title);
        Cow::Owned(Diagnostic { severity, ..bare }.note("a password or key is there, which is not shown"))
    }

    /// Whether part of a password or key is at `span`.
    fn has_secret(&self, span: Span) -> bool {
        let next = self.secrets.partition_point(|secret| secret.end <= span.start);
        self.secrets.get(next).is_some_and(|secret| secret.start < span.end)
    }

    /// Line and column of a byte offset; past the end, those of the end.
    pub fn place(&self, offset: usize) -> Place {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        Place { line, column: self.text[start..offset].chars().count() + 1 }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// There will be no artifact.
    Error,
    /// It works, but perhaps not as meant, or less safely than it could.
    Warning,
}

/// A place with a few words on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// May be empty.
    pub text: String,
}

/// A replacement of part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty to insert.
    pub span: Span,
    /// By what.
    pub replacement: String,
}

/// A change that makes the finding go away, exact enough for a program to make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What it does.
    pub message: String,
    /// All to be made together.
    pub edits: Vec<Edit>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable; `knockgate explain` tells more of it.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// One sentence, without a final stop.
    pub message: String,
    /// Where.
    pub primary: Label,
    /// What else to look at.
    pub others: Vec<Label>,
    /// What else to know.
    pub notes: Vec<String>,
    /// What to do, in words.
    pub help: Vec<String>,
    /// What to do, exactly.
    pub suggestions: Vec<Suggestion>,
}

/// Bytes of a message.
const MAX_MESSAGE: usize = 500;

/// What is said, without its end when it repeats more of the text than anybody would read.
fn readable(text: impl Into<String>) -> String {
    let mut text = text.into();
    if text.len() > MAX_MESSAGE {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE));
        text.push('…');
    }
    text
}

impl Diagnostic {
    /// An error at `span`, with nothing said about it yet but `message`.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: readable(message),
            primary: Label { span, text: String::new() },
            others: vec![],
            notes: vec![],
            help: vec![],
            suggestions: vec![],
        }
    }

    /// The same as a warning.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// With words at the place itself.
    #[must_use]
    pub fn here(mut self, text: impl Into<String>) -> Self {
        self.primary.text = readable(text);
        self
    }

    /// With another place.
    #[must_use]
    pub fn and_at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.others.push(Label { span, text: readable(text) });
        self
    }

    /// With something to know.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(readable(text));
        self
    }

    /// With something to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(readable(text));
        self
    }

    /// With an exact replacement of the text at `span`.
    #[must_use]
    pub fn replace(mut self, span: Span, replacement: impl Into<String>, message: impl Into<String>) -> Self {
        let edits = vec![Edit { span, replacement: replacement.into() }];
        self.suggestions.push(Suggestion { message: readable(message), edits });
        self
    }
}

/// Whether any of them keeps an artifact from being made.
pub fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Bytes of a word that a slip is looked for in; the time that takes grows with their square.
const MAX_WORD: usize = 64;

/// Of `known`, the word that `word` is most likely a slip for, if any is close.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = |candidate: &str| strsim::damerau_levenshtein(word, candidate);
    if word.len() > MAX_WORD {
        return None;
    }
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= MAX_WORD)
        .map(|candidate| (close(candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = Source::new("x", "ab\nä=c\n");
        assert_eq!(source.place(0), Place { line: 1, column: 1 });
        assert_eq!(source.place(4), Place { line: 2, column: 1 });
        assert_eq!(source.place(5), Place { line: 2, column: 2 });
        assert_eq!(source.place(999), Place { line: 3, column: 1 });
    }

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["window", "grant", "knock"];
        assert_eq!(did_you_mean("windwo", known), Some("window"));
        assert_eq!(did_you_mean("grants", known), Some("grant"));
        assert_eq!(did_you_mean("colour", known), None);
    }

    #[test]
    fn no_slip_is_looked_for_in_long_words() {
        let (long, longer) = ("a".repeat(MAX_WORD), "a".repeat(MAX_WORD + 1));
        assert_eq!(did_you_mean(&long, [long.as_str()]), Some(long.as_str()));
        assert_eq!(did_you_mean(&longer, [long.as_str()]), None);
        assert_eq!(did_you_mean(&long, [longer.as_str()]), None);
    }

    #[test]
    fn all_that_is_said_is_cut_and_no_replacement_is() {
        let (long, span) = ("ä".repeat(MAX_MESSAGE), Span { start: 0, end: 0 });
        let finding = Diagnostic::error(Code::BadPort, span, &long)
            .here(&long)
            .and_at(span, &long)
            .note(&long)
            .help(&long)
            .replace(span, &long, &long);
        let suggestion = &finding.suggestions[0];
        let said = [&finding.message, &finding.primary.text, &finding.others[0].text];
        for text in said.into_iter().chain([&finding.notes[0], &finding.help[0], &suggestion.message]) {
            assert_eq!(*text, "ä".repeat(MAX_MESSAGE / 2) + "…");
        }
        assert_eq!(suggestion.edits[0].replacement, long);
    }

    #[test]
    fn only_findings_about_a_secret_lose_their_words() {
        let text = "add source=\"x password=hunter41\"\nadd port=1\n";
        let source = Source::new("x", text);
        let at = |part: &str| Span::from(text.find(part).map_or(0..0, |start| start..start + part.len()));
        let told = |part: &str| source.message(&Diagnostic::error(Code::BadPort, at(part), "words"));
        assert_eq!(told("port=1"), "words");
        assert_eq!(told("source"), "words");
        assert_ne!(told("hunter41"), "words");
    }
}
