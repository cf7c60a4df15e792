//! The packet filter of the network namespace that we run in, reached through `nft`.

mod conntrack;
mod elements;
pub mod events;
mod files;
pub mod guard;
pub mod holdings;
mod lock;
pub mod machine;
mod managed;
mod netlink;
mod nflog;
mod note;
mod probe;
mod refusals;
mod state;
mod table;
pub mod trial;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use knockgate_compiler::backend::nft::{Ruleset, TABLE};

use crate::plan::{Load, Plan, Rescue, Snapshot, plan, transaction};
pub use conntrack::cut;
pub use elements::{Element, Shape, add, get, holding, put, replace, some, take, walk};
use lock::Lock;
pub use machine::{Doubt, doubts, early_doubts};
pub use managed::{Kept, Managed};
pub use note::COMMENT;
pub use refusals::refused;
pub use state::{Applied, Saved, Stamp};
pub use table::{Fill, counts, fill};
use trial::Running;

/// The name of our table, without its family.
const NAME: &str = "knockgate";

/// Why the packet filter was not changed, or not read.
#[derive(Debug)]
pub enum TargetError {
    /// There is no `nft` to be run.
    NftMissing(io::Error),
    /// Only root, or who has CAP_NET_ADMIN, may touch the packet filter.
    NotPermitted,
    /// The kernel or nft cannot do what every ruleset needs.
    Lacks(Vec<probe::Lack>),
    /// Another apply is under way.
    Locked {
        /// Its process, if it can be told.
        holder: Option<u32>,
    },
    /// Another program listens to what rules tell; this one, if it can be told.
    Listened(Option<String>),
    /// nft refused, with its own words.
    Refused(String),
    /// nft answered what we do not understand.
    Unintelligible(String),
    /// There is no such set: another policy is in force, or none.
    NoSet(String),
    /// The set has as many elements as it may have.
    Full(String),
    /// Packets changed the set again and again.
    Restless(String),
    /// The kernel refused to change or to show this.
    Kernel(String, io::Error),
    /// A file of our own could not be read or written.
    State(std::path::PathBuf, io::Error),
    /// A file of our own is not as we write it.
    Damaged(std::path::PathBuf),
    /// Another policy is being tried out.
    OnTrial(Box<Running>),
    /// There is a table of ours, but nobody knows what it was made of, so nothing could go back to it.
    Unknown,
    /// Nothing would take the policy back.
    NoWatchdog(String),
    /// A policy is in force, but the next start of the machine does not know it.
    NotLasting(Box<TargetError>),
    /// This network namespace is gone after a restart.
    NotFirst,
    /// The rules were changed while their lists were saved.
    Meanwhile,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NftMissing(error) => {
                write!(f, "`nft` cannot be run ({error}); on Debian: apt install nftables")
            }
            Self::NotPermitted => f.write_str("changing the packet filter needs root; try again with sudo"),
            Self::Lacks(lacks) => {
                f.write_str("this kernel or nft cannot run the ruleset:")?;
                lacks.iter().try_for_each(|lack| write!(f, "\n  {lack}"))
            }
            Self::Locked { holder: Some(pid) } => {
                write!(f, "another apply is under way (process {pid} holds the lock)")
            }
            Self::Locked { holder: None } => f.write_str("another apply is under way"),
            Self::Listened(Some(program)) => {
                write!(f, "another program listens to what the rules tell ({program})")
            }
            Self::Listened(None) => f.write_str("another program listens to what the rules tell"),
            Self::Refused(words) => write!(f, "nft refused the ruleset; nothing was changed:\n{words}"),
            Self::Unintelligible(what) => write!(f, "nft answered what we do not understand: {what}"),
            Self::NoSet(set) => write!(f, "there is no set `{set}` in force; apply the policy again"),
            Self::Full(set) => write!(f, "set `{set}` is full; `sources` in the policy is its bound"),
            Self::Restless(set) => write!(f, "packets change set `{set}` all the time; try again"),
            Self::Kernel(what, error) => write!(f, "the kernel refused (`{what}`): {error}"),
            Self::State(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Damaged(path) => write!(
                f,
                "{} is damaged; `knockgate apply` and `knockgate save` write such files anew",
                path.display()
            ),
            Self::OnTrial(running) => write!(
                f,
                "{running}; `knockgate confirm` keeps that policy, `knockgate rollback` takes it back"
            ),
            Self::Unknown => f.write_str(
                "there is a table of ours, but no note of its policy, so a trial could not go back to it; \
                 `--no-trial` puts this policy in force for good",
            ),
            Self::NoWatchdog(why) => {
                write!(f, "nothing would take the policy back ({why}); nothing was changed")
            }
            Self::NotLasting(error) => write!(
                f,
                "the policy is in force and confirmed, but could not be kept for the next start: {error}"
            ),
            Self::NotFirst => f.write_str(
                "this network namespace is not the one that the machine starts with, so a restart would not \
                 find what is saved of it",
            ),
            Self::Meanwhile => f.write_str(
                "the rules were changed while their lists were being saved; what was saved before stays",
            ),
        }
    }
}

