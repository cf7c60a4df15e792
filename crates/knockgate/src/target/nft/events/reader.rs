//! Who reads what is passed on.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::super::TargetError;
use super::super::files::failed;
use super::line::Line;
use super::{Event, socket};

/// Bytes that are read before something else is done.
const ROOM: usize = 64 << 10;
/// No line of ours is longer.
const LONGEST: usize = 4096;

/// Reads events from a [`Passer`](super::Passer).
#[derive(Debug)]
pub(super) struct Reader {
    stream: UnixStream,
    /// The beginning of a line.
    begun: Vec<u8>,
    missed: u64,
}

impl Reader {
    /// `None` if nobody passes events on.
    pub(super) fn open() -> Result<Option<Self>, TargetError> {
        let path = socket()?;
        match UnixStream::connect(&path).and_then(|stream| stream.set_nonblocking(true).map(|()| stream)) {
            Ok(stream) => Ok(Some(Self::of(stream))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(failed(&path, error)),
        }
    }

    /// The other end passes events on. Reading never waits.
    pub(super) fn of(stream: UnixStream) -> Self {
        Self { stream, begun: vec![], missed: 0 }
    }

    /// What has come until now.
    pub(super) fn take(&mut self) -> Result<Vec<Event>, TargetError> {
        let mut buffer = vec![0; ROOM];
        let ended = |error| Err(TargetError::Kernel("events".to_owned(), error));
        match self.stream.read(&mut buffer) {
            Ok(0) => ended(ErrorKind::UnexpectedEof.into()),
            Ok(length) => Ok(self.lines(&buffer[..length])),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Ok(vec![])
            }
            Err(error) => ended(error),
        }
    }

    fn lines(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = vec![];
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend(piece);
            if piece.ends_with(b"\n") {
                match std::str::from_utf8(&self.begun).ok().and_then(Line::read) {
                    Some(Line::Event(event)) => events.push(event),
                    Some(Line::Missed(count)) => self.missed += count,
                    // Of another version of ours.
                    None => {}
                }
                self.begun.clear();
            }
            self.begun.truncate(LONGEST);
        }
        events
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
