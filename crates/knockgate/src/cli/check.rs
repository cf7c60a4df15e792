//! `knockgate check`.

use std::path::{Path, PathBuf};

use clap::Args;
use knockgate_compiler::diag::{Diagnostic, has_errors};

use super::input::{ScriptOptions, Text, read_source, understand};
use super::output::{Answer, Output, counted};

#[derive(Debug, Args)]
pub struct Options {
    /// Policies to check, or RouterOS scripts, whose names end in `.rsc`; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    script: ScriptOptions,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let mut worst = Answer::Fine;
    for path in &options.files {
        let read = checked(path, &options.script, output)?;
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

fn checked(path: &Path, options: &ScriptOptions, output: &Output) -> anyhow::Result<Checked> {
    Ok(read_source(path, output)?.map(|text| {
        let (policy, program, findings) = understand(&text, options);
        let counted =
            |number: usize, what: &str| format!("{number} {what}{}, ", if number == 1 { "" } else { "s" });
        let what = match (&policy, &program) {
            (Some(policy), _) => counted(policy.doors().len(), "door"),
            (None, Some(program)) => {
                counted(program.chains().iter().map(|chain| chain.rules.len()).sum(), "rule")
            }
            (None, None) => String::new(),
        };
        (text, what, findings)
    }))
}
