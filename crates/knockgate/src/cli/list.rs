//! `knockgate list`.

use std::net::IpAddr;
use std::str::FromStr;

use clap::Args;
use knockgate::target::nft::{self, Managed};
use knockgate_compiler::backend::nft::set_name;
use knockgate_compiler::net::Family;
use knockgate_compiler::program::{List, Program};
use serde_json::{Map, Value, json};

use super::in_force::InForce;
use super::listed::{Reader, Table, left, printable};
use super::output::{Answer, Output};
use super::status::Rows;

#[derive(Debug, Args)]
pub struct Options {
    /// `grants`, `stages`, `bans` or `allowed`; or an address, to see everything that is known of it
    #[arg(value_name = "WHAT")]
    what: Option<What>,
    #[command(flatten)]
    rows: Rows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Grants,
    Stages,
    Bans,
    Allowed,
    Address(IpAddr),
}

impl What {
    const WORDS: [(&'static str, Self); 4] = [
        ("grants", Self::Grants),
        ("stages", Self::Stages),
        ("bans", Self::Bans),
        ("allowed", Self::Allowed),
    ];
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = Self::WORDS.into_iter().find(|(word, _)| *word == text).map(|(_, what)| what);
        let address = || text.parse().ok().map(|address: IpAddr| Self::Address(address.to_canonical()));
        word.or_else(address).ok_or_else(|| "wanted: grants, stages, bans, allowed, or an address".to_owned())
    }
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let force = InForce::read()?;
    if let Some(What::Address(address)) = options.what {
        return known(&force, address, output);
    }
    let reader = Reader::new(&force.program, options.rows.most(output))?;
    let wanted =
        What::WORDS.into_iter().filter(|(_, what)| options.what.is_none_or(|wanted| wanted == *what));
    let mut tables: Vec<(String, Table)> = vec![];
    if force.policy.is_some() {
        for (word, what) in wanted {
            tables.push((word.to_owned(), table(&reader, what)?));
        }
    } else {
        anyhow::ensure!(
            options.what.is_none(),
            "a script is in force, which has lists of its own: name none"
        );
        tables.extend(reader.lists()?.into_iter().map(|table| (table.title.clone(), table)));
    }
    if output.is_json() {
        let one = |table: &Table| json!({ "entries": table.json(), "count": table.json_count() });
        let all: Map<String, Value> = tables.iter().map(|(word, table)| (word.clone(), one(table))).collect();
        output.print_json(&Value::Object(all))?;
    } else {
        let text: String = tables.iter().map(|(_, table)| table.text()).collect();
        output.print(text.trim_start_matches('\n'))?;
    }
    Ok(Answer::Fine)
}

fn table(reader: &Reader<'_>, what: What) -> anyhow::Result<Table> {
    match what {
        What::Grants => reader.grants(),
        What::Stages => reader.progress(),
        What::Bans => reader.banned(),
        What::Allowed | What::Address(_) => reader.allowed(),
    }
}

/// Something that is known of an address.
struct Fact {
    what: String,
    reason: Option<String>,
    left_ms: Option<u64>,
}

/// Everything that is known of an address; exits with 1 if that is nothing.
fn known(force: &InForce, address: IpAddr, output: &Output) -> anyhow::Result<Answer> {
    let mut facts = on_lists(force, address)?;
    facts.extend(on_tracks(&force.program, address)?);
    if output.is_json() {
        let all = facts.iter().map(|fact| {
            let left_s = fact.left_ms.map(|left| left / 1000);
            json!({ "on": fact.what, "left_s": left_s, "reason": fact.reason })
        });
        output.print_json(&json!({ "source": address.to_string(), "known": all.collect::<Vec<_>>() }))?;
    } else if facts.is_empty() {
        output.print(&format!("{address} is on no list\n"))?;
    } else {
        let line = |fact: &Fact| {
            let left = fact.left_ms.map_or_else(|| "stays".to_owned(), left);
            let reason = fact.reason.as_ref().map(|reason| format!("  ({})", printable(reason)));
            format!("  {:<40} {left}{}\n", fact.what, reason.unwrap_or_default())
        };
        output.print(&format!("{address}\n{}", facts.iter().map(line).collect::<String>()))?;
    }
    Ok(if facts.is_empty() { Answer::Findings } else { Answer::Fine })
}

fn on_lists(force: &InForce, address: IpAddr) -> anyhow::Result<Vec<Fact>> {
    let mut facts = vec![];
    for list in force.program.lists() {
        facts.append(&mut on_list(force, list, address)?);
    }
    Ok(facts)
}

fn on_list(force: &InForce, list: &List, address: IpAddr) -> anyhow::Result<Vec<Fact>> {
    let family = Family::of(address);
    if let Some(prefix) = list.fixed.iter().find(|prefix| prefix.contains(address)) {
        return Ok(vec![Fact { what: format!("{}: {prefix}", list.name), reason: None, left_ms: None }]);
    }
    let found = match list.timed {
        Some(timed) => {
            let element = nft::get(&force.set_of(timed, family), &force.element_of(timed, address))?;
            element.into_iter().collect()
        }
        None if list.managed.is_some() => Managed::of(&list.name, family).holding(address)?,
        None => vec![],
    };
    let facts = found.into_iter().map(|element| {
        let other = element.first != address || element.last != address;
        let with = if other { format!(": {}", element.addresses()) } else { String::new() };
        let what = format!("{}{with}", list.name);
        Fact { what, reason: element.comment, left_ms: element.left_ms }
    });
    Ok(facts.collect())
}

fn on_tracks(program: &Program, address: IpAddr) -> anyhow::Result<Vec<Fact>> {
    let mut facts = vec![];
    for track in program.tracks() {
        let set = set_name(&track.name, Family::of(address));
        let Some(element) = nft::get(&set, &nft::Element::of(address))? else { continue };
        let position = track.positions.iter().find(|(position, _)| Some(position.number()) == element.number);
        let what = position.map_or("an unknown position", |(_, what)| what);
        facts.push(Fact { what: format!("knocking: {what}"), reason: None, left_ms: element.left_ms });
    }
    Ok(facts)
}
