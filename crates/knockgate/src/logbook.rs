//! What happened, a line each, for whoever looks after the machine.
//!
//! A line tells of sources, doors, times and people, never how to knock. Lines are counted out, so that
//! nobody fills a disk by knocking.

mod entry;
mod file;
mod journal;
mod rate;
mod record;
mod syslog;
#[cfg(test)]
mod tests;
mod who;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use knockgate_compiler::frontend;
use knockgate_compiler::policy::{Log, LogTo, Policy, default};

use crate::target::nft::Applied;
pub use entry::{By, Entry};
use rate::{Rate, Turn};
pub use record::Record;
pub use who::Who;

/// Where the system takes lines.
#[derive(Clone, Debug)]
struct Sockets {
    journal: PathBuf,
    syslog: PathBuf,
}

impl Sockets {
    fn of_the_system() -> Self {
        Self { journal: journal::SOCKET.into(), syslog: syslog::SOCKET.into() }
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is where the policy wants it.
    Done,
    /// There were too many; how many are left out is told by a later line.
    LeftOut,
    /// There is no log on this machine.
    Nowhere,
}

/// An entry that could not be written.
#[derive(Debug)]
pub struct Unwritten {
    place: String,
    error: io::Error,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log could not be written to {}: {}", self.place, self.error)
    }
}

impl std::error::Error for Unwritten {}

/// Writes entries as a policy says. It knows only what this process writes.
#[derive(Debug)]
pub struct Logbook {
    to: LogTo,
    sockets: Sockets,
    /// Of bans that traps make: whoever forges packets makes many. They keep nothing else out.
    bans: Rate,
    others: Rate,
}

impl Logbook {
    /// As these settings say.
    pub fn new(log: &Log) -> Self {
        Self {
            to: log.to.clone(),
            sockets: Sockets::of_the_system(),
            bans: Rate::new(log.rate),
            others: Rate::new(log.rate),
        }
    }

    /// As this policy says; where there is none, as those do that say nothing.
    pub fn of(policy: Option<&Policy>) -> Self {
        let default = Log { to: default::LOG_TO, rate: default::LOG_RATE };
        Self::new(policy.map_or(&default, Policy::log))
    }

    /// The same of what was applied; a script is no policy.
    pub fn of_applied(applied: &Applied) -> Self {
        let (policy, _) = frontend::toml::parse(&applied.text);
        Self::of(policy.as_ref())
    }

    /// Writes what happened just now.
    pub fn write(&mut self, entry: Entry, who: &Who) -> Result<Written, Unwritten> {
        self.write_at(SystemTime::now(), entry, who)
    }

    /// Writes what happened at that time.
    pub fn write_at(&mut self, at: SystemTime, entry: Entry, who: &Who) -> Result<Written, Unwritten> {
        self.catch_up()?;
        let rate = if entry.is_ban_by_trap() { &mut self.bans } else { &mut self.others };
        match rate.turn(Instant::now()) {
            Turn::Write => self.put(&Record { at, entry, who: who.clone() }),
            Turn::LeaveOut => Ok(Written::LeftOut),
        }
    }

    /// Tells how many lines were left out, if it is time to. Whoever goes on for long calls it now and
    /// then, so that it is told although nothing more happens.
    pub fn catch_up(&mut self) -> Result<(), Unwritten> {
        let now = Instant::now();
        let lines = [self.bans.untold(now), self.others.untold(now)];
        self.tell_left_out(lines)
    }

    /// The same at the end, when there is no later time.
    pub fn finish(mut self) -> Result<(), Unwritten> {
        let lines = [self.bans.all_untold(), self.others.all_untold()];
        self.tell_left_out(lines)
    }

    fn tell_left_out(&self, lines: [Option<u64>; 2]) -> Result<(), Unwritten> {
        let lines: u64 = lines.into_iter().flatten().sum();
        if lines == 0 {
            return Ok(());
        }
        let record = Record { at: SystemTime::now(), entry: Entry::LeftOut { lines }, who: Who::default() };
        self.put(&record).map(drop)
    }

    fn put(&self, record: &Record) -> Result<Written, Unwritten> {
        let Sockets { journal, syslog } = &self.sockets;
        let written = match &self.to {
            LogTo::Off => return Ok(Written::Done),
            LogTo::System => return Ok(self.put_anywhere(record)),
            LogTo::Journal => journal::send(journal, record),
            LogTo::Syslog => syslog::send(syslog, record),
            LogTo::File(path) => file::append(Path::new(&**path), record),
        };
        written.map(|()| Written::Done).map_err(|error| Unwritten { place: self.place(), error })
    }

    /// To the journal; where there is none, to the system log.
    fn put_anywhere(&self, record: &Record) -> Written {
        let sent = journal::send(&self.sockets.journal, record)
            .or_else(|_| syslog::send(&self.sockets.syslog, record));
        if sent.is_ok() { Written::Done } else { Written::Nowhere }
    }

    fn place(&self) -> String {
        match &self.to {
            LogTo::Journal => format!("the journal ({})", self.sockets.journal.display()),
            LogTo::Syslog => format!("syslog ({})", self.sockets.syslog.display()),
            LogTo::File(path) => path.to_string(),
            LogTo::System | LogTo::Off => "the log".to_owned(),
        }
    }
}
