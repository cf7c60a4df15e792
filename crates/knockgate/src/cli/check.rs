//! `knockgate check`.

mod fix;

use std::path::PathBuf;

use clap::Args;
use knockgate_compiler::diag::{Diagnostic, has_errors};

use super::input::{ScriptOptions, Text, read_source, understand};
use super::output::{Answer, Output, counted};

#[derive(Debug, Args)]
pub struct Options {
    /// Policies to check, or RouterOS scripts, whose names end in `.rsc`; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write down what is suggested exactly, as long as there is any; of `-`, on standard output
    ///
    /// Without it, nothing is changed.
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    script: ScriptOptions,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let mut worst = Answer::Fine;
    for path in &options.files {
        let answer = match read_source(path, output)? {
            Err(answer) => answer,
            Ok(text) if options.fix => fix::run(path, text, &options.script, output)?,
            Ok(text) => {
                let read = Read::of(&text, &options.script);
                output.report(&text.source(), &read.findings)?;
                if !output.is_json() {
                    output.print(&read.summary(&text))?;
                }
                read.answer()
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

/// What there is to say of a text.
#[derive(Debug)]
struct Read {
    /// What it has in it, before a comma; nothing if that is not known.
    what: String,
    findings: Vec<Diagnostic>,
}

impl Read {
    fn of(text: &Text, options: &ScriptOptions) -> Self {
        let counted = |count: usize, one: &str| match count {
            1 => format!("1 {one}, "),
            many => format!("{many} {one}s, "),
        };
        let (policy, program, findings) = understand(text, options);
        let what = match (&policy, &program) {
            (Some(policy), _) => counted(policy.doors().len(), "door"),
            (None, Some(program)) => {
                counted(program.chains().iter().map(|chain| chain.rules.len()).sum(), "rule")
            }
            (None, None) => String::new(),
        };
        Self { what, findings }
    }

    fn summary(&self, text: &Text) -> String {
        format!("{}: {}{}\n", text.name, self.what, counted(&self.findings))
    }

    fn answer(&self) -> Answer {
        if has_errors(&self.findings) { Answer::Findings } else { Answer::Fine }
    }
}
