//! Whether somebody else changes our rules, and what is done about it.
//!
//! The kernel tells of every transaction (`man 8 nft`, MONITOR), and of every note that is written (`man 7
//! inotify`). What it tells makes us look; what is held against each other is, as for `status`, what is in force
//! and what was noted.

mod pace;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use knockgate_compiler::policy::IfChanged;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::{Errno, read};

use super::files::{failed, folder};
use super::netlink::{Attributes, Feed};
use super::state::{Applied, Saved, noted};
use super::{Done, NAME, TargetError, lock, renew, table, trial};
use pace::Pace;

/// `NFNLGRP_NFTABLES`, a bit for each group.
const CHANGES: u32 = 1 << 6;
/// Bytes that the kernel keeps for us. Where that is too little, we look.
const ROOM: usize = 1 << 20;

/// Messages and attributes (linux/netfilter/nf_tables.h).
const NEW_ELEMENTS: u16 = 0x0a0c;
const DELETED_ELEMENTS: u16 = 0x0a0e;
const GENERATION: u16 = 0x0a0f;
const GENERATION_PROCESS: u16 = 2;
const GENERATION_PROGRAM: u16 = 3;
const TABLE: u16 = 1;
const SET: u16 = 2;

/// How soon it is looked again after a change.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// How soon it is tried again while somebody else holds the lock.
const BUSY: Duration = Duration::from_millis(50);
/// How soon it is looked again while a trial runs.
const TRIAL: Duration = Duration::from_secs(1);

/// What was found at a look.
#[derive(Debug)]
pub enum Found {
    /// Nothing that was not told.
    Nothing,
    /// Another policy is in force since the last look, or none.
    Another(Option<Applied>),
    /// Somebody else changed the rules, and they were left as they are.
    Changed(Culprit),
    /// Somebody else changed the rules while a policy is on trial; the end of the trial mends them.
    ChangedOnTrial(Culprit),
    /// Somebody else changed the rules, and they were put in force again.
    Repaired {
        /// Who changed them.
        by: Culprit,
        /// Whether the lists were gone too, and are empty until they are put back.
        lost: bool,
        /// How long the next change is left alone, if somebody changes them again and again.
        pause: Option<Duration>,
    },
    /// Somebody else changed the rules, and they could not be put in force again, until now.
    NotRepaired(Culprit, TargetError),
}

/// Who changed the rules, as far as it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Culprit(Option<String>);

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("another program"))
    }
}

/// Watches over our table in this network namespace.
#[derive(Debug)]
pub struct Guard {
    feed: Feed,
    /// Tells when a file of our folder is written or removed.
    notes: OwnedFd,
    /// What is done about a change.
    pub if_changed: IfChanged,
    in_force: Option<Saved>,
    /// Sets that packets and people fill.
    loose: BTreeSet<String>,
    /// When it is looked next.
    due: Option<Instant>,
    looked: Option<Instant>,
    /// Who made the last transaction that changed something of ours.
    by: Culprit,
    /// Whether something of ours was changed in the transaction that is being told.
    touched: bool,
    /// Whether the present change was told.
    told: bool,
    pace: Pace,
}

impl Guard {
    /// From here on, no change goes unnoticed. What there is, is looked at first.
    pub fn open() -> Result<Self, TargetError> {
        let feed = Feed::open(CHANGES, ROOM).map_err(|error| table::refused("the rules", error))?;
        Ok(Self {
            feed,
            notes: notes(&folder()?)?,
            if_changed: IfChanged::Repair,
            in_force: None,
            loose: BTreeSet::new(),
            due: Some(Instant::now()),
            looked: None,
            by: Culprit::default(),
            touched: false,
            told: false,
            pace: Pace::default(),
        })
    }

    /// When it is to be looked next, if that is known.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Hears what has been changed or noted, and by whom.
    pub fn hear(&mut self) -> Result<(), TargetError> {
        let Self { feed, loose, by, touched, .. } = self;
        let mut suspicious = false;
        loop {
            let more = feed.take(|kind, message| match kind {
                GENERATION => {
                    if std::mem::take(touched) {
                        *by = culprit(message);
                        suspicious = true;
                    }
                }
                kind => *touched |= matters(kind, message, loose),
            });
            match more {
                Ok(true) => {}
                Ok(false) => break,
                // Something was told that there was no room for.
                Err(Errno::NOBUFS) => suspicious = true,
                Err(error) => return Err(table::refused("the rules", error)),
            }
        }
        while read(&self.notes, &mut [0; 4096]).is_ok() {
            suspicious = true;
        }
        if suspicious {
            self.suspect();
        }
        Ok(())
    }

    /// What can be read when there is something to [`hear`](Self::hear).
    pub fn files(&self) -> [BorrowedFd<'_>; 2] {
        [self.feed.as_fd(), self.notes.as_fd()]
    }

