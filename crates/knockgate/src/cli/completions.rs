//! `knockgate completions`.

use clap::{Args, CommandFactory};
use knockgate_papers::{Shell, completions};

use super::Cli;
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {
    /// The shell to be told what can be typed
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    output.print(&completions(Cli::command(), options.shell))?;
    Ok(Answer::Fine)
}
