//! `knockgate status`.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;

use clap::Args;
use knockgate::target::nft::{self, Applied, Element};
use knockgate_compiler::policy::Policy;
use knockgate_compiler::program::Program;
use serde_json::{Value, json};

use super::input::{ScriptOptions, Text, understand};
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {}

/// Rows that a person is shown of one kind.
const SHOWN: usize = 40;

/// A source, what it has, and for how long.
struct Row {
    source: IpAddr,
    what: String,
    left_s: u64,
}

pub fn run(_: &Options, output: &Output) -> anyhow::Result<Answer> {
    let snapshot = nft::observe()?;
    let there = !snapshot.chains.is_empty();
    let applied = match Applied::read()? {
        Some((applied, _)) if there => applied,
        Some((applied, _)) => return gone(&applied, output),
        None => return nothing(there, output),
    };
    let options = ScriptOptions::of_words(&applied.options)?;
    let text = Text { name: applied.name.clone(), text: applied.text.clone() };
    let (policy, Some(program), _) = understand(&text, &options) else {
        anyhow::bail!("the note of the applied policy cannot be read; apply the policy again");
    };
    let changed = snapshot.fingerprint.is_none();
    let doubts: Vec<String> = nft::doubts(&program)?.iter().map(ToString::to_string).collect();
    let Some(policy) = policy else { return lists(&applied.name, &program, changed, &doubts, output) };
    let grants = rows_of(&program, "grant ", &["grants4", "grants6"])?;
    let mut progress = progress(&program)?;
    progress.extend(rows_of(&program, "stage ", &["stages4", "stages6"])?);
    let banned = match policy.traps() {
        Some(_) => plain_rows(&["banned4", "banned6"])?,
        None => vec![],
    };
    if output.is_json() {
        output.print_json(&json!({
            "policy": applied.name,
            "changed_since_apply": changed,
            "warnings": doubts,
            "doors": policy.doors().iter().map(|door| json!({
                "name": door.name,
                "opens": door.services.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "knocks": door.sequence.steps().len(),
                "wrong": door.wrong.to_string(),
                "grant": door.grant.to_string(),
            })).collect::<Vec<_>>(),
            "grants": rows_json(&grants, "door"),
            "progress": rows_json(&progress, "at"),
            "banned": sources_json(&banned),
        }))?;
    } else {
        doubts.iter().for_each(|doubt| output.warn(doubt));
        output.print(&as_text(
            &applied,
            &policy,
            changed,
            &[("granted", grants), ("knocking", progress), ("banned", banned)],
        ))?;
    }
    Ok(if changed { Answer::Findings } else { Answer::Fine })
}

/// Who is on the lists of a script.
fn lists(
    name: &str,
    program: &Program,
    changed: bool,
    doubts: &[String],
    output: &Output,
) -> anyhow::Result<Answer> {
    let mut tables = vec![];
    for list in program.lists() {
        let Some(timed) = list.timed else { continue };
        let pool = &program[timed.pool].name;
        let sets = [format!("{pool}4"), format!("{pool}6")];
        tables.push((&*list.name, plain_rows(&[&sets[0], &sets[1]])?));
    }
    if output.is_json() {
        let lists = tables.iter().map(|(name, rows)| json!({ "name": name, "entries": sources_json(rows) }));
        output.print_json(&json!({
            "script": name,
            "changed_since_apply": changed,
            "warnings": doubts,
            "lists": lists.collect::<Vec<_>>(),
        }))?;
    } else {
        doubts.iter().for_each(|doubt| output.warn(doubt));
        output.print(&format!("script {name} is in force\n{}{}", warned(changed), listed(&tables)))?;
    }
    Ok(if changed { Answer::Findings } else { Answer::Fine })
}

fn warned(changed: bool) -> &'static str {
    if changed {
        "\x1b[33mits rules were changed by somebody else since; apply it again\x1b[0m\n"
    } else {
        ""
    }
}

fn nothing(there: bool, output: &Output) -> anyhow::Result<Answer> {
    if output.is_json() {
        output.print_json(&json!({ "policy": null, "changed_since_apply": there }))?;
    } else if there {
        output.print("there is a table of ours, but no note of its policy; apply the policy again\n")?;
    } else {
        output.print("no policy is in force\n")?;
    }
    Ok(if there { Answer::Findings } else { Answer::Fine })
}

