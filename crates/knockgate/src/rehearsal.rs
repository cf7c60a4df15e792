//! A policy tried out on a real kernel, in namespaces that are gone afterwards.
//!
//! Everything that arrives at the gateway is captured in front of its packet filter and played to
//! the simulator as well. After each act, what the simulator foretells of the same packets is held
//! against what happened.

mod acts;
mod capture;
mod packets;
mod stage;

use std::fmt;
use std::io;
use std::net::SocketAddr;

use knockgate_compiler::backend;
use knockgate_compiler::lower::lower;
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::{Condition, ListId, Program, Verdict};
use knockgate_compiler::time::Lifetime;

use crate::lab::LabError;
use crate::target::nft::TargetError;

/// The longest that anything but a ban lasts in a rehearsal.
pub const HURRIED: Lifetime = Lifetime::from_secs(2);
/// The longest that a ban lasts in a rehearsal: longer than a sweep takes on a busy machine.
pub const HURRIED_BAN: Lifetime = Lifetime::from_secs(8);

/// Doors that are tried one by one; sweeps are for all of them.
pub const MOST_DOORS: usize = 4;

/// Why a rehearsal could not be held.
#[derive(Debug)]
pub enum RehearsalError {
    /// A namespace or something in it could not be made.
    Lab(LabError),
    /// The packet filter of the gateway could not be set up or read.
    Target(TargetError),
    /// A socket did not work.
    Socket(rustix::io::Errno),
    /// The same, told by the standard library.
    Io(io::Error),
    /// Nothing could be put behind this service.
    NoListener(SocketAddr, io::Error),
    /// The owner could not knock.
    Knock(String),
    /// Every network for tests is in the policy.
    NoFreeNetwork,
    /// A packet that was sent did not arrive.
    Lost,
    /// The gateway's packet filter has no words for this, and perhaps for more.
    Unsayable(backend::Unsayable),
}

impl fmt::Display for RehearsalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsayable(refused) => f.write_str(&refused.finding().message),
            Self::Lab(error) => error.fmt(f),
            Self::Target(error) => error.fmt(f),
            Self::Socket(error) => write!(f, "a socket of the rehearsal: {error}"),
            Self::Io(error) => write!(f, "a socket of the rehearsal: {error}"),
            Self::NoListener(at, error) => write!(f, "nothing can listen at {at}: {error}"),
            Self::Knock(error) => write!(f, "the owner could not knock: {error}"),
            Self::NoFreeNetwork => f.write_str("the policy names every network that is for tests"),
            Self::Lost => f.write_str("a packet did not arrive at the gateway; is the machine overloaded?"),
        }
    }
}

impl std::error::Error for RehearsalError {}

impl From<LabError> for RehearsalError {
    fn from(error: LabError) -> Self {
        Self::Lab(error)
    }
}

impl From<TargetError> for RehearsalError {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

/// What can be seen of an act, each where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Seen {
    /// Whether a connection to the service came about.
    pub open: Option<bool>,
    /// Whether an older connection still works.
    pub goes_on: Option<bool>,
    /// Whether the source is banned.
    pub banned: Option<bool>,
    /// How many open ports a scanner found.
    pub found: Option<usize>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let either = |value: Option<bool>, yes: &'static str, no: &'static str| {
            value.map(|value| (if value { yes } else { no }).to_owned())
        };
        let words = [
            self.found.map(|found| format!("{found} found")),
            either(self.open, "open", "closed"),
            either(self.goes_on, "goes on", "is cut"),
            either(self.banned, "banned", "not banned"),
        ];
        f.write_str(&words.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// One act and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The door it is about, or whom.
    pub scene: String,
    /// What was done.
    pub act: String,
    /// What the simulator makes of the packets that arrived.
    pub foretold: Seen,
    /// What the kernel did.
    pub happened: Seen,
    /// What to think of it, where that is not plain.
    pub note: Option<&'static str>,
}

impl Outcome {
    /// Whether the kernel did what the simulator says.
    pub fn agrees(&self) -> bool {
        self.foretold == self.happened
    }
}

/// How a rehearsal went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// All acts in order.
    pub outcomes: Vec<Outcome>,
    /// Packets that arrived at the gateway, and that the simulator was played.
    pub packets: u64,
    /// The seed of the random order.
    pub seed: u64,
    /// Doors that were not tried one by one.
    pub untried_doors: usize,
    /// Whether nmap took part.
    pub nmap: bool,
}

/// How far a rehearsal has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Acts that are over.
    pub done: usize,
    /// All acts.
    pub of: usize,
    /// The one that is on.
    pub act: String,
}

/// What is rehearsed, in a hurry: its durations are cut to [`HURRIED`] and [`HURRIED_BAN`].
#[derive(Debug)]
pub struct Piece {
    /// The doors that are tried.
    doors: Policy,
    /// The rules that decide.
    program: Program,
    /// The list of who is banned.
    bans: Option<ListId>,
}

impl Piece {
    /// A policy.
    pub fn of_policy(policy: &Policy) -> Self {
        let doors = policy.clone().hurried(HURRIED, HURRIED_BAN);
        let program = lower(&doors);
        let bans = program.lists_with_ids().find(|(_, list)| &*list.name == "banned").map(|(id, _)| id);
        Self { doors, program, bans }
    }

    /// A program of rules, with the doors that were recognised in it.
    pub fn of_rules(program: &Program, doors: &Policy) -> Self {
        let bans = banning(program);
        let program = program.clone().with_lifetimes(|list, lifetime| {
            lifetime.min(if bans.contains(&list) { HURRIED_BAN } else { HURRIED })
        });
        let doors = doors.clone().hurried(HURRIED, HURRIED_BAN);
        Self { doors, program, bans: bans.first().copied() }
    }
}

/// Lists that rules put sources on and that drop who is on them.
fn banning(program: &Program) -> Vec<ListId> {
    let rules = program.chains().iter().flat_map(|chain| &chain.rules);
    let dropping = rules.filter(|rule| matches!(rule.verdict, Some(Verdict::Drop | Verdict::Reject(_))));
    let listed = dropping.flat_map(|rule| &rule.when).filter_map(|condition| match condition {
        Condition::Listed(list) if program[*list].timed.is_some() => Some(*list),
        _ => None,
    });
    listed.collect()
}

/// Tries `piece` out. Needs root, or a user namespace of ours; takes some seconds a door.
pub fn rehearse(
    piece: &Piece,
    seed: u64,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Report, RehearsalError> {
    let Piece { doors: policy, program, .. } = piece;
    let stage = stage::Stage::build(policy)?;
    let ruleset = backend::nft::print(program)
        .map_err(|mut refused| RehearsalError::Unsayable(refused.swap_remove(0)))?;
    stage.gateway.nft(&ruleset.text)?;
    let mut play = acts::Play::new(&stage, piece, seed);
    let acts = play.acts();
    let mut outcomes = vec![];
    for (done, act) in acts.iter().enumerate() {
        progress(&Progress { done, of: acts.len(), act: act.to_string() });
        outcomes.extend(play.perform(act)?);
    }
    Ok(Report {
        outcomes,
        packets: play.packets(),
        seed,
        untried_doors: policy.doors().len().saturating_sub(MOST_DOORS),
        nmap: play.has_nmap(),
    })
}
