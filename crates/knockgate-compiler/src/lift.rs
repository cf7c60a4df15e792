//! From a program back to doors, where its rules have the shape of some.
//!
//! Rules are not compared with patterns. Every kind of packet that the program tells apart is walked
//! through it: which rules put its source on which list, and what that takes. From a list that opens
//! something, that leads back to the first knock, in whatever order and chains the rules stand. Then
//! the sequence is played, right and wrong, and only what opens so is a door.

mod class;
mod doors;
mod rest;
mod scene;
mod services;
mod survey;
mod text;
mod traps;
mod walk;
mod whole;
mod wrong;

use std::collections::BTreeSet;

use crate::net::{Endpoint, Interface, Prefix};
use crate::policy::{ServiceDraft, Wrong};
use crate::program::{Origin, Program};
use crate::time::Lifetime;

pub(crate) use rest::shadow;
pub use text::{Part, Together};

/// What a program does, in the words of a policy.
#[derive(Clone, Debug)]
pub struct Lifted {
    /// Interfaces that face strangers.
    pub outside: Vec<Interface>,
    /// Ports open to everybody.
    pub public: BTreeSet<Endpoint>,
    /// Sources that need no knock.
    pub allow: Vec<Prefix>,
    /// Sources that are never banned.
    pub exempt: Vec<Prefix>,
    /// Ports whose touch makes a ban.
    pub traps: Option<LiftedTraps>,
    /// The doors.
    pub doors: Vec<LiftedDoor>,
    /// Where a policy of all this would mean something else than the program.
    pub doubts: Vec<Doubt>,
    /// Rules that are no part of it.
    pub rest: Vec<Unlifted>,
}

/// A door as rules have it, within the bounds of a policy.
#[derive(Clone, Debug)]
pub struct LiftedDoor {
    /// From the names in the program; a policy takes it.
    pub name: String,
    /// The knocks in order.
    pub knocks: Vec<LiftedKnock>,
    /// What a grant opens.
    pub services: Vec<ServiceDraft>,
    /// How long it lasts.
    pub grant: Lifetime,
    /// What a wrong knock does.
    pub wrong: Wrong,
    /// Where it would mean something else than the rules.
    pub doubts: Vec<Doubt>,
    /// Why it cannot stand in a policy, if it cannot.
    pub left_out: Option<String>,
}

/// A knock of a [`LiftedDoor`].
#[derive(Clone, Debug)]
pub struct LiftedKnock {
    /// The knock.
    pub knock: crate::policy::Knock,
    /// How long after the one before; the first has none.
    pub window: Option<Lifetime>,
    /// The rule that counts it.
    pub origin: Origin,
}

/// Traps as rules have them.
#[derive(Clone, Debug)]
pub struct LiftedTraps {
    /// The ports.
    pub ports: BTreeSet<Endpoint>,
    /// Different ones that make a ban.
    pub strikes: u32,
    /// How long a touch is remembered; `None` where one is enough.
    pub memory: Option<Lifetime>,
    /// The first ban.
    pub ban: Lifetime,
    /// The longest.
    pub ban_max: Lifetime,
    /// Where they would mean something else than the rules.
    pub doubts: Vec<Doubt>,
    /// Why they cannot stand in a policy, if they cannot.
    pub left_out: Option<String>,
}

/// A difference between a program and the policy that was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// What differs.
    pub what: String,
    /// The rule that says otherwise, if one does.
    pub origin: Option<Origin>,
}

/// A rule that is no part of what was lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlifted {
    /// The rule.
    pub origin: Origin,
    /// Why not, in a line.
    pub why: String,
    /// Whether a policy without it does something else.
    pub lost: bool,
}

/// The doors of `program`, and why its other rules are none. Takes bounded time: of a program that is
/// too tangled for that, less is found, and it says so. Lists that people manage are no part of a policy.
pub fn lift(program: &Program) -> Lifted {
    whole::whole(&program.clone().left_alone())
}

impl Doubt {
    fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), origin: None }
    }

    fn at(what: impl Into<String>, origin: &Origin) -> Self {
        Self { what: what.into(), origin: Some(origin.clone()) }
    }
}
