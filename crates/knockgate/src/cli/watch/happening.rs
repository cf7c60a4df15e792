//! What happens at a gateway, a line each.

use std::time::SystemTime;

use knockgate::moment::{time_of_day, utc_at};
use knockgate::target::nft::events::Event;
use knockgate_compiler::lower;
use serde_json::{Value, json};

use super::super::listed::{BY_TRAP, Row, printable};
use super::model::{Pane, Snapshot};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    pub at: SystemTime,
    /// The source, a network of sources, or nobody.
    pub who: String,
    pub door: Option<String>,
    pub what: What,
}

/// What can be told of a source or the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A right knock, of so many.
    Knock {
        number: usize,
        of: usize,
    },
    /// A wrong one, which it has to pay for.
    Wrong,
    /// A trap was touched.
    Strike(usize),
    Granted,
    GrantEnded,
    /// By a trap or by hand.
    Banned(String),
    BanEnded,
    Allowed,
    AllowEnded,
    /// It came onto a list of a script.
    Listed(String),
    ListEnded(String),
    /// Something of the gateway itself.
    Note(String),
}

impl What {
    /// The word for programs.
    fn word(&self) -> &'static str {
        match self {
            Self::Knock { .. } => "knock",
            Self::Wrong => "wrong knock",
            Self::Strike(_) => "strike",
            Self::Granted => "granted",
            Self::GrantEnded => "grant ended",
            Self::Banned(_) => "banned",
            Self::BanEnded => "ban ended",
            Self::Allowed => "allowed",
            Self::AllowEnded => "allow ended",
            Self::Listed(_) => "listed",
            Self::ListEnded(_) => "list ended",
            Self::Note(_) => "note",
        }
    }
}

impl Happening {
    pub fn note(at: SystemTime, text: impl Into<String>) -> Self {
        Self { at, who: String::new(), door: None, what: What::Note(text.into()) }
    }

    /// Whether packets can have done it, of which the kernel tells a moment later.
    pub fn is_of_packets(&self) -> bool {
        match &self.what {
            What::Banned(by) => by == BY_TRAP,
            What::Knock { .. } | What::Granted | What::Listed(_) => true,
            _ => false,
        }
    }

    /// What happened, without when and to whom.
    pub fn words(&self) -> String {
        let door = self.door.as_ref().map(|door| format!(" {door}")).unwrap_or_default();
        match &self.what {
            What::Knock { number, of } => format!("knock {number} of {of}{door}"),
            What::Wrong => "wrong knock".to_owned(),
            What::Strike(number) => format!("touched a trap, strike {number}"),
            What::Granted => format!("granted{door}"),
            What::GrantEnded => format!("grant ended{door}"),
            What::Banned(by) if by.is_empty() => "banned".to_owned(),
            What::Banned(by) => format!("banned by {by}"),
            What::BanEnded => "ban ended".to_owned(),
            What::Allowed => "allowed by hand".to_owned(),
            What::AllowEnded => "no longer allowed by hand".to_owned(),
            What::Listed(list) => format!("on {list}"),
            What::ListEnded(list) => format!("off {list}"),
            What::Note(text) => printable(text),
        }
    }

    /// For people, with the time of day in UTC.
    pub fn line(&self) -> String {
        let (time, words) = (time_of_day(self.at), self.words());
        if self.who.is_empty() {
            format!("{time}  {words}")
        } else {
            format!("{time}  {:<15}  {words}", self.who)
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let mut value = json!({ "at": utc_at(self.at), "event": self.what.word() });
        if !self.who.is_empty() {
            value["source"] = self.who.clone().into();
        }
        if let Some(door) = &self.door {
            value["door"] = door.clone().into();
        }
        match &self.what {
            What::Knock { number, of } => {
                value["number"] = (*number).into();
                value["of"] = (*of).into();
            }
            What::Strike(number) => value["number"] = (*number).into(),
            What::Banned(by) => value["by"] = by.clone().into(),
            What::Listed(list) | What::ListEnded(list) => value["list"] = list.clone().into(),
            What::Note(text) => value["text"] = text.clone().into(),
            _ => {}
        }
        value
    }
}

impl From<Event> for Happening {
    fn from(event: Event) -> Self {
        let what = match event.what {
            lower::What::Knock { number, of } => What::Knock { number, of },
            lower::What::Granted { .. } => What::Granted,
            lower::What::Wrong { .. } => What::Wrong,
            lower::What::Strike { number } => What::Strike(number),
            lower::What::Banned { .. } => What::Banned(BY_TRAP.to_owned()),
            lower::What::Listed { list, .. } => What::Listed(list.into()),
        };
        let door = event.door.map(String::from);
        Self { at: event.at, who: event.source.to_string(), door, what }
    }
}

/// How far a source is at a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    pub door: String,
    pub made: usize,
    /// Knocks of the door.
    pub of: usize,
}

