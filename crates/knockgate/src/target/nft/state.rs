//! What we note of an apply, beside what the kernel holds.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use knockgate_compiler::backend::nft::{OnTrial, Ruleset, Set};
use serde_json::{Value, json};

use super::TargetError;
use super::events::SOCKET;
use super::files::{failed, folder, lasting, read, remove, remove_folder, write};
use super::lock::{KEEPER, LOCK, Lock, SAVING, take_as};
use super::trial::clock::{now_ms, unix_ms};

/// The policy or script that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The file it came from.
    pub name: String,
    /// Its text. It holds secrets, so only its owner may read the note.
    pub text: String,
    /// What else was said of it on the command line, a word each.
    pub options: Vec<String>,
}

/// A policy or script with the ruleset that was made of it: all that it takes to put it in force again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What was applied.
    pub applied: Applied,
    /// What it was compiled to.
    pub ruleset: Ruleset,
}

/// What is in force, in the folder of the network namespace.
const NOTE: &str = "applied";
/// What was confirmed last, in the folder that outlives a restart.
const CONFIRMED: &str = "confirmed";

/// Tells one note from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When it was written.
    pub at: SystemTime,
    inode: u64,
}

impl Stamp {
    /// That of the note of this namespace, if there is one.
    pub fn read() -> Result<Option<Self>, TargetError> {
        let path = folder()?.join(NOTE);
        let found = fs::metadata(&path).and_then(|found| Ok((found.modified()?, found.ino())));
        match found {
            Ok((at, inode)) => Ok(Some(Self { at, inode })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, error)),
        }
    }
}

impl Applied {
    /// The policy that was applied last in this namespace, and the listing of its rules then.
    pub fn read() -> Result<Option<(Self, String)>, TargetError> {
        Ok(noted()?.map(|(saved, listing)| (saved.applied, listing)))
    }
}

/// A moment, by the clock that can be set and by the one that nobody can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clocks {
    /// Milliseconds since 1970.
    pub(super) unix_ms: u64,
    /// Milliseconds since this start of the machine.
    pub(super) up_ms: u64,
}

impl Clocks {
    pub(super) fn now() -> Self {
        Self { unix_ms: unix_ms(), up_ms: now_ms() }
    }
}

/// When what is in force was noted. An older note does not tell.
pub(super) fn noted_clocks() -> Result<Option<Clocks>, TargetError> {
    let text = read(&folder()?.join(NOTE))?.unwrap_or_default();
    let note: Value = serde_json::from_str(&text).unwrap_or_default();
    let clock = |name: &str| note["clocks"][name].as_u64();
    Ok(clock("unix_ms").zip(clock("up_ms")).map(|(unix_ms, up_ms)| Clocks { unix_ms, up_ms }))
}

impl Saved {
    /// What was applied last in this namespace.
    pub(super) fn noted() -> Result<Option<Self>, TargetError> {
        Ok(noted()?.map(|(saved, _)| saved))
    }

    /// What was confirmed last, before this or an earlier start of the machine.
    pub(super) fn confirmed() -> Result<Option<Self>, TargetError> {
        lasting().map_or(Ok(None), |folder| Self::read(&folder.join(CONFIRMED)))
    }

    /// Makes this what the next start of the machine comes up with.
    pub(super) fn confirm(&self) -> Result<(), TargetError> {
        let Some(folder) = lasting() else { return Ok(()) };
        if Self::confirmed().is_ok_and(|confirmed| confirmed.as_ref() == Some(self)) {
            return Ok(());
        }
        self.write(&folder.join(CONFIRMED)).map_err(|error| TargetError::NotLasting(Box::new(error)))
    }

    /// Notes that this is in force, with the kernel's `listing` of its rules.
    pub(super) fn note(&self, listing: &str) -> Result<(), TargetError> {
        let mut note = self.to_json();
        note["listing"] = listing.into();
        let Clocks { unix_ms, up_ms } = Clocks::now();
        note["clocks"] = json!({ "unix_ms": unix_ms, "up_ms": up_ms });
        write(&folder()?.join(NOTE), &note.to_string())
    }

