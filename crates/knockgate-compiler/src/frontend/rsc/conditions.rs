//! Which items `find` and `where` mean.

use super::ast::{Command, Condition, Conditions, Content, Relation, Statement, Value};
use super::lexer::is_name;
use super::menus::{Meant, SHOWN, meant};
use super::parser::Parser;
use super::values::Reading;
use crate::diag::{At, Span};

/// What stands between two conditions, or instead of one.
enum Part {
    One(Condition),
    And,
    Else,
}

impl Parser<'_> {
    /// Everything to the end of the command.
    pub(super) fn conditions(&mut self, command: &Command) -> Option<Conditions> {
        self.cursor.skip_blanks();
        let start = self.cursor.at;
        // Most searches have one condition, and a vector that grows by itself starts with room for four.
        let (mut all, mut simple, mut statements) = (Vec::with_capacity(1), true, vec![]);
        while !self.at_command_end() {
            match self.condition(command, &mut statements) {
                Part::One(condition) => all.push(condition),
                Part::And => {}
                Part::Else => simple = false,
            }
            self.cursor.skip_blanks();
        }
        let end = self.cursor.since(start).trim_end().len() + start;
        match simple {
            true if all.is_empty() => None,
            true => Some(Conditions::All(all)),
            false => {
                statements.extend(all.into_iter().flat_map(|one| one.value.content.into_statements()));
                Some(Conditions::Other { span: Span { start, end }, statements })
            }
        }
    }

    fn condition(&mut self, command: &Command, statements: &mut Vec<Statement>) -> Part {
        let start = self.cursor.at;
        if self.cursor.rest().starts_with("&&") {
            self.cursor.at += 2;
            return Part::And;
        }
        let not = self.cursor.eat(b'!');
        let name_start = self.cursor.at;
        let name = self.cursor.eat_while(is_name);
        match name {
            "and" | "where" if !not => return Part::And,
            "or" => return Part::Else,
            "" => {
                self.cursor.at = name_start;
                let value = self.value(Reading::default());
                statements.extend(value.content.into_statements());
                if self.cursor.at == start {
                    self.cursor.skip_character();
                }
                return Part::Else;
            }
            _ => {}
        }
        let name = At { value: shown_name(command, name), span: self.cursor.span_since(name_start) };
        self.compared(start, name, not)
    }

    /// A condition after its name.
    fn compared(&mut self, start: usize, name: At<String>, not: bool) -> Part {
        let after_name = self.cursor.at;
        self.cursor.skip_blanks();
        let Some(relation) = self.relation() else {
            self.cursor.at = after_name;
            if self.stands_alone() && !name.value.starts_with(|first: char| first.is_ascii_digit()) {
                let value = Value {
                    span: name.span,
                    negated: false,
                    content: Content::Text(if not { "no" } else { "yes" }.into()),
                };
                let span = self.cursor.span_since(start);
                return Part::One(Condition { span, name, relation: Relation::Equals, value });
            }
            return Part::Else;
        };
        self.cursor.skip_blanks();
        let value = self.value(Reading::default());
        match not {
            true => Part::Else,
            false => Part::One(Condition { span: self.cursor.span_since(start), name, relation, value }),
        }
    }

    /// Whether a name is a condition by itself: `disabled`.
    fn stands_alone(&self) -> bool {
        let mut next = self.cursor;
        next.skip_blanks();
        let word = next.eat_while(is_name);
        word != "in"
    }

    fn relation(&mut self) -> Option<Relation> {
        let (relation, length) = match (self.cursor.peek()?, self.cursor.peek_at(1)) {
            (b'!', Some(b'=')) => (Relation::Differs, 2),
            (b'<', Some(b'=')) => (Relation::AtMost, 2),
            (b'>', Some(b'=')) => (Relation::AtLeast, 2),
            (b'=', _) => (Relation::Equals, 1),
            (b'~', _) => (Relation::Matches, 1),
            (b'<', _) => (Relation::Less, 1),
            (b'>', _) => (Relation::Greater, 1),
            _ => return None,
        };
        self.cursor.at += length;
        Some(relation)
    }
}

/// The attribute that `written` is or begins like, or `written`.
fn shown_name(command: &Command, written: &str) -> String {
    let Some(known) = command.menu.known() else { return written.to_owned() };
    let names = known.attributes().map(|attribute| attribute.name).chain(SHOWN.iter().copied());
    match meant(written, names) {
        Meant::One(name) => name.to_owned(),
        _ => written.to_owned(),
    }
}
