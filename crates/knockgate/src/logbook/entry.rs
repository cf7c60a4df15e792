//! What can happen.

use std::fmt;
use std::net::IpAddr;

use knockgate_compiler::net::Prefix;
use knockgate_compiler::time::Lifetime;
use serde_json::Value;

/// What somebody came on a list by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The knocks of a door.
    Knocks,
    /// A trap.
    Trap,
    /// A command.
    Hand,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            Self::Knocks => "knocks",
            Self::Trap => "trap",
            Self::Hand => "hand",
        }
    }
}

/// Something that happened. It has no room for how to knock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are named as they are written, and docs/monitoring.md tells of each")]
pub enum Entry {
    /// A source may use a door: it made all knocks, or somebody let it in.
    Granted { source: IpAddr, door: Box<str>, lasts: Option<Lifetime>, by: By },
    /// Grants were taken back, of these doors, and so many connections cut if that was asked for.
    Revoked { source: IpAddr, doors: Vec<Box<str>>, cut: Option<usize> },
    /// Somebody is kept out.
    Banned { source: Prefix, lasts: Option<Lifetime>, by: By, reason: Option<String> },
    /// So many bans were taken back.
    Unbanned { source: Prefix, count: usize },
    /// Somebody needs no knocks.
    Allowed { source: Prefix, lasts: Option<Lifetime>, reason: Option<String> },
    /// So many permissions were taken back.
    Disallowed { source: Prefix, count: usize },
    /// A policy is in force, for good or on trial.
    Applied { policy: String, trial: Option<Lifetime> },
    /// The policy on trial is kept.
    Confirmed { policy: String },
    /// The policy on trial is no longer in force, and another one may be again.
    TakenBack { policy: String, why: &'static str, now: Option<String> },
    /// The policy of before a restart is in force.
    Restored { policy: String },
    /// Nothing is in force any more.
    Removed { policy: Option<String> },
    /// Somebody else changed or took away the rules in force.
    Tampered { policy: String },
    /// The rules that somebody else changed are in force again.
    Repaired { policy: String },
    /// Lines that are missing from the log.
    LeftOut { lines: u64 },
}

/// How much a line matters (`man 3 syslog`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Warning = 4,
    Notice = 5,
    Info = 6,
}

/// The names and values of what is told of an entry.
pub(super) type Fields = Vec<(&'static str, Value)>;

impl Entry {
    /// That a source made all knocks of a door.
    pub fn knocked(source: IpAddr, door: Box<str>, lasts: Lifetime) -> Self {
        Self::Granted { source, door, lasts: Some(lasts), by: By::Knocks }
    }

    /// That a trap banned a source: of an IPv6 address, its /64.
    pub fn trapped(source: IpAddr, lasts: Lifetime) -> Self {
        let network = if source.is_ipv4() { 32 } else { 64 };
        let source = Prefix::holding(source, network).expect("no address has fewer bits");
        Self::Banned { source, lasts: Some(lasts), by: By::Trap, reason: None }
    }

    /// Whether somebody can have it written as often as they like.
    pub(super) fn is_ban_by_trap(&self) -> bool {
        matches!(self, Self::Banned { by: By::Trap, .. })
    }

    /// What the kind of entry is called.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Granted { .. } => "grant",
            Self::Revoked { .. } => "revoke",
            Self::Banned { .. } => "ban",
            Self::Unbanned { .. } => "unban",
            Self::Allowed { .. } => "allow",
            Self::Disallowed { .. } => "disallow",
            Self::Applied { .. } => "apply",
            Self::Confirmed { .. } => "confirm",
            Self::TakenBack { .. } => "take-back",
            Self::Restored { .. } => "restore",
            Self::Removed { .. } => "remove",
            Self::Tampered { .. } => "tampering",
            Self::Repaired { .. } => "repair",
            Self::LeftOut { .. } => "left-out",
        }
    }

    pub(super) fn weight(&self) -> Weight {
        match self {
            Self::Tampered { .. } | Self::TakenBack { .. } | Self::Removed { .. } | Self::LeftOut { .. } => {
                Weight::Warning
            }
            Self::Granted { by: By::Knocks, .. } => Weight::Info,
            _ => Weight::Notice,
        }
    }

    /// What is told of it, besides what it is.
    pub(super) fn fields(&self) -> Fields {
        let text = |text: &dyn fmt::Display| Value::String(text.to_string());
        let seconds = |lasts: Lifetime| Value::from(lasts.as_millis() / 1000);
        let some = |name, value: Option<Value>| value.map(|value| (name, value));
        let fields = match self {
            Self::Granted { source, door, lasts, by } => vec![
                Some(("source", text(source))),
                Some(("door", text(door))),
                some("seconds", lasts.map(seconds)),
                Some(("by", by.word().into())),
            ],
            Self::Revoked { source, doors, cut } => vec![
                Some(("source", text(source))),
                Some(("doors", doors.join(",").into())),
                some("cut", cut.map(Value::from)),
            ],
            Self::Banned { source, lasts, by, reason } => vec![
                Some(("source", text(source))),
                some("seconds", lasts.map(seconds)),
                Some(("by", by.word().into())),
                some("reason", reason.clone().map(Value::from)),
            ],
            Self::Allowed { source, lasts, reason } => vec![
                Some(("source", text(source))),
                some("seconds", lasts.map(seconds)),
                some("reason", reason.clone().map(Value::from)),
            ],
            Self::Unbanned { source, count } | Self::Disallowed { source, count } => {
                vec![Some(("source", text(source))), Some(("count", (*count).into()))]
            }
            Self::Applied { policy, trial } => {
                vec![Some(("policy", text(policy))), some("trial", trial.map(seconds))]
            }
            Self::Confirmed { policy }
            | Self::Restored { policy }
            | Self::Tampered { policy }
            | Self::Repaired { policy } => vec![Some(("policy", text(policy)))],
            Self::TakenBack { policy, why, now } => vec![
                Some(("policy", text(policy))),
                Some(("why", (*why).into())),
                some("now", now.clone().map(Value::from)),
            ],
            Self::Removed { policy } => vec![some("policy", policy.clone().map(Value::from))],
            Self::LeftOut { lines } => vec![Some(("lines", (*lines).into()))],
        };
        fields.into_iter().flatten().collect()
    }
}

