//! RouterOS console commands, as routers export them and people paste them.
//!
//! Reading is total: whatever the text is, there is a script of what could be read, and a finding
//! for everything else. It takes time in proportion to the size of the text.

mod broken;
mod commands;
mod conditions;
mod findings;
mod lexer;
mod menus;
mod output;
mod parser;
mod print;
mod typed;
mod values;
mod way;

pub mod ast;
pub mod config;

pub use ast::Script;
pub use menus::{Attribute, KNOWN, Known};
pub use print::quoted;
pub use typed::{duration, items, range, truth};

use crate::diag::Diagnostic;

/// What `text` says, and what is wrong with it. The script is of use only as far as the findings
/// have no errors.
pub fn parse(text: &str) -> (Script, Vec<Diagnostic>) {
    parse_without(text, &[])
}

/// The same for a router that lacks some of what others have: the menus, `/zerotier`, and attributes,
/// `/interface/ethernet/switch/port default-vlan-id`, that are named in `absent`.
pub fn parse_without(text: &str, absent: &[&str]) -> (Script, Vec<Diagnostic>) {
    parser::Parser::new(text, absent).script()
}

#[cfg(test)]
mod tests;
