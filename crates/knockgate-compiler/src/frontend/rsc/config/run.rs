//! What commands do.

use std::collections::{BTreeMap, HashMap};

use super::super::ast::{Argument, Command, Content, Row, Scope, Statement, Table, Value};
use super::super::findings::Findings;
use super::super::menus::known;
use super::items::{Items, put};
use super::order::{Place, Slot};
use super::which::{Unfound, no_item};
use super::{Config, Item, Set};
use crate::diag::{At, Code, Diagnostic, Severity, Span};

/// Items that are looked at, and bytes that are copied, in one run. A script of reasonable searches
/// needs far less; one that searches everything for each of many items would take hours.
const MAX_EFFORT: usize = 100_000_000;

/// Attributes that say what `add` and `set` do, rather than what an item has.
const NOT_HELD: &[&str] = &["place-before", "copy-from", "numbers"];

/// Why a router refuses a command.
pub(super) type Refusal = Box<Diagnostic>;

/// Statements being carried out.
pub(super) struct Run<'c> {
    config: &'c mut Config,
    pub(super) findings: Findings,
    pub(super) unfound: Unfound,
    /// How much effort is left; `None` when it was too little.
    left: Option<usize>,
}

/// Carries out statements, and says what is wrong with them.
pub(super) fn run_all(config: &mut Config, statements: &[Statement]) -> Vec<Diagnostic> {
    run_within(config, statements, MAX_EFFORT)
}

/// The same with another limit.
pub(super) fn run_within(config: &mut Config, statements: &[Statement], effort: usize) -> Vec<Diagnostic> {
    let (findings, unfound) = (Findings::default(), Unfound::default());
    let mut run = Run { config, findings, unfound, left: Some(effort) };
    if let Err(refusal) = run.statements(statements, false) {
        run.findings.push(*refusal);
    }
    let mut findings = run.findings;
    run.unfound.tell(&mut findings);
    config.menus.values_mut().for_each(Items::settle);
    findings.into_sorted(statements.last().map_or(0, |last| last.span().end))
}

impl Statement {
    fn span(&self) -> Span {
        match self {
            Self::Enter(menu) => menu.span,
            Self::Run(command) => command.span,
            Self::Block(block) => block.span,
            Self::Table(table) => table.span,
        }
    }
}

