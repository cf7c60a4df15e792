//! Findings as people and as machines read them.

use std::ops::Range;

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Patch, Renderer, Snippet, renderer::DecorStyle,
};
use serde_json::{Value, json};

use super::{Diagnostic, Label, Severity, Source, Span};

/// Whether text carries colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For files and pipes.
    Plain,
    /// For terminals.
    Coloured,
}

/// Findings with carets under the text they speak of, ending in a newline.
pub fn to_text(source: &Source<'_>, findings: &[Diagnostic], style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled().decor_style(DecorStyle::Ascii),
    };
    let mut text = String::new();
    for finding in findings {
        text.push_str(&renderer.render(&groups(source, &source.discreet(finding))));
        text.push_str("\n\n");
    }
    text
}

fn groups<'a>(source: &'a Source<'_>, finding: &'a Diagnostic) -> Vec<Group<'a>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let others = finding.others.iter().map(|label| (AnnotationKind::Context, label));
    let labels: Vec<_> = std::iter::once((AnnotationKind::Primary, &finding.primary)).chain(others).collect();
    let title = level.primary_title(finding.message.as_str()).id(finding.code.as_str());
    let mut first = match Excerpt::around(source, labels.iter().map(|(_, label)| label.span)) {
        Some(excerpt) => title.element(excerpt.marked(source, &labels)),
        None => title.elements(labels.iter().map(|label| alone(source, label))),
    };
    for (level, text) in remarks(finding) {
        first = first.element(level.message(text));
    }
    let suggested = finding.suggestions.iter().filter_map(|suggestion| {
        let excerpt = Excerpt::around(source, suggestion.edits.iter().map(|edit| edit.span))?;
        let patches = suggestion
            .edits
            .iter()
            .map(|edit| Patch::new(excerpt.within(edit.span), edit.replacement.as_str()));
        let snippet = excerpt.snippet(source).patches(patches);
        Some(Level::HELP.secondary_title(suggestion.message.as_str()).element(snippet))
    });
    std::iter::once(first).chain(suggested).collect()
}

/// A label too far from the others to be shown in one piece with them; its place alone where there
/// is nothing to be shown, or a line too long for it.
fn alone<'a>(source: &'a Source<'_>, label: &(AnnotationKind, &'a Label)) -> Element<'a> {
    let span = label.1.span;
    match Excerpt::around(source, std::iter::once(span)) {
        Some(excerpt) => excerpt.marked(source, std::slice::from_ref(label)).into(),
        None => {
            let place = source.place(span.start);
            Origin::path(source.name()).line(place.line).char_column(place.column).into()
        }
    }
}

/// The lines of a text that a finding speaks of: the renderer looks at every byte that it is given,
/// for every finding.
struct Excerpt<'a> {
    text: &'a str,
    /// Where it starts in the whole text.
    start: usize,
    /// The number of its first line.
    line: usize,
}

/// Bytes of an excerpt that people would still look at.
const MAX_EXCERPT: usize = 1 << 16;

impl<'a> Excerpt<'a> {
    /// The lines from the first of `spans` to the last, unless they are too many to be shown.
    fn around(source: &'a Source<'_>, spans: impl Iterator<Item = Span> + Clone) -> Option<Self> {
        let text = Some(source.text()).filter(|text| !text.is_empty())?;
        let first = spans.clone().map(|span| span.start).min()?.min(text.len());
        let last = spans.map(|span| span.end).max()?.min(text.len());
        let line = source.place(first).line;
        let start = source.lines[line - 1];
        let end = source.lines.get(source.place(last).line).copied().unwrap_or(text.len());
        (end - start <= MAX_EXCERPT).then(|| Self { text: &text[start..end], start, line })
    }

