//! What is written down of a trial.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use knockgate_compiler::time::Lifetime;
use serde_json::{Value, json};

use super::super::files::{folder, read, remove, write};
use super::super::{Saved, TargetError};
use super::clock::{TimeOfDay, boot, now_ms, unix_s};
use super::{Running, Terms};
use crate::session::Connection;
use crate::target::nft::state::texts;

/// The trial.
const TRIAL: &str = "trial";
/// What was in force before it; not there if nothing was.
const BEFORE: &str = "before";
/// How the last one ended.
const ENDED: &str = "ended";
/// Why it could not be taken back.
const TROUBLE: &str = "trouble";

fn file(name: &str) -> Result<PathBuf, TargetError> {
    Ok(folder()?.join(name))
}

/// How much longer than its trial an apply may take until it is taken for one that hangs.
const LOADING_MS: u64 = 10_000;

/// How far a trial has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is being put in force.
    Loading,
    /// It waits to be confirmed.
    Running,
    /// It is confirmed; what remains is to say so everywhere.
    Confirmed,
}

impl Phase {
    const NAMED: [(&'static str, Self); 3] =
        [("loading", Self::Loading), ("running", Self::Running), ("confirmed", Self::Confirmed)];

    fn name(self) -> &'static str {
        Self::NAMED.into_iter().find(|(_, phase)| *phase == self).map_or("", |(name, _)| name)
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, phase)| phase)
    }
}

/// A trial as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Tells it from every other of this start of the machine.
    pub(super) id: String,
    /// The start of the machine that it belongs to.
    boot: String,
    pub(super) phase: Phase,
    /// The policy that is tried out.
    pub(super) name: String,
    /// Its ruleset.
    pub(super) fingerprint: String,
    /// Who applied it.
    pub(super) process: u32,
    session: Option<Connection>,
    /// When it is taken back, in milliseconds since the machine started.
    deadline_ms: u64,
    /// The same for people, in seconds since 1970.
    until_s: u64,
    /// Connections that were there when the rules came in force.
    pub(super) connections: BTreeSet<Connection>,
}

impl Record {
    pub(super) fn new(wanted: &Saved, terms: &Terms) -> Result<Self, TargetError> {
        let process = std::process::id();
        let mut record = Self {
            id: format!("{process}-{}", now_ms()),
            boot: boot()?,
            phase: Phase::Loading,
            name: wanted.applied.name.clone(),
            fingerprint: wanted.ruleset.fingerprint.clone(),
            process,
            session: terms.session,
            deadline_ms: 0,
            until_s: 0,
            connections: BTreeSet::new(),
        };
        record.set_deadline(terms.length.as_millis() + LOADING_MS);
        Ok(record)
    }

    fn set_deadline(&mut self, left_ms: u64) {
        self.deadline_ms = now_ms() + left_ms;
        self.until_s = unix_s() + left_ms.div_ceil(1000);
    }

    /// The trial that is written down, if it belongs to this start of the machine.
    pub(super) fn read() -> Result<Option<Self>, TargetError> {
        let path = file(TRIAL)?;
        let Some(text) = read(&path)? else { return Ok(None) };
        let record = serde_json::from_str(&text).ok().and_then(|value: Value| Self::of_json(&value));
        let record = record.ok_or(TargetError::Damaged(path))?;
        Ok((record.boot == boot()?).then_some(record))
    }

    /// Writes down what to go back to, and then that there is a trial.
    pub(super) fn begin(&self, before: Option<&Saved>) -> Result<(), TargetError> {
        forget()?;
        if let Some(before) = before {
            before.write(&file(BEFORE)?)?;
        }
        self.write()
    }

    /// From now on it waits to be confirmed, by none of these connections.
    pub(super) fn run(
        &mut self,
        connections: BTreeSet<Connection>,
        length: Lifetime,
    ) -> Result<(), TargetError> {
        self.connections = connections;
        self.set_deadline(length.as_millis());
        self.set(Phase::Running)
    }

    pub(super) fn set(&mut self, phase: Phase) -> Result<(), TargetError> {
        self.phase = phase;
        self.write()
    }

    fn write(&self) -> Result<(), TargetError> {
        write(&file(TRIAL)?, &self.to_json().to_string())
    }

    /// Milliseconds until it is taken back.
    pub(super) fn left_ms(&self) -> u64 {
        self.deadline_ms.saturating_sub(now_ms())
    }

    pub(super) fn running(&self) -> Running {
        Running {
            name: self.name.clone(),
            process: self.process,
            session: self.session,
            until: TimeOfDay { unix_s: self.until_s },
            until_s: self.until_s,
            left_s: self.left_ms().div_ceil(1000),
        }
    }

