//! What a router holds after a script has run.
//!
//! Only commands in the menus of [`KNOWN`](super::KNOWN) are carried out, and of the script language
//! only blocks and `:do { ... } on-error={ ... }`. A router stops at the first command that it
//! refuses; here that is told, and the rest is carried out all the same, so that everything wrong is
//! told at once.

mod export;
mod find;
mod items;
mod order;
mod run;
mod which;

use std::collections::BTreeMap;

use super::ast::{Script, Statement, Value};
use super::typed::truth;
use crate::diag::{At, Diagnostic, Span};
use items::Items;
use run::run_all;

/// What a router holds, as far as a script has told it.
#[derive(Clone, Debug, Default)]
pub struct Config {
    menus: BTreeMap<&'static str, Items>,
    last_id: u32,
}

/// A rule, a list entry, a list, a member.
#[derive(Clone, Debug)]
pub struct Item {
    /// `*1A`: no other item of the config has it, not even in another menu.
    pub id: u32,
    /// The command, or the row of a table, that made it.
    pub span: Span,
    /// What it is given, `comment` and `disabled` among it, in the order written; each name once. What
    /// only says where it goes or what it is made from, such as `place-before`, is not among it.
    pub attributes: Vec<Set>,
}

/// What an attribute is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The attribute.
    pub name: At<String>,
    /// What it is set to.
    pub value: Value,
}

impl Item {
    /// What the attribute `name` is set to.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|set| set.name.value == name).map(|set| &set.value)
    }

    /// The text that `name` is set to, without its negation; `None` also where only a router could
    /// tell it.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    /// Whether an attribute is set to what only a router can work out.
    pub fn is_computed(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.text().is_none())
    }

    /// Whether it is there without effect.
    pub fn is_disabled(&self) -> bool {
        self.text("disabled").and_then(truth) == Some(true)
    }

    /// Its comment, if it has one.
    pub fn comment(&self) -> Option<&str> {
        self.text("comment").filter(|comment| !comment.is_empty())
    }
}

impl Config {
    /// What an empty router holds after all of `script`, and what is wrong with it beyond what the
    /// parser has said. Takes time in proportion to the size of the script.
    pub fn of(script: &Script) -> (Self, Vec<Diagnostic>) {
        let mut config = Self::default();
        let findings = run_all(&mut config, &script.statements);
        (config, findings)
    }

    /// Carries out one more statement. Takes time in proportion to what is held, unless the statement
    /// only adds to the end.
    pub fn run(&mut self, statement: &Statement) -> Vec<Diagnostic> {
        run_all(self, std::slice::from_ref(statement))
    }

    /// The items of `menu`, such as `/ip/firewall/filter`, in order, disabled ones included.
    pub fn items(&self, menu: &str) -> &[Item] {
        self.menus.get(menu).map_or(&[], Items::as_slice)
    }

    /// The menus that have items.
    pub fn menus(&self) -> impl Iterator<Item = (&'static str, &[Item])> {
        self.menus
            .iter()
            .map(|(path, items)| (*path, items.as_slice()))
            .filter(|(_, items)| !items.is_empty())
    }

    /// Gives the items of `menu` the numbers from 0 on, as `print` does. They keep them until the
    /// next time.
    pub fn remember_numbers(&mut self, menu: &str) {
        if let Some(items) = self.menus.get_mut(menu) {
            items.number_all();
        }
    }

    /// The items of `menu` that the last `print` there showed, with the numbers that it gave them.
    pub fn numbered(&self, menu: &str) -> impl Iterator<Item = (u32, &Item)> {
        self.menus.get(menu).into_iter().flat_map(Items::numbered_items)
    }

    /// A script that makes a router hold the same, as `/export compact` prints it. An item that has
    /// something only a router can work out is left out, with the line that routers put in such a
    /// place.
    pub fn export(&self) -> String {
        export::export(self)
    }

    fn new_id(&mut self) -> u32 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }
}

#[cfg(test)]
mod tests;
