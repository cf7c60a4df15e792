//! `knockgate check`.

use std::path::{Path, PathBuf};

use clap::Args;
use knockgate_compiler::diag::{Diagnostic, has_errors};
use knockgate_compiler::frontend;

use super::input::{Text, read, read_policy};
use super::output::{Answer, Output, counted};

#[derive(Debug, Args)]
pub struct Options {
    /// Policies to check, or RouterOS scripts, whose names end in `.rsc` and of which only the
    /// language is checked; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let mut worst = Answer::Fine;
    for path in &options.files {
        let read = match path.extension() {
            Some(extension) if extension == "rsc" => script(path, output)?,
            _ => policy(path, output)?,
        };
        let answer = match read {
            Err(answer) => answer,
            Ok((text, what, findings)) => {
                output.report(&text.source(), &findings)?;
                if !output.is_json() {
                    output.print(&format!("{}: {what}{}\n", text.name, counted(&findings)))?;
                }
                if has_errors(&findings) { Answer::Findings } else { Answer::Fine }
            }
        };
        worst = match (worst, answer) {
            (Answer::Failed, _) | (_, Answer::Failed) => Answer::Failed,
            (Answer::Findings, _) | (_, Answer::Findings) => Answer::Findings,
            (Answer::Fine, Answer::Fine) => Answer::Fine,
        };
    }
    Ok(worst)
}

/// A text, what it has in it, and what there is to say about it; or how the command ends when there
/// is none to be read.
type Checked = Result<(Text, String, Vec<Diagnostic>), Answer>;

fn policy(path: &Path, output: &Output) -> anyhow::Result<Checked> {
    Ok(read_policy(path, output)?.map(|(text, policy, findings)| {
        let doors = policy.map(|policy| match policy.doors().len() {
            1 => "1 door, ".to_owned(),
            many => format!("{many} doors, "),
        });
        (text, doors.unwrap_or_default(), findings)
    }))
}

/// Bytes that a script may have.
const MAX_SCRIPT: usize = 64 << 20;

fn script(path: &Path, output: &Output) -> anyhow::Result<Checked> {
    Ok(read(path, MAX_SCRIPT, output)?.map(|text| {
        let (script, findings) = frontend::rsc::parse(&text.text);
        let statements = script.statements.len();
        let what = format!("{statements} statement{} read, ", if statements == 1 { "" } else { "s" });
        (text, what, findings)
    }))
}
