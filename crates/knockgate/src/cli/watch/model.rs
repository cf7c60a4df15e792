//! What there is to be seen, computed from what was read of the machine. Knows no clock, no kernel and no terminal.

mod lines;
mod rate;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use knockgate::target::nft::Fill;

use super::super::listed::{Row, Table};
use super::happening::{Happening, What, differences};
use lines::is_of;
pub use lines::{Line, Sort, fullness};
pub use rate::Rate;
use rate::rate;

/// Happenings that are kept.
const HAPPENINGS: usize = 1000;
/// How far apart an event and its effect may be noticed.
const SAME: Duration = Duration::from_secs(5);

/// One of the lists that the tabs lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pane {
    Granted,
    Knocking,
    Banned,
    Allowed,
    /// The lists of a script.
    Listed,
    Events,
    /// How full sets are.
    Sets,
    Rules,
}

impl Pane {
    pub fn title(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Knocking => "knocking",
            Self::Banned => "banned",
            Self::Allowed => "allowed",
            Self::Listed => "listed",
            Self::Events => "events",
            Self::Sets => "lists",
            Self::Rules => "rules",
        }
    }
}

/// Whether the rules are as they were applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    AsApplied,
    /// Somebody else changed them.
    Changed,
    /// Somebody else took the table away.
    Gone,
    /// No policy is in force.
    Nothing,
}

/// A door and what it opens.
#[derive(Clone, Debug)]
pub struct Door {
    pub name: String,
    pub opens: String,
    pub knocks: usize,
}

/// What rules of one name have counted since they were loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub what: String,
    pub packets: u64,
}

/// What was read of the machine at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub at: Instant,
    /// The file of what is in force.
    pub name: String,
    pub force: Force,
    /// When it was put in force.
    pub since: Option<SystemTime>,
    /// Milliseconds until a trial takes itself back.
    pub trial_ms: Option<u64>,
    pub doors: Vec<Door>,
    pub lists: Vec<(Pane, Table)>,
    pub sets: Vec<(String, Fill)>,
    pub rules: Vec<Rule>,
    /// Packets that rules let in or pass on.
    pub accepted: u64,
    pub dropped: u64,
}

impl Snapshot {
    /// The knocks of a door; 0 if there is none of this name.
    pub fn knocks(&self, door: &str) -> usize {
        self.doors.iter().find(|known| known.name == door).map_or(0, |door| door.knocks)
    }

    pub fn list(&self, pane: Pane) -> Option<&Table> {
        self.lists.iter().find(|(other, _)| *other == pane).map(|(_, table)| table)
    }
}

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel tells of each; so many were missed.
    Live { missed: u64 },
    /// What has changed between two looks, for this reason.
    Paging(String),
}

/// Everything that the view shows.
#[derive(Debug)]
pub struct Model {
    pub snapshot: Snapshot,
    pub accepted: Rate,
    pub dropped: Rate,
    rules: HashMap<String, f64>,
    pub source: Source,
    /// The newest first, with numbers from 1.
    happenings: VecDeque<(u64, Happening)>,
    told: u64,
    /// Seen at the last look, and not heard of so far.
    doubtful: Vec<Happening>,
    pub pane: Pane,
    pub filter: String,
    pub sort: Sort,
    pub reversed: bool,
    /// What is selected, and where it was last.
    selected: Option<(String, usize)>,
}

impl Model {
    pub fn new(snapshot: Snapshot, source: Source) -> Self {
        let pane = snapshot.lists.first().map_or(Pane::Events, |(pane, _)| *pane);
        Self {
            snapshot,
            accepted: Rate::default(),
            dropped: Rate::default(),
            rules: HashMap::new(),
            source,
            happenings: VecDeque::new(),
            told: 0,
            doubtful: vec![],
            pane,
            filter: String::new(),
            sort: Sort::Left,
            reversed: false,
            selected: None,
        }
    }

    /// Takes what was read a little later, and returns what that tells besides what was heard.
    pub fn see(&mut self, snapshot: Snapshot, at: SystemTime) -> Vec<Happening> {
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        let (now, time) = (&self.snapshot, self.snapshot.at.saturating_duration_since(before.at));
        self.accepted.count(before.accepted, now.accepted, time);
        self.dropped.count(before.dropped, now.dropped, time);
        let old: HashMap<&str, u64> = before.rules.iter().map(|rule| (&*rule.what, rule.packets)).collect();
        let of_rule =
            |rule: &Rule| Some((rule.what.clone(), rate(*old.get(&*rule.what)?, rule.packets, time)?));
        self.rules = now.rules.iter().filter_map(of_rule).collect();
        let mut told = notes(&before, now, at);
        told.extend(self.unheard(differences(&before, now, at)));
        if !self.panes().contains(&self.pane) {
            self.show(self.panes()[0]);
        }
        self.hear(told.clone());
        told
    }

