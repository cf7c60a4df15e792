//! `knockgate compile`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use knockgate_compiler::backend::Unsayable;
use knockgate_compiler::backend::routeros::{self, Version};
use knockgate_compiler::lower::lower;

use super::input::{Loaded, ScriptOptions, load};
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {
    /// The policy or RouterOS script; `-` is standard input
    #[arg(required_unless_present = "uninstall")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    script: ScriptOptions,
    /// What to compile to
    #[arg(long, value_enum, default_value_t = Target::Nft)]
    to: Target,
    #[command(flatten, next_help_heading = "For --to routeros")]
    routeros: RouterOs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// An nftables ruleset, for `nft -f`
    Nft,
    /// A script for `/import` on a MikroTik router
    Routeros,
}

#[derive(Debug, Args)]
struct RouterOs {
    /// The router's version of RouterOS; without it, 7
    #[arg(long, value_enum, value_name = "VERSION")]
    ros: Option<Ros>,
    /// Also drop whatever nobody is granted, rather than leave that to the router's own rules
    ///
    /// Without it, nothing is closed unless those rules drop it. With it, everything else from outside
    /// is dropped before them: what the router serves itself, such as WireGuard, IPsec, DNS or ping from
    /// outside, must be in `public` or behind a door, and accepts of your own below are not reached.
    #[arg(long)]
    final_drop: bool,
    /// Print the script that takes everything of ours away, of whatever policy; none need be given
    #[arg(long)]
    uninstall: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ros {
    /// RouterOS 6.49
    #[value(name = "6")]
    Six,
    /// RouterOS 7
    #[value(name = "7")]
    Seven,
}

impl RouterOs {
    fn is_default(&self) -> bool {
        self.ros.is_none() && !self.final_drop && !self.uninstall
    }

    fn version(&self) -> Version {
        match self.ros {
            Some(Ros::Six) => Version::V6,
            Some(Ros::Seven) | None => Version::V7,
        }
    }

    fn options(&self) -> routeros::Options {
        routeros::Options { final_drop: self.final_drop, version: self.version() }
    }
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    if options.to != Target::Routeros && !options.routeros.is_default() {
        anyhow::bail!("--ros, --final-drop and --uninstall are for --to routeros");
    }
    // What is there is found by its comments, so no policy is asked, and none is in the way.
    let Some(policy) = options.policy.as_ref().filter(|_| !options.routeros.uninstall) else {
        output.print(&routeros::uninstall(options.routeros.version()))?;
        return Ok(Answer::Fine);
    };
    let loaded = match load(policy, &options.script, output)? {
        Ok(loaded) => loaded,
        Err(answer) => return Ok(answer),
    };
    match options.to {
        Target::Nft => match loaded.ruleset(output)? {
            Ok(ruleset) => output.print(&ruleset.text)?,
            Err(answer) => return Ok(answer),
        },
        Target::Routeros => return script(&loaded, &options.routeros, output),
    }
    Ok(Answer::Fine)
}

fn script(loaded: &Loaded, options: &RouterOs, output: &Output) -> anyhow::Result<Answer> {
    if let Some(answer) = loaded.gaps(output)? {
        return Ok(answer);
    }
    // What is closed is the owner's to say there, unless that is asked for.
    let early = loaded.policy.as_ref().filter(|policy| policy.early_drop() && !options.final_drop);
    let program = early.map(|policy| lower(&policy.clone().without_early_drop()));
    if program.is_some() {
        output.warn("`early-drop` is left out: it closes ports, which is for --final-drop");
    }
    let shaped = match routeros::shape(program.as_ref().unwrap_or(&loaded.program), options.options()) {
        Ok(shaped) => shaped,
        Err(refused) => {
            let findings: Vec<_> = refused.iter().map(Unsayable::finding).collect();
            output.report(&loaded.text.source(), &findings)?;
            return Ok(Answer::Findings);
        }
    };
    let script = routeros::print(&shaped, options.options());
    for note in &shaped.notes {
        output.warn(&note.to_string());
    }
    output.print(&script.install)?;
    Ok(Answer::Fine)
}
