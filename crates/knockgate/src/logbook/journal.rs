//! journald, in its native protocol: a datagram of `FIELD=value` lines (systemd.io,
//! JOURNAL_NATIVE_PROTOCOL).

use std::io;
use std::path::Path;

use serde_json::Value;

use super::record::Record;
use super::syslog::{AUTHPRIV, NAME, datagram};

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

pub(super) fn send(socket: &Path, record: &Record) -> io::Result<()> {
    datagram(socket, lines(record).as_bytes())
}

/// No value has a line break in it, so each is a line.
fn lines(record: &Record) -> String {
    let head = format!(
        "MESSAGE={}\nPRIORITY={}\nSYSLOG_FACILITY={AUTHPRIV}\nSYSLOG_IDENTIFIER={NAME}\n",
        record.message(),
        record.weight() as u8
    );
    let line = |(name, value): (&str, Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("KNOCKGATE_{}={value}\n", name.to_uppercase())
    };
    record.fields().into_iter().map(line).fold(head, |text, line| text + &line)
}