    /// Takes what happened.
    pub fn hear(&mut self, happenings: Vec<Happening>) {
        for happening in happenings {
            self.told += 1;
            self.happenings.push_front((self.told, happening));
        }
        self.happenings.truncate(HAPPENINGS);
    }

    /// What was seen and not heard of. What may yet be heard of waits for the next look.
    fn unheard(&mut self, seen: Vec<Happening>) -> Vec<Happening> {
        let live = self.source.is_live();
        let (doubtful, sure): (Vec<_>, Vec<_>) =
            seen.into_iter().partition(|one| live && one.is_of_packets());
        let told = std::mem::replace(&mut self.doubtful, doubtful).into_iter().chain(sure);
        told.filter(|one| !self.knows(one)).collect()
    }

    /// Whether the kernel told of it, or would have.
    fn knows(&self, happening: &Happening) -> bool {
        if self.source.is_live() && matches!(happening.what, What::Knock { .. }) {
            return true;
        }
        let same = |other: &Happening| {
            let what = std::mem::discriminant(&other.what) == std::mem::discriminant(&happening.what);
            what && is_of(&other.who, &happening.who) && other.door == happening.door
        };
        let recent = |other: &&(u64, Happening)| other.1.at + SAME >= happening.at;
        self.happenings.iter().take_while(recent).any(|(_, other)| same(other))
    }

    pub fn happenings(&self) -> impl Iterator<Item = &Happening> {
        self.happenings.iter().map(|(_, happening)| happening)
    }

    pub fn panes(&self) -> Vec<Pane> {
        let lists = self.snapshot.lists.iter().map(|(pane, _)| *pane);
        lists.chain([Pane::Events, Pane::Sets, Pane::Rules]).collect()
    }

    pub fn show(&mut self, pane: Pane) {
        self.pane = pane;
        self.selected = None;
    }

    /// The pane so many tabs further on.
    pub fn turn(&mut self, by: isize) {
        let panes = self.panes();
        let place = panes.iter().position(|pane| *pane == self.pane).unwrap_or_default();
        let place = (place as isize + by).rem_euclid(panes.len() as isize);
        self.show(panes[place as usize]);
    }

    /// How many lines a pane has, filtered or not.
    pub fn count(&self, pane: Pane) -> Option<u64> {
        match pane {
            Pane::Events => Some(self.happenings.len() as u64),
            Pane::Sets => Some(self.snapshot.sets.len() as u64),
            Pane::Rules => Some(self.snapshot.rules.len() as u64),
            list => self.snapshot.list(list).and_then(|table| table.total),
        }
    }

    /// Sources that hold a grant of a door, and those that knock there, among those that are shown.
    pub fn at_door(&self, door: &str) -> (usize, usize) {
        let count = |pane, of: &dyn Fn(&Row) -> bool| {
            self.snapshot.list(pane).map_or(0, |table| table.rows.iter().filter(|row| of(row)).count())
        };
        let granted = count(Pane::Granted, &|row| row.what == door);
        let at =
            |row: &Row| super::happening::stages(&row.what, |_| 0).iter().any(|stage| stage.door == door);
        (granted, count(Pane::Knocking, &at))
    }

    /// Packets a second that met the rules of a name.
    pub fn rate_of(&self, rule: &Rule) -> f64 {
        self.rules.get(&rule.what).copied().unwrap_or_default()
    }

    /// What is left of so much at `now`.
    pub fn left(&self, millis: u64, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.snapshot.at).as_millis();
        millis.saturating_sub(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// The source that is filtered by, if it is a whole address.
    pub fn wanted(&self) -> Option<IpAddr> {
        self.filter.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    }
}

impl Source {
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }
}

/// What has become of the policy.
fn notes(before: &Snapshot, now: &Snapshot, at: SystemTime) -> Vec<Happening> {
    let mut notes = vec![];
    if before.force != now.force {
        notes.push(match now.force {
            Force::AsApplied => format!("{} is in force", now.name),
            Force::Changed => "somebody else changed the rules".to_owned(),
            Force::Gone => "somebody else took the table away".to_owned(),
            Force::Nothing => "no policy is in force any more".to_owned(),
        });
    } else if before.since != now.since {
        notes.push(format!("{} was put in force", now.name));
    }
    match (before.trial_ms, now.trial_ms) {
        (None, Some(left)) => notes.push(format!("{} is on trial for {} s", now.name, left / 1000)),
        (Some(_), None) => notes.push("the trial is over".to_owned()),
        _ => {}
    }
    notes.into_iter().map(|note| Happening::note(at, note)).collect()
}
