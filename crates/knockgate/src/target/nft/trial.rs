//! Trials: a policy that goes away by itself unless somebody confirms it over a connection that it let
//! in.
//!
//! Two files tell of one: its record, and what was in force before. While policies are being changed the
//! lock is held, so whoever has the lock and finds a trial that is not running yet knows that its apply
//! was killed.

pub(super) mod clock;
mod record;
mod watchdog;

use std::fmt;
use std::net::SocketAddr;

use knockgate_compiler::backend::nft::{RESCUED, Ruleset, set_name};
use knockgate_compiler::net::Family;
use knockgate_compiler::time::Lifetime;

use super::files::failed;
use super::lock::{self, Lock};
use super::{
    Element, Saved, TargetError, carry_out, change, clear, enforce, get, note, note_words, observe,
    observe_for, table,
};
use crate::logbook::{Entry, Logbook, Who};
use crate::plan::{Load, Plan, Rescue, plan, rescued};
use crate::session::{self, Connection};
use clock::TimeOfDay;
pub use record::{Ended, Why};
use record::{Phase, Record};
pub use watchdog::watch;

/// How a policy is tried out.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long it may take to confirm it.
    pub length: Lifetime,
    /// The session that tries it out, if it is one and its connection stands here.
    pub session: Option<Connection>,
}

/// A trial that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The policy that is tried out.
    pub name: String,
    /// The process that applied it.
    pub process: u32,
    /// The session that it was applied from.
    pub session: Option<Connection>,
    /// When it takes itself back.
    pub until: TimeOfDay,
    /// The same in seconds since 1970.
    pub until_s: u64,
    /// Seconds that are left.
    pub left_s: u64,
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, process, session, until, .. } = self;
        write!(f, "{name} is on trial until {until}, begun by process {process}")?;
        session.map_or(Ok(()), |session| write!(f, " at {}", session.remote))
    }
}

/// Puts `wanted` in force until its time is up, or it is confirmed. Returns what was changed; nothing if
/// that policy is in force already, so that there is nothing to try.
pub fn begin(wanted: &Saved, terms: &Terms) -> Result<Option<(Load, Running)>, TargetError> {
    let lock = lock::take()?;
    settle(&lock)?;
    super::probe::probe()?;
    let snapshot = observe_for(Some(&wanted.ruleset.fingerprint))?;
    let load = match plan(&wanted.ruleset, &snapshot) {
        Plan::Load(load) => load,
        Plan::Keep => {
            note_words(wanted)?;
            wanted.confirm()?;
            return Ok(None);
        }
    };
    let before = Saved::noted()?;
    if before.is_none() && !snapshot.chains.is_empty() {
        return Err(TargetError::Unknown);
    }
    let mut record = Record::new(wanted, terms)?;
    record.begin(before.as_ref())?;
    match in_force(&lock, wanted, &load, terms, &mut record) {
        Ok(()) => Ok(Some((load, record.running()))),
        Err(error) => {
            // Where this fails too, the watchdog goes on with it.
            take_back(&lock, &record, Why::Failed)?;
            Err(error)
        }
    }
}

/// What a trial consists of, in this order: who takes it back, the rules, and what cannot confirm it.
fn in_force(
    lock: &Lock,
    wanted: &Saved,
    load: &Load,
    terms: &Terms,
    record: &mut Record,
) -> Result<(), TargetError> {
    // From here on it takes everything back if we are killed.
    let _watched = watchdog::start(record)?;
    carry_out(lock, &wanted.ruleset, load, rescue(terms).as_ref())?;
    let connections = session::connections();
    note(wanted)?;
    record.run(connections.map_err(|error| failed("/proc/net/tcp".as_ref(), error))?, terms.length)
}

fn rescue(terms: &Terms) -> Option<Rescue> {
    terms.session.map(|session| Rescue {
        source: session.remote.ip(),
        port: session.local.port(),
        lifetime: terms.length,
    })
}

/// The trial that runs, if one does.
pub fn running() -> Result<Option<Running>, TargetError> {
    let record = Record::read()?;
    Ok(record.filter(|record| record.phase == Phase::Running).map(|record| record.running()))
}

