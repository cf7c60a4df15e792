//! What `knockgate keep` tells.

use std::fmt;

use knockgate::logbook::Entry;
use knockgate::target::nft::events::Event;
use knockgate::target::nft::guard::Found;
use knockgate_compiler::lower::What;

use super::super::output::Output;

/// Something that is worth a line.
#[derive(Debug)]
pub(super) enum Happening<'h> {
    /// A packet did something.
    Event(&'h Event),
    /// So many events came too fast.
    Missed(u64),
    /// From here on, events are heard.
    Listening,
    /// This policy is in force.
    InForce(&'h str),
    NothingInForce,
    /// Somebody else changed the rules.
    Rules(&'h Found),
    /// So many entries of lists are there again as they were saved.
    PutBack(u64),
    /// Something did not work, and is tried again.
    Trouble(&'h str),
}

impl Happening<'_> {
    pub(super) fn print(&self, output: &Output) {
        match self {
            Self::Missed(_) | Self::Rules(_) | Self::Trouble(_) => output.warn(&self.to_string()),
            _ => output.tell(&format!("{self}\n")),
        }
    }
}

impl fmt::Display for Happening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write_event(event, f),
            Self::Missed(count) => write!(f, "{count} events came too fast to be told"),
            Self::Listening => f.write_str("listening to what the rules tell"),
            Self::InForce(name) => write!(f, "{name} is in force"),
            Self::NothingInForce => f.write_str("no policy is in force; waiting for one to be applied"),
            Self::Rules(found) => write_found(found, f),
            Self::PutBack(count) => {
                write!(f, "{count} entries of lists were put back as they were saved last")
            }
            Self::Trouble(why) => f.write_str(why),
        }
    }
}

/// What the log tells of an event: nothing of single knocks and strikes, nor of the lists of scripts, which are
/// often named after knocks.
pub(super) fn entry_of(event: &Event) -> Option<Entry> {
    match &event.what {
        What::Granted { lasts } => Some(Entry::knocked(event.source, event.door.clone()?, *lasts)),
        What::Banned { lasts } => Some(Entry::trapped(event.source, *lasts)),
        _ => None,
    }
}

fn write_event(Event { source, what, door, .. }: &Event, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let door = door.as_deref().unwrap_or_default();
    match what {
        What::Knock { number, of } => write!(f, "{source} made knock {number} of {of} at door {door}"),
        What::Granted { lasts } => write!(f, "{source} may use door {door} for {lasts}"),
        What::Wrong { lasts } => write!(f, "{source} made a wrong knock, and makes no progress for {lasts}"),
        What::Strike { number } => write!(f, "{source} touched a trap: strike {number}"),
        What::Banned { lasts } => write!(f, "{source} is banned for {lasts}"),
        What::Listed { list, lasts } => write!(f, "{source} is on list {list} for {lasts}"),
    }
}

fn write_found(found: &Found, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match found {
        Found::Changed(by) => write!(f, "{by} changed the rules; `knockgate apply` puts them in force again"),
        Found::ChangedOnTrial(by) => {
            write!(f, "{by} changed the rules while a policy is on trial; they are mended after it")
        }
        Found::Repaired { by, lost, pause } => {
            let lost = if *lost { "; lists were lost" } else { "" };
            write!(f, "{by} changed the rules; they were put in force again{lost}")?;
            pause.map_or(Ok(()), |pause| {
                write!(f, "; this happens again and again, so the next time waits {} s", pause.as_secs())
            })
        }
        Found::NotRepaired(by, error) => {
            write!(f, "{by} changed the rules, and they could not be put in force again: {error}")
        }
        Found::Nothing | Found::Another(_) => Ok(()),
    }
}
