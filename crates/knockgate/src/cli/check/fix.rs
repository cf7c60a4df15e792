//! `knockgate check --fix`.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use knockgate_compiler::diag::{Diagnostic, fixed, to_json};
use serde_json::json;

use super::Read;
use crate::cli::input::{ScriptOptions, Text};
use crate::cli::output::{Answer, Output};
use crate::cli::place::Place;

/// Rounds of making what is suggested and looking anew.
const MAX_ROUNDS: usize = 32;

/// Makes what is suggested for the text of `path`, writes it, and tells what was done and what is left.
pub fn run(path: &Path, text: Text, options: &ScriptOptions, output: &Output) -> anyhow::Result<Answer> {
    let piped = path.as_os_str() == "-";
    let Mended { text, made, read } = mend(text, options);
    if !made.is_empty() && !piped {
        Place::of(path)
            .and_then(|place| place.write(&text.text))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if output.is_json() {
        let source = text.source();
        let mut report = json!({ "file": source.name(), "findings": to_json(&source, &read.findings) });
        report["fixed"] = made.iter().map(|(code, what)| json!({ "code": code, "message": what })).collect();
        if piped {
            report["text"] = json!(text.text);
        }
        output.print_json(&report)?;
        return Ok(read.answer());
    }
    if piped {
        io::stdout().lock().write_all(text.text.as_bytes())?;
    }
    let mut said = match made.len() {
        0 => format!("{}: nothing that can be fixed\n", text.name),
        1 => format!("{}: fixed 1 finding\n", text.name),
        many => format!("{}: fixed {many} findings\n", text.name),
    };
    for (code, message) in &made {
        said.push_str(&format!("  {code}: {message}\n"));
    }
    output.tell(&said);
    output.findings(&text.source(), &read.findings);
    let summary = read.summary(&text);
    if piped {
        output.tell(&summary)
    } else {
        output.print(&summary)?
    }
    Ok(read.answer())
}

/// A text of which all is made that was suggested.
struct Mended {
    text: Text,
    /// Codes and messages of what was seen to.
    made: Vec<(&'static str, String)>,
    /// What is left.
    read: Read,
}

fn mend(mut text: Text, options: &ScriptOptions) -> Mended {
    let mut made = vec![];
    let mut seen = BTreeSet::new();
    let mut read = Read::of(&text, options);
    for _ in 0..MAX_ROUNDS {
        let Some(next) = fixed(&text.text, &read.findings) else { break };
        let source = text.source();
        let said = |finding: &Diagnostic| (finding.code.as_str(), source.message(finding));
        made.extend(next.made.iter().filter_map(|nth| read.findings.get(*nth)).map(said));
        let looked_at = !seen.insert(std::mem::replace(&mut text.text, next.text));
        read = Read::of(&text, options);
        // What comes back to where it was would never end.
        if looked_at {
            break;
        }
    }
    Mended { text, made, read }
}
