//! The packet filter of the network namespace that we run in, reached through `nft`.

mod conntrack;
mod elements;
mod lock;
pub mod machine;
mod netlink;
mod note;
mod probe;
mod state;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use knockgate_compiler::backend::nft::{Ruleset, TABLE};

use crate::plan::{Load, Plan, Snapshot, plan, transaction};
pub use conntrack::cut;
pub use elements::{Element, Shape, get, holding, put, replace, some, take, walk};
pub use machine::{Doubt, doubts};
pub use note::COMMENT;
pub use state::Applied;
pub use table::{Fill, counts, fill};

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
            Self::Refused(words) => write!(f, "nft refused the ruleset; nothing was changed:\n{words}"),
            Self::Unintelligible(what) => write!(f, "nft answered what we do not understand: {what}"),
            Self::NoSet(set) => write!(f, "there is no set `{set}` in force; apply the policy again"),
            Self::Full(set) => write!(f, "set `{set}` is full; `sources` in the policy is its bound"),
            Self::Restless(set) => write!(f, "packets change set `{set}` all the time; try again"),
            Self::Kernel(what, error) => write!(f, "the kernel refused (`{what}`): {error}"),
            Self::State(path, error) => write!(f, "{}: {error}", path.display()),
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

/// Puts `ruleset` in force in one transaction, or leaves everything as it is. `policy` is kept for
/// [`Applied`], so that `status` can say what the numbers mean.
pub fn apply(ruleset: &Ruleset, policy: &Applied) -> Result<Done, TargetError> {
    let _lock = lock::take()?;
    probe::probe()?;
    let load = match plan(ruleset, &observe_for(Some(&ruleset.fingerprint))?) {
        Plan::Keep => return Ok(Done::Unchanged),
        Plan::Load(load) => load,
    };
    let mut carried = BTreeMap::new();
    for set in &load.carried {
        // Only what is stale is carried over.
        carried.insert(set.clone(), elements(load.stale_sets[set], set)?);
    }
    nft(&["-f", "-"], Some(&transaction(ruleset, &load, &carried)))?;
    let listing = table::listing()?;
    if !listing.contains(&ruleset.fingerprint) {
        return Err(TargetError::Unintelligible("the ruleset is loaded, but not to be seen".to_owned()));
    }
    policy.write(&listing)?;
    Ok(Done::Loaded(load))
}

/// Takes our table away. Says whether there was one.
pub fn remove() -> Result<bool, TargetError> {
    let _lock = lock::take()?;
    let there = table::exists()?;
    if there {
        nft(&["-f", "-"], Some(&format!("delete table {TABLE}\n")))?;
    }
    state::forget()?;
    Ok(there)
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
    Err(TargetError::Refused(words))
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
