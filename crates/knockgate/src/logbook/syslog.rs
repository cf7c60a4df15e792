//! The system log, as the C library writes to it (`man 3 syslog`, RFC 3164).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use serde_json::Value;

use super::record::Record;

/// Where the system log listens.
pub(super) const SOCKET: &str = "/dev/log";
/// What lines are found by.
pub(super) const NAME: &str = "knockgate";
/// Who came in and who was kept out is for those who look after the machine alone.
pub(super) const AUTHPRIV: u8 = 10;

pub(super) fn send(socket: &Path, record: &Record) -> io::Result<()> {
    datagram(socket, line(record).as_bytes())
}

/// Sends one, or fails at once: a log that is slow or hangs holds up nobody.
pub(super) fn datagram(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(bytes, to).map(drop)
}

/// Without a time of day: the log adds its own (RFC 3164, section 4.3.2), in its own time zone.
fn line(record: &Record) -> String {
    let priority = AUTHPRIV * 8 + record.weight() as u8;
    let pairs: Vec<String> =
        record.fields().into_iter().map(|(name, value)| format!("{name}={}", word(&value))).collect();
    format!("<{priority}>{NAME}[{}]: {}", std::process::id(), pairs.join(" "))
}

/// In quotes, if it would not be one word without.
fn word(value: &Value) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\\' | '=');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