    fn to_json(&self) -> Value {
        let Self { id, boot, phase, name, fingerprint, process, session, deadline_ms, until_s, connections } =
            self;
        json!({
            "id": id,
            "boot": boot,
            "phase": phase.name(),
            "name": name,
            "fingerprint": fingerprint,
            "process": process,
            "session": session.map(|session| session.to_string()),
            "deadline_ms": deadline_ms,
            "until_s": until_s,
            "connections": connections.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    fn of_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let session = match &value["session"] {
            Value::Null => None,
            session => Some(session.as_str()?.parse().ok()?),
        };
        let connections = texts(&value["connections"])?;
        Some(Self {
            id: text("id")?,
            boot: text("boot")?,
            phase: Phase::of_name(value["phase"].as_str()?)?,
            name: text("name")?,
            fingerprint: text("fingerprint")?,
            process: u32::try_from(value["process"].as_u64()?).ok()?,
            session,
            deadline_ms: value["deadline_ms"].as_u64()?,
            until_s: value["until_s"].as_u64()?,
            connections: connections.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?,
        })
    }
}

/// What was in force before the trial.
pub(super) fn before() -> Result<Option<Saved>, TargetError> {
    Saved::read(&file(BEFORE)?)
}

/// Removes all files of a trial. The trial itself goes first: without it the others mean nothing.
pub(super) fn forget() -> Result<(), TargetError> {
    [TRIAL, BEFORE, ENDED, TROUBLE].into_iter().try_for_each(|name| remove(&file(name)?))
}

pub(super) fn trouble() -> Result<Option<String>, TargetError> {
    read(&file(TROUBLE)?)
}

pub(super) fn note_trouble(why: &TargetError) -> Result<(), TargetError> {
    write(&file(TROUBLE)?, &why.to_string())
}

/// Why a policy was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody confirmed it in time.
    TimeIsUp,
    /// Somebody asked for it.
    Asked,
    /// The apply was killed before it was done.
    Died,
    /// The apply failed.
    Failed,
}

impl Why {
    const NAMED: [(&'static str, Self); 4] = [
        ("it was not confirmed in time", Self::TimeIsUp),
        ("`knockgate rollback`", Self::Asked),
        ("its apply was killed", Self::Died),
        ("its apply failed", Self::Failed),
    ];

    /// The same for people.
    pub fn words(self) -> &'static str {
        Self::NAMED.into_iter().find(|(_, why)| *why == self).map_or("", |(words, _)| words)
    }
}

/// How a trial ended that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The policy that was tried out.
    pub name: String,
    /// Why it was taken back.
    pub why: Why,
    /// When, in seconds since 1970.
    pub at_s: u64,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = TimeOfDay { unix_s: self.at_s };
        write!(f, "{} was taken back at {at} ({})", self.name, self.why.words())
    }
}

impl Ended {
    pub(super) fn write(&self) -> Result<(), TargetError> {
        let value = json!({ "name": self.name, "why": self.why.words(), "at_s": self.at_s });
        write(&file(ENDED)?, &value.to_string())
    }

    /// One that cannot be understood is as good as none.
    pub(super) fn read() -> Result<Option<Self>, TargetError> {
        let Some(text) = read(&file(ENDED)?)? else { return Ok(None) };
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let why = Why::NAMED.into_iter().find(|(words, _)| value["why"] == *words).map(|(_, why)| why);
        let name = value["name"].as_str().map(str::to_owned);
        Ok(name.zip(why).zip(value["at_s"].as_u64()).map(|((name, why), at_s)| Self { name, why, at_s }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_comes_back_as_it_was_written_down() {
        let connection = |remote: &str| Connection {
            local: "192.0.2.1:22".parse().unwrap(),
            remote: remote.parse().unwrap(),
        };
        for phase in [Phase::Loading, Phase::Running, Phase::Confirmed] {
            let record = Record {
                id: "7-1".to_owned(),
                boot: "b".to_owned(),
                phase,
                name: "home.toml".to_owned(),
                fingerprint: "knockgate 1".to_owned(),
                process: 7,
                session: (phase == Phase::Running).then(|| connection("192.0.2.5:4242")),
                deadline_ms: 60_000,
                until_s: 1,
                connections: [connection("192.0.2.5:4242"), connection("[2001:db8::5]:1")].into(),
            };
            assert_eq!(Record::of_json(&record.to_json()), Some(record));
        }
    }
}
