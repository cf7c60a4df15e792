//! Findings as people and as machines read them.

use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Patch, Renderer, Snippet, renderer::DecorStyle,
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
        text.push_str(&renderer.render(&groups(source, finding)));
        text.push_str("\n\n");
    }
    text
}

fn groups<'a>(source: &Source<'a>, finding: &'a Diagnostic) -> Vec<Group<'a>> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let snippet =
        Snippet::source(source.text()).path(source.name()).annotations(annotations(source, finding));
    let mut first = level.primary_title(finding.message.as_str()).id(finding.code.as_str()).element(snippet);
    for (level, text) in remarks(finding) {
        first = first.element(level.message(text));
    }
    let patches = finding.suggestions.iter().map(|suggestion| {
        let patches =
            suggestion.edits.iter().map(|edit| Patch::new(edit.span.into(), edit.replacement.as_str()));
        let snippet = Snippet::source(source.text()).path(source.name()).patches(patches);
        Level::HELP.secondary_title(suggestion.message.as_str()).element(snippet)
    });
    std::iter::once(first).chain(patches).collect()
}

fn annotations<'a>(source: &Source<'_>, finding: &'a Diagnostic) -> Vec<Annotation<'a>> {
    let mark = |kind: AnnotationKind, label: &'a Label| {
        let annotation = kind.span(within(source, label.span).into());
        if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
    };
    let others = finding.others.iter().map(|label| mark(AnnotationKind::Context, label));
    std::iter::once(mark(AnnotationKind::Primary, &finding.primary)).chain(others).collect()
}

/// The part of `span` inside the text: the renderer takes no other.
fn within(source: &Source<'_>, span: Span) -> Span {
    let end = source.text().len();
    Span { start: span.start.min(end), end: span.end.min(end) }
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
