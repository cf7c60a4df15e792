//! `knockgate apply` and `knockgate remove`.

use std::path::PathBuf;

use clap::Args;
use knockgate::plan::Load;
use knockgate::target::nft::{self, Applied, Done, Doubt};
use serde_json::json;

use super::input::{ScriptOptions, load};
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// The policy or RouterOS script; `-` is standard input
    policy: PathBuf,
    #[command(flatten)]
    script: ScriptOptions,
}

#[derive(Debug, Args)]
pub struct RemoveOptions {}

pub fn apply(options: &ApplyOptions, output: &Output) -> anyhow::Result<Answer> {
    let loaded = match load(&options.policy, &options.script, output)? {
        Ok(loaded) => loaded,
        Err(answer) => return Ok(answer),
    };
    let ruleset = match loaded.counting_ruleset(output)? {
        Ok(ruleset) => ruleset,
        Err(answer) => return Ok(answer),
    };
    let doubts = nft::doubts(&loaded.program)?;
    let missing = doubts.iter().find(|doubt| matches!(doubt, Doubt::NoInterface(_)));
    let (what, count) = match (&loaded.policy, missing) {
        (Some(policy), _) => ("door", policy.doors().len()),
        (None, None) => ("rule", loaded.program.chains().iter().map(|chain| chain.rules.len()).sum()),
        // A router's interfaces have other names than ours, so nothing would be guarded.
        (None, Some(doubt)) => {
            anyhow::bail!("{doubt}; say which of this machine's are meant: --interface NAME=eth0")
        }
    };
    let doubts: Vec<String> = doubts.iter().map(ToString::to_string).collect();
    let options = loaded.options.words();
    let note = Applied { name: loaded.text.name, text: loaded.text.text, options };
    let done = nft::apply(&ruleset, &note)?;
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
    let doors = format!("{count} {what}{}", if count == 1 { "" } else { "s" });
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
