//! A file with a JSON object a line.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde_json::{Map, Value};

use super::record::Record;
use crate::moment::rfc3339;

/// Opened for each line, so that a file which was renamed meanwhile is left alone. Processes that write
/// at the same time do not mix their lines: each is written at once, to the end.
pub(super) fn append(path: &Path, record: &Record) -> io::Result<()> {
    // A pipe that nobody reads is told, not waited for, and no link leads elsewhere.
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let line = line(record);
    match file.write(line.as_bytes())? {
        written if written == line.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn line(record: &Record) -> String {
    let mut object = Map::from_iter([("time".to_owned(), Value::from(rfc3339(record.at)))]);
    object.extend(record.fields().into_iter().map(|(name, value)| (name.to_owned(), value)));
    object.insert("message".to_owned(), record.message().into());
    format!("{}\n", Value::Object(object))
}
