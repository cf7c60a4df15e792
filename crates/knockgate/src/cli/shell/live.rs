//! What of a program is in force on this host.

use std::collections::BTreeMap;

use knockgate::target::nft::{self, Applied, Count, Done, Saved, TargetError};
use knockgate_compiler::backend::nft::{Counted, Ruleset, print};
use knockgate_compiler::program::Program;

use super::super::input::live_rules;

/// Whether a program is in force.
pub(super) enum Force {
    /// Another one is, or none.
    Not,
    /// It is; and whether its rules count.
    Applied { counts: bool },
    /// It cannot be told, for this reason.
    Unknown(String),
}

pub(super) fn force(program: &Program) -> Force {
    let (Ok(plain), Ok(counting)) = (print(program), live_rules(program)) else { return Force::Not };
    match nft::observe() {
        Err(TargetError::NotPermitted) => Force::Unknown("only root can see what is in force".to_owned()),
        Err(error) => Force::Unknown(error.to_string()),
        Ok(found) => match found.fingerprint {
            Some(print) if print == plain.fingerprint => Force::Applied { counts: false },
            Some(print) if print == counting.fingerprint => Force::Applied { counts: true },
            _ => Force::Not,
        },
    }
}

/// What the rules of the shell are called when they are in force.
pub(super) const NAME: &str = "shell.rsc";

/// Puts a ruleset in force, made of `text` and what was said of it on the command line.
pub(super) fn apply(ruleset: Ruleset, text: &str, options: Vec<String>) -> Result<Done, TargetError> {
    let applied = Applied { name: NAME.to_owned(), text: text.to_owned(), options };
    nft::apply(&Saved { applied, ruleset })
}

/// What each rule has counted.
pub(super) fn counts() -> Result<BTreeMap<Counted, Count>, TargetError> {
    nft::counts()
}

/// An address that a rule put on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) list: String,
    pub(super) address: String,
    /// Whole seconds until it is gone.
    pub(super) left_s: u64,
}

/// Whether rules put anything on lists.
pub(super) fn has_timed(program: &Program) -> bool {
    program.lists().iter().any(|list| list.timed.is_some())
}

/// Those of one family that the kernel holds, by list and address.
pub(super) fn members(program: &Program, v6: bool) -> Result<Vec<Member>, TargetError> {
    let mut found = vec![];
    for list in program.lists() {
        let Some(timed) = list.timed else { continue };
        let set = format!("{}{}", program[timed.pool].name, if v6 { 6 } else { 4 });
        let (elements, _) = nft::some(&set, nft::Shape::Points, usize::MAX)?;
        found.extend(elements.into_iter().map(|element| {
            let left_s = element.left_ms.unwrap_or_default() / 1000;
            let member = |address: String| Member { list: list.name.to_string(), address, left_s };
            (element.first, member(element.first.to_string()))
        }));
    }
    found.sort_by(|(one, left), (other, right)| (&left.list, one).cmp(&(&right.list, other)));
    Ok(found.into_iter().map(|(_, member)| member).collect())
}
