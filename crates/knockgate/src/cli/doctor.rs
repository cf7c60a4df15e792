//! `knockgate doctor`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use knockgate::target::nft::Applied;
use knockgate::target::nft::machine::{Check, Doubt, Weight, examine, wanted};
use knockgate_compiler::lift::lift;
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::Program;
use serde_json::json;

use super::input::{ScriptOptions, Text, load, understand};
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {
    /// The policy or RouterOS script; without it, the one that is in force
    policy: Option<PathBuf>,
    /// Also say what is fine, and which other programs make rules here
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    script: ScriptOptions,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let (name, policy, program) = match &options.policy {
        Some(path) => match load(path, &options.script, output)? {
            Ok(loaded) => (loaded.text.name, loaded.policy, loaded.program),
            Err(answer) => return Ok(answer),
        },
        None => in_force()?,
    };
    let wanted = match &policy {
        Some(policy) => wanted::of_policy(policy),
        None => wanted::of_lifted(&lift(&program)),
    };
    let checks = examine(&program, &wanted)?;
    let mut doubts: Vec<&Doubt> = checks.iter().flat_map(|check| &check.doubts).collect();
    doubts.sort_by_key(|doubt| doubt.weight());
    if output.is_json() {
        output.print_json(&json!({
            "policy": name,
            "findings": doubts.iter().map(|doubt| json!({
                "severity": word(doubt.weight()),
                "message": doubt.to_string(),
                "help": doubt.help(),
            })).collect::<Vec<_>>(),
            "checks": checks.iter().map(|check| json!({
                "about": check.about,
                "fine": check.doubts.is_empty(),
            })).collect::<Vec<_>>(),
        }))?;
    } else {
        output.print(&as_text(&name, &checks, &doubts, options.verbose))?;
    }
    let found = doubts.iter().any(|doubt| doubt.weight() != Weight::Note);
    Ok(if found { Answer::Findings } else { Answer::Fine })
}

/// The policy or script that was applied last.
fn in_force() -> anyhow::Result<(String, Option<Policy>, Program)> {
    let Some((applied, _)) = Applied::read()? else {
        anyhow::bail!("no policy is in force; name one: knockgate doctor policy.toml");
    };
    let options = ScriptOptions::of_words(&applied.options)?;
    let text = Text { name: applied.name, text: applied.text };
    let (policy, Some(program), _) = understand(&text, &options) else {
        anyhow::bail!("the note of the applied policy cannot be read; apply the policy again");
    };
    Ok((text.name, policy, program))
}

fn word(weight: Weight) -> &'static str {
    match weight {
        Weight::Error => "error",
        Weight::Warning => "warning",
        Weight::Note => "note",
    }
}

fn as_text(name: &str, checks: &[Check], doubts: &[&Doubt], verbose: bool) -> String {
    let mut text = String::new();
    let mut put = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a string takes all that memory holds");
    };
    let counted = |weight| doubts.iter().filter(|doubt| doubt.weight() == weight).count();
    for doubt in doubts.iter().filter(|doubt| verbose || doubt.weight() != Weight::Note) {
        let colour = match doubt.weight() {
            Weight::Error => "1;31",
            Weight::Warning => "1;33",
            Weight::Note => "1;34",
        };
        put(format_args!("\x1b[{colour}m{}\x1b[0m: {doubt}\n", word(doubt.weight())));
        if let Some(help) = doubt.help() {
            put(format_args!("  \x1b[1mhelp\x1b[0m: {help}\n"));
        }
    }
    for check in checks.iter().filter(|check| verbose && check.doubts.is_empty()) {
        put(format_args!("fine: {}\n", check.about));
    }
    match (counted(Weight::Error), counted(Weight::Warning)) {
        (0, 0) => put(format_args!("{name}: nothing on this machine works against it\n")),
        (errors, warnings) => {
            put(format_args!("{name}: {}\n", numbered(errors, warnings)));
        }
    }
    text
}

/// `3 errors and 1 warning`.
fn numbered(errors: usize, warnings: usize) -> String {
    let several = |count: usize, what| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    };
    let parts = [several(errors, "error"), several(warnings, "warning")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}
