//! `knockgate keep`.

mod happening;
mod notify;

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use knockgate::logbook::{Entry, Logbook, Who, Written};
use knockgate::metrics::Giver;
use knockgate::target::nft::TargetError;
use knockgate::target::nft::events::{Event, Listener, Passer};
use knockgate::target::nft::guard::{Found, Guard};
use knockgate::target::nft::holdings::{self, Wanted};
use knockgate_compiler::policy::{IfChanged, Metrics, Policy};
use knockgate_compiler::program::Program;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::in_force::InForce;
use super::metrics;
use super::output::{Answer, Output};
use super::restart;
use happening::Happening;

#[derive(Debug, Args)]
pub struct Options {}

/// How soon what failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

pub fn run(_: &Options, output: &Output) -> anyhow::Result<Answer> {
    let mut keeper = Keeper {
        guard: Guard::open()?,
        passer: passer()?,
        program: None,
        ear: Ear::Idle,
        trouble: None,
        name: String::new(),
        logbook: Logbook::of(None),
        giver: Giver::new(metrics::page),
        metrics: Metrics::default(),
        wanted: Wanted::NONE,
        output,
    };
    keeper.look();
    keeper.listen();
    if keeper.program.is_none() {
        keeper.tell(&Happening::NothingInForce);
    }
    notify::ready();
    loop {
        keeper.wait()?;
        keeper.guard.hear()?;
        keeper.passer.accept();
        keeper.hear();
        keeper.look();
        keeper.listen();
        keeper.go_on();
    }
}

fn passer() -> anyhow::Result<Passer> {
    match Passer::open() {
        Err(TargetError::Locked { holder: Some(process) }) => {
            anyhow::bail!("another `knockgate keep` runs already (process {process})")
        }
        passer => Ok(passer?),
    }
}

/// Keeps rules in force and tells what happens, until it is ended. There is nothing that has to be undone
/// then.
struct Keeper<'o> {
    guard: Guard,
    passer: Passer,
    /// What is in force, if anything is.
    program: Option<Program>,
    ear: Ear,
    /// What was told of the last look that failed.
    trouble: Option<String>,
    /// What the policy in force is called, and where it wants to be told of and counted.
    name: String,
    logbook: Logbook,
    giver: Giver,
    metrics: Metrics,
    /// What it wants of lists after a restart.
    wanted: Wanted,
    output: &'o Output,
}

/// Who listens to the kernel.
enum Ear {
    /// Nobody: there is nothing to be heard.
    Idle,
    /// Another program does, or nobody can, for this reason; it is tried again.
    Deaf { again: Instant, why: String },
    /// We do, and have told of so many events that were missed.
    Open { listener: Box<Listener>, missed: u64 },
}