impl Run<'_> {
    /// Carries out statements. If errors are `caught`, the first ends it, as on routers. Otherwise each
    /// is told, and the rest is carried out to find more.
    fn statements(&mut self, statements: &[Statement], caught: bool) -> Result<(), Refusal> {
        for statement in statements {
            if self.left.is_none() {
                break;
            }
            match self.statement(statement, caught) {
                Err(refusal) if caught && refusal.code != Code::ScriptLimit => return Err(refusal),
                Err(refusal) => self.findings.push(*refusal),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    // The parser takes brackets to a limited depth, so this is not called within itself for long.
    fn statement(&mut self, statement: &Statement, caught: bool) -> Result<(), Refusal> {
        match statement {
            Statement::Enter(_) => Ok(()),
            Statement::Run(command) => self.command(command, caught),
            Statement::Block(block) => self.statements(&block.statements, caught),
            Statement::Table(table) => self.table(table),
        }
    }

    fn command(&mut self, command: &Command, caught: bool) -> Result<(), Refusal> {
        match (command.scope, command.name.value.as_str()) {
            (Scope::Menu, name) => match command.menu.known() {
                Some(known) => self.menu_command(known.path, name, command),
                None => Ok(()),
            },
            (Scope::Global, "do") => self.guarded(command, caught),
            (Scope::Global, "error") | (Scope::Unknown, _) if caught => {
                let message = "the script stops here";
                Err(Box::new(Diagnostic::error(Code::NotFollowed, command.span, message)))
            }
            _ => Ok(()),
        }
    }

    /// `:do { ... } on-error={ ... }`
    fn guarded(&mut self, command: &Command, caught: bool) -> Result<(), Refusal> {
        // A loop has none.
        let Some((body, handler)) = command.guarded() else { return Ok(()) };
        match handler {
            None => self.statements(body, caught),
            Some(handler) => self.statements(body, true).or_else(|_| self.statements(handler, caught)),
        }
    }

    fn menu_command(&mut self, path: &'static str, name: &str, command: &Command) -> Result<(), Refusal> {
        match name {
            "add" => self.add(path, command),
            "set" => self.set(path, command),
            "unset" => self.unset(path, command),
            "comment" => self.comment(path, command),
            "enable" => self.switch(path, command, None),
            "disable" => self.switch(path, command, Some("yes")),
            "remove" => self.remove(path, command),
            "move" => self.shift(path, command),
            "print" => self.print(path, command),
            _ => Ok(()),
        }
    }

    pub(super) fn items(&mut self, path: &'static str) -> &mut Items {
        self.config.menus.entry(path).or_insert_with(|| Items::new(path))
    }

    /// How much may still be done in this run.
    pub(super) fn left(&self) -> usize {
        self.left.unwrap_or_default()
    }

    /// Takes some of what may be done in one run.
    pub(super) fn spend(&mut self, effort: usize, span: Span) -> Result<(), Refusal> {
        self.left = self.left.and_then(|left| left.checked_sub(effort));
        match self.left {
            Some(_) => Ok(()),
            None => Err(Box::new(
                Diagnostic::error(Code::ScriptLimit, span, "the script searches and copies too much")
                    .here("nothing from here on is carried out"),
            )),
        }
    }

    fn add(&mut self, path: &'static str, command: &Command) -> Result<(), Refusal> {
        self.tell_duplicates(command);
        let mut attributes = match command.attribute("copy-from") {
            Some(value) => match self.one(path, value)? {
                Some(slot) => self.attributes_of(path, slot, value.span)?,
                None => return Ok(()),
            },
            None => Vec::with_capacity(command.arguments.len()),
        };
        give(&mut attributes, &command.arguments);
        let place = match command.attribute("place-before") {
            Some(value) => self.place(path, "place-before", value)?,
            None => Place::Last,
        };
        self.refuse_twins(path, None, &attributes, command.span)?;
        let id = self.config.new_id();
        self.items(path).add(Item { id, span: command.span, attributes }, place);
        Ok(())
    }

    fn set(&mut self, path: &'static str, command: &Command) -> Result<(), Refusal> {
        self.tell_duplicates(command);
        let slots = self.targets_of(path, command)?;
        self.change(path, slots, command.span, |attributes| give(attributes, &command.arguments))
    }

    fn unset(&mut self, path: &'static str, command: &Command) -> Result<(), Refusal> {
        let (items, name) = what_and(command, "value-name");
        let slots = self.targets(path, items.ok_or_else(|| which_items(command))?)?;
        let names = name.and_then(Value::text).unwrap_or_default();
        self.change(path, slots, command.span, |attributes| {
            attributes.retain(|set| !names.split(',').any(|name| name == set.name.value));
        })
    }

    fn comment(&mut self, path: &'static str, command: &Command) -> Result<(), Refusal> {
        let (items, comment) = what_and(command, "comment");
        let slots = self.targets(path, items.ok_or_else(|| which_items(command))?)?;
        let Some(comment) = comment else { return Ok(()) };
        let name = At { value: "comment".to_owned(), span: command.name.span };
        let set = Set { name, value: comment.clone() };
        self.change(path, slots, command.span, |attributes| put(attributes, set.clone()))
    }

    /// Sets `disabled`, or takes it away.
    fn switch(
        &mut self,
        path: &'static str,
        command: &Command,
        disabled: Option<&str>,
    ) -> Result<(), Refusal> {
        let slots = self.targets_of(path, command)?;
        self.change(path, slots, command.span, |attributes| match disabled {
            Some(value) => put(attributes, set_at("disabled", value, command.name.span)),
            None => attributes.retain(|set| set.name.value != "disabled"),
        })
    }

    fn remove(&mut self, path: &'static str, command: &Command) -> Result<(), Refusal> {
        let slots = self.targets_of(path, command)?;
        slots.into_iter().for_each(|slot| self.items(path).remove(slot));
        Ok(())
    }

    fn shift(&mut self, path: &'static str, command: &Command) -> Result<(), Refusal> {
        let (items, destination) = what_and(command, "destination");
        let slots = self.targets(path, items.ok_or_else(|| which_items(command))?)?;
        if slots.is_empty() {
            return Ok(());
        }
        let place = match destination {
            Some(value) => self.place(path, "destination", value)?,
            None => Place::Last,
        };
        slots.into_iter().for_each(|slot| self.items(path).shift(slot, place));
        Ok(())
    }

    fn print(&mut self, path: &'static str, command: &Command) -> Result<(), Refusal> {
        let slots = self.matching(path, command.conditions.as_ref(), command.span)?.unwrap_or_default();
        let items = self.items(path);
        let ids: Vec<_> = slots.into_iter().filter_map(|slot| items.item(slot)).map(|item| item.id).collect();
        items.number((0..).zip(ids).collect());
        Ok(())
    }

    /// The items that a command names without saying what it names them for.
    fn targets_of(&mut self, path: &'static str, command: &Command) -> Result<Vec<Slot>, Refusal> {
        let (items, _) = what_and(command, "");
        self.targets(path, items.ok_or_else(|| which_items(command))?)
    }

    fn change(
        &mut self,
        path: &'static str,
        slots: Vec<Slot>,
        span: Span,
        change: impl Fn(&mut Vec<Set>),
    ) -> Result<(), Refusal> {
        for slot in slots {
            let mut attributes = self.attributes_of(path, slot, span)?;
            change(&mut attributes);
            self.spend(size(&attributes), span)?;
            self.refuse_twins(path, Some(slot), &attributes, span)?;
            self.items(path).replace(slot, attributes);
        }
        Ok(())
    }

    /// A copy of what an item has.
    fn attributes_of(&mut self, path: &'static str, slot: Slot, span: Span) -> Result<Vec<Set>, Refusal> {
        let size = self.items(path).item(slot).map_or(0, |item| size(&item.attributes));
        self.spend(size, span)?;
        Ok(self.items(path).item(slot).map(|item| item.attributes.clone()).unwrap_or_default())
    }

    /// Refuses what is there already, unless it is in `slot`.
    fn refuse_twins(
        &mut self,
        path: &'static str,
        slot: Option<Slot>,
        attributes: &[Set],
        span: Span,
    ) -> Result<(), Refusal> {
        let items = self.items(path);
        let own = slot.and_then(|slot| items.item(slot)).map(|item| item.id);
        let holder = items.identity(attributes).and_then(|identity| items.holder(&identity));
        match holder.filter(|holder| Some(holder.id) != own) {
            None => Ok(()),
            Some(holder) => Err(Box::new(
                Diagnostic::error(Code::AlreadyThere, span, "a router has this already, and refuses it")
                    .and_at(holder.span, "it was added here")
                    .note("routers say `failure: already have such entry`, and a script stops there"),
            )),
        }
    }

    fn tell_duplicates(&mut self, command: &Command) {
        let mut seen = HashMap::with_capacity(command.arguments.len());
        for argument in &command.arguments {
            let Argument::Set { name, .. } = argument else { continue };
            match seen.get(name.value.as_str()) {
                None => drop(seen.insert(name.value.as_str(), argument.span())),
                Some(first) if self.findings.wants(Severity::Error) => {
                    let message = format!("`{}` is given twice, and can have one value only", name.value);
                    let finding = Diagnostic::error(Code::DuplicateAttribute, argument.span(), message);
                    self.findings.push(finding.and_at(*first, "the first time"));
                }
                Some(_) => {}
            }
        }
    }

    fn table(&mut self, table: &Table) -> Result<(), Refusal> {
        let Some(known) = table.menu.known() else { return Ok(()) };
        let mut numbers = BTreeMap::new();
        for row in &table.rows {
            if let Some(id) = self.row(known.path, row) {
                numbers.insert(row.number.value, id);
            }
        }
        if !table.rows.is_empty() {
            self.items(known.path).number(numbers);
        }
        Ok(())
    }

    /// Takes in an item that a router shows, and returns its id.
    fn row(&mut self, path: &'static str, row: &Row) -> Option<u32> {
        // What a router makes by itself is no part of what it is told, except for what rules have put
        // on a list.
        if row.flags.contains('*') || (row.flags.contains('D') && !path.ends_with("/address-list")) {
            return None;
        }
        let mut attributes = vec![];
        give(&mut attributes, &row.attributes);
        // A router shows more than it can be told: packets, bytes.
        attributes.retain(|set| known(path).is_some_and(|menu| menu.attribute(&set.name.value).is_some()));
        if let Some(comment) = &row.comment {
            put(&mut attributes, set_at("comment", &comment.value, comment.span));
        }
        if row.flags.contains('X') {
            put(&mut attributes, set_at("disabled", "yes", row.number.span));
        }
        let items = self.items(path);
        if let Some(holder) = items.identity(&attributes).and_then(|identity| items.holder(&identity)) {
            return Some(holder.id);
        }
        let id = self.config.new_id();
        self.items(path).add(Item { id, span: row.span, attributes }, Place::Last);
        Some(id)
    }
}

/// Gives attributes to an item, or takes them away.
fn give(attributes: &mut Vec<Set>, arguments: &[Argument]) {
    for argument in arguments {
        match argument {
            Argument::Set { name, value } if !NOT_HELD.contains(&name.value.as_str()) => {
                put(attributes, Set { name: name.clone(), value: value.clone() });
            }
            Argument::Unset(name) => attributes.retain(|set| set.name.value != name.value),
            _ => {}
        }
    }
}

/// The items that a command names, and what it sets `name` to. Each may be given without its name, in
/// this order, and names may be shortened.
fn what_and<'a>(command: &'a Command, name: &str) -> (Option<&'a Value>, Option<&'a Value>) {
    let given = |full: &str| {
        command.arguments.iter().rev().find_map(|argument| match argument {
            Argument::Set { name, value } if !name.value.is_empty() && full.starts_with(&name.value) => {
                Some(value)
            }
            _ => None,
        })
    };
    let mut plain = command.plain();
    let items = given("numbers").or_else(|| plain.next());
    (items, given(name).or_else(|| plain.next()))
}

fn which_items(command: &Command) -> Refusal {
    let message = format!("`{}` is not told which items", command.name.value);
    Box::new(no_item(command.name.span, message))
}

fn set_at(name: &str, value: &str, span: Span) -> Set {
    let content = Content::Text(value.to_owned());
    Set { name: At { value: name.to_owned(), span }, value: Value { span, negated: false, content } }
}

/// Bytes of a copy, about.
fn size(attributes: &[Set]) -> usize {
    let one = |set: &Set| 16 + set.value.span.end.saturating_sub(set.value.span.start);
    attributes.iter().map(one).sum()
}
