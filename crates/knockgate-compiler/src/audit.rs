//! How strong a door is, in numbers.
//!
//! A file for each question. [`chance`] and [`cost`] are arithmetic over a [`Shape`], a door as an
//! attacker meets it. [`search`] finds the cheapest way in by playing packets, whatever the rules
//! look like. What can be played is a [`Claim`], with the packets that show it.

mod advice;
pub mod chance;
pub mod claim;
mod company;
pub mod cost;
mod doors;
mod fill;
mod judge;
mod lockout;
pub mod numbers;
mod play;
mod reach;
pub mod search;
mod shape;
mod whole;

use crate::diag::{Code, Span};
use crate::policy::Policy;
use crate::program::Program;
use crate::sim::Fate;
use crate::time::Lifetime;

pub use shape::{Beat, Shape, Trapping};
pub use whole::audit;

/// What is audited.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The rules that decide.
    pub program: &'a Program,
    /// The doors, if an owner wrote them down; else they are looked for in the rules.
    pub policy: Option<&'a Policy>,
}

/// What there is to say of all doors of a gateway.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Every door, in the order of the text.
    pub doors: Vec<Door>,
    /// What strangers reach without a knock.
    pub exposed: Vec<Exposed>,
    /// Lists that strangers can fill, the easiest first.
    pub fills: Vec<Fill>,
    /// What is not about one door, the worst first.
    pub findings: Vec<Finding>,
    /// What was not looked at, and why.
    pub limits: Vec<String>,
}

/// What there is to say of a door.
#[derive(Clone, Debug)]
pub struct Door {
    /// Its name.
    pub name: String,
    /// Where it was written.
    pub span: Option<Span>,
    /// What it opens: `22/tcp`, `22/tcp at 10.0.0.5`.
    pub services: Vec<String>,
    /// As an attacker meets it; `None` where the rules have no such shape.
    pub shape: Option<Shape>,
    /// How strong it is.
    pub level: Level,
    /// The cheapest way in for someone who knows the rules.
    pub way_in: WayIn,
    /// How likely scans open it, scan by scan.
    pub chances: Vec<chance::Chance>,
    /// Chances by number of traps, a line for each rate; empty where nothing varies.
    pub curves: Vec<chance::Curve>,
    /// What it costs to open it for someone who does not know the knocks.
    pub attack: Option<cost::Attack>,
    /// How the owner can be shut out.
    pub lockouts: Vec<Lockout>,
    /// Who else gets in when the owner does.
    pub company: Vec<String>,
    /// What someone who listens learns.
    pub listener: Vec<String>,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// What would raise its strength.
    pub advice: Vec<Advice>,
}

/// How strong a way to knock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// No door at all: it is open to everybody.
    Open,
    /// A plain sequence: hidden, not authenticated.
    Hidden,
}

/// The cheapest way in.
#[derive(Clone, Debug, PartialEq)]
pub enum WayIn {
    /// None is needed: strangers are let in.
    Open(Claim),
    /// These packets, one after another.
    Steps {
        /// The packets before the one that is let in.
        steps: Vec<Step>,
        /// With the packet that is let in.
        claim: Claim,
    },
    /// There is none: every state that a source can be in was looked at.
    Never,
    /// None was found in the states that were looked at.
    NotFound {
        /// How many those were.
        states: usize,
    },
}

/// A packet of a way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// As in a trace: `333/tcp`.
    pub packet: String,
    /// What it does: the rule that took it up.
    pub what: String,
    /// How many ports or sizes would do as well.
    pub width: u32,
    /// How long after the one before it is sent at the earliest.
    pub after: Option<Lifetime>,
}

/// A sentence that packets show to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What is said.
    pub says: String,
    /// The packets as a trace, a line each, as [`crate::sim::trace`] reads them.
    pub trace: String,
    /// What becomes of the last of them.
    pub fate: Fate,
}

/// A service that needs no knock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// The packets that are let in, as in a trace: `443/tcp`, `1-1023/tcp`.
    pub packets: String,
    /// How many ports.
    pub ports: u32,
    /// The rule that lets them in.
    pub rule: String,
    /// Where it was written.
    pub span: Option<Span>,
    /// Whether the owner wrote that it is for everybody.
    pub meant: bool,
    /// With the packet that is let in.
    pub claim: Claim,
}

/// A list that can be filled by packets from ever new sources.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    /// Its name, or that of the memory it shares with others.
    pub list: String,
    /// Entries it may have in an address family.
    pub capacity: u32,
    /// How long an entry stays.
    pub stays: Lifetime,
    /// The packet that fills it quickest, as in a trace.
    pub packet: String,
    /// Entries that such a packet makes in it.
    pub entries: u32,
    /// Packets a second that fill it: `capacity / ((stays + 1 s) * entries)`, for what has expired is collected
    /// once a second.
    pub rate: f64,
    /// What is so while it is full.
    pub means: String,
}

/// A way to shut the owner out.
#[derive(Clone, Debug, PartialEq)]
pub struct Lockout {
    /// Who does it and how.
    pub how: String,
    /// Packets that it takes.
    pub packets: u32,
    /// How long it lasts after the last of them; `None` if only as long as they are sent.
    pub lasts: Option<Lifetime>,
    /// What of the owner's is hit.
    pub hits: Hits,
    /// Whether it takes no ban, but only that they come between two knocks.
    pub between: bool,
    /// The packets that show it.
    pub claim: Claim,
}

/// What of the owner's is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hits {
    /// Knocking does not open.
    Knocking,
    /// Nor does a new connection work within a grant.
    Grant,
    /// Even a connection that stands is cut.
    Connection,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// The door does not do what it is for.
    High,
    /// It does, but is weaker than it looks.
    Medium,
    /// Worth knowing.
    Low,
}

impl Risk {
    /// `high`, `medium` or `low`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// Something to mend, or to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// How bad it is.
    pub risk: Risk,
    /// One sentence.
    pub says: String,
    /// Where.
    pub span: Option<Span>,
    /// The packets that show it.
    pub claim: Option<Claim>,
}

/// An edit, and what it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What to change: `two more traps`.
    pub edit: String,
    /// What it gives: `a random sweep opens it with 1/336 instead of 1/24`.
    pub gives: String,
}

impl Audit {
    /// Every finding: those of the doors, in their order, then the others.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.doors.iter().flat_map(|door| &door.findings).chain(&self.findings)
    }

    /// Everything that packets show.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        let ways = self.doors.iter().filter_map(|door| match &door.way_in {
            WayIn::Open(claim) | WayIn::Steps { claim, .. } => Some(claim),
            WayIn::Never | WayIn::NotFound { .. } => None,
        });
        let lockouts = self.doors.iter().flat_map(|door| &door.lockouts).map(|lockout| &lockout.claim);
        let exposed = self.exposed.iter().map(|exposed| &exposed.claim);
        ways.chain(lockouts)
            .chain(exposed)
            .chain(self.findings().filter_map(|finding| finding.claim.as_ref()))
    }
}

#[cfg(test)]
mod tests;
