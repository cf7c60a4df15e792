//! Who listens to the kernel.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::SystemTime;

use knockgate_compiler::backend::nft::{EVENTS, Told};
use knockgate_compiler::lower::{Meaning, meanings};
use knockgate_compiler::program::Program;

use super::super::TargetError;
use super::super::nflog::PacketLog;
use super::Event;

/// How often more is taken before something else is done.
const ROUNDS: usize = 64;

/// Hears what the rules of a program tell. There is one in a network namespace.
#[derive(Debug)]
pub struct Listener {
    log: PacketLog,
    meanings: HashMap<Told, Vec<Meaning>>,
    /// Told by rules of another program.
    unknown: bool,
}

impl Listener {
    /// Refused as [`TargetError::Listened`] if somebody else is that one.
    pub fn open(program: &Program) -> Result<Self, TargetError> {
        Ok(Self { log: PacketLog::open(EVENTS)?, meanings: all_meanings(program), unknown: false })
    }

    /// Another program is in force.
    pub fn follow(&mut self, program: &Program) {
        self.meanings = all_meanings(program);
        self.unknown = false;
    }

    /// Whether something was told since by rules of another program than the one that is followed.
    pub fn was_behind(&mut self) -> bool {
        std::mem::take(&mut self.unknown)
    }

    /// What has come until now.
    pub fn take(&mut self) -> Result<Vec<Event>, TargetError> {
        let Self { log, meanings, unknown } = self;
        let mut events = vec![];
        for _ in 0..ROUNDS {
            let at = SystemTime::now();
            let more = log.take(|packet| {
                let known = Told::of_prefix(packet.prefix, packet.mark).and_then(|told| meanings.get(&told));
                *unknown |= known.is_none();
                let source = packet.source;
                events.extend(known.into_iter().flatten().map(|(what, door)| Event {
                    at,
                    source,
                    what: what.clone(),
                    door: door.clone(),
                }));
            })?;
            if !more {
                break;
            }
        }
        Ok(events)
    }

    /// What came too fast to be heard.
    pub fn missed(&self) -> u64 {
        self.log.missed()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.log.as_fd()
    }
}

fn all_meanings(program: &Program) -> HashMap<Told, Vec<Meaning>> {
    Told::all(program).map(|(told, effect)| (told, meanings(program, effect))).collect()
}