impl std::error::Error for TargetError {}

/// What an apply did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing had to be done.
    Unchanged,
    /// The ruleset is in force.
    Loaded(Load),
}

/// Puts `wanted` in force in one transaction, for good and also after a restart, or leaves everything
/// as it is.
pub fn apply(wanted: &Saved) -> Result<Done, TargetError> {
    let lock = lock::take()?;
    trial::settle(&lock)?;
    probe::probe()?;
    let done = enforce(&lock, wanted)?;
    trial::forget()?;
    wanted.confirm()?;
    Ok(done)
}

/// What a restore has put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The policy or script.
    pub applied: Applied,
    /// Whether its lists still miss what was saved: [`holdings::put_back`] ends that.
    pub due: bool,
}

/// Puts in force what was confirmed last, as after a restart. Says what that is, if anything. Rules that
/// are made anew go on counting where the same ones were saved.
pub fn restore() -> Result<Option<Restored>, TargetError> {
    let lock = lock::take_in_turn()?;
    trial::settle(&lock)?;
    let Some(saved) = Saved::confirmed()? else { return Ok(None) };
    renew(&lock, &saved)?;
    trial::forget()?;
    Ok(Some(Restored { applied: saved.applied, due: holdings::is_due()? }))
}

/// The same as [`enforce`]. If there is no table of ours, its lists are due to be put back afterwards,
/// and its rules begin with what was saved of them.
fn renew(lock: &Lock, wanted: &Saved) -> Result<Done, TargetError> {
    if table::exists()? {
        // What it holds is newer than what was saved.
        return enforce(lock, wanted);
    }
    let counts = holdings::counts(&wanted.ruleset.fingerprint);
    let text = wanted.ruleset.counting_from(|rule| {
        let count = counts.get(&rule).copied().unwrap_or_default();
        (count.packets, count.bytes)
    });
    let ruleset = Ruleset { text, ..wanted.ruleset.clone() };
    enforce_as(lock, wanted, &ruleset)
}

/// Takes our table away, and all that is noted. Says whether there was one.
pub fn remove() -> Result<bool, TargetError> {
    let lock = lock::take()?;
    let _saving = lock::take_saving()?;
    let there = clear(&lock)?;
    holdings::forget()?;
    state::forget_confirmed()?;
    trial::forget()?;
    state::leave(lock)?;
    Ok(there)
}

/// Takes our table away, and the note of what was in it.
fn clear(lock: &Lock) -> Result<bool, TargetError> {
    let there = table::exists()?;
    if there {
        change(lock, &format!("delete table {TABLE}\n"))?;
    }
    state::forget()?;
    Ok(there)
}

/// Changes what is in force into `wanted`, if it is anything else.
fn enforce(lock: &Lock, wanted: &Saved) -> Result<Done, TargetError> {
    enforce_as(lock, wanted, &wanted.ruleset)
}

/// The same with a ruleset that is `wanted`'s but for what its rules have counted already.
fn enforce_as(lock: &Lock, wanted: &Saved, ruleset: &Ruleset) -> Result<Done, TargetError> {
    match plan(ruleset, &observe_for(Some(&ruleset.fingerprint))?) {
        Plan::Keep => {
            note_words(wanted)?;
            Ok(Done::Unchanged)
        }
        Plan::Load(load) => {
            carry_out(lock, ruleset, &load, None)?;
            note(wanted)?;
            Ok(Done::Loaded(load))
        }
    }
}

