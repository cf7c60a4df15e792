//! `knockgate rehearse`.

use std::path::PathBuf;

use clap::Args;

use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {
    /// The policy; `-` is standard input
    policy: PathBuf,
}

pub fn run(_: &Options, _: &Output) -> anyhow::Result<Answer> {
    anyhow::bail!("not yet")
}
