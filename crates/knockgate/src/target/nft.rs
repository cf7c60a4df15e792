//! The packet filter of the network namespace that we run in, reached through `nft`.

mod lock;
pub mod machine;
mod probe;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use knockgate_compiler::backend::nft::{ABOUT, Counted, Ruleset, TABLE};
use serde_json::Value;

use crate::plan::{Load, Plan, SetFound, Snapshot, plan, transaction};
pub use machine::{Doubt, doubts};
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
    let listing = listing()?;
    if !listing.contains(&ruleset.fingerprint) {
        return Err(TargetError::Unintelligible("the ruleset is loaded, but not to be seen".to_owned()));
    }
    policy.write(&listing)?;
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
    observe_for(None)
}

/// The same; with `wanted`, its fingerprint is looked for only where it may be that one, for the
/// rules of many doors take a while to list.
fn observe_for(wanted: Option<&str>) -> Result<Snapshot, TargetError> {
    if !exists()? {
        return Ok(Snapshot::default());
    }
    let mut snapshot = Snapshot { chains: chains()?, ..Snapshot::default() };
    for kind in ["set", "map"] {
        for set in listed(&["-t", "list", &format!("{kind}s"), "inet"], kind)? {
            snapshot.sets.insert(text(&set, "name")?, set_found(&set)?);
        }
    }
    let noted = Applied::read()?.map(|(_, noted)| noted);
    let noted = noted.filter(|noted| wanted.is_none_or(|wanted| noted.contains(wanted)));
    // A listing that fails is one that somebody takes away at this moment.
    let now = noted.and_then(|noted| listing().ok().filter(|now| *now == noted));
    snapshot.fingerprint = now.and_then(|now| fingerprint(&now));
    Ok(snapshot)
}

/// The comment of the rule that tells rulesets apart.
fn fingerprint(listing: &str) -> Option<String> {
    let (_, about) = listing.split_once(&format!("\tchain {ABOUT} {{"))?;
    let (_, comment) = about.split_once("comment \"")?;
    comment.split_once('"').map(|(fingerprint, _)| fingerprint.to_owned())
}

/// As text, for which nft need not read every rule first, as it does for JSON.
fn exists() -> Result<bool, TargetError> {
    let tables = nft(&["list", "tables", "inet"], None)?;
    Ok(tables.lines().any(|line| line == format!("table {TABLE}")))
}

/// The names of our chains; as text, for the same reason.
fn chains() -> Result<BTreeSet<String>, TargetError> {
    let tables = nft(&["list", "chains", "inet"], None)?;
    let ours = tables.lines().skip_while(|line| *line != format!("table {TABLE} {{"));
    let names = ours.skip(1).take_while(|line| *line != "}").filter_map(|line| line.strip_prefix("\tchain "));
    Ok(names.filter_map(|name| name.strip_suffix(" {")).map(str::to_owned).collect())
}

/// All of our rules, and the members of fixed sets and maps; not what packets add.
fn listing() -> Result<String, TargetError> {
    let mut all = nft(&["-s", "-t", "list", "table", "inet", NAME], None)?;
    for kind in ["set", "map"] {
        for set in listed(&["-t", "list", &format!("{kind}s"), "inet"], kind)? {
            if !set_found(&set)?.timed {
                all += &nft(&["list", kind, "inet", NAME, &text(&set, "name")?], None)?;
            }
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

/// The elements of a set or map as nft lists them, for an `add element`.
fn elements(kind: &str, name: &str) -> Result<String, TargetError> {
    let text = nft(&["list", kind, "inet", NAME, name], None)?;
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

/// What a rule has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets that met its conditions.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What each rule has counted, of a ruleset that counts.
pub fn counts() -> Result<BTreeMap<Counted, Count>, TargetError> {
    let mut counts = BTreeMap::<Counted, Count>::new();
    for rule in listed(&["-t", "list", "table", "inet", NAME], "rule")? {
        let Some(counted) = rule["comment"].as_str().and_then(Counted::of_comment) else { continue };
        let words = rule["expr"].as_array().into_iter().flatten();
        for counter in words.filter_map(|word| word.get("counter")) {
            let number = |key: &str| counter[key].as_u64().unwrap_or_default();
            let count = counts.entry(counted).or_default();
            count.packets += number("packets");
            count.bytes += number("bytes");
        }
    }
    Ok(counts)
}

/// The objects of one kind in our table.
fn listed(command: &[&str], kind: &str) -> Result<Vec<Value>, TargetError> {
    let arguments: Vec<&str> = std::iter::once("-j").chain(command.iter().copied()).collect();
    let text = nft(&arguments, None)?;
    let answer: Value =
        serde_json::from_str(&text).map_err(|error| TargetError::Unintelligible(error.to_string()))?;
    let Value::Array(objects) = &answer["nftables"] else {
        return Err(TargetError::Unintelligible(format!("no list of objects: {text}")));
    };
    let ours = |object: &&Value| object["table"].as_str() == Some(NAME);
    Ok(objects.iter().filter_map(|object| object.get(kind)).filter(ours).cloned().collect())
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
