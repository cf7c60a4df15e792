//! `knockgate apply` and `knockgate remove`.

use std::path::PathBuf;

use clap::Args;
use knockgate::plan::Load;
use knockgate::target::nft::{self, Applied, Done};
use serde_json::json;

use super::input::load;
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// The policy; `-` is standard input
    policy: PathBuf,
}

#[derive(Debug, Args)]
pub struct RemoveOptions {}

pub fn apply(options: &ApplyOptions, output: &Output) -> anyhow::Result<Answer> {
    let loaded = match load(&options.policy, output)? {
        Ok(loaded) => loaded,
        Err(answer) => return Ok(answer),
    };
    let ruleset = match loaded.ruleset(output)? {
        Ok(ruleset) => ruleset,
        Err(answer) => return Ok(answer),
    };
    let doors = loaded.policy.doors().len();
    let note = Applied { name: loaded.text.name, text: loaded.text.text };
    let done = nft::apply(&ruleset, &note)?;
    let doubts: Vec<String> = nft::doubts(&loaded.policy)?.iter().map(ToString::to_string).collect();
    if output.is_json() {
        let (changed, kept, carried) = match &done {
            Done::Unchanged => (false, &vec![], &vec![]),
            Done::Loaded(load) => (true, &load.kept, &load.carried),
        };
        output.print_json(&json!({
            "changed": changed, "kept": kept, "carried": carried, "warnings": doubts,
        }))?;
        return Ok(Answer::Fine);
    }
    doubts.iter().for_each(|doubt| output.warn(doubt));
    let doors = format!("{doors} door{}", if doors == 1 { "" } else { "s" });
    match done {
        Done::Unchanged => {
            output.print(&format!("{}: {doors} in force already, nothing changed\n", note.name))?
        }
        Done::Loaded(load) => {
            output.print(&format!("{}: {doors} in force{}\n", note.name, kept_words(&load)))?;
        }
    }
    Ok(Answer::Fine)
}

fn kept_words(load: &Load) -> &'static str {
    if load.kept.is_empty() && load.carried.is_empty() { "" } else { "; grants and bans were kept" }
}

pub fn remove(_: &RemoveOptions, output: &Output) -> anyhow::Result<Answer> {
    let there = nft::remove()?;
    if output.is_json() {
        output.print_json(&json!({ "removed": there }))?;
    } else if there {
        output.print("removed: every port is as it was before\n")?;
    } else {
        output.print("nothing to remove\n")?;
    }
    Ok(Answer::Fine)
}