impl Keeper<'_> {
    /// Says it on standard error.
    fn tell(&self, happening: &Happening<'_>) {
        happening.print(self.output);
    }

    /// Writes what a packet did into the log, and says it where there is no log. What is no more than a step
    /// on somebody's way is for those alone who look on.
    fn record(&mut self, event: &Event) {
        let written = match happening::entry_of(event) {
            Some(entry) => self.write(event.at, entry),
            None => Written::Done,
        };
        if written == Written::Nowhere || io::stderr().is_terminal() {
            self.tell(&Happening::Event(event));
        }
    }

    fn write(&mut self, at: SystemTime, entry: Entry) -> Written {
        match self.logbook.write_at(at, entry, &Who::default()) {
            Ok(written) => written,
            Err(error) => {
                self.fail(&error.to_string());
                Written::Nowhere
            }
        }
    }

    /// What does not work is told once, until something else does not.
    fn fail(&mut self, why: &str) {
        if self.trouble.as_deref() != Some(why) {
            self.tell(&Happening::Trouble(why));
            self.trouble = Some(why.to_owned());
        }
    }

    /// What is to be done now and then.
    fn go_on(&mut self) {
        if let Err(error) = self.logbook.catch_up() {
            self.fail(&error.to_string());
        }
        if let Some(trouble) = self.giver.go_on(&self.metrics, Instant::now()) {
            self.tell(&Happening::Trouble(&trouble));
        }
    }

    /// Waits until there is something to be done.
    fn wait(&self) -> Result<(), TargetError> {
        let again = match &self.ear {
            Ear::Deaf { again, .. } => Some(*again),
            _ => None,
        };
        let next = [self.guard.due(), self.giver.due(), again].into_iter().flatten().min();
        let left = next.map(|next| next.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let [changes, notes] = self.guard.files();
        let mut files = vec![changes, notes, self.passer.as_fd()];
        if let Ear::Open { listener, .. } = &self.ear {
            files.push(listener.as_fd());
        }
        let mut wanted: Vec<_> = files.iter().map(|file| PollFd::new(file, PollFlags::IN)).collect();
        match poll(&mut wanted, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(TargetError::Kernel("events".to_owned(), error.into())),
        }
    }

    /// Looks after the rules, if it is time.
    fn look(&mut self) {
        while self.guard.due().is_some_and(|due| due <= Instant::now()) {
            match self.guard.look() {
                Ok(found) => {
                    self.trouble = None;
                    self.found(found);
                }
                Err(error) => {
                    self.guard.look_in(AGAIN);
                    self.fail(&error.to_string());
                }
            }
        }
    }

    fn found(&mut self, found: Found) {
        match found {
            Found::Nothing => {}
            Found::Another(None) => {
                (self.program, self.ear) = (None, Ear::Idle);
                self.tell(&Happening::NothingInForce);
            }
            Found::Another(Some(applied)) => {
                self.name.clone_from(&applied.name);
                match InForce::of(applied) {
                    Ok(InForce { policy, program, .. }) => self.follow(policy.as_ref(), program),
                    Err(error) => self.tell(&Happening::Trouble(&error.to_string())),
                }
                self.tell(&Happening::InForce(&self.name));
                // Whoever lost them may have been killed before they were filled again.
                if holdings::is_due().unwrap_or_default() {
                    self.put_back();
                }
            }
            found => {
                self.tell(&Happening::Rules(&found));
                self.changed(&found);
            }
        }
    }

    /// Somebody else changed the rules.
    fn changed(&mut self, found: &Found) {
        let policy = self.name.clone();
        self.write(SystemTime::now(), Entry::Tampered { policy: policy.clone() });
        if matches!(found, Found::Repaired { .. }) {
            self.write(SystemTime::now(), Entry::Repaired { policy });
        }
        if matches!(found, Found::Repaired { lost: true, .. }) {
            self.put_back();
        }
    }

    /// Fills lists that were lost, as far as they were saved.
    fn put_back(&mut self) {
        let Some(program) = &self.program else { return };
        match holdings::put_back_lost(program, self.wanted) {
            Ok(Some(returned)) => self.tell(&Happening::PutBack(returned.entries)),
            Ok(None) => {}
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn follow(&mut self, policy: Option<&Policy>, program: Program) {
        self.logbook = Logbook::of(policy);
        self.wanted = restart::after_restart(policy);
        self.metrics = policy.map_or_else(Metrics::default, |policy| policy.metrics().clone());
        self.guard.if_changed = policy.map_or(IfChanged::Repair, Policy::if_changed);
        match &mut self.ear {
            Ear::Open { listener, .. } => listener.follow(&program),
            Ear::Idle => self.ear = Ear::Deaf { again: Instant::now(), why: String::new() },
            Ear::Deaf { .. } => {}
        }
        self.program = Some(program);
    }

    /// Listens to the kernel, if nobody does and it is time to try.
    fn listen(&mut self) {
        let (Ear::Deaf { again, .. }, Some(program)) = (&self.ear, &self.program) else { return };
        if *again > Instant::now() {
            return;
        }
        match Listener::open(program) {
            Ok(listener) => {
                self.ear = Ear::Open { listener: Box::new(listener), missed: 0 };
                self.tell(&Happening::Listening);
            }
            Err(error) => self.deaf(&error),
        }
    }

    /// Nothing is heard. It is told once why.
    fn deaf(&mut self, error: &TargetError) {
        let now = Ear::Deaf { again: Instant::now() + AGAIN, why: error.to_string() };
        let before = std::mem::replace(&mut self.ear, now);
        let why = error.to_string();
        if !matches!(before, Ear::Deaf { why: before, .. } if before == why) {
            self.tell(&Happening::Trouble(&why));
        }
    }

    /// Passes on and tells what has been heard.
    fn hear(&mut self) {
        let Ear::Open { listener, missed } = &mut self.ear else { return };
        let events = match listener.take() {
            Ok(events) => events,
            Err(error) => return self.deaf(&error),
        };
        let more = listener.missed() - std::mem::replace(missed, listener.missed());
        if listener.was_behind() {
            self.guard.suspect();
        }
        for event in &events {
            self.passer.pass(event);
            self.record(event);
        }
        if more > 0 {
            self.passer.pass_missed(more);
            self.tell(&Happening::Missed(more));
        }
    }
}
