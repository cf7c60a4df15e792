//! RouterOS (6.49 and 7): a script of rules that is imported on a router in use.
//!
//! [`shape()`] rewrites a program until each of its rules is exactly one rule of a router, and
//! [`print()`] writes those down. The shaped program is a program like any other, so the simulator
//! can be asked whether it means the same.
//!
//! - A rule is of one family, and has at most one of each matcher and one action. What is more
//!   than that is said in a chain of its own, behind a `return` for each thing that does not hold.
//! - Lists are only ever added to, so what takes a source off a list or moves it on a track is
//!   refused. A rule that adds an address prolongs an entry that is there (MikroTik manual,
//!   address-lists); where it must not, it is added for who is not listed.
//! - A switch is a jump for each arm, and a `return` behind them. Ports never change on the way,
//!   so no packet goes into two arms.
//! - All chains and lists are called `knockgate-...`, and each hook's chain gets one rule, which
//!   comes first. What does not come from outside goes on behind it to the owner's own rules.

mod actions;
mod guard;
mod line;
mod meet;
mod print;
mod refusals;
mod shape;
mod sketch;
mod table;
mod ways;

#[cfg(test)]
mod tests;

use std::fmt;

use super::Unsayable;
use crate::program::{Flaw, Origin, Program};

pub use print::{Script, print, uninstall};

/// What to say, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether what nobody is granted is dropped by a rule of ours. Without it the owner's own
    /// rules decide, and if none of them drops it, the router lets it through.
    pub final_drop: bool,
    /// Which commands the router has.
    pub version: Version,
}

/// A line of RouterOS versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 6.49.
    V6,
    /// 7.
    V7,
}

/// A program each rule of which a router can say, and what it means less exactly than what it was
/// made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaped {
    /// The program.
    pub program: Program,
    /// What is less exact.
    pub notes: Vec<Note>,
}

/// Something that a router does less exactly than the program says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The rule that drops what nobody is granted was left out.
    NoFinalDrop,
    /// The rule that drops what nobody is granted stands before the router's own rules.
    FinalDrop,
    /// IPv6 packets with extension headers are taken for those without.
    ExtensionHeaders,
    /// These lists hold single IPv6 addresses instead of networks.
    SingleAddresses(Vec<Box<str>>),
    /// Lists have no bound.
    Unbounded,
}

impl Note {
    /// What follows from the program's lists.
    fn of(program: &Program) -> Vec<Self> {
        let wide = program.lists().iter().filter(|list| list.timed.is_some_and(|timed| timed.v6_bits < 128));
        let wide: Vec<Box<str>> = wide.map(|list| list.name.clone()).collect();
        let single = (!wide.is_empty()).then_some(Self::SingleAddresses(wide));
        let unbounded = (!program.pools().is_empty()).then_some(Self::Unbounded);
        single.into_iter().chain(unbounded).collect()
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFinalDrop => f.write_str(
                "what nobody is granted goes on to the router's own rules; nothing is closed unless those drop it",
            ),
            Self::FinalDrop => f.write_str(
                "everything else from outside is dropped before the router's own rules: what it serves itself, \
                 such as WireGuard, IPsec, DNS or ping from outside, must be in `public` or behind a door, and \
                 accepts of your own below are not reached",
            ),
            Self::ExtensionHeaders => {
                f.write_str("an IPv6 packet with extension headers counts as a knock, as one without them does")
            }
            Self::SingleAddresses(lists) => {
                f.write_str("a router's rules list single IPv6 addresses, not their networks: ")?;
                match lists.split_first() {
                    Some((first, [])) => f.write_str(first),
                    Some((first, rest)) => write!(f, "{first} and {} more lists", rest.len()),
                    None => Ok(()),
                }
            }
            Self::Unbounded => {
                f.write_str("a router's lists have no bound: forged knocks fill its memory until they expire")
            }
        }
    }
}

/// The program as a router's rules, with the same meaning but for the notes; or everything in it
/// that they cannot say. Lists that people manage are left out: on a router, the owner's own rules
/// have them.
pub fn shape(program: &Program, options: Options) -> Result<Shaped, Vec<Unsayable>> {
    let program = &program.clone().left_alone();
    let (sketch, notes) = shape::draw(program, options).map_err(refusals::Refusals::into_list)?;
    let program = sketch.seal(program).map_err(|flaw| vec![unsealed(&flaw)])?;
    Ok(Shaped { program, notes })
}

/// The chains that hold parts of rules can make jumps too deep; no other flaw comes up.
fn unsealed(flaw: &Flaw) -> Unsayable {
    let origin = Origin { what: "a chain of the shaped program".into(), span: None };
    Unsayable { target: "RouterOS", what: flaw.to_string(), origin, hint: None }
}