    /// Has it looked soon, but not all the time.
    pub fn suspect(&mut self) {
        let now = Instant::now();
        self.look_at(self.looked.map_or(now, |looked| now.max(looked + BETWEEN_LOOKS)));
    }

    /// Has it looked after a while.
    pub fn look_in(&mut self, pause: Duration) {
        self.look_at(Instant::now() + pause);
    }

    fn look_at(&mut self, then: Instant) {
        self.due = Some(self.due.map_or(then, |due| due.min(then)));
    }

    /// Looks whether what is in force is what was applied, and does what is to be done if not.
    pub fn look(&mut self) -> Result<Found, TargetError> {
        let now = Instant::now();
        (self.due, self.looked) = (None, Some(now));
        let noted = noted()?;
        let saved = noted.as_ref().map(|(saved, _)| saved);
        if saved != self.in_force.as_ref() {
            return Ok(self.follow(saved.cloned()));
        }
        let Some((saved, listing)) = noted else { return Ok(Found::Nothing) };
        if is_as_listed(&listing)? {
            (self.told, self.by) = (false, Culprit::default());
            return Ok(Found::Nothing);
        }
        if let Some(then) = self.pace.not_before().filter(|then| *then > now) {
            self.look_at(then);
            return Ok(Found::Nothing);
        }
        self.mend(&saved)
    }

    /// The same again at once, for it was not looked whether this one is as it was applied.
    fn follow(&mut self, saved: Option<Saved>) -> Found {
        let sets = saved.iter().flat_map(|saved| &saved.ruleset.sets);
        self.loose = sets.filter(|set| !set.fixed).map(|set| set.name.clone()).collect();
        self.told = false;
        self.in_force = saved;
        self.look_at(Instant::now());
        Found::Another(self.in_force.as_ref().map(|saved| saved.applied.clone()))
    }

    /// Does what is to be done about rules that are not as they were applied. They may be those of an apply
    /// that is under way: it holds the lock.
    fn mend(&mut self, saved: &Saved) -> Result<Found, TargetError> {
        let lock = match lock::take() {
            Err(TargetError::Locked { .. }) => {
                self.look_in(BUSY);
                return Ok(Found::Nothing);
            }
            lock => lock?,
        };
        match noted()? {
            Some((noted, listing)) if noted == *saved && !is_as_listed(&listing)? => {}
            _ => {
                self.look_at(Instant::now());
                return Ok(Found::Nothing);
            }
        }
        let (told, by) = (std::mem::replace(&mut self.told, true), self.by.clone());
        if trial::stands()? {
            self.look_in(TRIAL);
            return Ok(if told { Found::Nothing } else { Found::ChangedOnTrial(by) });
        }
        if self.if_changed == IfChanged::Alarm {
            return Ok(if told { Found::Nothing } else { Found::Changed(by) });
        }
        let pause = self.pace.begin(Instant::now());
        match renew(&lock, saved) {
            Ok(done) => Ok(Found::Repaired { by, lost: has_lost(&done), pause }),
            Err(error) => {
                self.look_in(pause.unwrap_or(BETWEEN_LOOKS));
                Ok(if told { Found::Nothing } else { Found::NotRepaired(by, error) })
            }
        }
    }
}

fn notes(folder: &Path) -> Result<OwnedFd, TargetError> {
    let watch = || {
        fs::create_dir_all(folder)?;
        let notes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&notes, folder, WatchFlags::MOVED_TO | WatchFlags::DELETE)?;
        Ok(notes)
    };
    watch().map_err(|error: io::Error| failed(folder, error))
}

fn has_lost(done: &Done) -> bool {
    matches!(done, Done::Loaded(load) if load.kept.is_empty() && load.carried.is_empty())
}

/// No table is listed as nothing, so a listing that fails says nothing of the rules.
fn is_as_listed(listing: &str) -> Result<bool, TargetError> {
    Ok(table::listing()? == listing)
}

/// Whether something of ours was changed that neither packets nor people change. A table of another family
/// with our name makes us look, and no more.
fn matters(kind: u16, message: Attributes<'_>, loose: &BTreeSet<String>) -> bool {
    let elements = matches!(kind, NEW_ELEMENTS | DELETED_ELEMENTS);
    let is_loose = |set: &str| loose.contains(set);
    message.name(TABLE) == Some(NAME) && !(elements && message.name(SET).is_some_and(is_loose))
}

fn culprit(generation: Attributes<'_>) -> Culprit {
    let program = generation.name(GENERATION_PROGRAM).zip(generation.number(GENERATION_PROCESS));
    let words = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    Culprit(program.map(|(name, process)| format!("{} (process {process})", words(name))))
}
