//! Commands: in which menu they run, and what they are given.

use super::ast::{Argument, Command, Menu, Scope, Value};
use super::lexer::is_name;
use super::menus::{GLOBAL, Known, Meant, meant};
use super::parser::Parser;
use super::values::Reading;
use crate::diag::{At, Code, Diagnostic, Severity, Span, did_you_mean};

/// Arguments of one command.
const MAX_ARGUMENTS: usize = 1024;

impl Parser<'_> {
    /// `$name ...`, `[...] ...`, or an expression by itself.
    pub(super) fn call(&mut self) -> Option<Command> {
        let start = self.cursor.at;
        let value = self.value(Reading::default());
        let name = self.cursor.since(start);
        let name = At { value: name.strip_prefix('$').unwrap_or(name).to_owned(), span: value.span };
        let mut command = self.new_command(start, self.menu.clone(), Scope::Call, name);
        command.arguments.push(Argument::Plain(value));
        Some(self.finish(command))
    }

    /// `:name ...`.
    pub(super) fn global(&mut self) -> Option<Command> {
        let start = self.cursor.at;
        self.cursor.at += 1;
        let word_start = self.cursor.at;
        let word = self.cursor.eat_while(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let name = At { value: word.to_owned(), span: self.cursor.span_since(word_start) };
        if word.is_empty() {
            self.no_command(start);
            return None;
        }
        let known = GLOBAL.contains(&word);
        let scope = if known { Scope::Global } else { Scope::Unknown };
        let command = self.new_command(start, Menu::root(), scope, name);
        if !known {
            self.unknown_command(&command);
        }
        Some(self.finish(command))
    }

    pub(super) fn new_command(&self, start: usize, menu: Menu, scope: Scope, name: At<String>) -> Command {
        let span = self.cursor.span_since(start);
        Command { span, menu, scope, name, arguments: vec![], conditions: None }
    }

    /// Reads what the command is given. Brackets in it run in the menu of the command.
    pub(super) fn finish(&mut self, mut command: Command) -> Command {
        let here = (command.scope == Scope::Menu).then(|| command.menu.clone());
        let outer = here.map(|menu| std::mem::replace(&mut self.menu, menu));
        self.arguments(&mut command);
        if let Some(outer) = outer {
            self.menu = outer;
        }
        let end = self.cursor.since(command.span.start).trim_end().len();
        command.span.end = command.span.end.max(command.span.start + end);
        if command.takes_attributes() {
            self.rule_end = Some(self.cursor.at);
        }
        command
    }

    fn arguments(&mut self, command: &mut Command) {
        if command.scope == Scope::Menu && command.name.value == "find" {
            command.conditions = self.conditions(command);
            return;
        }
        loop {
            self.cursor.skip_blanks();
            if self.at_command_end() {
                match self.broken_line(command) {
                    true => continue,
                    false => return,
                }
            }
            if let Some((code, message)) = command.takes_no_more() {
                let here = self.cursor.span_since(self.cursor.at);
                self.report(Diagnostic::error(code, here, message));
                return self.skip_command();
            }
            match self.argument(command) {
                Ok(Argument::Plain(value))
                    if value.raw(self.text) == "where" && command.scope == Scope::Menu =>
                {
                    command.conditions = self.conditions(command);
                    return;
                }
                Ok(argument) => command.arguments.push(argument),
                Err(finding) => {
                    self.report(*finding);
                    return self.skip_command();
                }
            }
        }
    }

    fn argument(&mut self, command: &Command) -> Result<Argument, Box<Diagnostic>> {
        let start = self.cursor.at;
        if self.cursor.peek() == Some(b'#') {
            return Err(Box::new(
                Diagnostic::error(
                    Code::LeftOver,
                    self.cursor.span_since(start),
                    "a comment within a command",
                )
                .help("begin it on a line of its own, or after a `;`"),
            ));
        }
        if command.takes_attributes() && self.cursor.eat(b'!') {
            let name_start = self.cursor.at;
            let name = self.cursor.eat_while(is_name);
            let span = self.cursor.span_since(start);
            if !name.is_empty() && !self.cursor.eat(b'=') {
                let name = self.full_name(command, name, self.cursor.span_since(name_start));
                return Ok(Argument::Unset(At { span, ..name }));
            }
            self.cursor.at = start;
        }
        let name = self.cursor.eat_while(is_name);
        let name_span = self.cursor.span_since(start);
        if !name.is_empty() && self.cursor.eat(b'=') {
            let name = self.full_name(command, name, name_span);
            while self.cursor.skip_join() {}
            return self.set(command, name);
        }
        self.cursor.at = start;
        let braces_are_code = command.plain_braces_are_code();
        let value = self.value(Reading { braces_are_code, negatable: false });
        if !self.is_broken_word(command, &value) {
            self.fits(command, &value)?;
        }
        Ok(Argument::Plain(value))
    }

    pub(super) fn set(&mut self, command: &Command, name: At<String>) -> Result<Argument, Box<Diagnostic>> {
        let path = command.menu.path();
        let lacks = |absent: &&str| absent.split_once(' ') == Some((path, name.value.as_str()));
        if self.absent.iter().any(lacks) {
            let message = format!("this router's `{path}` has no attribute `{}`", name.value);
            return Err(Box::new(Diagnostic::error(Code::UnknownAttribute, name.span, message)));
        }
        let known = command.menu.known().filter(|_| command.takes_attributes());
        let negatable =
            known.and_then(|known| known.attribute(&name.value)).is_some_and(|known| known.negatable);
        let braces_are_code = command.braces_are_code(&name.value);
        let value = self.value(Reading { braces_are_code, negatable });
        Ok(Argument::Set { name, value })
    }

    /// The attribute that `written` is, or begins like.
    fn full_name(&mut self, command: &Command, written: &str, span: Span) -> At<String> {
        let as_written = At { value: written.to_owned(), span };
        let Some(known) = command.menu.known().filter(|_| command.takes_attributes()) else {
            return as_written;
        };
        let names = known.attributes().map(|attribute| attribute.name);
        match meant(written, names) {
            Meant::One(name) => return At { value: name.to_owned(), span },
            meant if self.wants(Severity::Error) => self.report(no_attribute(known, written, span, meant)),
            _ => {}
        }
        as_written
    }

    /// Whether the command takes one more value without a name.
    fn fits(&self, command: &Command, value: &Value) -> Result<(), Box<Diagnostic>> {
        let raw = value.raw(self.text);
        let left_over =
            |message: String| Err(Box::new(Diagnostic::error(Code::LeftOver, value.span, message)));
        if command.scope == Scope::Global && command.name.value == "find" && raw.contains('~') {
            return left_over("there are no items here to be found by an attribute".to_owned());
        }
        if command.takes_plain().is_none_or(|most| command.plain().count() < most) {
            return Ok(());
        }
        let known = command.menu.known().map(|known| known.attributes().map(|attribute| attribute.name));
        match known.map(|names| meant(raw, names)) {
            Some(Meant::One(name)) => left_over(format!("`{name}` is given no value")),
            _ => left_over("the command should end before this".to_owned())
                .map_err(|finding| Box::new(finding.help("a value with blanks in it needs quotes"))),
        }
    }
}

