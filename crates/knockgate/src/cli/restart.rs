//! `knockgate save` and `restore`: what outlives a restart.

use clap::Args;
use knockgate::logbook::Entry;
use knockgate::target::nft::holdings::{self, Returned, Wanted};
use knockgate::target::nft::{self, Applied, Restored};
use knockgate_compiler::policy::{AfterRestart, Fate, Policy};
use knockgate_compiler::program::Program;
use serde_json::{Value, json};

use super::hand::spare_holders;
use super::in_force::InForce;
use super::log;
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct SaveOptions {}

#[derive(Debug, Args)]
pub struct RestoreOptions {}

pub fn save(_: &SaveOptions, output: &Output) -> anyhow::Result<Answer> {
    let kept = match Applied::read()? {
        Some((applied, _)) => holdings::save(&InForce::of(applied)?.program)?,
        None => None,
    };
    if output.is_json() {
        let kept = kept.map(|kept| json!({ "entries": kept.entries, "bytes": kept.bytes }));
        output.print_json(&json!({ "saved": kept }))?;
    } else {
        output.print(&kept.map_or_else(
            || "no lists are in force, or `knockgate restore` is still to fill them, so what was saved before stays\n".to_owned(),
            |kept| format!("saved {} of lists, and what rules have counted\n", entries(kept.entries)),
        ))?;
    }
    Ok(Answer::Fine)
}

pub fn restore(_: &RestoreOptions, output: &Output) -> anyhow::Result<Answer> {
    let Some(Restored { applied, due }) = nft::restore()? else { return nothing(output) };
    let name = applied.name.clone();
    log::write(log::policy_in_force().as_ref(), Entry::Restored { policy: name.clone() }, output);
    let lists = if due { Some(put_back_into(applied)) } else { None };
    let (returned, trouble) = match lists {
        Some(Ok(returned)) => (returned, None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    if output.is_json() {
        output.print_json(&json!({
            "restored": name,
            "lists": returned.as_ref().map(as_json),
            "trouble": trouble.as_ref().map(ToString::to_string),
        }))?;
    } else {
        let lists = returned.as_ref().map(in_words).unwrap_or_default();
        output.print(&format!("{name} is in force{lists}\n"))?;
    }
    let Some(trouble) = trouble else { return Ok(Answer::Fine) };
    output.warn(&format!("what was saved of lists could not be put back: {trouble}"));
    Ok(Answer::Findings)
}

fn nothing(output: &Output) -> anyhow::Result<Answer> {
    if output.is_json() {
        output.print_json(&json!({ "restored": null, "lists": null, "trouble": null }))?;
    } else {
        output.print("no policy was confirmed, so there is nothing to restore\n")?;
    }
    Ok(Answer::Fine)
}

/// Puts back what the policy wants to outlive a restart. A script does not say, and its lists are lost as
/// they are on a router.
fn put_back_into(applied: Applied) -> anyhow::Result<Option<Returned>> {
    let InForce { policy, program, .. } = InForce::of(applied)?;
    let returned = holdings::put_back(&program, after_restart(policy.as_ref()))?;
    // What was saved may be of an earlier policy.
    policy.map_or(Ok(()), |policy| spare_holders(&policy, &program))?;
    Ok(returned)
}

/// The same for what was just put in force, if its lists still miss it.
pub fn put_back_due(policy: Option<&Policy>, program: &Program) -> anyhow::Result<Option<Returned>> {
    if holdings::is_due()? { Ok(holdings::put_back(program, after_restart(policy))?) } else { Ok(None) }
}

/// What a policy wants to be there again after a restart.
pub fn after_restart(policy: Option<&Policy>) -> Wanted {
    match policy {
        Some(policy) => {
            let AfterRestart { bans, grants } = policy.after_restart();
            Wanted { bans: bans == Fate::Keep, grants: grants == Fate::Keep, others: true }
        }
        None => Wanted::NONE,
    }
}

/// `1 entry`, `2 entries`.
fn entries(count: u64) -> String {
    format!("{count} {}", if count == 1 { "entry" } else { "entries" })
}

/// What is worth to be told, behind what is in force.
pub fn in_words(returned: &Returned) -> String {
    let Returned { entries: back, expired, unwanted, there, no_room } = *returned;
    let told = [
        (expired, "had run out"),
        (unwanted, "were not to be kept"),
        (there, "were there already"),
        (no_room, "found no room"),
    ];
    let told =
        told.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
    format!("; {} of lists put back{}", entries(back), told.collect::<String>())
}

fn as_json(returned: &Returned) -> Value {
    let Returned { entries, expired, unwanted, there, no_room } = returned;
    json!({
        "entries": entries,
        "expired": expired,
        "unwanted": unwanted,
        "there": there,
        "no_room": no_room,
    })
}
