//! `knockgate status`.

use std::fmt::Write;

use clap::Args;
use knockgate::target::nft::{self, Applied, Fill};
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::Program;
use knockgate_compiler::time::Lifetime;
use serde_json::{Value, json};

use super::in_force::InForce;
use super::listed::{Reader, Table};
use super::output::{Answer, Output};
use super::traffic::Traffic;
use super::trial::Trials;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    rows: Rows,
    /// Count packets for so long, as in 1s, and show how many came in a second
    #[arg(long, value_name = "TIME")]
    rate: Option<Lifetime>,
}

/// How much is shown.
#[derive(Debug, Args)]
pub struct Rows {
    /// Rows of a kind that are shown, 0 for all [default: 40, and 1000 as JSON]
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
}

impl Rows {
    /// Rows that are shown at most.
    pub fn most(&self, output: &Output) -> usize {
        match self.limit {
            Some(0) => usize::MAX,
            Some(limit) => limit,
            None if output.is_json() => 1000,
            None => 40,
        }
    }
}

/// What a policy's status has, besides its lists.
struct Facts<'t> {
    changed: bool,
    trials: &'t Trials,
    doubts: Vec<String>,
    traffic: Traffic,
    fill: Vec<(String, Fill)>,
}

impl<'t> Facts<'t> {
    fn of(
        program: &Program,
        reader: &Reader<'_>,
        trials: &'t Trials,
        traffic: Traffic,
        changed: bool,
    ) -> anyhow::Result<Self> {
        let doubts = nft::doubts(program)?.iter().map(ToString::to_string).collect();
        let fill = reader.fill().map(|(name, fill)| (name.to_owned(), fill)).collect();
        Ok(Self { changed, trials, doubts, traffic, fill })
    }

    fn add_to(&self, status: &mut Value, most: usize) {
        status["trial"] = self.trials.as_json();
        self.traffic.add_to(status, &self.fill, most);
    }
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let trials = Trials::look()?;
    if !output.is_json() {
        output.print(&trials.as_text())?;
    }
    let answer = in_force(options, &trials, output)?;
    Ok(if trials.is_stuck() { Answer::Findings } else { answer })
}

fn in_force(options: &Options, trials: &Trials, output: &Output) -> anyhow::Result<Answer> {
    let snapshot = nft::observe()?;
    let there = !snapshot.chains.is_empty();
    let applied = match Applied::read()? {
        Some((applied, _)) if there => applied,
        Some((applied, _)) => return gone(&applied, trials, output),
        None => return nothing(there, trials, output),
    };
    let InForce { name, policy, program } = InForce::of(applied)?;
    let most = options.rows.most(output);
    // What sets hold is read last: it is the quickest to change.
    let traffic = Traffic::read(&program, options.rate)?;
    let reader = Reader::new(&program, most)?;
    let facts = Facts::of(&program, &reader, trials, traffic, snapshot.fingerprint.is_none())?;
    match policy {
        Some(policy) => doors(&name, &policy, &reader, &facts, most, output)?,
        None => lists(&name, &reader.lists()?, &facts, most, output)?,
    }
    Ok(if facts.changed { Answer::Findings } else { Answer::Fine })
}

