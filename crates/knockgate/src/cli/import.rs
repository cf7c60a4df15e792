//! `knockgate import`.

use std::path::PathBuf;

use clap::Args;
use knockgate_compiler::diag::{Severity, Source};
use knockgate_compiler::frontend::rsc::interfaces::Named;
use knockgate_compiler::frontend::{self, rsc};
use knockgate_compiler::lift::{Lifted, Part, lift};
use knockgate_compiler::net::Interface;
use knockgate_compiler::policy::limit;
use knockgate_compiler::program::Origin;
use serde_json::{Value, json};

use super::input::{MAX_SCRIPT, ScriptOptions, read};
use super::output::{Answer, Output, write_new};

#[derive(Debug, Args)]
pub struct Options {
    /// The RouterOS script, such as `/export` prints it; `-` is standard input
    script: PathBuf,
    /// Where to write the policy; without it, to standard output
    ///
    /// The file is readable by its owner alone. One that is there already is never overwritten.
    #[arg(long, short, value_name = "POLICY")]
    output: Option<PathBuf>,
    #[command(flatten)]
    reading: ScriptOptions,
    /// What to call the doors, in their order, instead of by the names in the script; can be given
    /// several times
    #[arg(long, value_name = "NAME", value_parser = door_name)]
    name: Vec<String>,
}

fn door_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > limit::NAME || !text.chars().all(fits) {
        return Err(format!("use 1 to {} lower-case letters, digits and `-`", limit::NAME));
    }
    Ok(text.to_owned())
}

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let text = match read(&options.script, MAX_SCRIPT, output)? {
        Ok(text) => text,
        Err(answer) => return Ok(answer),
    };
    let source = text.source();
    let translation = options.reading.for_compiler();
    let reading = rsc::read(&text.text, &translation);
    let Some(program) = reading.program else {
        output.report(&source, &reading.findings)?;
        return Ok(Answer::Findings);
    };
    output.findings(&source, &reading.findings);
    if program.chains().iter().all(|chain| chain.rules.is_empty()) {
        anyhow::bail!("no rules in {}", source.name());
    }
    let mut lifted = lift(&program);
    rename(&mut lifted, &translation.interfaces, &options.name);
    let left_out = lifted.settle(|policy| frontend::toml::parse(policy).1);
    let policy = lifted.to_toml(Some(&source));
    let (parsed, errors) = frontend::toml::parse(&policy);
    if lifted.doors.is_empty() {
        tell(&lifted, &source, "", output);
        anyhow::bail!("no door was found in `{}`, so there is no policy", source.name());
    }
    if output.is_json() {
        output.print_json(&as_json(&lifted, &source, &policy))?;
    } else {
        let place = if options.output.is_some() { ", in the file" } else { ", in the policy's text" };
        tell(&lifted, &source, place, output);
    }
    if let (None, Some(error)) = (&parsed, errors.iter().find(|f| f.severity == Severity::Error)) {
        output.warn(&format!("what was made is no policy yet: {}", error.message));
    }
    match &options.output {
        Some(path) => {
            write_new(path, &policy)?;
            let path = path.display();
            output.tell(&format!(
                "wrote {path}, readable by you alone; `knockgate check {path}` says how strong it is\n"
            ));
        }
        None if output.is_json() => {}
        None => output.print(&policy)?,
    }
    let whole = left_out.is_empty() && parsed.is_some();
    Ok(if whole { Answer::Fine } else { Answer::Findings })
}

/// Gives doors the names that were asked for, and the outside interface, where no rule names it.
fn rename(lifted: &mut Lifted, interfaces: &Named, names: &[String]) {
    for (door, name) in lifted.doors.iter_mut().zip(names) {
        door.name.clone_from(name);
    }
    let meant = |interface: Interface| match interfaces.get(interface.as_str()) {
        Some(named) => named.clone(),
        None => vec![interface],
    };
    lifted.outside = std::mem::take(&mut lifted.outside).into_iter().flat_map(meant).collect();
    lifted.outside.sort();
    lifted.outside.dedup();
}

/// Something that the policy does not do, or does otherwise: the line, what it is about, and what.
type Remark = (Option<usize>, String, String);

const LOST: &str = "not in the policy";
/// Remarks that are told on standard error; a policy's text has them all.
const MAX_TOLD: usize = 40;

fn line(source: &Source<'_>, origin: &Origin) -> Option<usize> {
    origin.span.map(|span| source.place(span.start).line)
}

/// Where what was made differs, without the rules that are no part of it.
fn remarks(lifted: &Lifted, source: &Source<'_>) -> Vec<Remark> {
    let about = |part: Option<Part>| match part {
        Some(Part::Door(name)) => format!("door {name}"),
        Some(Part::Traps) => "traps".to_owned(),
        None => "policy".to_owned(),
    };
    let doubts = lifted.all_doubts().map(|(part, doubt)| {
        let place = doubt.origin.as_ref().and_then(|origin| line(source, origin));
        (place, about(part), doubt.what.clone())
    });
    let doors = lifted.doors.iter().filter_map(|door| {
        Some((None, format!("door {}", door.name), format!("left out: {}", door.left_out.as_ref()?)))
    });
    let traps = lifted.traps.iter().filter_map(|traps| {
        Some((None, "traps".to_owned(), format!("left out: {}", traps.left_out.as_ref()?)))
    });
    doubts.chain(doors).chain(traps).collect()
}

/// Remarks for people, rules with the same reason together. `elsewhere` is where those are that are not told.
fn tell(lifted: &Lifted, source: &Source<'_>, elsewhere: &str, output: &Output) {
    let mut told: Vec<Remark> = remarks(lifted, source);
    told.extend(lifted.lost().into_iter().map(|group| match (&group.rules[..], group.lines(source)) {
        ([_, _, ..], Some(lines)) => (None, LOST.to_owned(), format!("{lines}: {}", group.why)),
        (rules, _) => {
            let place = rules.first().and_then(|rule| line(source, &rule.origin));
            (place, LOST.to_owned(), group.why.to_owned())
        }
    }));
    for (line, about, what) in told.iter().take(MAX_TOLD) {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        output.warn(&format!("{}{line}: {about}: {what}", source.name()));
    }
    if let Some(more) = told.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        output.warn(&format!("and {more} more{elsewhere}"));
    }
}

fn as_json(lifted: &Lifted, source: &Source<'_>, policy: &str) -> Value {
    let doors = lifted.doors.iter().map(|door| json!({ "name": door.name, "left_out": door.left_out }));
    let lost = lifted.rest.iter().filter(|rule| rule.lost);
    let lost = lost.map(|rule| (line(source, &rule.origin), LOST.to_owned(), rule.why.clone()));
    let remarks = remarks(lifted, source).into_iter().chain(lost);
    let remarks = remarks.map(|(line, about, what)| json!({ "line": line, "about": about, "what": what }));
    json!({
        "doors": doors.collect::<Vec<_>>(),
        "remarks": remarks.collect::<Vec<_>>(),
        "policy": policy,
    })
}
