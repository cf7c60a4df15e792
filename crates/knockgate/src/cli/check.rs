//! `knockgate check`.

use std::path::PathBuf;

use clap::Args;
use knockgate_compiler::diag::has_errors;

use super::input::read_policy;
use super::output::{Answer, Output, counted};

#[derive(Debug, Args)]
pub struct Options {
    /// Policies to check; `-` is standard input
    #[arg(required = true, value_name = "POLICY")]
    policies: Vec<PathBuf>,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let mut worst = Answer::Fine;
    for path in &options.policies {
        let answer = match read_policy(path, output)? {
            Err(answer) => answer,
            Ok((text, policy, findings)) => {
                output.report(&text.source(), &findings)?;
                if !output.is_json() {
                    let doors = policy.map(|policy| match policy.doors().len() {
                        1 => "1 door, ".to_owned(),
                        many => format!("{many} doors, "),
                    });
                    let doors = doors.unwrap_or_default();
                    output.print(&format!("{}: {doors}{}\n", text.name, counted(&findings)))?;
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
