//! Values: words, texts in quotes, and what only a router can work out.

use super::ast::{Content, Statement, Value};
use super::lexer::{Escape, is_bare, to_text};
use super::parser::Parser;
use crate::diag::{Code, Diagnostic, Severity, Span};

/// How a value is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// Braces hold commands, rather than a list.
    pub(super) braces_are_code: bool,
    /// A leading `!` turns the meaning around.
    pub(super) negatable: bool,
}

/// A value as far as it is read.
#[derive(Default)]
struct Pieces {
    bytes: Vec<u8>,
    statements: Vec<Statement>,
    computed: bool,
    count: usize,
}

impl Pieces {
    fn compute(&mut self, statements: Vec<Statement>) {
        self.computed = true;
        self.statements.extend(statements);
    }
}

impl Parser<'_> {
    /// The value that begins here; it may be empty.
    pub(super) fn value(&mut self, reading: Reading) -> Value {
        let start = self.cursor.at;
        let mut negated = reading.negatable && self.cursor.eat(b'!');
        let mut content = self.content(reading);
        if let Content::Text(text) = &mut content
            && reading.negatable
            && !negated
            && text.starts_with('!')
        {
            text.remove(0);
            negated = true;
        }
        Value { span: self.cursor.span_since(start), negated, content }
    }

    fn content(&mut self, reading: Reading) -> Content {
        let alone = self.bracket(reading);
        if alone.is_some() && self.at_value_end() {
            return alone.unwrap_or(Content::Text(String::new()));
        }
        let mut pieces = Pieces::default();
        if let Some(content) = alone {
            pieces.compute(content.into_statements());
        }
        while self.piece(&mut pieces) {}
        match pieces.computed {
            true => Content::Computed(pieces.statements),
            false => Content::Text(to_text(pieces.bytes)),
        }
    }

    fn at_value_end(&self) -> bool {
        let more = |byte| is_bare(byte) || matches!(byte, b'"' | b'$' | b'(' | b'[' | b'{');
        !self.cursor.peek().is_some_and(more)
    }

    /// What stands in brackets here.
    fn bracket(&mut self, reading: Reading) -> Option<Content> {
        let start = self.cursor.at;
        match self.cursor.peek()? {
            b'[' => Some(Content::Result(self.bracketed(self.menu.clone()))),
            b'{' if reading.braces_are_code => Some(Content::Block(self.bracketed(self.menu.clone()))),
            b'{' => Some(Content::Computed(self.expression())),
            b'(' => {
                let statements = self.expression();
                Some(match element_index(self.cursor.since(start)) {
                    Some(index) => Content::Element(statements, index),
                    None => Content::Computed(statements),
                })
            }
            _ => None,
        }
    }

    /// Adds the next piece of a value, if there is one.
    fn piece(&mut self, pieces: &mut Pieces) -> bool {
        let start = self.cursor.at;
        match self.cursor.peek() {
            Some(b'"') => self.string(pieces),
            Some(b'$') => self.substitution(pieces),
            Some(b'[' | b'(' | b'{') => {
                if let Some(content) = self.bracket(Reading::default()) {
                    pieces.compute(content.into_statements());
                }
            }
            Some(b'\\') if self.cursor.join().is_none() => self.escaped(pieces),
            Some(byte) if is_bare(byte) => {
                let word = self.cursor.eat_while(is_bare);
                pieces.bytes.extend_from_slice(word.as_bytes());
            }
            _ => return false,
        }
        pieces.count += 1;
        self.cursor.at > start
    }

    /// `"..."`, where it begins.
    fn string(&mut self, pieces: &mut Pieces) {
        let opener = self.cursor.at;
        self.cursor.at += 1;
        loop {
            let text = self.cursor.eat_while(|byte| !matches!(byte, b'"' | b'\\' | b'$'));
            pieces.bytes.extend_from_slice(text.as_bytes());
            match self.cursor.peek() {
                Some(b'"') => {
                    self.cursor.at += 1;
                    return;
                }
                Some(b'\\') => self.escaped(pieces),
                Some(_) => self.substitution(pieces),
                None => return self.unclosed_at_end(opener),
            }
        }
    }

    fn escaped(&mut self, pieces: &mut Pieces) {
        let start = self.cursor.at;
        match self.cursor.escape() {
            Escape::Byte(byte) => pieces.bytes.push(byte),
            Escape::Join => {}
            Escape::Unknown => {
                pieces.bytes.push(b'\\');
                self.unknown_escape(start);
            }
        }
    }

    fn unknown_escape(&mut self, start: usize) {
        if !self.wants(Severity::Warning) {
            return;
        }
        let what = self.cursor.character().map(String::from).unwrap_or_default();
        let span = Span { start, end: self.cursor.at + what.len() };
        let message = "a backslash before what needs none";
        let finding = Diagnostic::warning(Code::BadEscape, span, message).here("it is read as itself");
        self.report(finding.replace(span, format!("\\\\{what}"), "if a backslash is meant"));
    }

    /// `$name`, `$(...)`, `$[...]`, or a dollar sign that stands for itself.
    fn substitution(&mut self, pieces: &mut Pieces) {
        self.cursor.at += 1;
        match self.cursor.peek() {
            Some(b'(') => {
                let statements = self.expression();
                pieces.compute(statements);
            }
            Some(b'[') => {
                let statements = self.bracketed(self.menu.clone());
                pieces.compute(statements);
            }
            Some(byte) if byte.is_ascii_alphanumeric() => {
                self.cursor.eat_while(|byte| byte.is_ascii_alphanumeric());
                pieces.computed = true;
            }
            _ => pieces.bytes.push(b'$'),
        }
    }

    /// Steps over `(...)`, or a list in braces, and returns the commands in it.
    pub(super) fn expression(&mut self) -> Vec<Statement> {
        let opener = self.cursor.at;
        let Some(closing) = self.enter_bracket() else { return vec![] };
        let mut pieces = Pieces::default();
        loop {
            pieces.bytes.clear();
            match self.cursor.peek() {
                None => {
                    self.unclosed_at_end(opener);
                    break;
                }
                Some(byte @ (b')' | b']' | b'}')) => {
                    if self.leave_bracket(byte, closing, opener) {
                        break;
                    }
                }
                Some(b'\n') => self.skip_comment_lines(),
                Some(b'"' | b'$' | b'[' | b'(' | b'{') => {
                    self.piece(&mut pieces);
                }
                Some(b'\\') => {
                    self.cursor.escape();
                }
                Some(_) => self.cursor.skip_character(),
            }
        }
        self.close_bracket();
        pieces.statements
    }

    /// Past a line end and, in a list over several lines, a comment below it.
    fn skip_comment_lines(&mut self) {
        self.cursor.at += 1;
        self.cursor.skip_blanks();
        if self.cursor.peek() == Some(b'#') {
            self.cursor.skip_line();
        }
    }
}

impl Content {
    pub(super) fn into_statements(self) -> Vec<Statement> {
        match self {
            Self::Text(_) => vec![],
            Self::Result(statements)
            | Self::Element(statements, _)
            | Self::Block(statements)
            | Self::Computed(statements) => statements,
        }
    }
}

/// Bytes of an expression that may be the choice of one item.
const MAX_ELEMENT: usize = 4096;

/// The number in `([...]->0)`.
fn element_index(text: &str) -> Option<u32> {
    if text.len() > MAX_ELEMENT {
        return None;
    }
    let inner = text.strip_prefix('(')?.strip_suffix(')')?.trim();
    let (list, index) = inner.rsplit_once("->")?;
    let list = list.trim();
    let alone = list.starts_with('[') && list.ends_with(']') && list.matches('[').count() == 1;
    alone.then(|| index.trim().parse().ok()).flatten()
}