    pub(super) fn read(path: &Path) -> Result<Option<Self>, TargetError> {
        let Some(text) = read(path)? else { return Ok(None) };
        let saved = serde_json::from_str(&text).ok().and_then(|value: Value| Self::of_json(&value));
        saved.map(Some).ok_or_else(|| TargetError::Damaged(path.to_owned()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), TargetError> {
        write(path, &self.to_json().to_string())
    }

    fn to_json(&self) -> Value {
        let Self { applied: Applied { name, text, options }, ruleset } = self;
        let on_trial = ruleset.on_trial.iter();
        let on_trial = on_trial.map(|OnTrial { chain, rule, behind }| json!([[chain, rule], behind]));
        let sets = ruleset.sets.iter().map(|Set { name, key, data, fixed, size, counts }| {
            json!({ "name": name, "key": key, "data": data, "fixed": fixed, "size": size, "counts": counts })
        });
        json!({
            "name": name,
            "text": text,
            "options": options,
            "ruleset": ruleset.text,
            "fingerprint": ruleset.fingerprint,
            "chains": ruleset.chains,
            "on-trial": on_trial.collect::<Vec<_>>(),
            "sets": sets.collect::<Vec<_>>(),
        })
    }

    fn of_json(value: &Value) -> Option<Self> {
        let sets: Option<_> = value["sets"].as_array()?.iter().map(set_of_json).collect();
        let on_trial = match &value["on-trial"] {
            // An older one has such rules among its others.
            Value::Null => Some(vec![]),
            rules => rules.as_array()?.iter().map(on_trial_of_json).collect(),
        };
        let [name, text, ruleset, fingerprint] =
            ["name", "text", "ruleset", "fingerprint"].map(|key| value[key].as_str().map(str::to_owned));
        let applied = Applied { name: name?, text: text?, options: texts(&value["options"])? };
        let ruleset = Ruleset {
            text: ruleset?,
            fingerprint: fingerprint?,
            sets: sets?,
            chains: texts(&value["chains"])?,
            on_trial: on_trial?,
        };
        Some(Self { applied, ruleset })
    }
}

fn on_trial_of_json(value: &Value) -> Option<OnTrial> {
    // An older one has nothing behind others.
    let (rule, behind) = if value[0].is_array() { (&value[0], texts(&value[1])?) } else { (value, vec![]) };
    let [chain, rule] = texts(rule)?.try_into().ok()?;
    Some(OnTrial { chain, rule, behind })
}

fn set_of_json(value: &Value) -> Option<Set> {
    let data = match &value["data"] {
        Value::Null => None,
        data => Some(DATA.into_iter().find(|known| data == known)?),
    };
    let size = match &value["size"] {
        Value::Null => None,
        size => Some(u32::try_from(size.as_u64()?).ok()?),
    };
    let [name, key] = ["name", "key"].map(|key| value[key].as_str().map(str::to_owned));
    // Of an older one, none did.
    let counts = value["counts"].as_bool().unwrap_or_default();
    Some(Set { name: name?, key: key?, data, fixed: value["fixed"].as_bool()?, size, counts })
}

/// What maps have data of.
const DATA: [&str; 3] = ["classid", "mark", "verdict"];

/// An array of texts.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// What was applied last, and the listing of its rules then. A note that cannot be understood is as good as
/// none.
pub(super) fn noted() -> Result<Option<(Saved, String)>, TargetError> {
    let text = read(&folder()?.join(NOTE))?;
    let note = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    Ok(note.and_then(|note| Some((Saved::of_json(&note)?, note["listing"].as_str()?.to_owned()))))
}

/// Removes the note of what is in force.
pub(super) fn forget() -> Result<(), TargetError> {
    remove(&folder()?.join(NOTE))
}

/// Forgets what the next start of the machine would come up with.
pub(super) fn forget_confirmed() -> Result<(), TargetError> {
    let Some(folder) = lasting() else { return Ok(()) };
    remove(&folder.join(CONFIRMED))?;
    remove_folder(&folder)
}

/// Removes our folder of this namespace, and that of all when it was the last. The lock goes last: from
/// then on somebody else may be writing notes.
pub(super) fn leave(lock: Lock) -> Result<(), TargetError> {
    let folder = folder()?;
    remove(&folder.join(SAVING))?;
    // What a keeper that was ended has left behind.
    if let Ok(_keeper) = take_as(KEEPER) {
        remove(&folder.join(SOCKET))?;
        remove(&folder.join(KEEPER))?;
    }
    remove(&folder.join(LOCK))?;
    drop(lock);
    remove_folder(&folder)?;
    folder.parent().map_or(Ok(()), remove_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_comes_back_as_it_was() {
        let set = |data, size: Option<u32>| Set {
            name: "banned4".to_owned(),
            key: "ipv4_addr".to_owned(),
            data,
            fixed: size.is_none(),
            size,
            counts: data == Some("mark") && size.is_none(),
        };
        let saved = Saved {
            applied: Applied {
                name: "a \"policy\"".to_owned(),
                text: "outside = 'wan0'\n".to_owned(),
                options: vec!["--partial".to_owned()],
            },
            ruleset: Ruleset {
                text: "table inet knockgate {\n}\n".to_owned(),
                fingerprint: "knockgate 1".to_owned(),
                sets: vec![set(None, Some(7)), set(Some("classid"), None), set(Some("mark"), None)],
                chains: vec!["input".to_owned()],
                on_trial: vec![OnTrial {
                    chain: "ports".to_owned(),
                    rule: "jump rescue".to_owned(),
                    behind: vec!["jump known".to_owned()],
                }],
            },
        };
        assert_eq!(Saved::of_json(&saved.to_json()), Some(saved.clone()));
        let mut older = saved.to_json();
        older["on-trial"] = json!([["rescue", "accept"]]);
        let on_trial = Saved::of_json(&older).map(|saved| saved.ruleset.on_trial);
        let [chain, rule] = ["rescue", "accept"].map(str::to_owned);
        assert_eq!(on_trial, Some(vec![OnTrial { chain, rule, behind: vec![] }]));
        let mut other = saved.to_json();
        other["sets"][1]["data"] = "something new".into();
        assert_eq!(Saved::of_json(&other), None, "what is not understood is not guessed");
    }
}
