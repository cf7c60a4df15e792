//! The commands of a script, wherever they stand.

use std::collections::{HashMap, HashSet};

use super::super::ast::{Argument, Command, Conditions, Content, Script, Statement, Value};
use super::super::config::Item;
use super::super::truth;
use crate::diag::{At, Span, is_secret};

/// What questions ask of commands.
#[derive(Debug, Default)]
pub(super) struct Commands<'a> {
    /// Those that add something, by where they begin.
    adds: HashMap<usize, &'a Command>,
    /// Names and values of attributes that are to be kept to oneself.
    pub(super) secrets: Vec<(&'a At<String>, &'a Value)>,
    /// Names of interfaces, as other menus have them.
    interfaces: HashSet<&'a str>,
    /// Words of all that is not understood here: other menus, and scripts.
    words: HashSet<&'a str>,
    /// Whether IPv6 is turned off.
    pub(super) no_ipv6: bool,
}

impl<'a> Commands<'a> {
    /// Those of `script`, which was read from `text`, of which it is not followed what `unknown` do.
    pub(super) fn of(script: &'a Script, text: &'a str, unknown: impl Iterator<Item = Span>) -> Self {
        let mut commands = Self::default();
        commands.statements(&script.statements);
        for span in unknown {
            commands.take_words(text.get(span.start..span.end).unwrap_or_default());
        }
        commands
    }

    /// The `add` that made `item`.
    pub(super) fn add(&self, item: &Item) -> Option<&'a Command> {
        self.adds.get(&item.span.start).copied().filter(|command| command.span == item.span)
    }

    /// Whether something that is not understood could speak of `name`.
    pub(super) fn mention(&self, name: &str) -> bool {
        let mut words = words(name).peekable();
        words.peek().is_some() && words.all(|word| self.words.contains(word))
    }

    /// Whether an interface is known to be called so.
    pub(super) fn has_interface(&self, name: &str) -> bool {
        self.interfaces.contains(name)
    }

    // Brackets are read to a limited depth, so these are not called within each other for long.
    fn statements(&mut self, statements: &'a [Statement]) {
        for statement in statements {
            match statement {
                Statement::Run(command) => self.command(command),
                Statement::Block(block) => self.statements(&block.statements),
                Statement::Enter(_) => {}
                Statement::Table(table) => {
                    for row in &table.rows {
                        row.attributes.iter().for_each(|argument| self.secret(argument));
                    }
                }
            }
        }
    }

    fn command(&mut self, command: &'a Command) {
        if command.name.value == "add" {
            self.adds.insert(command.span.start, command);
        }
        let known = command.menu.known().is_some();
        for argument in &command.arguments {
            self.secret(argument);
            match argument {
                Argument::Set { name, value } => {
                    self.value(value);
                    self.attribute(command, name, value, known);
                }
                Argument::Plain(value) => {
                    self.value(value);
                    if let Some(text) = value.text().filter(|_| !known) {
                        self.take_words(text);
                    }
                }
                Argument::Unset(_) => {}
            }
        }
        match &command.conditions {
            Some(Conditions::All(all)) => all.iter().for_each(|one| self.value(&one.value)),
            Some(Conditions::Other { statements, .. }) => self.statements(statements),
            None => {}
        }
    }

    fn attribute(&mut self, command: &Command, name: &At<String>, value: &'a Value, known: bool) {
        let Some(text) = value.text() else { return };
        match name.value.as_str() {
            "interface" => drop(self.interfaces.insert(text)),
            "name" if command.menu.path().starts_with("/interface") && !known => {
                self.interfaces.insert(text);
            }
            "disable-ipv6" => self.no_ipv6 |= truth(text) == Some(true),
            _ => {}
        }
        if !known {
            self.take_words(text);
        }
    }

    fn value(&mut self, value: &'a Value) {
        match &value.content {
            Content::Text(_) => {}
            Content::Result(statements)
            | Content::Element(statements, _)
            | Content::Block(statements)
            | Content::Computed(statements) => self.statements(statements),
        }
    }

    fn secret(&mut self, argument: &'a Argument) {
        if let Argument::Set { name, value } = argument
            && is_secret(&name.value)
            && value.text().is_some_and(|text| !text.is_empty())
        {
            self.secrets.push((name, value));
        }
    }

    fn take_words(&mut self, text: &'a str) {
        self.words.extend(words(text));
    }
}

/// What lists and chains could be called in `text`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || "\"'=;,(){}[]\\!$".contains(c);
    text.split(ends).filter(|word| !word.is_empty())
}
