//! RouterOS console commands, as routers export them and people paste them.
//!
//! Reading is total: whatever the text is, there is a script of what could be read, and a finding
//! for everything else. It takes time in proportion to the size of the text.

mod broken;
mod commands;
mod conditions;
mod findings;
pub mod interfaces;
mod lexer;
mod menus;
mod output;
mod parser;
mod print;
mod review;
mod typed;
mod values;
mod way;

pub mod ast;
pub mod complete;
pub mod config;
pub mod line;
pub mod rules;
pub mod table;
pub mod translate;

pub use crate::console::quoted;
pub use ast::Script;
pub use menus::{Attribute, KNOWN, Known};
pub use typed::{duration, items, range, truth};

use config::Config;
use review::Subject;
use translate::Options;

use crate::diag::{Diagnostic, has_errors};
use crate::program::Program;

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

/// A script with everything that could be made of it.
#[derive(Debug)]
pub struct Reading {
    /// What a router holds after it.
    pub config: Config,
    /// What its rules mean; `None` if there is an error among the findings.
    pub program: Option<Program>,
    /// What there is to say about it, in the order of the text.
    pub findings: Vec<Diagnostic>,
}

/// What `text` means.
pub fn read(text: &str, options: &Options) -> Reading {
    let (script, mut findings) = parse(text);
    let (config, carried_out) = Config::of(&script);
    findings.extend(carried_out);
    let (rules, misread) = rules::rules(&config);
    findings.extend(misread);
    let (program, mistranslated) = translate::translate(&config, &rules, options);
    findings.extend(mistranslated);
    let subject = Subject { text, script: &script, config: &config, rules: &rules, options };
    review::review(&subject, &mut findings);
    let program = program.filter(|_| !has_errors(&findings));
    let mut told = findings::Findings::default();
    findings.into_iter().for_each(|finding| told.push(finding));
    Reading { config, program, findings: told.into_sorted(text.len()) }
}

#[cfg(test)]
mod tests;