/// What a position is called: `ssh 1/3, db 2/4`; or a stage list, `ssh 1`, of a door with `of` knocks.
pub fn stages(what: &str, of: impl Fn(&str) -> usize) -> Vec<Stage> {
    let one = |part: &str| {
        let (door, made) = part.rsplit_once(' ')?;
        let (made, whole) = match made.split_once('/') {
            Some((made, whole)) => (made, whole.parse().ok()?),
            None => (made, of(door)),
        };
        Some(Stage { door: door.to_owned(), made: made.parse().ok()?, of: whole })
    };
    what.split(", ").filter_map(one).collect()
}

/// What has changed from one snapshot to the next. Of a list that is not shown in full nothing is told: others of its
/// rows may be shown each time.
pub fn differences(before: &Snapshot, after: &Snapshot, at: SystemTime) -> Vec<Happening> {
    let mut told = vec![];
    for (pane, old) in &before.lists {
        let new = after.lists.iter().find(|(other, _)| other == pane).map(|(_, table)| table);
        let Some(new) = new.filter(|new| !new.cut && !old.cut) else { continue };
        let there = |row: &Row, rows: &[Row]| {
            rows.iter().any(|other| other.addresses == row.addresses && other.what == row.what)
        };
        let come = new.rows.iter().filter(|row| !there(row, &old.rows));
        told.extend(come.flat_map(|row| begun(*pane, row, after, at)));
        let gone = old.rows.iter().filter(|row| !there(row, &new.rows));
        told.extend(gone.filter_map(|row| ended(*pane, row, at)));
    }
    told
}

fn begun(pane: Pane, row: &Row, snapshot: &Snapshot, at: SystemTime) -> Vec<Happening> {
    let of = |what, door: Option<&str>| Happening {
        at,
        who: row.addresses.clone(),
        door: door.map(str::to_owned),
        what,
    };
    match pane {
        Pane::Granted => vec![of(What::Granted, Some(&row.what))],
        Pane::Knocking => {
            let stages = stages(&row.what, |door| snapshot.knocks(door)).into_iter();
            let knock =
                |stage: Stage| of(What::Knock { number: stage.made, of: stage.of }, Some(&stage.door));
            stages.map(knock).collect()
        }
        Pane::Banned => vec![of(What::Banned(row.what.clone()), None)],
        Pane::Allowed => vec![of(What::Allowed, None)],
        Pane::Listed => vec![of(What::Listed(row.what.clone()), None)],
        Pane::Events | Pane::Sets | Pane::Rules => vec![],
    }
}

fn ended(pane: Pane, row: &Row, at: SystemTime) -> Option<Happening> {
    let of = |what, door: Option<&str>| {
        Some(Happening { at, who: row.addresses.clone(), door: door.map(str::to_owned), what })
    };
    match pane {
        Pane::Granted => of(What::GrantEnded, Some(&row.what)),
        Pane::Banned => of(What::BanEnded, None),
        Pane::Allowed => of(What::AllowEnded, None),
        Pane::Listed => of(What::ListEnded(row.what.clone()), None),
        // Who goes on has another position, and who does not is no news.
        Pane::Knocking | Pane::Events | Pane::Sets | Pane::Rules => None,
    }
}
