//! `knockgate schema`.

use clap::Args;
use knockgate_compiler::frontend;

use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {}

pub fn run(_: &Options, output: &Output) -> anyhow::Result<Answer> {
    output.print(&format!("{:#}\n", frontend::toml::schema()))?;
    Ok(Answer::Fine)
}