/// The longest name that is looked up among those like it.
const MAX_MISSPELT: usize = 64;

pub(super) fn meant_perhaps(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    if name.len() > MAX_MISSPELT { None } else { did_you_mean(name, known) }
}

fn no_attribute(known: &Known, written: &str, span: Span, meant: Meant) -> Diagnostic {
    let finding = |message| Diagnostic::error(Code::UnknownAttribute, span, message);
    if let Meant::Several(one, other) = meant {
        return finding(format!("`{written}` is short for more than one attribute"))
            .here(format!("for `{one}` or `{other}`, for instance"));
    }
    let finding = finding(format!("`{}` has no attribute `{written}`", known.path));
    match meant_perhaps(written, known.attributes().map(|attribute| attribute.name)) {
        Some(meant) => finding.replace(span, meant, format!("did you mean `{meant}`?")),
        None => finding,
    }
}

impl Command {
    /// Whether it is one that gives an item its attributes.
    pub(super) fn takes_attributes(&self) -> bool {
        self.scope == Scope::Menu && matches!(self.name.value.as_str(), "add" | "set")
    }

    pub(super) fn has_known_attributes(&self) -> bool {
        let known = |name: &str| self.menu.known().is_some_and(|known| known.attribute(name).is_some());
        self.arguments
            .iter()
            .any(|argument| matches!(argument, Argument::Set { name, .. } if known(&name.value)))
    }

    /// Why nothing more can be given to it, if so.
    fn takes_no_more(&self) -> Option<(Code, &'static str)> {
        match (self.scope, self.name.value.as_str(), self.arguments.len()) {
            (Scope::Global, "set", 2) => Some((Code::LeftOver, "a variable is set to one value")),
            (_, _, MAX_ARGUMENTS) => Some((Code::ScriptLimit, "a command with more than 1024 arguments")),
            _ => None,
        }
    }

    /// How many values without a name it takes; `None` where that is not known.
    fn takes_plain(&self) -> Option<usize> {
        match (self.scope, self.name.value.as_str(), self.menu.known()) {
            (Scope::Menu, "add", Some(_)) => Some(0),
            (Scope::Menu, "set" | "enable" | "disable" | "remove", Some(_)) => Some(1),
            (Scope::Menu, "move", Some(_)) => Some(2),
            _ => None,
        }
    }

    /// Whether `{` after it begins commands.
    fn plain_braces_are_code(&self) -> bool {
        self.scope == Scope::Global
            && matches!(self.name.value.as_str(), "do" | "retry" | "onerror" | "execute" | "parse")
    }

    /// Whether `{` after `name=` begins commands.
    fn braces_are_code(&self, name: &str) -> bool {
        matches!(name, "do" | "else" | "on-error" | "command" | "source" | "script")
            || name.starts_with("on-")
            || (name == "in" && self.name.value == "onerror")
    }
}