    fn snippet<T: Clone>(&self, source: &'a Source<'_>) -> Snippet<'a, T> {
        Snippet::source(self.text).path(source.name()).line_start(self.line)
    }

    fn marked(
        &self,
        source: &'a Source<'_>,
        labels: &[(AnnotationKind, &'a Label)],
    ) -> Snippet<'a, Annotation<'a>> {
        self.snippet(source).annotations(labels.iter().map(|(kind, label)| {
            let annotation = kind.span(self.within(label.span));
            if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
        }))
    }

    /// The part of `span` inside the excerpt, in whole characters: the renderer takes no other.
    fn within(&self, span: Span) -> Range<usize> {
        let at = |offset: usize| offset.saturating_sub(self.start).min(self.text.len());
        self.text.floor_char_boundary(at(span.start))..self.text.ceil_char_boundary(at(span.end))
    }
}

fn remarks(finding: &Diagnostic) -> impl Iterator<Item = (Level<'static>, &str)> {
    let notes = finding.notes.iter().map(|note| (Level::NOTE, note.as_str()));
    notes.chain(finding.help.iter().map(|help| (Level::HELP, help.as_str())))
}

/// Findings as a JSON array; lines and columns count from 1, byte offsets from 0.
pub fn to_json(source: &Source<'_>, findings: &[Diagnostic]) -> Value {
    let span = |span: Span| {
        let (start, end) = (source.place(span.start), source.place(span.end));
        json!({
            "file": source.name(),
            "line": start.line, "column": start.column,
            "end_line": end.line, "end_column": end.column,
            "start": span.start, "end": span.end,
        })
    };
    let label = |label: &Label| json!({ "at": span(label.span), "text": label.text });
    findings
        .iter()
        .map(|finding| source.discreet(finding))
        .map(|finding| {
            let suggestions: Vec<Value> = finding
                .suggestions
                .iter()
                .map(|suggestion| {
                    let edits: Vec<Value> = suggestion
                        .edits
                        .iter()
                        .map(|edit| json!({ "at": span(edit.span), "replacement": edit.replacement }))
                        .collect();
                    json!({ "message": suggestion.message, "edits": edits })
                })
                .collect();
            json!({
                "code": finding.code.as_str(),
                "severity": match finding.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "message": finding.message,
                "at": span(finding.primary.span),
                "label": finding.primary.text,
                "others": finding.others.iter().map(label).collect::<Vec<_>>(),
                "notes": finding.notes,
                "help": finding.help,
                "suggestions": suggestions,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Code;
    use super::*;

    fn shown(text: &str, span: Span) -> String {
        let finding = Diagnostic::error(Code::BadPort, span, "no").help("yes");
        to_text(&Source::new("x.toml", text), &[finding], Style::Plain)
    }

    #[test]
    fn a_finding_tells_line_and_column_of_the_whole_text() {
        let text = shown("a\nb\nc = d\ne\n", Span { start: 8, end: 9 });
        assert!(text.contains(" --> x.toml:3:5\n") && text.contains("3 | c = d\n  |     ^\n"), "{text}");
    }

    #[test]
    fn spans_inside_a_character_or_past_the_end_are_widened_or_cut() {
        for (start, end) in [(1, 2), (2, 3), (3, 3), (99, 100), (0, 99)] {
            let text = shown("ä\u{fffd}\n", Span { start, end });
            assert!(text.contains(" --> x.toml:"), "{text}");
        }
    }

    #[test]
    fn places_far_apart_are_shown_apart() {
        let text = format!("one\n{}two\n", "\n".repeat(MAX_EXCERPT));
        let start = text.len() - 4;
        let finding = Diagnostic::error(Code::BadPort, Span { start: 0, end: 3 }, "no")
            .and_at(Span { start, end: start + 3 }, "again");
        let shown = to_text(&Source::new("x.toml", &text), &[finding], Style::Plain);
        for part in [" x.toml:1:1\n", "| one\n", " x.toml:65538:1\n", "| two\n", "--- again"] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn a_line_too_long_to_be_shown_is_named_by_its_place() {
        let text = shown(&format!("a\n{}", "x".repeat(MAX_EXCERPT + 1)), Span { start: 5, end: 6 });
        assert!(text.len() < 200 && text.contains("--> x.toml:2:4") && text.contains("help: yes"), "{text}");
    }
}
