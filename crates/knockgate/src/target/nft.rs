//! The packet filter of the network namespace that we run in, reached through `nft`.

mod lock;
mod probe;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use knockgate_compiler::backend::nft::{ABOUT, Ruleset, TABLE};
use serde_json::Value;

use crate::plan::{Load, Plan, SetFound, Snapshot, plan, transaction};
pub use state::Applied;

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
    let load = match plan(ruleset, &observe()?) {
        Plan::Keep => return Ok(Done::Unchanged),
        Plan::Load(load) => load,
    };
    let mut carried = BTreeMap::new();
    for set in &load.carried {
        carried.insert(set.clone(), elements(set)?);
    }
    nft(&["-f", "-"], Some(&transaction(ruleset, &load, &carried)))?;
    policy.write(&listing()?)?;
    Ok(Done::Loaded(load))
}

/// Takes our table away. Says whether there was one.
pub fn remove() -> Result<bool, TargetError> {
    let _lock = lock::take()?;
    let there = exists()?;
    if there {
        nft(&["-f", "-"], Some(&format!("delete table {TABLE}\n")))?;
    }
    state::forget()?;
    Ok(there)
}

/// What is in force.
pub fn observe() -> Result<Snapshot, TargetError> {
    if !exists()? {
        return Ok(Snapshot::default());
    }
    let mut snapshot = Snapshot::default();
    for chain in listed(&["list", "chains", "inet"], "chain")? {
        snapshot.chains.insert(text(&chain, "name")?);
    }
    for kind in ["set", "map"] {
        for set in listed(&["-t", "list", &format!("{kind}s"), "inet"], kind)? {
            snapshot.sets.insert(text(&set, "name")?, set_found(&set)?);
        }
    }
    let unchanged = Applied::read()?.is_some_and(|(_, listed)| listing().is_ok_and(|now| now == listed));
    if unchanged && snapshot.chains.contains(ABOUT) {
        snapshot.fingerprint = fingerprint()?;
    }
    Ok(snapshot)
}

/// The comment of the rule that tells rulesets apart.
fn fingerprint() -> Result<Option<String>, TargetError> {
    let rules = listed(&["list", "chain", "inet", NAME, ABOUT], "rule")?;
    Ok(rules.first().and_then(|rule| rule["comment"].as_str()).map(str::to_owned))
}

fn exists() -> Result<bool, TargetError> {
    Ok(!listed(&["list", "tables", "inet"], "table")?.is_empty())
}

/// All of our rules, and the members of fixed sets; not what packets add.
fn listing() -> Result<String, TargetError> {
    let mut all = nft(&["-s", "-t", "list", "table", "inet", NAME], None)?;
    for set in listed(&["-t", "list", "sets", "inet"], "set")? {
        if !set_found(&set)?.timed {
            all += &nft(&["list", "set", "inet", NAME, &text(&set, "name")?], None)?;
        }
    }
    Ok(all)
}

fn set_found(set: &Value) -> Result<SetFound, TargetError> {
    let key = match &set["type"] {
        Value::String(one) => one.clone(),
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" . "),
        other => return Err(TargetError::Unintelligible(format!("a set of type {other}"))),
    };
    let flags: BTreeSet<&str> =
        set["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let size = set["size"].as_u64().and_then(|size| u32::try_from(size).ok());
    Ok(SetFound { key, data: set["map"].as_str().map(str::to_owned), timed: flags.contains("timeout"), size })
}

/// The elements of a set as nft lists them, for an `add element`.
fn elements(set: &str) -> Result<String, TargetError> {
    let text = nft(&["list", "set", "inet", NAME, set], None)?;
    let inner = text.split_once("elements = {").and_then(|(_, rest)| rest.split_once('}'));
    Ok(inner.map(|(elements, _)| elements.trim().to_owned()).unwrap_or_default())
}

/// An element of a timed set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The source.
    pub source: std::net::IpAddr,
    /// The list's tag or the track's position, where the set has one.
    pub number: Option<u32>,
    /// Whole seconds that are left.
    pub expires_s: u64,
}

/// The elements of a timed set or map. nft tells the time left in whole seconds.
pub fn members(kind: &str, name: &str) -> Result<Vec<Element>, TargetError> {
    let found = listed(&["list", kind, "inet", NAME, name], kind)?;
    let elements = found.first().and_then(|set| set["elem"].as_array()).into_iter().flatten();
    elements
        .map(|element| {
            let (element, data) = match element {
                Value::Array(pair) => (pair.first().unwrap_or(&Value::Null), pair.get(1)),
                other => (other, None),
            };
            let value = &element["elem"]["val"];
            let key = value["concat"].as_array();
            let source = key.and_then(|parts| parts.first()).unwrap_or(value);
            let number = key.and_then(|parts| parts.get(1)).or(data).and_then(Value::as_u64);
            Some(Element {
                source: source.as_str()?.parse().ok()?,
                number: number.and_then(|number| u32::try_from(number).ok()),
                expires_s: element["elem"]["expires"].as_u64()?,
            })
        })
        .collect::<Option<_>>()
        .ok_or_else(|| TargetError::Unintelligible(format!("the elements of {name}")))
}

/// The objects of one kind in our table.
fn listed(command: &[&str], kind: &str) -> Result<Vec<Value>, TargetError> {
    let arguments: Vec<&str> = std::iter::once("-j").chain(command.iter().copied()).collect();
    let text = nft(&arguments, None)?;
    let answer: Value =
        serde_json::from_str(&text).map_err(|error| TargetError::Unintelligible(error.to_string()))?;
    let objects = answer["nftables"].as_array().cloned().unwrap_or_default();
    let ours = |object: &Value| {
        let name = if kind == "table" { &object["name"] } else { &object["table"] };
        name.as_str() == Some(NAME)
    };
    Ok(objects
        .into_iter()
        .filter_map(|mut object| object.get_mut(kind).map(Value::take))
        .filter(ours)
        .collect())
}

fn text(object: &Value, key: &str) -> Result<String, TargetError> {
    let found = object[key].as_str().map(str::to_owned);
    found.ok_or_else(|| TargetError::Unintelligible(format!("an object without {key}: {object}")))
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