/// The same for people.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasting =
            |lasts: &Option<Lifetime>| lasts.map_or_else(String::new, |lasts| format!(" for {lasts}"));
        match self {
            Self::Granted { source, door, lasts, by: By::Knocks } => {
                write!(f, "{source} made the knocks of door {door} and may use it{}", lasting(lasts))
            }
            Self::Granted { source, door, lasts, by } => {
                write!(f, "{source} may use door {door}{}, by {}", lasting(lasts), by.word())
            }
            Self::Revoked { source, doors, cut } => {
                match doors.as_slice() {
                    [] => write!(f, "{source} held no grant")?,
                    doors => write!(f, "{source} may no longer use door {}", doors.join(", "))?,
                }
                cut.map_or(Ok(()), |cut| write!(f, "; connections cut: {cut}"))
            }
            Self::Banned { source, lasts, by, reason } => {
                write!(f, "{source} is banned{} by {}{}", lasting(lasts), by.word(), because(reason))
            }
            Self::Unbanned { source, .. } => write!(f, "{source} is no longer banned"),
            Self::Allowed { source, lasts, reason } => {
                write!(f, "{source} is allowed{}{}", lasting(lasts), because(reason))
            }
            Self::Disallowed { source, .. } => write!(f, "{source} is no longer allowed"),
            Self::Applied { policy, trial: None } => write!(f, "{policy} is in force"),
            Self::Applied { policy, trial: Some(trial) } => write!(f, "{policy} is on trial for {trial}"),
            Self::Confirmed { policy } => write!(f, "{policy} is confirmed"),
            Self::TakenBack { policy, why, now } => {
                let now = now.as_deref().unwrap_or("nothing");
                write!(f, "{policy} was taken back ({why}); {now} is in force")
            }
            Self::Restored { policy } => write!(f, "{policy} is in force, as before the restart"),
            Self::Removed { policy } => {
                write!(f, "{} was removed; nothing is in force", policy.as_deref().unwrap_or("the table"))
            }
            Self::Tampered { policy } => write!(f, "somebody else changed the rules of {policy}"),
            Self::Repaired { policy } => write!(f, "the rules of {policy} are in force again"),
            Self::LeftOut { lines } => write!(f, "{lines} lines left out: there were too many"),
        }
    }
}

fn because(reason: &Option<String>) -> String {
    reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"))
}
