//! Lines that were broken where no line may be broken.

use super::ast::{Argument, Command, Value};
use super::lexer::{is_blank, is_name};
use super::menus::{Meant, meant};
use super::parser::Parser;
use crate::diag::{At, Code, Diagnostic, Span};

impl<'a> Parser<'a> {
    /// Whether the command goes on below although its line does not say so. If so, that was told,
    /// and the cursor is where the command goes on.
    pub(super) fn broken_line(&mut self, command: &mut Command) -> bool {
        if !command.takes_attributes() || command.arguments.is_empty() || self.cursor.peek() != Some(b'\n') {
            return false;
        }
        let Some(below) = self.name_below() else { return false };
        let last = match command.arguments.last() {
            Some(Argument::Plain(value)) => Some(value),
            _ => None,
        };
        let broken = last.and_then(|value| Some((value.span, self.broken_word(command, value, &below)?)));
        match broken {
            Some((first, name)) => {
                let name = At { value: name, span: Span { start: first.start, end: below.span.end } };
                self.report(line_broken_within(&name, Span { start: first.end, end: below.span.start }));
                command.arguments.pop();
                self.cursor.at = below.span.end + 1;
                command.arguments.extend(self.set(command, name));
            }
            None => {
                let end = command.span.start + self.cursor.since(command.span.start).trim_end().len();
                let gap = Span { start: end, end: self.cursor.at };
                self.report(line_goes_on(below.span, gap));
                self.cursor.at = below.span.start;
            }
        }
        true
    }

    /// The `name` of a `name=` that the next line begins with.
    fn name_below(&self) -> Option<At<&'a str>> {
        let mut below = self.cursor;
        below.eat_while(is_blank);
        if !below.eat(b'\n') {
            return None;
        }
        below.eat_while(is_blank);
        let start = below.at;
        let value = below.eat_while(is_name);
        let span = below.span_since(start);
        (!value.is_empty() && below.peek() == Some(b'=')).then_some(At { value, span })
    }

    /// The attribute that `value`, the last word of a line, makes with the first one of the next.
    fn broken_word(&self, command: &Command, value: &Value, below: &At<&str>) -> Option<String> {
        if command.name.value == "set" && command.plain().all(|plain| plain.span == value.span) {
            // What is set, not what it is set to.
            return None;
        }
        let first = value.raw(self.text);
        let is_word = first.starts_with(|c: char| c.is_ascii_lowercase()) && first.bytes().all(is_name);
        let name = format!("{first}{}", below.value);
        match command.menu.known().filter(|_| is_word) {
            Some(known) => match meant(&name, known.attributes().map(|attribute| attribute.name)) {
                Meant::One(full) => Some(full.to_owned()),
                _ => None,
            },
            None => is_word.then_some(name),
        }
    }

    pub(super) fn is_broken_word(&self, command: &Command, value: &Value) -> bool {
        let below = self.name_below().filter(|_| command.takes_attributes());
        below.is_some_and(|below| self.broken_word(command, value, &below).is_some())
    }
}

/// `gap` is what is between the halves of `name`.
fn line_broken_within(name: &At<String>, gap: Span) -> Diagnostic {
    let first = Span { start: name.span.start, end: gap.start };
    Diagnostic::error(Code::BrokenLine, first, format!("the line is broken within `{}`", name.value))
        .here("the rest is on the next line")
        .replace(gap, "", "join the two lines")
}

/// `gap` is the end of the line above.
fn line_goes_on(rest: Span, gap: Span) -> Diagnostic {
    let message = "this goes on with the command above, which ended with its line";
    Diagnostic::error(Code::BrokenLine, rest, message).replace(gap, " \\", "let the line above go on")
}
