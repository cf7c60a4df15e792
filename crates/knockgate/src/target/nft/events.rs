//! What packets do, as the rules of an apply tell it.
//!
//! The kernel tells nobody of elements that packets add to sets, so each effect goes to the packet log too
//! ([ADR 15](../../../../../docs/adr/0015-events.md)). The log has one listener: a [`Listener`] passes what it
//! hears on to whoever asks at a socket, through a [`Passer`].

mod line;
mod listener;
mod passer;
mod reader;

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use knockgate_compiler::lower::What;
use knockgate_compiler::program::Program;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::TargetError;
use super::files::folder;
pub use listener::Listener;
pub use passer::Passer;
use reader::Reader;

/// The socket in our folder at which events are passed on.
pub(super) const SOCKET: &str = "events";

/// How often who listens alone looks whether somebody passes events on, and who hears nothing whether
/// somebody does again.
const LOOK: Duration = Duration::from_secs(1);

/// Something that a packet did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was heard of, a twentieth of a second after the packet at most.
    pub at: SystemTime,
    /// Where the packet came from.
    pub source: IpAddr,
    /// What happened to the source.
    pub what: What,
    /// At which door, if at one.
    pub door: Option<Box<str>>,
}

/// The events of this network namespace, from whoever passes them on, else from the kernel.
#[derive(Debug)]
pub struct Events {
    from: Source,
    /// Missed by earlier sources.
    missed: u64,
    /// When another source was looked for last.
    looked: Instant,
}

#[derive(Debug)]
enum Source {
    /// The kernel; nobody passes events on.
    Kernel(Box<Listener>),
    /// Somebody who listens to the kernel.
    Passer(Reader),
}

impl Events {
    /// `program` is what is in force; it says what the rules mean.
    pub fn open(program: &Program) -> Result<Self, TargetError> {
        let from = match Reader::open()? {
            Some(reader) => Source::Passer(reader),
            None => Source::Kernel(Box::new(Listener::open(program)?)),
        };
        Ok(Self { from, missed: 0, looked: Instant::now() })
    }

    /// The events that have come, or come within `timeout`; none if none do. An error means that nothing is
    /// heard any more, and that [`open`](Self::open) has to be tried again.
    pub fn next(&mut self, timeout: Duration) -> Result<Vec<Event>, TargetError> {
        self.yield_to_passer()?;
        wait(self.as_fd(), timeout)?;
        match &mut self.from {
            Source::Kernel(listener) => listener.take(),
            Source::Passer(reader) => reader.take(),
        }
    }

    /// Who passes events on serves everybody, so it is let to the kernel.
    fn yield_to_passer(&mut self) -> Result<(), TargetError> {
        if !matches!(self.from, Source::Kernel(_)) || self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        if let Some(reader) = Reader::open()? {
            self.missed = self.missed();
            self.from = Source::Passer(reader);
        }
        Ok(())
    }

    /// Another program is in force.
    pub fn follow(&mut self, program: &Program) {
        if let Source::Kernel(listener) = &mut self.from {
            listener.follow(program);
        }
    }

    /// Events that came too fast, as far as that is known. Of one rule, 20 a second are told at most, and 40
    /// in a row, and of one that is written for several doors up to ten times as many; what is beyond that is
    /// not among these.
    pub fn missed(&self) -> u64 {
        self.missed
            + match &self.from {
                Source::Kernel(listener) => listener.missed(),
                Source::Passer(reader) => reader.missed(),
            }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.from {
            Source::Kernel(listener) => listener.as_fd(),
            Source::Passer(reader) => reader.as_fd(),
        }
    }
}

fn wait(file: BorrowedFd<'_>, timeout: Duration) -> Result<(), TargetError> {
    let mut wanted = [PollFd::new(&file, PollFlags::IN)];
    match poll(&mut wanted, Timespec::try_from(timeout).ok().as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(TargetError::Kernel("events".to_owned(), error.into())),
    }
}

fn socket() -> Result<PathBuf, TargetError> {
    Ok(folder()?.join(SOCKET))
}
