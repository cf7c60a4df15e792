//! `knockgate compile`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::input::{ScriptOptions, load};
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {
    /// The policy or RouterOS script; `-` is standard input
    policy: PathBuf,
    #[command(flatten)]
    script: ScriptOptions,
    /// What to compile to
    #[arg(long, value_enum, default_value_t = Target::Nft)]
    to: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// An nftables ruleset, for `nft -f`
    Nft,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let loaded = match load(&options.policy, &options.script, output)? {
        Ok(loaded) => loaded,
        Err(answer) => return Ok(answer),
    };
    match options.to {
        Target::Nft => match loaded.ruleset(output)? {
            Ok(ruleset) => output.print(&ruleset.text)?,
            Err(answer) => return Ok(answer),
        },
    }
    Ok(Answer::Fine)
}