fn doors(
    name: &str,
    policy: &Policy,
    reader: &Reader<'_>,
    facts: &Facts<'_>,
    most: usize,
    output: &Output,
) -> anyhow::Result<()> {
    let (granted, knocking) = (reader.grants()?, reader.progress()?);
    let (banned, allowed) = (reader.banned()?, reader.allowed()?);
    if !output.is_json() {
        facts.doubts.iter().for_each(|doubt| output.warn(doubt));
        let tables = [granted, knocking, banned, allowed].map(|table| table.text()).concat();
        let head = format!("policy {name} is in force\n{}{}", warned(facts.changed), table_of(policy, most));
        output.print(&(head + &tables + &facts.traffic.text(&facts.fill, most)))?;
        return Ok(());
    }
    let doors = policy.doors().iter().take(most).map(|door| {
        json!({
            "name": door.name,
            "opens": door.services.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "knocks": door.sequence.steps().len(),
            "wrong": door.wrong.to_string(),
            "grant": door.grant.to_string(),
        })
    });
    let mut status = json!({
        "policy": name,
        "changed_since_apply": facts.changed,
        "warnings": facts.doubts,
        "doors": doors.collect::<Vec<_>>(),
        "grants": granted.json(),
        "progress": knocking.json(),
        "banned": banned.json(),
        "allowed": allowed.json(),
        "counts": {
            "doors": policy.doors().len(),
            "grants": granted.json_count(),
            "progress": knocking.json_count(),
            "banned": banned.json_count(),
            "allowed": allowed.json_count(),
        },
    });
    facts.add_to(&mut status, most);
    Ok(output.print_json(&status)?)
}

/// The lists of a script.
fn lists(
    name: &str,
    tables: &[Table],
    facts: &Facts<'_>,
    most: usize,
    output: &Output,
) -> anyhow::Result<()> {
    if !output.is_json() {
        facts.doubts.iter().for_each(|doubt| output.warn(doubt));
        let tables: String = tables.iter().map(Table::text).collect();
        let head = format!("script {name} is in force\n{}{tables}", warned(facts.changed));
        output.print(&(head + &facts.traffic.text(&facts.fill, most)))?;
        return Ok(());
    }
    let lists = tables
        .iter()
        .map(|table| json!({ "name": table.title, "entries": table.json(), "count": table.json_count() }));
    let mut status = json!({
        "script": name,
        "changed_since_apply": facts.changed,
        "warnings": facts.doubts,
        "lists": lists.collect::<Vec<_>>(),
    });
    facts.add_to(&mut status, most);
    Ok(output.print_json(&status)?)
}

fn warned(changed: bool) -> &'static str {
    if changed {
        "\x1b[33mits rules were changed by somebody else since; apply it again\x1b[0m\n"
    } else {
        ""
    }
}

fn nothing(there: bool, trials: &Trials, output: &Output) -> anyhow::Result<Answer> {
    if output.is_json() {
        let trial = trials.as_json();
        output.print_json(&json!({ "policy": null, "changed_since_apply": there, "trial": trial }))?;
    } else if there {
        output.print("there is a table of ours, but no note of its policy; apply the policy again\n")?;
    } else {
        output.print("no policy is in force\n")?;
    }
    Ok(if there { Answer::Findings } else { Answer::Fine })
}

/// Somebody else took the table away: whoever flushes all rules does.
fn gone(applied: &Applied, trials: &Trials, output: &Output) -> anyhow::Result<Answer> {
    if output.is_json() {
        output.print_json(&json!({
            "policy": applied.name,
            "changed_since_apply": true,
            "trial": trials.as_json(),
            "doors": [],
        }))?;
    } else {
        let name = &applied.name;
        output.print(&format!(
            "\x1b[33mpolicy {name} was in force, but its table is gone; apply it again\x1b[0m\n"
        ))?;
    }
    Ok(Answer::Findings)
}

fn table_of(policy: &Policy, most: usize) -> String {
    let mut text = String::new();
    let mut put = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a string takes all that memory holds");
    };
    put(format_args!(
        "\n\x1b[1m{:<16} {:<8} {:<14} {:<7} opens\x1b[0m\n",
        "door", "knocks", "wrong", "grant"
    ));
    for door in policy.doors().iter().take(most) {
        let services: Vec<String> = door.services.iter().map(ToString::to_string).collect();
        put(format_args!(
            "{:<16} {:<8} {:<14} {:<7} {}\n",
            door.name,
            door.sequence.steps().len(),
            door.wrong.to_string(),
            door.grant.to_string(),
            services.join(", ")
        ));
    }
    if let Some(rest) = policy.doors().len().checked_sub(most).filter(|rest| *rest > 0) {
        put(format_args!("  and {rest} more; `--limit 0` shows all\n"));
    }
    text
}
