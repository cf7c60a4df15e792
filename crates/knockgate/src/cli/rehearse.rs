//! `knockgate rehearse`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use knockgate::rehearsal::{HURRIED, HURRIED_BAN, Outcome, Piece, Progress, Report, Seen, rehearse};
use serde_json::{Value, json};

use knockgate_compiler::frontend;
use knockgate_compiler::lift::lift;
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::Program;

use super::input::{ScriptOptions, load};
use super::namespaces;
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {
    /// The policy or RouterOS script; `-` is standard input
    policy: PathBuf,
    #[command(flatten)]
    script: ScriptOptions,
    /// The seed of the sweep in random order; without it, a random one
    ///
    /// It is printed when something went otherwise than foretold.
    #[arg(long)]
    seed: Option<u64>,
    /// This process has namespaces of its own already
    #[arg(long, hide = true)]
    inside: bool,
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    if !options.inside {
        return namespaces::enter("rehearse");
    }
    let loaded = match load(&options.policy, &options.script, output)? {
        Ok(loaded) => loaded,
        Err(answer) => return Ok(answer),
    };
    let seed = match options.seed {
        Some(seed) => seed,
        None => getrandom::u64().context("the system has no random numbers")?,
    };
    let watched = output.is_watched();
    let mut show = |progress: &Progress| {
        if watched {
            output.tell(&bar(progress));
        }
    };
    // What cannot be told to the kernel is told with its place.
    if let Err(answer) = loaded.ruleset(output)? {
        return Ok(answer);
    }
    let piece = match &loaded.policy {
        Some(policy) => Piece::of_policy(policy),
        None => Piece::of_rules(&loaded.program, &recognised(&loaded.program)?),
    };
    let report = rehearse(&piece, seed, &mut show);
    if watched {
        output.tell("\r\x1b[K");
    }
    let report = report?;
    let agrees = report.outcomes.iter().all(Outcome::agrees);
    if output.is_json() {
        output.print_json(&as_json(&report, agrees))?;
    } else {
        output.print(&as_text(&report, &loaded.text.name))?;
    }
    Ok(if agrees { Answer::Fine } else { Answer::Findings })
}

/// The doors that are seen in a program of rules, for the acts to try.
fn recognised(program: &Program) -> anyhow::Result<Policy> {
    let mut lifted = lift(program);
    lifted.settle(|text| frontend::toml::parse(text).1);
    let (policy, _) = frontend::toml::parse(&lifted.to_toml(None));
    policy.context("no door is recognised in these rules, so there is nothing to rehearse")
}

/// A line that overwrites itself.
fn bar(progress: &Progress) -> String {
    const WIDTH: usize = 24;
    let full = WIDTH * progress.done / progress.of.max(1);
    let (done, rest) = ("█".repeat(full), "░".repeat(WIDTH - full));
    format!("\r\x1b[K{done}{rest} {}/{}  {}", progress.done, progress.of, progress.act)
}

fn as_json(report: &Report, agrees: bool) -> Value {
    let seen = |seen: &Seen| json!({ "open": seen.open, "goes_on": seen.goes_on, "banned": seen.banned, "found": seen.found });
    let acts: Vec<Value> = report
        .outcomes
        .iter()
        .map(|outcome| {
            json!({
                "scene": outcome.scene,
                "act": outcome.act,
                "foretold": seen(&outcome.foretold),
                "happened": seen(&outcome.happened),
                "agrees": outcome.agrees(),
                "note": outcome.note,
            })
        })
        .collect();
    json!({
        "agrees": agrees,
        "packets": report.packets,
        "seed": report.seed,
        "untried_doors": report.untried_doors,
        "nmap": report.nmap,
        "acts": acts,
    })
}

fn as_text(report: &Report, name: &str) -> String {
    let mut text = format!(
        "rehearsal of {name}; nothing lasts longer than {HURRIED} in it, and no ban longer than {HURRIED_BAN}\n"
    );
    let mut put = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a string takes all that memory holds");
    };
    let mut scene = "";
    for outcome in &report.outcomes {
        if outcome.scene != scene {
            scene = &outcome.scene;
            put(format_args!("\n\x1b[1m{scene:<54} {:<20} happened\x1b[0m\n", "foretold"));
        }
        let mark = if outcome.agrees() { "\x1b[32m=\x1b[0m" } else { "\x1b[1;31m≠\x1b[0m" };
        let note = outcome.note.map(|note| format!("  \x1b[2m({note})\x1b[0m")).unwrap_or_default();
        put(format_args!(
            "{mark} {:<52} {:<20} {}{note}\n",
            outcome.act,
            outcome.foretold.to_string(),
            outcome.happened
        ));
    }
    let differ = report.outcomes.iter().filter(|outcome| !outcome.agrees()).count();
    put(format_args!("\n{} packets arrived at the gateway; ", report.packets));
    if differ == 0 {
        put(format_args!("\x1b[1;32mthe kernel did what the simulator foretold\x1b[0m\n"));
    } else {
        let acts = if differ == 1 { "act" } else { "acts" };
        put(format_args!("\x1b[1;31m{differ} {acts} went otherwise than foretold\x1b[0m\n"));
    }
    put(format_args!("\x1b[2mthe random order again: --seed {}\x1b[0m\n", report.seed));
    if report.untried_doors > 0 {
        put(format_args!("{} more doors were not tried one by one\n", report.untried_doors));
    }
    if !report.nmap {
        put(format_args!("nmap is not installed, so it took no part\n"));
    }
    text
}