fn carry_out(
    lock: &Lock,
    ruleset: &Ruleset,
    load: &Load,
    rescue: Option<&Rescue>,
) -> Result<(), TargetError> {
    if !table::exists()? {
        holdings::expect_saved()?;
    }
    let mut carried = BTreeMap::new();
    for set in &load.carried {
        // Only what is stale is carried over.
        carried.insert(set.clone(), elements(load.stale_sets[set], set)?);
    }
    change(lock, &transaction(ruleset, load, &carried, rescue))
}

/// One transaction. Killed or not, nobody else begins one before it is done.
fn change(lock: &Lock, text: &str) -> Result<(), TargetError> {
    lock.lend(|| nft(&["-f", "-"], Some(text)).map(drop))
}

/// Notes what was loaded, as the kernel lists it.
fn note(saved: &Saved) -> Result<(), TargetError> {
    let listing = table::listing()?;
    if !listing.contains(&saved.ruleset.fingerprint) {
        return Err(TargetError::Unintelligible("the ruleset is loaded, but not to be seen".to_owned()));
    }
    saved.note(&listing)
}

/// Notes a policy whose rules are in force already: it may say more than rules do.
fn note_words(saved: &Saved) -> Result<(), TargetError> {
    match state::noted()? {
        Some((noted, listing)) if noted != *saved => saved.note(&listing),
        _ => Ok(()),
    }
}

/// What is in force.
pub fn observe() -> Result<Snapshot, TargetError> {
    observe_for(None)
}

/// The same; with `wanted`, its fingerprint is looked for only where it may be that one.
fn observe_for(wanted: Option<&str>) -> Result<Snapshot, TargetError> {
    if !table::exists()? {
        return Ok(Snapshot::default());
    }
    let (chains, sets) = (table::chains()?, table::sets()?);
    let noted = Applied::read()?.map(|(_, noted)| noted);
    let noted = noted.filter(|noted| wanted.is_none_or(|wanted| noted.contains(wanted)));
    // A listing that fails is one that somebody takes away at this moment.
    let now = noted.and_then(|noted| table::listing().ok().filter(|now| *now == noted));
    Ok(Snapshot { fingerprint: now.as_deref().and_then(fingerprint), chains, sets })
}

/// The comment of the rule that tells rulesets apart, which a listing begins with.
fn fingerprint(listing: &str) -> Option<String> {
    listing.lines().next().map(str::to_owned)
}

/// The elements of a set or map as nft lists them, for an `add element`.
fn elements(kind: &str, name: &str) -> Result<String, TargetError> {
    let text = nft(&["list", kind, "inet", NAME, name], None)?;
    // A comment may have a brace in it.
    let inner =
        text.split_once("elements = {").map(|(_, rest)| rest.trim_end_matches(['}', '\n', '\t', ' ']));
    Ok(inner.map(|elements| elements.trim().to_owned()).unwrap_or_default())
}

/// What a rule has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets that met its conditions.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What nft complains of, without the lines that it complains of: they tell knocks.
fn complaints(words: &str) -> String {
    let told = words.lines().filter(|line| line.contains("Error: "));
    let told: Vec<&str> = told.map(str::trim).collect();
    if told.is_empty() { "nft does not say why".to_owned() } else { told.join("\n") }
}

/// What `nft` prints.
fn nft(arguments: &[&str], input: Option<&str>) -> Result<String, TargetError> {
    let output = run(arguments, input).map_err(TargetError::NftMissing)?;
    if output.status.success() {
        return String::from_utf8(output.stdout)
            .map_err(|_| TargetError::Unintelligible("text that is not UTF-8".to_owned()));
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if words.contains("Operation not permitted") {
        return Err(TargetError::NotPermitted);
    }
    Err(TargetError::Refused(complaints(&words)))
}

fn run(arguments: &[&str], input: Option<&str>) -> io::Result<Output> {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // nft reads all of its input before it answers, so writing first cannot stall. One that has
    // gone away early tells why by its exit.
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input)
        && let Err(error) = stdin.write_all(input.as_bytes())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(error);
    }
    child.wait_with_output()
}