/// Somebody else took the table away: whoever flushes all rules does.
fn gone(applied: &Applied, output: &Output) -> anyhow::Result<Answer> {
    if output.is_json() {
        output.print_json(&json!({ "policy": applied.name, "changed_since_apply": true, "doors": [] }))?;
    } else {
        let name = &applied.name;
        output.print(&format!(
            "\x1b[33mpolicy {name} was in force, but its table is gone; apply it again\x1b[0m\n"
        ))?;
    }
    Ok(Answer::Findings)
}

/// The entries of the lists whose name begins with `prefix`, by the rest of that name.
fn rows_of(program: &Program, prefix: &str, sets: &[&str]) -> anyhow::Result<Vec<Row>> {
    let names: HashMap<u32, &str> = program
        .lists()
        .iter()
        .filter_map(|list| Some((list.timed?.tag.get(), list.name.strip_prefix(prefix)?)))
        .collect();
    if names.is_empty() {
        return Ok(vec![]);
    }
    let name = |element: &Element| {
        let name = element.number.and_then(|number| names.get(&number));
        // A door that is gone leaves grants which nothing looks at any more.
        name.map_or_else(|| "(no such door any more)".to_owned(), |name| (*name).to_owned())
    };
    rows("set", sets, name)
}

fn progress(program: &Program) -> anyhow::Result<Vec<Row>> {
    let mut found = vec![];
    for track in program.tracks() {
        let positions: HashMap<u32, &str> =
            track.positions.iter().map(|(position, what)| (position.number(), &**what)).collect();
        let what = |element: &Element| {
            let what = element.number.and_then(|number| positions.get(&number));
            what.map_or_else(|| "(no such knock any more)".to_owned(), |what| (*what).to_owned())
        };
        let sets = [format!("{}4", track.name), format!("{}6", track.name)];
        found.extend(rows("map", &[&sets[0], &sets[1]], what)?);
    }
    Ok(found)
}

fn plain_rows(sets: &[&str]) -> anyhow::Result<Vec<Row>> {
    rows("set", sets, |_| String::new())
}

fn rows(kind: &str, sets: &[&str], what: impl Fn(&Element) -> String) -> anyhow::Result<Vec<Row>> {
    let mut rows = vec![];
    for set in sets {
        let row = |element: Element| Row {
            what: what(&element),
            source: element.source,
            left_s: element.expires_s,
        };
        rows.extend(nft::members(kind, set)?.into_iter().map(row));
    }
    rows.sort_by_key(|row| (row.left_s, row.source));
    Ok(rows)
}

fn rows_json(rows: &[Row], what: &str) -> Vec<Value> {
    rows.iter()
        .map(|row| json!({ "source": row.source.to_string(), what: row.what, "left_s": row.left_s }))
        .collect()
}

fn sources_json(rows: &[Row]) -> Vec<Value> {
    rows.iter().map(|row| json!({ "source": row.source.to_string(), "left_s": row.left_s })).collect()
}

fn as_text(applied: &Applied, policy: &Policy, changed: bool, tables: &[(&str, Vec<Row>)]) -> String {
    let mut text = format!("policy {} is in force\n", applied.name);
    let mut put = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a string takes all that memory holds");
    };
    put(format_args!("{}", warned(changed)));
    put(format_args!(
        "\n\x1b[1m{:<16} {:<8} {:<14} {:<7} opens\x1b[0m\n",
        "door", "knocks", "wrong", "grant"
    ));
    for door in policy.doors().iter().take(SHOWN) {
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
    more(&mut put, policy.doors().len());
    text + &listed(tables)
}

/// Lists with who is on them.
fn listed(tables: &[(&str, Vec<Row>)]) -> String {
    let mut text = String::new();
    let mut put = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a string takes all that memory holds");
    };
    for (title, rows) in tables {
        put(format_args!("\n\x1b[1m{title}: {}\x1b[0m\n", rows.len()));
        for row in rows.iter().take(SHOWN) {
            let source = row.source.to_string();
            put(format_args!("  {source:<40} {:<24} {}s left\n", row.what, row.left_s));
        }
        more(&mut put, rows.len());
    }
    text
}

fn more(put: &mut impl FnMut(std::fmt::Arguments<'_>), count: usize) {
    if count > SHOWN {
        put(format_args!("  and {} more; --format json shows all\n", count - SHOWN));
    }
}