/// Whether there is a trial, in whatever phase. While one is begun or ended, the lock is held.
pub(super) fn stands() -> Result<bool, TargetError> {
    Ok(Record::read()?.is_some())
}

/// How the last trial ended, if it was taken back and nothing was put in force since.
pub fn ended() -> Result<Option<Ended>, TargetError> {
    Ended::read()
}

/// Why the policy on trial could not be taken back, if that was tried.
pub fn trouble() -> Result<Option<String>, TargetError> {
    record::trouble()
}

/// Why a policy was not confirmed.
#[derive(Debug)]
pub enum Unconfirmed {
    /// No policy is on trial.
    NoTrial(Option<Ended>),
    /// Its time is up.
    TooLate,
    /// Somebody else changed the rules, so what let a connection in is not what would be kept.
    Changed,
    /// This is no ssh session whose connection stands here. What the environment tells of, if it does.
    NoSession(Option<Connection>),
    /// This session can do so itself.
    Session(Connection),
    /// The connection was there already when the policy was put in force.
    Old(Connection),
    /// The policy did not let the connection in: only the trial did.
    Rescued(Connection),
    /// The connection never left the machine.
    Inside(Connection),
    /// The machine could not.
    Target(TargetError),
}

impl From<TargetError> for Unconfirmed {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl fmt::Display for Unconfirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrial(None) => f.write_str("no policy is on trial"),
            Self::NoTrial(Some(ended)) => write!(f, "no policy is on trial: {ended}"),
            Self::TooLate => f.write_str("the time is up: the policy is being taken back"),
            Self::Changed => f.write_str(
                "somebody else changed the rules since they were applied, so nothing is known of the policy; \
                 `knockgate rollback`, and apply it again",
            ),
            Self::NoSession(None) => f.write_str(
                "this is no ssh session, so it cannot show that the policy lets you in; \
                 `--local` confirms it all the same",
            ),
            Self::NoSession(Some(session)) => write!(
                f,
                "the ssh session here came to {session}, and no such connection stands; confirm from a new \
                 shell of a new connection, or with `--local`, which shows nothing of the network"
            ),
            Self::Session(session) => write!(
                f,
                "this is an ssh session (to {session}), and `--local` is for a console; leave it out"
            ),
            Self::Old(session) => write!(
                f,
                "the connection to {session} is older than the policy, so it does not show that the policy \
                 lets you in; open a new one, and confirm there"
            ),
            Self::Rescued(session) => write!(
                f,
                "the connection to {session} was let in only because you try the policy out: it would not \
                 be afterwards; knock, open a new one, and confirm there"
            ),
            Self::Inside(session) => write!(
                f,
                "the connection to {session} never left this machine, so it shows nothing of the network; \
                 open one from outside, or confirm with `--local`"
            ),
            Self::Target(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Unconfirmed {}

/// Keeps the policy on trial: asked by `session`, or, if that is not to be looked at, by somebody at the
/// machine itself. Returns the policy's name.
pub fn confirm(session: Option<Connection>, local: bool) -> Result<String, Unconfirmed> {
    let lock = lock::take()?;
    let record = Record::read()?.filter(|record| record.phase == Phase::Running);
    let Some(mut record) = record else { return Err(Unconfirmed::NoTrial(Ended::read()?)) };
    if record.left_ms() == 0 {
        return Err(Unconfirmed::TooLate);
    }
    if observe()?.fingerprint.as_ref() != Some(&record.fingerprint) {
        return Err(Unconfirmed::Changed);
    }
    if let Some(session) = told_by(session, local)? {
        if record.connections.contains(&session) {
            return Err(Unconfirmed::Old(session));
        }
        if is_rescued(&session.remote)? {
            return Err(Unconfirmed::Rescued(session));
        }
    }
    // From here on nobody takes it back, even if we are killed.
    record.set(Phase::Confirmed)?;
    keep(&lock)?;
    Ok(record.name)
}

/// The connection that shows whether the policy lets anybody in; none if `local` says that none is needed.
fn told_by(session: Option<Connection>, local: bool) -> Result<Option<Connection>, Unconfirmed> {
    let stands = match &session {
        Some(session) => session::stands(session).map_err(|error| failed("/proc/net/tcp".as_ref(), error))?,
        None => false,
    };
    match session.filter(|_| stands) {
        Some(session) if session.is_inside() && !local => Err(Unconfirmed::Inside(session)),
        Some(session) if !session.is_inside() && local => Err(Unconfirmed::Session(session)),
        None if !local => Err(Unconfirmed::NoSession(session)),
        standing => Ok(standing.filter(|_| !local)),
    }
}

/// Whether the rescue alone let a connection from there in.
fn is_rescued(remote: &SocketAddr) -> Result<bool, TargetError> {
    let Some(saved) = Saved::noted()? else { return Ok(false) };
    if !saved.ruleset.rescues() {
        return Ok(false);
    }
    Ok(get(&set_name(RESCUED, Family::of(remote.ip())), &Element::with_port(*remote))?.is_some())
}

/// The last steps of a confirmation, which may be taken again.
fn keep(lock: &Lock) -> Result<(), TargetError> {
    if let Some(saved) = Saved::noted()? {
        saved.confirm()?;
        forget_rescue(lock, &saved.ruleset)?;
    }
    forget()
}

fn forget_rescue(lock: &Lock, ruleset: &Ruleset) -> Result<(), TargetError> {
    let text = rescued(ruleset, None);
    // A table that somebody takes away at this moment lets nobody in for a trial either.
    if text.is_empty() || !table::exists()? { Ok(()) } else { change(lock, &text) }
}

/// Takes the policy on trial back at once. Returns its name, and that of the policy in force now, if
/// there is one; nothing if there was no trial.
pub fn roll_back() -> Result<Option<(String, Option<String>)>, TargetError> {
    let lock = lock::take()?;
    let Some(record) = Record::read()? else { return Ok(None) };
    if record.phase == Phase::Confirmed {
        keep(&lock)?;
        return Ok(None);
    }
    end(&lock, &record, Why::Asked)?;
    let now = Saved::noted()?.map(|saved| saved.applied.name);
    Ok(Some((record.name, now)))
}

/// Makes an end of whatever trial does not run any more, or refuses because one does.
pub(super) fn settle(lock: &Lock) -> Result<(), TargetError> {
    match Record::read()? {
        None => Ok(()),
        Some(record) => match record.phase {
            Phase::Confirmed => keep(lock),
            Phase::Loading => take_back(lock, &record, Why::Died),
            Phase::Running if record.left_ms() == 0 => take_back(lock, &record, Why::TimeIsUp),
            Phase::Running => Err(TargetError::OnTrial(Box::new(record.running()))),
        },
    }
}

/// The same as [`end`], where nobody asked for it, so that the log alone tells of it.
fn take_back(lock: &Lock, record: &Record, why: Why) -> Result<(), TargetError> {
    let tried = Saved::noted()?;
    end(lock, record, why)?;
    let now = Saved::noted()?;
    let Some(in_force) = now.as_ref().or(tried.as_ref()) else { return Ok(()) };
    let now = now.as_ref().map(|now| now.applied.name.clone());
    let entry = Entry::TakenBack { policy: record.name.clone(), why: why.words(), now };
    // `status` tells of it too. Nobody is there to be told of the log.
    Logbook::of_applied(&in_force.applied).write(entry, &Who::default()).map(drop).unwrap_or_default();
    Ok(())
}

/// Goes back to what was in force before the trial. What was granted and banned meanwhile is kept. May
/// be done again, from whichever step it got to.
fn end(lock: &Lock, record: &Record, why: Why) -> Result<(), TargetError> {
    match record::before()? {
        Some(before) => drop(enforce(lock, &before)?),
        None => drop(clear(lock)?),
    }
    forget()?;
    Ended { name: record.name.clone(), why, at_s: clock::unix_s() }.write()
}

/// Forgets the trial, and how the last one ended.
pub(super) fn forget() -> Result<(), TargetError> {
    record::forget()
}
