//! `knockgate simulate`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use knockgate_compiler::diag::{Source, Span, has_errors};
use knockgate_compiler::program::{Hook, Origin, Program};
use knockgate_compiler::sim::trace::{self, Event};
use knockgate_compiler::sim::{Change, Decider, Decision, Fate, Simulator};
use serde_json::{Value, json};

use super::input::{Loaded, ScriptOptions, load, read};
use super::output::{Answer, Output};

#[derive(Debug, Args)]
pub struct Options {
    /// The policy or RouterOS script
    policy: PathBuf,
    #[command(flatten)]
    script: ScriptOptions,
    /// The packets, a line each: `TIME SOURCE KNOCK [words]`; `-` is standard input
    trace: PathBuf,
}

/// Bytes that a trace may have.
const MAX_TRACE: usize = 64 << 20;

pub fn run(options: &Options, output: &Output) -> anyhow::Result<Answer> {
    let loaded = match load(&options.policy, &options.script, output)? {
        Ok(loaded) => loaded,
        Err(answer) => return Ok(answer),
    };
    let text = match read(&options.trace, MAX_TRACE, output)? {
        Ok(text) => text,
        Err(answer) => return Ok(answer),
    };
    let (events, findings) = trace::parse(&text.text, &loaded.program.outside()[0]);
    if has_errors(&findings) {
        output.report(&text.source(), &findings)?;
        return Ok(Answer::Findings);
    }
    let source = loaded.text.source();
    let mut simulator = Simulator::new(&loaded.program);
    for event in &events {
        let decision = simulator.play(event.at, &event.packet);
        if output.is_json() {
            output.print_json(&as_json(&loaded, &source, event, &decision))?;
        } else {
            output.print(&as_text(&loaded, &source, event, &decision))?;
        }
    }
    Ok(Answer::Fine)
}

fn as_json(loaded: &Loaded, source: &Source<'_>, event: &Event, decision: &Decision<'_>) -> Value {
    let line = |origin: &Origin| origin.span.map(|span| source.place(span.start).line);
    let changes = decision.changes.iter().zip(&decision.causes).map(|(change, cause)| {
        let mut value = change_json(&loaded.program, change);
        value["rule"] = json!(cause.what);
        value["line"] = json!(line(cause));
        value
    });
    json!({
        "time": event.at.to_string(),
        "source": event.packet.source.to_string(),
        "packet": event.text,
        "verdict": decision.fate.as_str(),
        "rule": rule(&decision.decider),
        "line": origin(&decision.decider).and_then(line),
        "changes": changes.collect::<Vec<_>>(),
    })
}

fn change_json(program: &Program, change: &Change) -> Value {
    let (what, name, position, until) = match change {
        Change::Added(list, until) => ("added", &program[*list].name, None, Some(until)),
        Change::DestinationAdded(list, until) => {
            ("destination added", &program[*list].name, None, Some(until))
        }
        Change::Removed(list) => ("removed", &program[*list].name, None, None),
        Change::Full(list) => ("full", &program[*list].name, None, None),
        Change::Moved(track, position, until) => {
            let track = &program[*track];
            ("moved", &track.name, track.positions.get(position), Some(until))
        }
        Change::Forgotten(track) => ("forgotten", &program[*track].name, None, None),
        Change::TrackFull(track) => ("full", &program[*track].name, None, None),
        Change::Redirected(target) => return json!({ "change": "redirected", "to": target.to_string() }),
    };
    json!({
        "change": what, "list": name, "position": position, "until": until.map(ToString::to_string),
    })
}

fn as_text(loaded: &Loaded, source: &Source<'_>, event: &Event, decision: &Decision<'_>) -> String {
    let colour = match decision.fate {
        Fate::Accept => "\x1b[32m",
        Fate::Drop => "\x1b[2m",
        Fate::Reject => "\x1b[33m",
    };
    let place = |origin: &Origin| {
        let line = |span: Span| format!(" ({}:{})", source.name(), source.place(span.start).line);
        origin.span.map(line).unwrap_or_default()
    };
    let mut text = format!(
        "{:>8}  {:<15} {:<18} {colour}{:<6}\x1b[0m  {}{}\n",
        event.at.to_string(),
        event.packet.source,
        event.text,
        decision.fate.as_str(),
        rule(&decision.decider),
        origin(&decision.decider).map(place).unwrap_or_default(),
    );
    for (change, cause) in decision.changes.iter().zip(&decision.causes) {
        let change = change_text(&loaded.program, change);
        writeln!(text, "          \x1b[36m{change:<41}\x1b[0m  {}{}", cause.what, place(cause))
            .expect("a string takes all that memory holds");
    }
    text
}

fn change_text(program: &Program, change: &Change) -> String {
    match change {
        Change::Added(list, until) => format!("+ {} until {until}", program[*list].name),
        Change::DestinationAdded(list, until) => {
            format!("+ {} until {until} (destination)", program[*list].name)
        }
        Change::Removed(list) => format!("- {}", program[*list].name),
        Change::Full(list) => format!("! {} is full", program[*list].name),
        Change::Moved(track, position, until) => {
            let what = program[*track].positions.get(position).map(|what| &**what);
            format!("> {} until {until}", what.unwrap_or("elsewhere"))
        }
        Change::Forgotten(_) => "- progress".to_owned(),
        Change::TrackFull(track) => format!("! {} is full", program[*track].name),
        Change::Redirected(target) => format!("to {target}"),
    }
}

fn rule(decider: &Decider<'_>) -> String {
    match decider {
        Decider::Rule { origin, .. } => origin.what.to_string(),
        Decider::End(Hook::Raw | Hook::Prerouting) => "the end of prerouting".to_owned(),
        Decider::End(Hook::Input) => "the end of input".to_owned(),
        Decider::End(Hook::Forward) => "not guarded: passed on".to_owned(),
        Decider::Reassembly => "waits for its other fragments".to_owned(),
        Decider::Routing => "not passed on by any router".to_owned(),
    }
}

fn origin<'p>(decider: &Decider<'p>) -> Option<&'p Origin> {
    match decider {
        Decider::Rule { origin, .. } => Some(origin),
        Decider::End(_) | Decider::Reassembly | Decider::Routing => None,
    }
}
