//! Bytes both ways between a connection and a pair of streams.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

const CHUNK: usize = 32 * 1024;

/// Copies `input` to the connection and the connection to `output`, until the peer closes.
///
/// The end of `input` shuts down the connection's write side only, so a peer may still answer all of it. Each read is
/// flushed at once. When `output` is closed (a broken pipe) nobody listens any more, and the relay ends. A peer that
/// closes its own write side ends the relay too, whatever is left in `input`.
///
/// `input` is read on a thread of its own, which goes on until `input` ends when the peer was first to close.
///
/// # Errors
/// A failing read of the connection or of `input`, or a failing write to `output`.
pub fn relay(
    mut connection: TcpStream,
    input: impl Read + Send + 'static,
    output: impl Write,
) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let outgoing = connection.try_clone()?;
    let upload = thread::Builder::new().name("upload".to_owned()).spawn(move || upload(input, outgoing))?;
    match copy(&mut connection, output) {
        Ok(()) => {}
        Err(Broken::Reading(error)) => return Err(error),
        Err(Broken::Writing(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(Broken::Writing(error)) => return Err(error),
    }
    if upload.is_finished() { upload.join().unwrap_or_else(|_| Err(ErrorKind::Other.into())) } else { Ok(()) }
}

/// A write that fails is not reported here: the peer is gone, and the other direction sees how.
fn upload(mut input: impl Read, outgoing: TcpStream) -> io::Result<()> {
    let result = match copy(&mut input, &outgoing) {
        Ok(()) | Err(Broken::Writing(_)) => Ok(()),
        Err(Broken::Reading(error)) => Err(error),
    };
    match outgoing.shutdown(Shutdown::Write) {
        Err(error) if error.kind() != ErrorKind::NotConnected => result.and(Err(error)),
        _ => result,
    }
}

/// Which side of a copy failed.
enum Broken {
    Reading(io::Error),
    Writing(io::Error),
}

/// Unlike `io::copy`, flushes after each read, and tells reading from writing.
fn copy(from: &mut impl Read, mut to: impl Write) -> Result<(), Broken> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Broken::Reading(error)),
        };
        to.write_all(&chunk[..length]).and_then(|()| to.flush()).map_err(Broken::Writing)?;
    }
}
