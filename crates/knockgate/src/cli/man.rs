//! `knockgate man`.

use clap::{Args, CommandFactory};
use knockgate_papers::page;

use super::Cli;
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {}

/// What the page says beside what the command line defines.
const TEMPLATE: &str = include_str!("../../../../docs/man/knockgate.1.in");

pub fn run(_: &Options, output: &Output) -> anyhow::Result<Answer> {
    output.print(&page(Cli::command(), TEMPLATE))?;
    Ok(Answer::Fine)
}
