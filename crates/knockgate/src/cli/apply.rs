//! `knockgate apply` and `knockgate remove`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use knockgate::logbook::Entry;
use knockgate::plan::Load;
use knockgate::session;
use knockgate::target::nft::trial::{self, Terms};
use knockgate::target::nft::{self, Applied, Done, Doubt, Saved};
use knockgate_compiler::time::Lifetime;
use serde_json::json;

use super::hand::spare_holders;
use super::input::{ScriptOptions, load};
use super::log;
use super::output::{Answer, Output};
use super::restart;
use super::trial::{as_json, how_to_confirm};

#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// The policy or RouterOS script; `-` is standard input
    policy: PathBuf,
    #[command(flatten)]
    script: ScriptOptions,
    /// Take the policy back after so long, from 10s to 1h, unless it is confirmed
    #[arg(long, value_name = "TIME", default_value = "60s")]
    trial: Lifetime,
    /// Put the policy in force for good at once, even if it locks you out
    #[arg(long, conflicts_with = "trial")]
    no_trial: bool,
    /// Let a trial be shorter than anybody could confirm
    #[arg(long, hide = true)]
    however_short: bool,
}

/// How long a trial may be. Shorter ones cannot be confirmed in time; during longer ones, a policy that
/// locks everybody out does so for long.
const TRIALS: RangeInclusive<Lifetime> = Lifetime::from_secs(10)..=Lifetime::from_secs(3600);

impl ApplyOptions {
    /// How the policy is to be tried out; `None` if not at all.
    fn terms(&self) -> anyhow::Result<Option<Terms>> {
        if self.no_trial {
            return Ok(None);
        }
        let short_enough = self.trial <= *TRIALS.end();
        let long_enough = self.however_short || self.trial >= *TRIALS.start();
        anyhow::ensure!(
            short_enough && long_enough,
            "a trial takes from {} to {}, not {}",
            TRIALS.start(),
            TRIALS.end(),
            self.trial
        );
        let session = session::of_this_process();
        // What is no connection of this network namespace cannot be let in here either.
        let session = session.filter(|session| session::stands(session).unwrap_or_default());
        Ok(Some(Terms { length: self.trial, session }))
    }
}

#[derive(Debug, Args)]
pub struct RemoveOptions {}

pub fn apply(options: &ApplyOptions, output: &Output) -> anyhow::Result<Answer> {
    let terms = options.terms()?;
    let loaded = match load(&options.policy, &options.script, output)? {
        Ok(loaded) => loaded,
        Err(answer) => return Ok(answer),
    };
    let ruleset = match loaded.live_ruleset(output)? {
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
    let early = nft::early_doubts(&loaded.program)?;
    let doubts: Vec<String> = doubts.iter().chain(&early).map(ToString::to_string).collect();
    let options = loaded.options.words();
    let applied = Applied { name: loaded.text.name, text: loaded.text.text, options };
    let wanted = Saved { applied, ruleset };
    let (load, running) = match terms {
        None => {
            output.warn("no trial: if this policy locks you out, nothing takes it back");
            match nft::apply(&wanted)? {
                Done::Unchanged => (None, None),
                Done::Loaded(load) => (Some(load), None),
            }
        }
        Some(terms) => match trial::begin(&wanted, &terms)? {
            None => (None, None),
            Some((load, running)) => (Some(load), Some(running)),
        },
    };
    if load.is_some() {
        let trial = running.as_ref().and(terms).map(|terms| terms.length);
        let entry = Entry::Applied { policy: wanted.applied.name.clone(), trial };
        log::write(loaded.policy.as_ref(), entry, output);
    }
    let returned = match restart::put_back_due(loaded.policy.as_ref(), &loaded.program) {
        Ok(returned) => returned.as_ref().map(restart::in_words).unwrap_or_default(),
        Err(error) => {
            output.warn(&format!("what was saved of lists could not be put back: {error:#}"));
            String::new()
        }
    };
    if let Some(policy) = &loaded.policy
        && let Err(error) = spare_holders(policy, &loaded.program)
    {
        output.warn(&format!("traps may ban who holds a grant of an earlier policy: {error:#}"));
    }
    if output.is_json() {
        let sets = |of: fn(&Load) -> &Vec<String>| load.as_ref().map_or(&[][..], |load| of(load));
        output.print_json(&json!({
            "changed": load.is_some(),
            "kept": sets(|load| &load.kept),
            "carried": sets(|load| &load.carried),
            "warnings": doubts,
            "trial": running.as_ref().map(as_json),
        }))?;
        return Ok(Answer::Fine);
    }
    doubts.iter().for_each(|doubt| output.warn(doubt));
    let doors = format!("{}: {count} {what}{}", wanted.applied.name, if count == 1 { "" } else { "s" });
    output.print(&match (load, running) {
        (None, _) => format!("{doors} in force already, nothing changed\n"),
        (Some(load), None) => format!("{doors} in force{}{returned}\n", kept_words(&load)),
        (Some(load), Some(running)) => {
            format!("{doors} in force on trial{}{returned}\n{}", kept_words(&load), how_to_confirm(&running))
        }
    })?;
    Ok(Answer::Fine)
}

fn kept_words(load: &Load) -> &'static str {
    if load.kept.is_empty() && load.carried.is_empty() { "" } else { "; grants and bans were kept" }
}

pub fn remove(_: &RemoveOptions, output: &Output) -> anyhow::Result<Answer> {
    let policy = log::policy_in_force();
    let name = Applied::read()?.map(|(applied, _)| applied.name);
    let there = nft::remove()?;
    if there {
        log::write(policy.as_ref(), Entry::Removed { policy: name }, output);
    }
    if output.is_json() {
        output.print_json(&json!({ "removed": there }))?;
    } else if there {
        output.print("removed: every port is as it was before\n")?;
    } else {
        output.print("nothing to remove\n")?;
    }
    Ok(Answer::Fine)
}
