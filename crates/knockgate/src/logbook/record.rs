//! An entry with its time and who brought it about, as fields.

use std::time::SystemTime;

use serde_json::Value;

use super::entry::{Entry, Fields, Weight};
use super::who::Who;

/// What is written of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it happened.
    pub at: SystemTime,
    /// What happened.
    pub entry: Entry,
    /// Who brought it about.
    pub who: Who,
}

/// Characters of a value; what is longer is cut off. So a line has less than 4096 bytes, which a
/// datagram takes, and a file takes at once.
const VALUE: usize = 160;

impl Record {
    /// Everything that is told, what happened first.
    pub(super) fn fields(&self) -> Fields {
        let mut fields = vec![("event", Value::from(self.entry.event()))];
        fields.extend(self.entry.fields());
        fields.extend(self.who.user.as_deref().map(|user| ("user", user.into())));
        fields.extend(self.who.from.map(|from| ("session", from.to_string().into())));
        for (_, value) in &mut fields {
            if let Value::String(text) = value {
                *text = one_line(text);
            }
        }
        fields
    }

    /// The same in words.
    pub(super) fn message(&self) -> String {
        self.entry.to_string().chars().map(harmless).take(VALUE * 2).collect()
    }

    pub(super) fn weight(&self) -> Weight {
        self.entry.weight()
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(harmless).take(VALUE).collect()
}

/// Nothing in a value begins another line, or moves the cursor of a terminal.
fn harmless(c: char) -> char {
    if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { '?' } else { c }
}
