//! Who passes events on.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use super::super::files::{failed, remove};
use super::super::lock::{self, Lock};
use super::super::{TargetError, files};
use super::line::Line;
use super::{Event, socket};

/// Whoever asks is root, so there are never many.
const MOST_READERS: usize = 32;

/// Passes events on to whoever connects. Nobody waits for a reader: what one has no room for is left out,
/// and it is told how much that was. There is one in a network namespace.
#[derive(Debug)]
pub struct Passer {
    listener: UnixListener,
    readers: Vec<Connection>,
    /// Held until this ends, so that a socket that is found is nobody's.
    _lock: Lock,
}

impl Passer {
    /// Refused as [`TargetError::Locked`] if there is one.
    pub fn open() -> Result<Self, TargetError> {
        let lock = lock::take_as(lock::KEEPER)?;
        let path = socket()?;
        remove(&path)?;
        let bound = UnixListener::bind(&path).and_then(|listener| {
            listener.set_nonblocking(true)?;
            // Nobody else gets into the folder before.
            fs::set_permissions(&path, Permissions::from_mode(0o600)).map(|()| listener)
        });
        let listener = bound.map_err(|error| failed(&path, error))?;
        Ok(Self { listener, readers: vec![], _lock: lock })
    }

    /// Lets everybody in who has asked since.
    pub fn accept(&mut self) {
        // One that cannot be let in sees that by itself.
        while let Ok((stream, _)) = self.listener.accept() {
            self.readers.retain_mut(Connection::stands);
            if self.readers.len() < MOST_READERS && stream.set_nonblocking(true).is_ok() {
                self.readers.push(Connection { stream, rest: vec![], missed: 0 });
            }
        }
    }

    /// Passes an event on.
    pub fn pass(&mut self, event: &Event) {
        self.say(&Line::Event(event.clone()), 1);
    }

    /// Passes on that so many events were missed.
    pub fn pass_missed(&mut self, count: u64) {
        self.say(&Line::Missed(count), count);
    }

    fn say(&mut self, line: &Line, events: u64) {
        let text = line.write();
        self.readers.retain_mut(|reader| reader.say(&text, events).is_ok());
    }
}

impl AsFd for Passer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Passer {
    fn drop(&mut self) {
        // Left behind, it hinders nobody.
        socket().and_then(|path| files::remove(&path)).unwrap_or_default();
    }
}

/// Somebody who reads events.
#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    /// What there was no room for of the last line.
    rest: Vec<u8>,
    /// Events that were left out since.
    missed: u64,
}

impl Connection {
    /// Says a line about so many events, or leaves it out. Fails if nobody is there any more.
    fn say(&mut self, line: &str, events: u64) -> io::Result<()> {
        self.flush()?;
        if !self.rest.is_empty() {
            self.missed += events;
            return Ok(());
        }
        if self.missed > 0 {
            self.rest.extend(Line::Missed(self.missed).write().bytes());
            self.missed = 0;
        }
        self.rest.extend(line.bytes());
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            match self.stream.write(&self.rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => drop(self.rest.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the other end is open.
    fn stands(&mut self) -> bool {
        match self.stream.read(&mut [0; 64]) {
            Ok(length) => length > 0,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::{Duration, UNIX_EPOCH};

    use knockgate_compiler::lower::What;

    use super::super::reader::Reader;
    use super::*;

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
        const EVENTS: u64 = 20_000;
        let (stream, theirs) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut connection = Connection { stream, rest: vec![], missed: 0 };
        let event = |number: u64| Event {
            at: UNIX_EPOCH + Duration::from_micros(number),
            source: Ipv4Addr::LOCALHOST.into(),
            what: What::Strike { number: 1 },
            door: None,
        };
        let say = |connection: &mut Connection, number| {
            connection.say(&Line::Event(event(number)).write(), 1).unwrap();
            assert!(connection.rest.len() < 4096);
        };
        (0..EVENTS).for_each(|number| say(&mut connection, number));
        let mut reader = Reader::of(theirs);
        let mut read = vec![];
        let mut more = |reader: &mut Reader| {
            while let found = reader.take().unwrap()
                && !found.is_empty()
            {
                read.extend(found);
            }
        };
        more(&mut reader);
        assert_eq!(reader.missed(), 0, "it is told with the next event");
        // The rest of a line, what was missed, and a whole event.
        say(&mut connection, EVENTS);
        more(&mut reader);
        let (missed, heard) = (reader.missed(), read.len() as u64);
        assert!(missed > 0 && heard > 10 && missed + heard == EVENTS + 1, "{missed} + {heard}");
        assert_eq!(read.last(), Some(&event(EVENTS)));
        assert!(read.is_sorted_by_key(|event| event.at));
        drop(reader);
        assert!(!connection.stands());
    }
}
